"""TRADES and MART: the losses by hand, and networks that withstand a white-box attack."""

import functools

import pytest
import torch
import torch.nn.functional as F
from toys import trained_cnn

from advlib import networks
from advlib.attacks import Attack, pgd
from advlib.defenses import mart, trades
from advlib.evaluation import Subject, evaluate
from advlib.predictions import correct
from advlib.training import Context, Recipe, cross_entropy

EPS = 0.1
INNER = Attack("PGD", pgd, eps=EPS, step=0.03, steps=5)


def at(share=0.5):
    dice = torch.Generator().manual_seed(0)
    return Context(share, dice, dice)


@pytest.fixture
def batch():
    model, images, labels = trained_cnn()
    return model, images[:40], labels[:40]


def test_trades_without_its_second_term_is_plain_training(batch):
    plain, _ = cross_entropy(*batch, at())
    loss, logits = trades.trades(*batch, at(), eps=EPS, step=0.03, steps=3, beta=0.0)
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(logits, batch[0](batch[1]), rtol=0.05, atol=0.05)  # autocast


def test_trades_second_term_is_the_divergence_at_what_it_found(batch):
    model, images, _ = batch
    plain, _ = cross_entropy(*batch, at())
    found = functools.partial(trades.trades, *batch, at(), step=0.03, steps=5)
    near, far = (found(eps=eps, beta=1.0)[0] - plain for eps in (1e-6, EPS))
    assert near.abs() < 0.01
    assert far > 0.3  # the network says something else in the ball
    noise = (images + EPS * torch.sign(torch.randn(images.shape))).clamp(0, 1)
    said = model(images).softmax(1)
    blunt = F.kl_div(model(noise).log_softmax(1), said, reduction="batchmean")
    assert far > 2 * blunt  # it looked for the worst, which noise is not


def test_mart_is_its_equation(batch):
    model, images, labels = batch
    loss, logits = mart.mart(*batch, at(), attack=INNER, weight=5.0)
    clean, seen = model(images).softmax(1), logits.softmax(1)
    rows = torch.arange(len(labels))
    wrongest = seen.clone()
    wrongest[rows, labels] = 0
    expected = -seen[rows, labels].log() - (1 - wrongest.amax(1)).log()
    apart = (clean * (clean / seen).log()).sum(1)
    expected = (expected + 5.0 * apart * (1 - clean[rows, labels])).mean()
    torch.testing.assert_close(loss, expected, rtol=0.03, atol=0.03)
    assert (logits.argmax(1) == labels).float().mean() < 0.6  # of the adversarial images


DEFENSES = {
    "TRADES": lambda model, train, recipe: trades.harden(
        model, train, recipe, eps=EPS, step=0.03, steps=5, beta=6.0
    ),
    "MART": lambda model, train, recipe: mart.harden(model, train, recipe, attack=INNER),
}


@pytest.mark.parametrize("name", DEFENSES)
def test_it_withstands_a_white_box_attack_that_the_plain_network_does_not(name, digits, shallow):
    recipe = Recipe(epochs=12, batch_size=32, optimizer="adam", lr=0.002, dropout=False)
    start = networks.build("shallow_cnn", size=16)
    hardened, curves = DEFENSES[name](start, digits.train, recipe)
    subjects = [Subject(network, "shallow_cnn") for network in (hardened, shallow)]
    attack = Attack("PGD", pgd, eps=EPS, step=0.02, steps=20)
    robust, plain = (
        outcome.right.float().mean().item()
        for outcome in evaluate(subjects, digits.test, [attack], ["white-box"])
    )
    assert plain < 0.35
    assert robust > 0.5
    assert correct(hardened, digits.test).float().mean() > 0.8
    assert curves["loss"].iloc[-1] < curves["loss"].iloc[0]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda m, t, r: trades.harden(m, t, r, eps=2, step=0.1), "eps"),
        (lambda m, t, r: trades.harden(m, t, r, eps=0.1, step=0), "step"),
        (lambda m, t, r: trades.harden(m, t, r, eps=0.1, step=0.1, steps=0), "steps"),
        (lambda m, t, r: trades.harden(m, t, r, eps=0.1, step=0.1, beta=-1), "beta"),
        (lambda m, t, r: mart.harden(m, t, r, attack=INNER, weight=-1), "weight"),
    ],
)
def test_impossible_settings_are_named(digits, shallow, call, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        call(shallow, digits.train, Recipe(epochs=1))
