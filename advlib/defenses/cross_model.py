"""Retraining on adversarial images that were made against another network.

Ali, Raza and Gan (paper 003): FGSM images of one trained source network, at several eps, join the
training images; the classes are balanced by undersampling; every target network is trained anew on
the result, with augmentation and early stopping.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from advlib import augmentation
from advlib.attacks import fgsm
from advlib.attacks.attack import Attack
from advlib.attacks.crafting import craft
from advlib.data import Split
from advlib.defenses import adversarial
from advlib.training import Hardened, Recipe


def harden(
    target: nn.Module,
    train: Split,
    recipe: Recipe,
    *,
    source: nn.Module | None,
    epss: Sequence[float] = (0.01, 0.02, 0.03),
    validation: Split,
    balance: bool = True,
) -> Hardened:
    """A copy of `target`, all of it trained on `train` and the source's FGSM images of it.

    For the paper's retraining, `target` is an untrained network; `source` may be of any kind, also
    that of the target, or None for the control without adversarial images.

    Args:
        train: images uint8 [N, C, H, W], or float32 in [0, 1]; labels int64 [N].
        recipe: of the training; its seed is that of the undersampling, too. Without a `prepare`
            of its own it augments by `augmentation.varied()`.
        epss: radii of FGSM in pixel units; each adds a copy of `train`.
        validation: of early stopping.
        balance: undersample the classes.
    """
    made = train if source is None else with_adversarial(source, train, epss=epss)
    if balance:
        made = undersample(made, seed=recipe.seed)
    if recipe.prepare is None:
        recipe = dataclasses.replace(recipe, prepare=augmentation.varied())
    return adversarial.harden(target, made, recipe, validation=validation)


def with_adversarial(source: nn.Module, train: Split, *, epss: Sequence[float]) -> Split:
    """`train` and a copy of it for each eps, made by FGSM against `source`: float32, old labels."""
    if not epss:
        raise ValueError("epss: must not be empty")
    made = train
    for eps in epss:
        made = adversarial.mix(
            made, craft(source, train, Attack("FGSM", fgsm, eps=eps), bfloat16=True)
        )
    return made


def undersample(split: Split, *, seed: int = 0) -> Split:
    """As many images of each class as the rarest has, drawn without replacement, in their order.

    Raises ValueError if there is only one class.
    """
    labels = split.labels.cpu()
    classes, counts = labels.unique(return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"split: needs images of two classes or more, got {classes.tolist()}")
    rank = _rank_in_class(labels, torch.Generator().manual_seed(seed))
    rows = (rank < counts.min()).nonzero()[:, 0]
    return Split(*(part[rows.to(part.device)] for part in split))


def _rank_in_class(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Each image's place, from 0, in a random order of the images of its class."""
    order = torch.randperm(len(labels), generator=generator)
    by_class = order[labels[order].argsort(stable=True)]
    counts = labels.bincount()
    firsts = (counts.cumsum(0) - counts)[labels[by_class]]
    rank = torch.empty_like(labels)
    rank[by_class] = torch.arange(len(labels)) - firsts
    return rank
