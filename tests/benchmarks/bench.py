"""Speed of advlib against its peers: `make bench` puts a table into book/benchmarks.md.

Every figure is a ratio of medians over interleaved repetitions (A B C A B C ...) in one process,
so what else the machine does falls on all alike. Nothing here is a test; no run can fail.
"""

from __future__ import annotations

import functools
import itertools
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import foolbox
import numpy as np
import torch
import torchattacks
from art.attacks.evasion.adversarial_patch.adversarial_patch_pytorch import (
    AdversarialPatchPyTorch,
)
from art.attacks.evasion.projected_gradient_descent import (
    projected_gradient_descent_pytorch as art_pgd,
)
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2 as transforms
from torchvision.transforms.v2 import functional as v2

from advlib import augmentation, data, devices, files, networks
from advlib.attacks import jsma, pgd
from advlib.attacks.attack import frozen
from advlib.attacks.jsma import EDGE, best_pair, saliency
from advlib.attacks.patch import pasted, train_patch
from advlib.cost import step_seconds
from advlib.defenses import adversarial, dominant_filters, patch_augmentation
from advlib.predictions import correct
from advlib.training import Recipe, fit

DEVICE = devices.default()
EPS, STEP, STEPS = 0.3, 0.01, 40  # Madry et al. 2018 on MNIST
PAGE = Path(__file__).parents[2] / "book/benchmarks.md"
COLUMNS = ("ours", "torchattacks", "foolbox", "ART", "torchvision", "DataLoader", "the whole")


class Case(NamedTuple):
    what: str
    seconds: dict[str, float]  # medians, by column
    target: float  # at most this ratio of ours to the fastest peer

    @property
    def ratio(self) -> float:
        return self.seconds["ours"] / min(s for who, s in self.seconds.items() if who != "ours")


