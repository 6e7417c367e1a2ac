"""Steps of the study that are no part of its argument: settings in words, pictures, counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advlib import networks
from advlib.attacks import Attack
from advlib.attacks.clipped import ClippedProbabilities
from advlib.data import Dataset, Split, pixels
from advlib.defenses import patch_augmentation
from advlib.predictions import logits

if TYPE_CHECKING:
    from advlib.studies.patch_augmentation import Settings

Pictures = tuple[dict[str, Tensor], dict[str, list[str]]]  # for `plots.examples`


def strongest(attacks: Sequence[Attack], eps: float) -> Attack:
    """PGD at this radius, or the first PGD of the set where there is none."""
    iterated = [attack for attack in attacks if attack.name.startswith("PGD")]
    return next((attack for attack in iterated if attack.eps == eps), iterated[0])


def attack_settings(attacks: Sequence[Attack]) -> pd.DataFrame:
    """A line an attack: its radius, steps, their length, and random starts."""
    lines = []
    for attack in attacks:
        known, random = attack.settings, attack.has("restarts")
        lines.append(
            {
                "attack": attack.name,
                "eps": f"{attack.eps:g}",
                "steps": known.get("steps", 1),
                "step": f"{known.get('step', attack.eps):g}",
                "random starts": known["restarts"] if random else None,
            }
        )
    return pd.DataFrame(lines).astype({"random starts": "Int64"})


def trained_elsewhere(images: Dataset, model: str, weights: str) -> nn.Module:
    """A network with weights from a file or its library; in colour it is one for ImageNet."""
    statistics: Mapping[str, Any] = networks.IMAGENET if images.channels == 3 else {}
    return networks.build_for(images, model, weights=weights, **statistics)


def twice(split: Split) -> Split:
    """Every image and once more every image."""
    return Split(*(torch.cat([part, part]) for part in split))


def each_operation(split: Split, variants: Sequence[str]) -> Pictures:
    """The first image and what each operation makes of one patch, of the largest size."""
    side = max(patch_augmentation.parse(variant)["patch"] for variant in variants)
    one, number = split.images[:1], torch.zeros(1, dtype=torch.int64)
    altered = [
        patch_augmentation.alter(one, number, patch=side, patches=1, operation=name)
        for name in patch_augmentation.OPERATIONS
    ]
    shown, names = pixels(torch.cat([one, *altered])), ["as it is", *patch_augmentation.OPERATIONS]
    return {"": shown[:5], " ": shown[5:]}, {"": names[:5], " ": names[5:]}


def variants_of(split: Split, variants: Sequence[str], count: int = 6) -> Pictures:
    """The first images as they are, and as each variant alters them."""
    few = split.images[:count]
    lines = {"as it is": few}
    for name in variants:
        kind = patch_augmentation.parse(name)
        lines[name] = patch_augmentation.alter(few, patch=kind["patch"], patches=kind["patches"])
    captions = {name: [""] * len(few) for name in lines}
    return {name: pixels(line) for name, line in lines.items()}, captions


def gradients_at(margins: Sequence[float]) -> pd.DataFrame:
    """The gradient at a network of two classes, by the margin of the label over the other class.

    A line a margin: the derivative of the cross-entropy by the other logit, taken through the
    logits and through clipped probabilities.
    """
    label, lines = torch.zeros(1, dtype=torch.int64), []
    for margin in margins:
        scores = torch.tensor([[margin, 0.0]], requires_grad=True)
        clipped = ClippedProbabilities(nn.Identity())(scores)
        line = {"margin": f"{margin:g}"}
        for through, loss in (
            ("through logits", F.cross_entropy(scores, label)),
            ("through clipped probabilities", F.nll_loss(clipped, label)),
        ):
            (gradient,) = torch.autograd.grad(loss, scores)
            line[through] = f"{gradient[0, 1]:.1e}" if gradient.any() else "0"
        lines.append(line)
    return pd.DataFrame(lines)


def mean_loss(network: nn.Module, split: Split) -> float:
    """The mean cross-entropy of a network on images, nats."""
    return F.cross_entropy(logits(network, split.images), split.labels.cpu()).item()


def passes(settings: Settings, replays: int) -> dict[str, int]:
    """How often each defense takes the training set forward and backward through the network.

    The first training and the steps of attacks are counted; a network trained elsewhere begins at
    0. A step of PGD is a pass, and so is learning what comes of it.
    """
    first = 0 if settings.weights[0] else settings.epochs
    epochs, climbed = settings.compare_epochs, (1 + settings.train_steps) * settings.compare_epochs
    others = {
        "FGSM-AT": 2 * epochs,
        "IFGSM-AT": climbed,
        "PGD-AT": climbed,
        "Fast AT": 2 * epochs,
        "Free AT": replays * epochs,
        "AFT": first + climbed,
    }
    fine_tuned = dict.fromkeys((*settings.variants, "unaltered"), first + 2 * settings.tune_epochs)
    compared = {name: others.get(name, epochs) for name in settings.others}
    return {"none": first} | fine_tuned | compared
