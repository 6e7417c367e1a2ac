from functools import partial

import pytest
import torch
from torch import nn

from advlib import evaluation
from advlib.attacks import fgsm, pgd
from advlib.data import Split, pixels


class Fixed(nn.Module):
    """A model whose logits for image i are row i of a table; the image's first pixel tells i."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))

    def forward(self, images):
        return self.table[(images[:, 0, 0, 0] * 255).round().long()]


@pytest.fixture
def known():
    model = Fixed([[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [2.0, 3.0, 1.0], [1.0, 2.0, 3.0]]).eval()
    images = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1)
    return model, Split(images, torch.tensor([0, 1, 0, 0]))


def test_correct_top_k_and_confusion_by_hand(known):
    model, split = known
    assert evaluation.correct(model, split).tolist() == [True, True, False, False]
    assert evaluation.top_k(model, split, 2).tolist() == [True, True, True, False]
    assert evaluation.top_k(model, split, 3).all()
    assert evaluation.confusion(model, split).tolist() == [[1, 1, 1], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("k", [0, 4])
def test_top_k_refuses_more_classes_than_there_are(known, k):
    with pytest.raises(ValueError, match="^k: "):
        evaluation.top_k(*known, k)


def test_protocols_tell_the_models_apart(digits, shallow):
    """A blind model: white-box gradients are nothing, static images still do not touch it."""
    split = Split(*(part[:50] for part in digits.test))
    attack = partial(pgd, eps=0.3, step=0.05, steps=10)
    white = evaluation.under_attack(shallow, split, attack, protocol="white-box")
    static = evaluation.under_attack(shallow, split, attack, protocol="static", undefended=shallow)
    assert white.float().mean() < 0.2
    assert static.float().mean() <= 0.2
    blind = Fixed([[1.0] + [0.0] * 9] * 256).eval()
    shown = evaluation.under_attack(blind, split, attack, protocol="static", undefended=shallow)
    assert torch.equal(shown, split.labels == 0)


def test_white_box_early_stop_gives_the_plain_answer(digits, shallow):
    split = Split(*(part[:100] for part in digits.test))
    attack = partial(pgd, eps=0.05, step=0.01, steps=10, random_start=False)
    stopped = evaluation.under_attack(shallow, split, attack, protocol="white-box")
    made = attack(shallow, pixels(split.images), split.labels)
    plain = evaluation.correct(shallow, Split(made, split.labels))
    assert 0.2 < plain.float().mean() < 0.95  # else the comparison says nothing
    assert not (stopped & ~plain).any()
    assert (stopped != plain).sum() <= 1


def test_craft_is_the_attack_batch_by_batch(digits, shallow):
    split = Split(*(part[:60] for part in digits.test))
    made = evaluation.craft(shallow, split, partial(fgsm, eps=0.1), batch_size=25)
    assert torch.equal(made.labels, split.labels)
    whole = fgsm(shallow, pixels(split.images), split.labels, eps=0.1)
    torch.testing.assert_close(made.images, whole)


def test_craft_follows_its_seed(digits, shallow):
    split = Split(*(part[:20] for part in digits.test))
    attack = partial(pgd, eps=0.1, step=0.01, steps=1)
    one, again, other = (evaluation.craft(shallow, split, attack, seed=s).images for s in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"protocol": "black-box"}, "protocol"), ({"protocol": "static"}, "undefended")],
)
def test_impossible_protocols_are_named(digits, shallow, options, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        evaluation.under_attack(shallow, digits.test, fgsm, **options)


def test_wilson_is_the_textbook_interval():
    low, high = evaluation.wilson(45, 50)  # Wilson 1927: (0.7864, 0.9565)
    assert (low, high) == (pytest.approx(0.7864, abs=5e-5), pytest.approx(0.9565, abs=5e-5))


def test_mean_interval_is_students():
    low, high = evaluation.mean_interval([0.5, 0.4, 0.6])
    half = 4.302653 * 0.1 / 3**0.5  # t(0.975, 2) times the standard error
    assert (low, high) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))
    assert evaluation.mean_interval([0.9, 0.8, 1.0])[1] == 1  # a share reaches no further
    assert evaluation.mean_interval([0.5, 0.5]) == (0.5, 0.5)
    assert all(v != v for v in evaluation.mean_interval([0.5]))
