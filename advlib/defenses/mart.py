"""MART: adversarial training that minds the images which the network gets wrong anyway."""

from __future__ import annotations

import dataclasses
import functools

import torch.nn.functional as F
from torch import Tensor, nn

from advlib import devices
from advlib.attacks.attack import Attack, trusting
from advlib.cache import versioned
from advlib.data import Split
from advlib.defenses import adversarial
from advlib.training import Context, Hardened, Recipe, evaluating

TINY = 1e-12  # keeps a logarithm from 0


def harden(
    model: nn.Module,
    train: Split,
    recipe: Recipe,
    *,
    attack: Attack,
    weight: float = 5.0,
    validation: Split | None = None,
) -> Hardened:
    """MART (Wang et al. 2020, equation 11 and algorithm 1), of a copy of `model`.

    Args:
        recipe: of the training; its objective is replaced.
        attack: makes the images afresh in each step; in the paper PGD with ten steps.
        weight: lambda, of the second term, at least 0.

    Raises:
        ValueError: an argument is outside what is allowed; the message names it.
    """
    if not weight >= 0:
        raise ValueError(f"weight: must be at least 0, got {weight}")
    objective = functools.partial(mart, attack=attack, weight=weight)
    recipe = dataclasses.replace(recipe, objective=objective)
    return adversarial.harden(model, train, recipe, validation=validation)


@versioned("MART", 1)
def mart(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    context: Context,
    *,
    attack: Attack,
    weight: float,
) -> tuple[Tensor, Tensor]:
    """The objective: a boosted cross-entropy on x', plus `weight` times KL(f(x) || f(x')), which
    counts the more the less sure the network is of x."""
    with evaluating(model), devices.autocast(images.device), trusting():
        shifted = attack(model, images, labels, generator=context.generator)
    label = labels[:, None]
    clean = context.forward(model, images)
    logits = context.forward(model, shifted)
    said, seen = clean.softmax(1), logits.softmax(1)
    wrongest = seen.scatter(1, label, 0.0).amax(1)
    boosted = F.cross_entropy(logits, labels) - (1 - wrongest + TINY).log().mean()
    apart = (said * ((said + TINY).log() - (seen + TINY).log())).sum(1)
    unsure = 1 - said.gather(1, label)[:, 0]
    return boosted + weight * (apart * unsure).mean(), logits