def main() -> None:
    """Run the cases, print the table and put it into book/benchmarks.md."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADVLIB_CACHE"] = folder  # nothing is taken from an earlier run
        report = measured()
    print(report)
    files.fill(PAGE, "benchmarks", report)


def measured() -> str:
    """The table of all cases and what else is to be said, in Markdown."""
    dataset, model = trained()
    images, labels = data.pixels(dataset.test.images), dataset.test.labels
    robust, answers = robust_accuracy(model, images, labels)
    cases = [full_pgd(model, images[:256], labels[:256]), robust, *training_steps(dataset)]
    on_cnn, reached_cnn = saliency_attack(model, "base_cnn", images[:64], labels[:64], gamma=1 / 8)
    resnet, photos, of_photos = trained_resnet()
    on_resnet, reached_resnet = saliency_attack(
        resnet, "ResNet-18", photos[:64], of_photos[:64], gamma=1 / 32, theirs=8
    )
    cases += [on_cnn, on_resnet, pair_search(resnet, photos[:64], of_photos[:64])]
    cases += [altered_images(photos), altered_epoch(photos, of_photos)]
    cases += [augmented_epoch(photos, of_photos)]
    patch, pulled = trained_patch()
    cases += [patch]
    return "\n".join(
        [
            *table(cases),
            "",
            f"Robust accuracy found in the second row: {answers}. Targets reached by JSMA: "
            f"{reached_cnn} (base_cnn); {reached_resnet} (ResNet-18). Images that a patch pulls to "
            f"its target: {pulled}.",
            "",
            f"Data: {dataset.name}, {len(images)} test images. Machine: {machine()}.",
            "",
        ]
    )


def trained() -> tuple[data.Dataset, nn.Module]:
    """MNIST if it is on disk, else the embedded digits, and a base_cnn trained on it briefly."""
    found = (data.root() / "MNIST").is_dir()
    sizes = {"train": 20_000, "test": 1000} if found else {}
    dataset = data.load("mnist" if found else "digits", device=DEVICE, **sizes)
    model = networks.build("base_cnn").to(DEVICE)
    fit(model, dataset.train, Recipe(epochs=3 if found else 20))
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
    model = networks.build("dense_cnn").to(DEVICE)
    split = dominant_filters.split(model, dominant_filters.random_filters(model, 0.1, seed=0))
    cases = []
    for precision, bfloat16 in (("float32", False), ("autocast", True)):
        contest = {"ours": split, "the whole": model}
        seconds = step_seconds(contest, images, labels, rounds=20, bfloat16=bfloat16)
        what = f"A training step of 10 % of dense_cnn's filters, batch {len(images)}, {precision}"
        cases.append(Case(what, seconds, target=0.8))
    return cases


def trained_resnet() -> tuple[nn.Module, Tensor, Tensor]:
    """ResNet-18 trained briefly on the digits as 3x32x32 images; test images and labels."""
    digits = data.load("digits", size=32, channels=3, device=DEVICE)
    model = networks.build("resnet18", channels=3, size=32).to(DEVICE)
    fit(model, digits.train, Recipe(epochs=4, batch_size=64, optimizer="adam"))
    return model, data.pixels(digits.test.images), digits.test.labels


def saliency_attack(
    model: nn.Module, name: str, images: Tensor, labels: Tensor, *, gamma: float, theirs: int = 64
) -> tuple[Case, str]:
    """JSMA towards the next class, seconds an image; torchattacks' on the first `theirs` images.

    Choose `gamma` so that half of its features is a whole number: torchattacks rounds its steps up
    and may change more than `gamma` allows, ours rounds them down as Papernot et al. do.
    """
    targets = (labels + 1) % 10
    peer = torchattacks.JSMA(model, theta=1.0, gamma=gamma)  # its default targets are these
    mine = functools.partial(jsma, model, theta=1.0, gamma=gamma, mode="targeted")
    seconds, reached = {}, {}
    for who, count, attack, goals in (
        ("ours", len(images), mine, targets),
        ("torchattacks", theirs, peer, labels),
    ):
        found = []

        def once(attack=attack, goals=goals, count=count, found=found) -> None:
            found.append(attack(images[:count].clone(), goals[:count]))

        rounds = 3 if who == "ours" else 1
        taken = medians({who: once}, rounds=rounds, warm=who == "ours")[who]
        seconds[who] = taken / count
        right = correct(model, data.Split(found[0][:theirs], targets[:theirs]))
        reached[who] = f"{who} {right.sum()} of {theirs}"
    what = f"JSMA an image, {name}, batch {len(images)}, theta 1, gamma {gamma:g}"
    return Case(what, seconds, target=0.05), ", ".join(reached.values())


def pair_search(model: nn.Module, images: Tensor, labels: Tensor) -> Case:
    """The exact search for the best pair, as a part of a JSMA iteration."""
    with frozen(model):
        gain, loss, _ = saliency(model, images, labels, "logits", True)
        movable = images.flatten(1) < 1 - EDGE
        contest = {
            "ours": functools.partial(best_pair, gain, loss, movable),
            "gradients": functools.partial(saliency, model, images, labels, "logits", True),
        }
        seconds = medians(contest, rounds=5)
    seconds["the whole"] = seconds["ours"] + seconds.pop("gradients")
    return Case(f"Pair search in a JSMA step, ResNet-18, batch {len(images)}", seconds, target=0.25)


def altered_images(photos: Tensor, count: int = 50_000) -> Case:
    """Altering two patches of an image, in milliseconds an image; torchvision's one by one."""
    images = photos.mul(255).to(torch.uint8).repeat(-(-count // len(photos)), 1, 1, 1)[:count]
    few = images[:500].cpu()
    change = [
        lambda x: v2.rotate(v2.to_pil_image(x), -10, v2.InterpolationMode.BICUBIC),
        lambda x: v2.affine(x, 0, [2, 2], 1, [0, 0], fill=x.float().mean((1, 2)).tolist()),
        lambda x: v2.gaussian_noise(x / 255, 0, 0.05**0.5),
        lambda x: torch.poisson(x.float()) / 255,
        lambda x: torch.rand(x.shape).lt(0.25).where(torch.rand(x.shape) < 0.5, x / 255),
        lambda x: x / 255 * (1 + torch.rand(x.shape).sub(0.5).mul(0.6**0.5)),
        lambda x: v2.gaussian_blur(x, [7, 7], [1.5, 1.5]),
        lambda x: v2.erase(x, 0, 0, 7, 7, torch.zeros(1)),
        v2.horizontal_flip,
    ]

    def one_by_one() -> None:
        for number, image in enumerate(few.clone()):
            for place, (top, left) in enumerate(patch_augmentation.corners(32, 32, 7, 2)):
                window = image[:, top : top + 7, left : left + 7]
                made = v2.to_dtype(
                    v2.to_image(change[(number + place) % len(change)](window)), scale=True
                )
                window.copy_(made.clamp(0, 255))

    contest = {
        "ours": functools.partial(patch_augmentation.alter, images, patch=7, patches=2),
        "torchvision": one_by_one,
    }
    seconds = medians(contest, rounds=3)
    each = {"ours": seconds["ours"] / count, "torchvision": seconds["torchvision"] / len(few)}
    return Case(f"Altering an image at 7-P2, {count:,} of 3x32x32", each, target=0.1)


def altered_epoch(photos: Tensor, labels: Tensor, count: int = 5000) -> Case:
    """Fine-tuning for an epoch on images and altered images, against as many unaltered ones."""
    copies = -(-count // len(photos))
    images = photos.mul(255).to(torch.uint8).repeat(copies, 1, 1, 1)[:count]
    train = data.Split(images, labels.repeat(copies)[:count])
    twice = data.Split(*(torch.cat([part, part]) for part in train))
    model = networks.build("cifar_conv", channels=3, size=32).to(DEVICE)
    seeds = itertools.count()  # what was trained before is not trained again

    def ours() -> None:
        recipe = Recipe(epochs=1, seed=next(seeds))
        patch_augmentation.harden(model, train, recipe, patch=7, patches=2)

    def whole() -> None:
        adversarial.harden(model, twice, Recipe(epochs=1, seed=next(seeds)))

    seconds = medians({"ours": ours, "the whole": whole}, rounds=7)
    what = f"An epoch on {count:,} images and their altered selves, cifar_conv"
    return Case(what, seconds, target=1.1)


def augmented_epoch(photos: Tensor, labels: Tensor, count: int = 256) -> Case:
    """Training ResNet-50 on augmented images; the peer is the usual float32 loop on a DataLoader.

    Milliseconds an image. The loop's worker processes augment image by image with torchvision.
    """
    train = data.Split(photos[:count].mul(255).to(torch.uint8), labels[:count])
    model = networks.build("resnet50", channels=3, size=32).to(DEVICE)
    seeds = itertools.count()  # what was trained before is not trained again
    change = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), 10),
            transforms.ColorJitter(brightness=0.2),
            transforms.ToDtype(torch.float32, scale=True),
            transforms.GaussianNoise(sigma=0.02),
        ]
    )
    pairs = [(image, int(label)) for image, label in zip(*(t.cpu() for t in train), strict=True)]
    loader = DataLoader(
        pairs, 128, shuffle=True, num_workers=os.cpu_count() or 1, persistent_workers=True,
        collate_fn=functools.partial(augmented_batch, change=change),
    )  # fmt: skip
    peer = networks.build("resnet50", channels=3, size=32).to(DEVICE)
    peer = peer.to(memory_format=torch.contiguous_format).train()
    descent = torch.optim.Adam(peer.parameters())

    def ours() -> None:
        varied = augmentation.varied()
        fit(model, train, Recipe(epochs=1, optimizer="adam", prepare=varied, seed=next(seeds)))

    def loop() -> None:
        for images, goals in loader:
            loss = nn.functional.cross_entropy(peer(images.to(DEVICE)), goals.to(DEVICE))
            descent.zero_grad()
            loss.backward()
            descent.step()

    seconds = medians({"ours": ours, "DataLoader": loop}, rounds=3)
    each = {who: taken / count for who, taken in seconds.items()}
    return Case(f"Training ResNet-50 an image, {count} augmented of 3x32x32", each, target=0.4)


