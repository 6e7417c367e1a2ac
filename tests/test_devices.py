"""What would fail or wait on a GPU, found on a pretend one (see pretend.py)."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch
from pretend import DEVICE, Machine, Pretend, to_device
from torch import Tensor

from advlib import audit, augmentation, cache, cost, devices, networks, predictions
from advlib.attacks import Attack, autoattack, bpda, craft, fgsm, ifgsm, jsma, losses, pgd, square
from advlib.attacks.clipped import ClippedProbabilities, certain
from advlib.attacks.patch import pasted, train_patch
from advlib.data import Split, pixels
from advlib.defenses import (
    adversarial,
    cross_model,
    distillation,
    dominant_filters,
    mart,
    patch_augmentation,
    trades,
)
from advlib.evaluation import Subject, evaluate
from advlib.training import Context, Recipe, cross_entropy, fit

EPS = {"eps": 0.1, "step": 0.02, "steps": 4}
PGD = Attack("PGD", pgd, **EPS)
ATTACKS = {
    "FGSM": Attack("FGSM", fgsm, eps=0.1),
    "IFGSM": Attack("IFGSM", ifgsm, **EPS),
    "PGD": PGD.but(restarts=2),
    "PGD, float32": PGD.but(loss=losses.float32_cross_entropy),
    "BPDA": Attack("BPDA", bpda, **EPS, through=["normalize"]),
    "JSMA": Attack("JSMA", jsma, gamma=0.03),
    "JSMA, single": Attack("JSMA", jsma, gamma=0.02, pairs=False, mode="random_target"),
    "Square": Attack("Square", square, eps=0.1, steps=20),
    "AutoAttack": Attack("AutoAttack", autoattack, eps=0.5),  # at less it searches for a minute
}
AUGMENTATIONS = {
    "flip and shift": augmentation.flip_and_shift(),
    "varied": augmentation.varied(),
    "a chain": augmentation.chain(augmentation.flip_and_shift(), adversarial.fresh(PGD)),
    "mixup": augmentation.mixup(classes=10),
    "manifold mixup": augmentation.manifold_mixup(classes=10, layers=["", "network.3"]),
    "random erasing": augmentation.random_erasing(),
    "fresh PGD": adversarial.fresh(PGD, warmup=0.5),
}
OBJECTIVES = {
    "cross-entropy": cross_entropy,
    "TRADES": functools.partial(trades.trades, eps=0.1, step=0.03, steps=3, beta=6.0),
    "MART": functools.partial(mart.mart, attack=PGD, weight=5.0),
}


@pytest.fixture
def machine():
    """The pretend accelerator, without the cache: what is computed is computed there."""
    with cache.off(), Machine() as machine:
        yield machine


@pytest.fixture
def there(digits, shallow, machine):
    """A network and twenty images, on the device."""
    split = Split(*(part[:20] for part in digits.test))
    return to_device(shallow), Split(*(part.to(DEVICE) for part in split))


def on_device(*tensors: Tensor) -> bool:
    return all(isinstance(tensor, Pretend) for tensor in tensors)


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_run_there_and_find_what_they_find_here(name, digits, shallow, there):
    model, split = there
    images, labels = pixels(split.images), split.labels
    dice = devices.generator(0, DEVICE)
    made = ATTACKS[name](model, images, labels, generator=dice, stop_when_wrong=True)
    assert on_device(made)
    here = Split(*(part.cpu() for part in split))
    dice = devices.generator(0, torch.device("cpu"))
    expected = ATTACKS[name](
        shallow, pixels(here.images), here.labels, generator=dice, stop_when_wrong=True
    )
    torch.testing.assert_close(made.cpu(), expected)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_what_prepares_a_batch_neither_copies_nor_waits(name, there, machine):
    model, split = there
    images, prepare = pixels(split.images), AUGMENTATIONS[name]
    dice = Context(0.7, devices.generator(0, DEVICE), torch.Generator().manual_seed(0))
    found = []
    counted = machine.counted(lambda: found.extend(prepare(model, images, split.labels, dice)))
    assert on_device(*found)
    assert counted == (0, 0)


def one_step(model, images, labels, recipe: Recipe) -> Callable[[], None]:
    """What `fit` does for each batch."""
    descent = torch.optim.Adam(model.parameters())
    dice = Context(0.5, devices.generator(0, DEVICE), torch.Generator().manual_seed(0))

    def step() -> None:
        model.train()
        loss, _ = recipe.objective(model, images, labels, dice)
        descent.zero_grad()
        loss.backward()
        descent.step()

    return step


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_step_of_training_neither_copies_nor_waits(name, there, machine):
    model, split = there
    model.requires_grad_(True)
    recipe = Recipe(epochs=1, objective=OBJECTIVES[name])
    step = one_step(model, pixels(split.images), split.labels, recipe)
    step()  # the first sets up the optimizer's state
    assert machine.counted(step) == (0, 0)


def per_step(machine: Machine, run: Callable[[int], object], fewer: int, more: int) -> tuple:
    """Copies and waits that each further step costs."""
    few, many = (machine.counted(lambda n=n: run(n)) for n in (fewer, more))
    return tuple((m - f) / (more - fewer) for f, m in zip(few, many, strict=True))


def test_fit_waits_once_an_epoch(there, machine, digits):
    model, split = there
    twice = Split(*(torch.cat([part] * 4) for part in split))

    def run(batches: int) -> None:
        some = Split(*(part[: 10 * batches] for part in twice))
        fit(model, some, Recipe(epochs=1, batch_size=10))

    assert per_step(machine, run, 2, 6) == (0, 0)


def test_a_step_of_pgd_neither_copies_nor_waits(there, machine):
    model, split = there
    images = pixels(split.images)
    dice = devices.generator(0, DEVICE)

    def run(steps: int, **options: bool) -> None:
        PGD.but(steps=steps)(model, images, split.labels, generator=dice, **options)

    assert per_step(machine, run, 2, 12) == (0, 0)
    copies, waits = per_step(machine, functools.partial(run, stop_when_wrong=True), 2, 12)
    assert copies == 0
    assert waits <= 1


@pytest.mark.parametrize("pairs", [True, False])
def test_a_step_of_jsma_waits_at_most_once(there, machine, pairs):
    model, split = there
    images = pixels(split.images)
    features = images[0].numel()

    def run(steps: int) -> None:
        gamma = steps * (2 if pairs else 1) / features
        jsma(model, images, split.labels, gamma=gamma, pairs=pairs)

    copies, waits = per_step(machine, run, 1, 4)
    assert copies == 0
    assert waits <= 1


def test_a_step_of_a_patch_neither_copies_nor_waits(there, machine):
    model, split = there

    def run(steps: int) -> None:
        train_patch(model, split.images, 3, size=4, steps=steps, batch_size=10, rotation=10.0)

    assert per_step(machine, run, 2, 8) == (0, 0)


def test_evaluation_runs_there_under_every_protocol(there, shallow, digits):
    model, split = there
    others = {"undefended": model, "stranger": model, "untricked": ClippedProbabilities(model)}
    subject = Subject(model, "shallow_cnn", **others)
    protocols = ["clean", "noise", "transfer", "static", "white-box", "adaptive"]
    found = evaluate([subject], split, [ATTACKS["FGSM"]], protocols)
    assert [o.protocol for o in found] == protocols
    here = Split(*(part.cpu() for part in split))
    mine = Subject(shallow, "shallow_cnn", undefended=shallow, stranger=shallow,
                   untricked=ClippedProbabilities(shallow))  # fmt: skip
    expected = evaluate([mine], here, [ATTACKS["FGSM"]], protocols)
    assert [o.right.tolist() for o in found] == [o.right.tolist() for o in expected]
    for gradient in ("float32", "clipped"):
        evaluate([subject], split, [ATTACKS["FGSM"]], ["white-box"], gradient=gradient)
    assert certain(model, split).shape == (20,)
    assert audit.zero_gradients(model, split).shape == (20,)
    assert predictions.confusion(model, split).sum() == 20
    assert predictions.top_k(model, split, 3).sum() >= predictions.correct(model, split).sum()
    assert craft(model, split, ATTACKS["FGSM"]).images.shape == split.images.shape
    patch = train_patch(model, split.images, 3, size=4, steps=1)
    assert pasted(split.images, patch).shape == split.images.shape


RECIPE = Recipe(epochs=1, batch_size=10, optimizer="adam")
DEFENSES = {
    "whole": lambda model, train: adversarial.harden(model, train, RECIPE),
    "mix": lambda model, train: adversarial.harden(
        model, adversarial.mix(train, craft(model, train, ATTACKS["FGSM"])), RECIPE
    ),
    "Fast AT": lambda model, train: adversarial.fast(
        model, train, Recipe(epochs=1, batch_size=10), eps=0.1
    ),
    "Free AT": lambda model, train: adversarial.free(
        model, train, Recipe(epochs=1, batch_size=10, replays=2), eps=0.1
    ),
    "AFT": lambda model, train: adversarial.fine_tune(
        model, train, Recipe(epochs=1, batch_size=10), eps=0.1, steps=2
    ),
    "altered patches": lambda model, train: patch_augmentation.harden(
        model, train, RECIPE, patch=7, patches=2
    ),
    "distillation": lambda model, train: distillation.harden(
        model, train, RECIPE, teacher=model, temperature=10.0, validation=train
    ),
    "cross model": lambda model, train: cross_model.harden(
        model, train, RECIPE, source=model, epss=[0.1], validation=train
    ),
    "dominant filters": lambda model, train: dominant_filters.harden(
        model, train, RECIPE, filters=moved_most(model, train)
    ),
    "TRADES": lambda model, train: trades.harden(model, train, RECIPE, **EPS),
    "MART": lambda model, train: mart.harden(model, train, RECIPE, attack=PGD),
}


def moved_most(model, train):
    made = craft(model, train, ATTACKS["FGSM"])
    moved = dominant_filters.effects(model, pixels(train.images), made.images)
    return dominant_filters.dominant(moved, 0.2)


@pytest.mark.parametrize("name", DEFENSES)
def test_defenses_run_there(name, there):
    model, split = there
    network, curves = DEFENSES[name](model, split)
    assert on_device(*network.parameters())
    assert len(curves) == 1
    images = pixels(split.images)
    assert torch.isfinite(network(images).cpu()).all()


def test_costs_are_measured_there(there):
    model, split = there
    taken = cost.step_seconds(
        {"plain": model}, pixels(split.images), split.labels, rounds=1,
        prepare={"plain": adversarial.fresh(PGD)},
    )  # fmt: skip
    assert taken["plain"] > 0


def test_the_pretend_device_refuses_what_a_gpu_would(machine):
    there, here = torch.rand(3).to(DEVICE), torch.rand(3)
    for wrong in (
        lambda: there + here,
        lambda: here[torch.tensor([0]).to(DEVICE)],
        lambda: torch.cat([there, here]),
        lambda: here.scatter_add(0, torch.tensor([0]).to(DEVICE), here[:1]),
        lambda: there.numpy(),
    ):
        with pytest.raises((RuntimeError, TypeError), match="accelerator"):
            wrong()
    assert machine.counted(lambda: there.cpu()) == (1, 0)
    assert machine.counted(lambda: there.sum().item()) == (0, 1)
    assert machine.counted(lambda: there[there > 0.5]) == (0, 1)
    assert machine.counted(lambda: there * 2 + 1) == (0, 0)


def test_networks_of_every_kind_compute_there(machine):
    for name in ("shallow_cnn", "mnist_conv", "resnet18", "wide_resnet28_10", "mobilenet_v2"):
        model = to_device(networks.build(name, channels=3, size=32, width=8))
        assert on_device(model(torch.rand(2, 3, 32, 32).to(DEVICE)))
