"""What each declared function computes on a tiny case, so that a change of it is seen.

What the cache has kept is found again by a declared name and version (`cache.versioned`). Whoever
changes what such a function computes fails here, and then raises its version and writes the new
values: `python tests/test_golden.py`. Values, not bits: machines round differently.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import advlib
from advlib import augmentation, cache, devices, evaluation
from advlib.attacks import (
    Attack,
    autoattack,
    bpda,
    craft,
    fgsm,
    ifgsm,
    jsma,
    losses,
    pgd,
    square,
)
from advlib.attacks.clipped import ClippedProbabilities
from advlib.attacks.patch import train_patch
from advlib.data import Split
from advlib.defenses import adversarial
from advlib.defenses.distillation import Tempered
from advlib.defenses.dominant_filters import SplitConv2d
from advlib.defenses.mart import mart
from advlib.defenses.trades import trades
from advlib.networks.layers import Dropout, Normalize
from advlib.networks.resnets import PreActivation
from advlib.predictions import best_classes
from advlib.training import Context, Recipe, cross_entropy, fit

GOLDEN = Path(__file__).with_name("golden.json")
NEAR = {"rtol": 1e-3, "atol": 1e-4}  # what machines differ by


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def network() -> nn.Module:
    """Two layers with fixed weights, four classes, images of 1x6x6."""
    layers = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 4))
    with torch.no_grad():
        for number, parameter in enumerate(layers.parameters()):
            parameter.copy_(drawn(*parameter.shape, seed=number) - 0.5)
    return layers.eval()


IMAGES = drawn(6, 1, 6, 6, seed=9)
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
SPLIT = Split(IMAGES, LABELS)


def context() -> Context:
    dice = devices.generator(0, torch.device("cpu"))
    return Context(share=0.5, generator=dice, host=dice)


def attacked(function: Callable[..., Tensor], **settings: object) -> Tensor:
    attack = Attack("case", function, **settings)
    return attack(network(), IMAGES, LABELS, generator=torch.Generator().manual_seed(0))


def fooled_by_autoattack() -> Tensor:
    """Its images are not the same everywhere: a search by chance. How many it turns is."""
    made = attacked(autoattack, eps=0.2)
    return (network()(made).argmax(1) != LABELS).sum()


def learned(**settings: object) -> Tensor:
    model = network()
    fit(model, SPLIT, Recipe(epochs=3, batch_size=4, **settings))
    return model[1].weight


def through(objective: Callable[..., tuple[Tensor, Tensor]]) -> Tensor:
    loss, logits = objective(network(), IMAGES, LABELS, context())
    return torch.cat([loss[None], logits.flatten()])


def split_convolution() -> Tensor:
    layer = nn.Conv2d(1, 4, 3)
    with torch.no_grad():
        layer.weight.copy_(drawn(4, 1, 3, 3))
        layer.bias.copy_(drawn(4))
    split = SplitConv2d(layer, torch.tensor([1, 3]))
    output = split(IMAGES)
    output.square().sum().backward()
    return torch.cat([output.flatten(), split.weight.grad.flatten()])


def pre_activation() -> Tensor:
    block = PreActivation(1, 2, 1).eval()
    with torch.no_grad():
        for number, parameter in enumerate(block.parameters()):
            parameter.copy_(drawn(*parameter.shape, seed=number))
    return block(IMAGES)


def dropped() -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Dropout(0.5).train()(IMAGES)


STEPS = {"eps": 0.2, "step": 0.05, "steps": 3}
LOGITS = 4 * drawn(6, 4, seed=5)
CASES: dict[str, Callable[[], Tensor]] = {
    "attack FGSM": partial(attacked, fgsm, eps=0.1),
    "attack IFGSM": partial(attacked, ifgsm, **STEPS),
    "attack PGD": partial(attacked, pgd, **STEPS, restarts=2),
    "attack JSMA": partial(attacked, jsma, gamma=0.2),
    "attack BPDA": partial(attacked, bpda, **STEPS, through=["2"]),
    "attack AutoAttack": fooled_by_autoattack,
    "exact cross-entropy": lambda: losses.cross_entropy(LOGITS, LABELS),
    "float32 cross-entropy": lambda: losses.float32_cross_entropy(LOGITS, LABELS),
    "margin": lambda: losses.margin(LOGITS, LABELS),
    "clipped probabilities": lambda: ClippedProbabilities(network())(IMAGES),
    "tempered": lambda: Tempered(network(), 7.0)(IMAGES),
    "normalize": lambda: Normalize([0.3], [0.2])(IMAGES),
    "dropout": dropped,
    "pre-activation": pre_activation,
    "split convolution": split_convolution,
    "craft": lambda: craft(network(), SPLIT, Attack("case", fgsm, eps=0.1), batch_size=4).images,
    "patch": lambda: train_patch(network(), IMAGES, 1, size=3, steps=4, batch_size=4),
    "fit": partial(learned, optimizer="adam", schedule="linear", seed=3),
    "cross-entropy": partial(through, cross_entropy),
    "flip and shift": lambda: prepared(augmentation.flip_and_shift(shift=1)),
    "steps in a chain": lambda: prepared(
        augmentation.chain(augmentation.flip_and_shift(shift=1), augmentation.mixup(classes=4))
    ),
    "varied": lambda: prepared(augmentation.varied()),
    "mixup": lambda: prepared(augmentation.mixup(classes=4)),
    "random erasing": lambda: prepared(augmentation.random_erasing(probability=1.0)),
    "attack Square": partial(attacked, square, eps=0.1, steps=20),
    "white-box guesses": lambda: evaluation._guesses(
        network(), SPLIT, Attack("case", pgd, **STEPS), "exact", seed=0, batch_size=4
    )[0]["classes"],
    "best classes": lambda: best_classes(network(), IMAGES, 2),
    "divergence": lambda: losses.divergence(LOGITS, LOGITS.flip(0).softmax(1)),
    "TRADES": lambda: through(partial(trades, eps=0.1, step=0.03, steps=3, beta=6.0)),
    "MART": lambda: through(partial(mart, attack=Attack("case", pgd, **STEPS), weight=5.0)),
    "fresh adversarial images": lambda: prepared(
        adversarial.fresh(Attack("case", pgd, **STEPS), warmup=0.8)
    ),
    "free adversarial images": lambda: prepared(
        partial(adversarial._carry_on, eps=0.1), remembering=True
    ),
}


def prepared(prepare: Callable[..., tuple[Tensor, Tensor]], *, remembering: bool = False) -> Tensor:
    now, model = context(), network()
    if remembering:  # what the step before left: images with a gradient
        shown, _ = prepare(model, IMAGES, LABELS, now)
        cross_entropy(model, shown, LABELS, now)[0].backward()
    images, labels = prepare(model, IMAGES, LABELS, now)
    return torch.cat([images.flatten(), labels.flatten().float()])


def computed(name: str) -> list[float]:
    return [round(value, 6) for value in CASES[name]().detach().flatten().tolist()]


def declared() -> dict[str, int]:
    for module in pkgutil.walk_packages(advlib.__path__, "advlib."):
        importlib.import_module(module.name)
    things = [(thing, told) for thing, told in cache._declared.items()]
    return dict(told for thing, told in things if thing.__module__.startswith("advlib."))


def test_every_declared_function_has_its_case_and_its_version():
    kept = {name: case["version"] for name, case in json.loads(GOLDEN.read_text()).items()}
    assert kept == declared(), "a new version: write its values, python tests/test_golden.py"
    assert kept.keys() == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_it_did(name, monkeypatch):
    monkeypatch.setattr(devices, "number_type", lambda device: "float32")
    kept = json.loads(GOLDEN.read_text())[name]["values"]
    torch.testing.assert_close(
        torch.tensor(computed(name)), torch.tensor(kept), **NEAR,
        msg=lambda text: f"{name} computes something else: raise its version. {text}",
    )  # fmt: skip


def renewed(name: str, version: int, kept: dict[str, dict]) -> dict:
    """A case as it is to be kept: as it was, where this machine merely rounds differently."""
    case = {"version": version, "values": computed(name)}
    was = kept.get(name, case)
    if was["version"] != version or len(was["values"]) != len(case["values"]):
        return case
    near = torch.allclose(torch.tensor(case["values"]), torch.tensor(was["values"]), **NEAR)
    return was if near else case


if __name__ == "__main__":
    devices.number_type = lambda device: "float32"
    versions, before = declared(), json.loads(GOLDEN.read_text())
    with cache.off():
        cases = {name: renewed(name, versions[name], before) for name in sorted(CASES)}
    GOLDEN.write_text(json.dumps(cases, indent=1) + "\n")
