"""`make gpu`: what to do first on a machine with a GPU. It goes on where it stopped.

1. Every attack, and what every defense makes, against the CPU: robust accuracy within one image in
   200, and the memory that it took.
2. A table of speeds.
3. The paper profiles, cheapest first; their run folders stay in `runs/`, to be published.

What steps 1 and 2 found is in `_build/gpu/*.json` and, as tables, in `_build/gpu/report.md`.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from advlib import cache, data, devices, networks
from advlib.attacks import Attack, autoattack, bpda, fgsm, ifgsm, jsma, pgd, square
from advlib.attacks.patch import train_patch
from advlib.augmentation import flip_and_shift
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
from advlib.files import write_whole
from advlib.training import Hardened, Recipe, fit

OUT = Path("_build/gpu")
COUNT = 200  # images compared
PROFILES = (  # the cheapest first
    "dominant_filters", "synthesis", "distillation_and_patches", "aft_fgsm_vs_jsma",
    "cross_resnet", "patch_augmentation",
)  # fmt: skip
Place = Callable[[nn.Module], nn.Module]

STEPS = {"eps": 0.1, "step": 0.01, "steps": 20}
PGD = Attack("PGD", pgd, **STEPS)
ATTACKS = (
    Attack("FGSM", fgsm, eps=0.1),
    Attack("IFGSM", ifgsm, **STEPS),
    PGD.but(random_start=False),
    Attack("BPDA", bpda, through=["normalize"], random_start=False, **STEPS),
    Attack("JSMA", jsma, gamma=0.02),
    Attack("Square", square, eps=0.1, steps=300),
    Attack("AutoAttack", autoattack, eps=0.05),
)
RECIPE = Recipe(epochs=3, batch_size=64, optimizer="adam")


def defenses() -> dict[str, Callable[[nn.Module, Split], Hardened]]:
    """Each defense, briefly, of a trained network."""
    short = {"eps": 0.1, "step": 0.03, "steps": 3}
    inner = Attack("PGD", pgd, **short)
    fresh = Recipe(epochs=3, batch_size=64, optimizer="adam", prepare=adversarial.fresh(inner))
    brief = Recipe(epochs=3, batch_size=64, optimizer="sgd", lr=0.05)
    return {
        "PGD training": lambda model, train: adversarial.harden(model, train, fresh),
        "Fast AT": lambda model, train: adversarial.fast(model, train, brief, eps=0.1),
        "Free AT": lambda model, train: adversarial.free(model, train, brief, eps=0.1),
        "AFT": lambda model, train: adversarial.fine_tune(model, train, brief, eps=0.1, steps=3),
        "TRADES": lambda model, train: trades.harden(model, train, RECIPE, **short),
        "MART": lambda model, train: mart.harden(model, train, RECIPE, attack=inner),
        "dominant filters": lambda model, train: dominant_filters.harden(
            model, train, RECIPE, filters=dominant_filters.random_filters(model, 0.1, seed=0)
        ),
        "altered patches": lambda model, train: patch_augmentation.harden(
            model, train, RECIPE, patch=7, patches=1
        ),
        "cross model": lambda model, train: cross_model.harden(
            model, train, RECIPE, source=model, epss=[0.1], validation=train
        ),
        "distillation": lambda model, train: distillation.harden(
            model, train, RECIPE, teacher=model, temperature=20.0
        ),
    }


def trained() -> tuple[nn.Module, data.Dataset]:
    """A small network trained on the embedded digits, on the CPU."""
    digits = data.load("digits", size=16, train=1000, test=COUNT, device="cpu")
    model = networks.build("shallow_cnn", size=16)
    fit(model, digits.train, Recipe(epochs=8, batch_size=32, optimizer="adam"))
    return model, digits


def robust(model: nn.Module, split: Split, attack: Attack) -> float:
    (outcome,) = evaluate([Subject(model, "model", seed=0)], split, [attack], ["white-box"])
    return outcome.right.float().mean().item()


def compared(device: torch.device, place: Place) -> dict[str, dict[str, Any]]:
    """Robust accuracy here and there, by attack and by defense, and the memory that it took."""
    model, digits = trained()
    there, test = place(model), Split(*(part.to(device) for part in digits.test))
    found: dict[str, dict[str, Any]] = {}

    def note(name: str, on_device: Callable[[], float], here: Callable[[], float]) -> None:
        peak = _peak(device)
        values = {"device": on_device(), "cpu": here(), "MiB": peak()}
        found[name] = values | {"agree": abs(values["device"] - values["cpu"]) <= 1 / 200 + 1e-9}

    for attack in ATTACKS:
        note(
            attack.name,
            lambda a=attack: robust(there, test, a),
            lambda a=attack: robust(model, digits.test, a),
        )
    train = Split(*(part.to(device) for part in digits.train))
    still = PGD.but(random_start=False)
    for name, harden in defenses().items():
        network, _ = harden(there, train)
        copied = copy.deepcopy(model)
        copied.load_state_dict({n: t.cpu() for n, t in network.state_dict().items()})
        note(
            name,
            lambda n=network: robust(n, test, still),
            lambda n=copied: robust(n.eval(), digits.test, still),
        )
    return found


def speeds(device: torch.device, place: Place, *, images: int = 2048) -> dict[str, float]:
    """Images a second of training and of PGD; seconds an image of JSMA and of AutoAttack."""
    model = place(networks.build("resnet18", channels=3, size=32))
    dice = devices.generator(0, torch.device("cpu"))
    made = torch.randint(256, (images, 3, 32, 32), generator=dice, dtype=torch.uint8)
    split = Split(made.to(device), torch.randint(10, (images,), generator=dice).to(device))
    few = Split(*(part[: images // 32] for part in split))
    recipe = Recipe(epochs=2, optimizer="sgd", lr=0.1, prepare=flip_and_shift())
    whole = Attack("PGD", pgd, eps=8 / 255, step=2 / 255, steps=40)
    sparse = Attack("JSMA", jsma, gamma=0.01)
    ensemble = Attack("AutoAttack", autoattack, eps=8 / 255)

    def seconds(work: Callable[[], object]) -> float:
        work()  # the first call sets everything up
        _wait(device)
        began = time.perf_counter()
        work()
        _wait(device)
        return time.perf_counter() - began

    def attack(attack: Attack, part: Split) -> Callable[[], object]:
        dice = devices.generator(0, device)
        return lambda: attack(model, pixels(part.images), part.labels, generator=dice)

    with cache.off():
        training = seconds(lambda: fit(copy.deepcopy(model), split, recipe))
        patch = seconds(lambda: train_patch(model, few.images, 3, size=8, steps=50))
    return {
        "training ResNet-18, images/s": 2 * images / training,
        "PGD-40 on ResNet-18, images/s": images / seconds(attack(whole, split)),
        "JSMA on ResNet-18, s/image": seconds(attack(sparse, few)) / len(few.labels),
        "AutoAttack on ResNet-18, s/image": seconds(attack(ensemble, few)) / len(few.labels),
        "a step of a patch, ms": 1000 * patch / 50,
    }


def report(agreed: dict[str, dict[str, Any]], taken: dict[str, float], device: str) -> str:
    lines = [f"Device: {device}.", ""]
    lines += ["| | device, % | CPU, % | agree | MiB |", "|---|--:|--:|---|--:|"]
    lines += [
        f"| {name} | {100 * row['device']:.1f} | {100 * row['cpu']:.1f} | "
        f"{'yes' if row['agree'] else '**no**'} | {row['MiB']:.0f} |"
        for name, row in agreed.items()
    ]
    lines += ["", "| | |", "|---|--:|", *(f"| {what} | {n:,.3g} |" for what, n in taken.items())]
    return "\n".join(lines) + "\n"


def kept(name: str, make: Callable[[], Any]) -> Any:
    """What was found before, or what is found now."""
    file = OUT / f"{name}.json"
    if not file.is_file():
        found = make()
        write_whole(file, lambda part: part.write_text(json.dumps(found, indent=1)))
    return json.loads(file.read_text())


def _peak(device: torch.device) -> Callable[[], float]:
    """MiB of the device's memory taken at most, from now on."""
    if device.type != "cuda":
        return lambda: 0.0
    torch.cuda.reset_peak_memory_stats()
    return lambda: torch.cuda.max_memory_allocated() / 2**20


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> int:
    device = devices.default()
    if device.type != "cuda":
        print("gpu: there is none on this machine", file=sys.stderr)
        return 2

    def place(model: nn.Module) -> nn.Module:
        return copy.deepcopy(model).to(device)

    agreed = kept("agreement", lambda: compared(device, place))
    taken = kept("speeds", lambda: speeds(device, place))
    text = report(agreed, taken, torch.cuda.get_device_name())
    write_whole(OUT / "report.md", lambda part: part.write_text(text))
    print(text)
    for study in PROFILES:
        command = "import sys; from advlib.cli import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", command, "run", study, "--profile", "paper"], check=False
        )
        print(f"{study}: {'done' if done.returncode == 0 else 'failed; see above'}")
    return 0 if all(row["agree"] for row in agreed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