def augmented_batch(
    pairs: list[tuple[Tensor, int]], change: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """What a DataLoader's worker makes of a batch."""
    images, labels = zip(*pairs, strict=True)
    return torch.stack([change(image) for image in images]), torch.tensor(labels)


def trained_patch(size: int = 48, steps: int = 30, batch: int = 16) -> tuple[Case, str]:
    """A patch on MobileNetV2 by Adam, and the share of other images that it pulls to its target.

    On the ImageNet sample and weights where they are on disk; else on noise and new weights, where
    a patch pulls nothing and only the time counts. ART learns a patch of the image's size, which it
    shrinks to `size`. Both take their own rate: ART's default is 5 of 255.
    """
    sample, file = (
        data.root() / "imagenet-sample/val",
        data.root() / "weights/mobilenet_v2.safetensors",
    )
    if sample.is_dir():
        photos = data.load(f"folder:{sample}", size=224, validation=0.375)
        learned, others = photos.train.images[: batch * 10], photos.validation.images[:100]
    else:
        learned, others = torch.randint(256, (2, batch * 10, 3, 224, 224), dtype=torch.uint8)
    model = networks.build(
        "torchvision:mobilenet_v2", classes=1000, channels=3, size=224,
        weights=str(file) if file.is_file() else "", **networks.IMAGENET,
    ).to(DEVICE)  # fmt: skip
    target, seeds, made = 859, itertools.count(), {}  # toaster; what was trained is not reused
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (3, 224, 224), 1000, clip_values=(0, 1),
        device_type="gpu" if DEVICE.type == "cuda" else "cpu",
    )  # fmt: skip
    floats = data.pixels(learned).numpy()
    goals = np.eye(1000, dtype=np.float32)[[target] * len(learned)]

    def ours() -> None:
        made["ours"] = train_patch(
            model, learned, target, size=size, steps=steps, batch_size=batch, rotation=22.5,
            seed=next(seeds),
        )  # fmt: skip

    def by_art() -> None:
        attack = AdversarialPatchPyTorch(
            classifier, rotation_max=22.5, scale_min=size / 224, scale_max=size / 224,
            learning_rate=5 / 255, max_iter=steps * batch // len(learned), batch_size=batch,
            patch_shape=(3, 224, 224), patch_type="square", verbose=False,
        )  # fmt: skip
        patch, _ = attack.generate(floats, goals)
        shrunk = nn.functional.interpolate(
            torch.from_numpy(patch).float()[None], size=size, mode="bilinear", antialias=True
        )
        made["ART"] = shrunk[0].clamp(0, 1)

    seconds = medians({"ours": ours, "ART": by_art}, rounds=3, warm=False)
    pulled = {}
    for who, patch in made.items():
        shown = pasted(others, patch.cpu(), rotation=22.5)
        hit = correct(model.eval(), data.Split(shown, torch.full((len(shown),), target)))
        pulled[who] = f"{hit.float().mean():.0%} ({who})"
    what = f"Training a {size}-pixel patch on MobileNetV2, {steps} steps of {batch} images"
    return Case(what, seconds, target=1.0), ", ".join(pulled.values())


