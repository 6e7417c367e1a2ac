"""What the wanted runs would take: `python tests/benchmarks/price.py` fills a table of the page on
evidence.

A pass takes one image forward and backward through a network. Each page's run, at the scale that
wanted.toml names, is counted in passes of its trainings and of the attacks in them and on the test
images; a pass is timed on this machine, one thread, in the run's batches. What evaluation and
JSMA's search take is left out, so a run takes longer: the last line tells how long some took.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from advlib import book, cost, devices, files, networks
from advlib.attacks import named
from advlib.batch import store
from advlib.book import wanted
from advlib.studies import synthesis as bench

PAGE = Path(__file__).parents[2] / "book/evidence.md"
Part = tuple[str, float]  # a network, and how many passes it takes
# Parameters of the wanted runs, beside those of the published ones. What is named after a comma has
# no page yet.
WANTED: dict[str, dict[str, Any]] = {
    "synthesis_mnist": {"train_images": 50_000, "attacked_images": 500},
    "synthesis_mnist, on Fashion-MNIST": {
        "dataset": "fashion_mnist", "train_images": 50_000, "attacked_images": 500,
    },
    "synthesis_mnist, on CIFAR-10": {
        "dataset": "cifar10", "size": 32, "model": "resnet18", "width": 16, "flip": True,
        "gamma": 0.01, "train_images": 50_000, "attacked_images": 500,
    },
    "dominant_filters": {
        "seeds": range(5), "attacked_images": 2000, "autoattack_images": 500,
    },
    "aft_fgsm_vs_jsma": {
        "epochs": 18, "width": 16, "control_epochs": 10, "autoattack_images": 500,
        "seeds": range(3),
    },
    "patches_fashion_mnist": {
        "images": 60_000, "compare_epochs": 10, "epochs_curve": range(10, 61, 10),
        "reference_epss": (0.1, 0.3), "reference_epochs": 30, "autoattack_images": 500,
    },
    "patches_cifar10": {
        "images": 50_000, "epochs": 30, "tune_epochs": 10, "attack_steps": 100, "width": 16,
        "attacked_images": 500, "autoattack_images": 500, "reference_epss": (0.03,),
        "reference_epochs": 20, "seeds": range(3),
    },
    "patches_cifar10, Table 4": {
        "models": ["cifar_conv"], "weights": [""], "variants": ["7-P1"], "optimizers": ["adam"],
        "others": ["FGSM-AT", "PGD-AT"], "autoattack_others": ["FGSM-AT", "PGD-AT"],
        "images": 50_000, "epochs": 30, "tune_epochs": 10, "epochs_curve": [10],
        "attack_set": "empir", "attack_steps": 0, "attacked_images": 500, "autoattack_images": 500,
        "reference_epss": (0.03,), "reference_epochs": 20, "seeds": range(3),
    },
    "patches_imagenet": {
        "images": 800, "attacked_images": 200, "autoattack_images": 100, "seeds": range(3),
        "reference_epss": (0.00392,), "reference_epochs": 2, "eps_curve": range(4),
    },
    "cross_resnet_cifar10": {
        "images": 49_250, "width": 16, "epochs": 8, "autoattack_images": 500,
    },
    "cross_resnet_mnist": {"images": 3000, "seeds": range(10), "autoattack_images": 500},
    "cross_resnet_cats_and_dogs": {"images": 2800, "seeds": range(3), "autoattack_images": 0},
    "distillation_and_patches": {
        "seeds": range(3), "distilled_attacked": 10_000, "autoattack_images": 500,
        "robust_epochs": 4, "train_steps": 7,
    },
}  # fmt: skip


def synthesis(p: SimpleNamespace) -> Iterator[Part]:
    """All defenses' trainings, where eight start from one undefended network; PGD on it, on another
    one, and on all. Only PGD training leaves AutoAttack most of the images."""
    trained = p.train_images * (sum(bench.passes(p).values()) - 8 * p.epochs)
    attacked = p.attacked_images * (10_000 + p.steps * (2 * p.restarts + 4))
    yield p.model, (trained + attacked) * len(p.seeds)


def dominant_filters(p: SimpleNamespace) -> Iterator[Part]:
    """Undefended, the two lessons, five fine-tunings of each, and the control; AutoAttack on four
    networks, a quarter of whose images withstand all of its 10,000 passes."""
    images = 42_000
    for model in p.models:
        tuned = 2 * p.tune_epochs * (1 + 2 + 1 + 2 + 2)
        passes = images * (p.epochs + 1 + p.steps + tuned) + 20 * p.attacked_images * p.steps
        if model == "base_cnn":
            passes += images * 2 * p.control_epochs * (1 + p.train_steps)
            yield model, 10_000 * p.autoattack_images
        yield model, passes * len(p.seeds)


def aft_fgsm_vs_jsma(p: SimpleNamespace) -> Iterator[Part]:
    """Undefended networks and the control, JSMA of six steps with two passes each, PGD, and
    AutoAttack as above."""
    trained = 50_000 * (len(p.seeds) * p.epochs + 3 * p.control_epochs)
    jsma = 12 * (5 * max(p.counts) + 3 * p.few * (len(p.gamma_curve) + len(p.theta_curve)))
    attacked = len(p.seeds) * (jsma + 5 * p.few * p.steps)
    yield p.model, trained + attacked + 10_000 * p.autoattack_images


def patch_augmentation(p: SimpleNamespace) -> Iterator[Part]:
    """Undefended, the variants and their control; with the first network the ablations and the
    other defenses. Images crafted for `static`, for the curves of the loss, and on the other
    defenses take all steps; the rest are turned, or left without a gradient, in three. AutoAttack
    takes its first 100 whatever comes of them. A network with weights from elsewhere needs no first
    training, and no other from scratch; what it learns of a few photos leaves nothing to further
    starts, nor to the rest of AutoAttack."""
    attacks = [a.settings for a in named.settings(p.attack_set, p.attack_steps) if a.has("steps")]
    for nth, (model, file) in enumerate(zip(p.models, p.weights, strict=True)):
        first = 0 if file else p.epochs
        tuned = [p.tune_epochs] * (len(p.variants) + 1)
        once = sum(a["steps"] for a in attacks)
        passes = p.attacked_images * once + 100 * p.autoattack_images * 2
        if nth == 0:
            tuned += [p.tune_epochs] * (len(p.optimizers) - 1)
            tuned += 2 * [max(p.epochs_curve)] if max(p.epochs_curve) != p.tune_epochs else []
            tuned += [] if file else [(first + 1) // 2 + p.tune_epochs]
            passes += p.images * p.compare_epochs * len(p.others) * (1 + p.train_steps) / 2
            whole = once if file else sum(a["steps"] * a.get("restarts", 1) for a in attacks)
            others = 1 + len(p.autoattack_others) + len(p.reference_epss)
            passes += 100 * p.autoattack_images * others
            passes += p.attacked_images * whole * len(p.others)
            climbed = sum(p.steps_curve) + max(p.steps_curve) * len(p.eps_curve)
            passes += 50 * climbed * (1 + len(p.seeds))  # the notebook watches so many images
            trained = p.images * p.reference_epochs * (1 + p.train_steps)
            judged = p.attacked_images * max(p.steps_curve)
            judged += 0 if file else 10_000 * p.autoattack_images
            passes += len(p.reference_epss) * (trained + judged)
        met = 2 * len(attacks) * (1 + len(tuned) * len(p.seeds))  # white-box and clipped
        passes += 3 * p.attacked_images * met
        yield model, passes + p.images * (first + 2 * sum(tuned) * len(p.seeds))


def cross_resnet(p: SimpleNamespace) -> Iterator[Part]:
    """Four networks a model and seed, each with as many steps as the proposed retraining; FGSM at
    all radii, on the network and on another one, and PGD. AutoAttack as above."""
    long = p.epochs * (1 + len(p.epss))
    attacked = (p.attacked_images or 800) * (2 * len([*p.epss, *p.eps_curve]) + p.steps)
    yield p.models[0], 10_000 * p.autoattack_images
    for model in p.models:
        yield model, 4 * (long * p.images + attacked) * len(p.seeds)


def distillation_and_patches(p: SimpleNamespace) -> Iterator[Part]:
    """Teachers and students, and PGD at each radius: twice on the plain network, once on the
    distilled one, which has no gradient in float32. With the first seed the temperatures, the PGD
    training, and AutoAttack on its network, most of whose images withstand it."""
    each = 4 * p.distilled_epochs * 50_000 + 3 * p.distilled_attacked * p.steps * len(p.epss)
    once = 2 * len(p.temperatures) * p.distilled_epochs * p.curve_images
    once += p.robust_epochs * (1 + p.train_steps) * 50_000 + 10_000 * p.autoattack_images
    yield p.distilled_model, each * len(p.seeds) + once


COUNTS: dict[str, Callable[[SimpleNamespace], Iterator[Part]]] = {
    "synthesis": synthesis,
    "dominant_filters": dominant_filters,
    "aft_fgsm_vs_jsma": aft_fgsm_vs_jsma,
    "patch_augmentation": patch_augmentation,
    "cross_resnet": cross_resnet,
    "distillation_and_patches": distillation_and_patches,
}


def seconds(model: str, size: int, channels: int, width: int, batch: int) -> float:
    """Of a pass: a training step's share of an image."""
    batch = 16 if size > 64 else batch
    network = networks.build(model, size=size, channels=channels, width=width).to(devices.default())
    images = torch.rand(batch, channels, size, size, device=devices.default())
    labels = torch.randint(10, (batch,), device=devices.default())
    return cost.step_seconds({"": network}, images, labels, rounds=4)[""] / batch


