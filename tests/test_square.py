"""The Square attack: its contract, what it finds, and that no gradient can hide from it."""

import pytest
import torch
from toys import Surer, guesses, linear, rand, seeded, trained_cnn, untouched

from advlib.attacks import pgd, square
from advlib.attacks.losses import float32_cross_entropy
from advlib.attacks.square import _side


def test_it_stays_in_the_ball_and_the_box_and_leaves_the_model_alone():
    model, images, labels = trained_cnn()
    images, labels = images[:40], labels[:40]
    with untouched(model, images, labels):
        made = square(model, images, labels, eps=0.1, steps=30, generator=seeded())
    assert (made - images).abs().max() <= 0.1 + 1e-6
    assert made.min() >= 0
    assert made.max() <= 1


def test_it_follows_its_generator():
    model, images, labels = trained_cnn()
    one, again, other = (
        square(model, images[:20], labels[:20], eps=0.05, steps=10, generator=seeded(n))
        for n in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_more_queries_turn_more_images_and_fewer_than_pgd_does():
    model, images, labels = trained_cnn()

    def left(made):
        return (guesses(model, made) == labels).float().mean().item()

    found = [
        left(square(model, images, labels, eps=0.1, steps=n, generator=seeded()))
        for n in (1, 30, 400)
    ]
    strong = left(pgd(model, images, labels, eps=0.1, step=0.01, steps=40))
    assert found[0] > found[1] > found[2] >= strong - 0.02
    assert found[2] < strong + 0.15  # a random search, and yet not far from it


def test_masked_gradients_hide_nothing_from_it():
    model, images, labels = trained_cnn()
    masked = Surer(model, 1e4)
    blind = pgd(
        masked, images, labels, eps=0.1, step=0.01, steps=20, random_start=False,
        loss=float32_cross_entropy,
    )  # fmt: skip
    asked = square(masked, images, labels, eps=0.1, steps=200, generator=seeded())
    kept, found = ((guesses(masked, made) == labels).float().mean() for made in (blind, asked))
    assert kept > 0.8
    assert found < kept - 0.4


def test_on_a_linear_model_it_finds_the_best_corner():
    """Two classes, one channel: every pixel at the end of its range that lowers the margin."""
    weight = rand(2, 16, low=-1, seed=3)
    model = linear(weight)
    images = torch.full((1, 1, 4, 4), 0.5)
    label = model(images).argmax(1)
    slope = (weight[1 - label] - weight[label]).view(1, 1, 4, 4)
    best = images + 0.05 * slope.sign()
    sure = linear(weight, torch.nn.functional.one_hot(label, 2)[0] * 100.0)  # it never gives in
    made = square(sure, images, label, eps=0.05, steps=600, share=0.3, generator=seeded())
    torch.testing.assert_close(made, best)


def test_squares_shrink_as_the_search_goes_on():
    sides = [_side(0.8, done, 28, 28) for done in (0.0, 0.01, 0.1, 0.5, 1.0)]
    assert sides == sorted(sides, reverse=True)
    assert (sides[0], sides[-1]) == (25, 1)


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"eps": 2}, "eps"), ({"eps": 0.1, "steps": 0}, "steps"), ({"eps": 0.1, "share": 0}, "share")],
)
def test_impossible_settings_are_named(settings, named):
    model, images, labels = trained_cnn()
    with pytest.raises(ValueError, match=f"^{named}: "):
        square(model, images[:2], labels[:2], **settings)