def medians(
    contest: dict[str, Callable[[], object]], rounds: int, *, warm: bool = True
) -> dict[str, float]:
    """Median seconds of each function over `rounds` interleaved calls, after one to `warm` up."""
    taken: dict[str, list[float]] = {who: [] for who in contest}
    for turn in range(0 if warm else 1, rounds + 1):
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
        times = [
            "" if taken is None else f"{float(format(1000 * taken, '.4g')):,g}" for taken in seconds
        ]
        met = "yes" if case.ratio <= case.target else "no"
        rows.append([case.what, *times, f"{case.ratio:.3f}", f"≤ {case.target:.2f}", met])
    return [f"| {' | '.join(row)} |" for row in rows]


def machine() -> str:
    """What was measured on, without names or paths of it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    trained = devices.number_type(DEVICE)
    numbers = f"training in {trained} (rows 4, 9, 10, 11), the rest in float32"
    if trained == "float32":
        numbers = "all in float32"
    parts = [
        *([torch.cuda.get_device_name()] if DEVICE.type == "cuda" else []),
        names[0] if names else platform.machine(),
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads",
        numbers,
        f"{platform.system()}, Python {platform.python_version()}, torch {torch.__version__}",
    ]
    return "; ".join(parts)


if __name__ == "__main__":
    main()