def main() -> None:
    """Count, time, and put the table into the page."""
    torch.set_num_threads(1)
    timed: dict[tuple, float] = {}
    lines = ["| page | core hours | passes, millions | a pass, ms |", "|:--|--:|--:|--:|"]
    for page, more in WANTED.items():
        made = store.provenance(book.PUBLISHED / page.split(",")[0])
        p = SimpleNamespace(**({"width": 64, "channels": 3} | made["parameters"] | more))
        distilled = made["study"] == "distillation_and_patches"
        name = p.distilled_on if distilled else p.dataset
        size = p.distilled_size if distilled else p.size
        channels = 1 if name in ("mnist", "fashion_mnist") else 3
        batch = p.distilled_batch if distilled else p.batch_size
        passes = hours = 0.0
        for model, count in COUNTS[made["study"]](p):
            what = (model, size, channels, p.width, batch)
            if what not in timed:
                timed[what] = seconds(*what)
            passes, hours = passes + count, hours + count * timed[what] / 3600
        name = page.replace("_", "_<wbr>")  # where a phone may break it
        line = f"| {name} | {hours:,.1f} | {passes / 1e6:,.1f} | {3.6e6 * hours / passes:.2f} |"
        lines.append(line)
        print(line, flush=True)
    where = f"{platform.machine()}, {devices.number_type(devices.default())}, one thread"
    met = wanted.compared().groupby("page")["met"].all()
    took = {page: store.provenance(book.PUBLISHED / page)["seconds"] for page in met.index[met]}
    told = "; ".join(f"{page}, {time / 3600:,.1f} core hours" for page, time in took.items())
    told = f"Timed on {where}. Of these have been run at this scale: {told}."
    files.fill(PAGE, "price", "\n".join([*lines, "", told]))


if __name__ == "__main__":
    main()
