"""Speed of advlib against its peers: `make bench` prints a table and puts it into the README.

Every figure is a ratio of medians over interleaved repetitions (A B C A B C ...) in one process,
so what else the machine does falls on all alike. Nothing here is a test; no run can fail.
"""

from __future__ import annotations

import functools
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import foolbox
import numpy as np
import torch
import torchattacks
from art.attacks.evasion.projected_gradient_descent import (
    projected_gradient_descent_pytorch as art_pgd,
)
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from advlib import cache, data, models
from advlib.attacks import pgd
from advlib.cost import step_seconds
from advlib.defenses import dominant_filters
from advlib.evaluation import correct
from advlib.training import autocast, fit

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
EPS, STEP, STEPS = 0.3, 0.01, 40  # Madry et al. 2018 on MNIST
README = Path(__file__).parents[2] / "README.md"
COLUMNS = ("ours", "torchattacks", "foolbox", "ART", "whole network")


class Case(NamedTuple):
    what: str
    seconds: dict[str, float]  # medians, by column
    target: float  # at most this ratio of ours to the fastest peer

    @property
    def ratio(self) -> float:
        return self.seconds["ours"] / min(s for who, s in self.seconds.items() if who != "ours")


def main() -> None:
    """Run the cases, print the table and put it into the README."""
    dataset, model = trained()
    images, labels = data.pixels(dataset.test.images), dataset.test.labels
    robust, answers = robust_accuracy(model, images, labels)
    cases = [full_pgd(model, images[:256], labels[:256]), robust, *training_steps(dataset)]
    report = "\n".join(
        [
            *table(cases),
            "",
            f"Robust accuracy found in the second row: {answers}.",
            "",
            f"Data: {dataset.name}, {len(images)} test images. Machine: {machine()}.",
            "",
        ]
    )
    print(report)
    cache.fill(README, "benchmarks", report)


def trained() -> tuple[data.Dataset, nn.Module]:
    """MNIST if it is on disk, else the embedded digits, and a base_cnn trained on it briefly."""
    found = (data.root() / data.DOWNLOADS["mnist"].folder).is_dir()
    sizes = {"train": 20_000, "test": 1000} if found else {}
    dataset = data.load("mnist" if found else "digits", device=DEVICE, **sizes)
    model = models.build("base_cnn").to(DEVICE)
    fit(model, dataset.train, epochs=3 if found else 20)
    return dataset, model


def attacks(model: nn.Module) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """The same attack by each library: (images, labels) -> images."""
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device=DEVICE)
    of_foolbox = foolbox.attacks.LinfPGD(
        rel_stepsize=None, abs_stepsize=STEP, steps=STEPS, random_start=True
    )
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1),
        device_type="gpu" if DEVICE.type == "cuda" else "cpu",
    )  # fmt: skip
    of_art = art_pgd.ProjectedGradientDescentPyTorch(
        classifier, eps=EPS, eps_step=STEP, max_iter=STEPS, num_random_init=1, batch_size=256,
        verbose=False,
    )  # fmt: skip

    def by_foolbox(images: Tensor, labels: Tensor) -> Tensor:
        return of_foolbox.run(bounded, images, foolbox.criteria.Misclassification(labels),
                              epsilon=EPS)  # fmt: skip

    def by_art(images: Tensor, labels: Tensor) -> Tensor:
        found = of_art.generate(images.cpu().numpy(), labels.cpu().numpy())
        return torch.from_numpy(found).to(DEVICE)

    return {
        "ours": functools.partial(pgd, model, eps=EPS, step=STEP, steps=STEPS),
        "torchattacks": torchattacks.PGD(model, EPS, STEP, STEPS, random_start=True),
        "foolbox": by_foolbox,
        "ART": by_art,
    }


def full_pgd(model: nn.Module, images: Tensor, labels: Tensor) -> Case:
    """All steps on every image of one batch."""
    contest = {
        who: functools.partial(attack, images, labels) for who, attack in attacks(model).items()
    }
    what = f"{STEPS}-step PGD on base_cnn, batch {len(images)}"
    return Case(what, medians(contest, rounds=5), target=1.0)


def robust_accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Case, str]:
    """Attack, then accuracy; ours attacks an image only until the model gets it wrong."""
    contenders = attacks(model)
    contenders["ours"] = functools.partial(contenders["ours"], stop_when_wrong=True)
    answers: dict[str, float] = {}

    def answer(who: str) -> None:
        np.random.seed(0)  # noqa: NPY002 - ART draws from NumPy's global state
        torch.manual_seed(0)
        batches = zip(images.split(250), labels.split(250), strict=True)
        found = torch.cat([contenders[who](*batch) for batch in batches])
        right = correct(model, data.Split(found, labels))
        answers[who] = right.float().mean().item()

    contest = {who: functools.partial(answer, who) for who in contenders}
    seconds = medians(contest, rounds=3)
    what = f"Robust accuracy of an undefended base_cnn, {len(images)} images"
    stated = ", ".join(f"{who} {share:.1%}" for who, share in answers.items())
    return Case(what, seconds, target=0.25), stated


def training_steps(dataset: data.Dataset) -> list[Case]:
    """A step of fine-tuning 10 % of the filters against one of the whole network."""
    images, labels = data.pixels(dataset.train.images[:128]), dataset.train.labels[:128]
    model = models.build("dense_cnn").to(DEVICE)
    split = dominant_filters.split(model, dominant_filters.random_filters(model, 0.1, seed=0))
    cases = []
    for precision, bfloat16 in (("float32", False), ("autocast", True)):
        contest = {"ours": split, "whole network": model}
        seconds = step_seconds(contest, images, labels, rounds=20, bfloat16=bfloat16)
        what = f"A training step of 10 % of dense_cnn's filters, batch {len(images)}, {precision}"
        cases.append(Case(what, seconds, target=0.8))
    return cases


def medians(contest: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each function over `rounds` interleaved calls, after one to warm up."""
    taken: dict[str, list[float]] = {who: [] for who in contest}
    for turn in range(rounds + 1):
        for who, function in contest.items():
            wait()
            began = time.perf_counter()
            function()
            wait()
            if turn:
                taken[who].append(time.perf_counter() - began)
    return {who: statistics.median(times) for who, times in taken.items()}


def wait() -> None:
    """Let the device finish what it was given."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def table(cases: list[Case]) -> list[str]:
    """One Markdown table, a row a case; times in milliseconds."""
    head = ["", *(f"{who}, ms" for who in COLUMNS), "ours / fastest peer", "target", "met"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for case in cases:
        seconds = (case.seconds.get(who) for who in COLUMNS)
        times = ["" if taken is None else f"{1000 * taken:,.1f}" for taken in seconds]
        met = "yes" if case.ratio <= case.target else "no"
        rows.append([case.what, *times, f"{case.ratio:.3f}", f"≤ {case.target:.2f}", met])
    return [f"| {' | '.join(row)} |" for row in rows]


def machine() -> str:
    """What was measured on, without names or paths of it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    parts = [
        *([torch.cuda.get_device_name()] if DEVICE.type == "cuda" else []),
        names[0] if names else platform.machine(),
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads",
        f"autocast {'bfloat16' if autocast(DEVICE)._enabled else 'off'}",
        f"{platform.system()}, Python {platform.python_version()}, torch {torch.__version__}",
    ]
    return "; ".join(parts)


if __name__ == "__main__":
    main()
