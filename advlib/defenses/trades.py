"""TRADES: accuracy on clean images, and the same answer around each of them."""

from __future__ import annotations

import dataclasses
import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advlib.attacks import losses
from advlib.attacks.attack import frozen
from advlib.attacks.gradient import climb, column
from advlib.cache import versioned
from advlib.checks import check_count, check_eps, check_step
from advlib.data import Split
from advlib.defenses import adversarial
from advlib.training import Context, Hardened, Recipe, evaluating

NEAR = 0.001  # deviation of the noise at which the search begins, pixel units


def harden(
    model: nn.Module,
    train: Split,
    recipe: Recipe,
    *,
    eps: float,
    step: float,
    steps: int = 10,
    beta: float = 6.0,
    validation: Split | None = None,
) -> Hardened:
    """TRADES (Zhang et al. 2019, equation 5 and algorithm 1), of a copy of `model`.

    Args:
        recipe: of the training; its objective is replaced.
        eps: radius of the L-inf ball in pixel units, in [0, 1].
        step, steps: of the search for the image on which the network says something else.
        beta: weight of the second term (in the paper 1 / lambda), at least 0.

    Raises:
        ValueError: an argument is outside what is allowed; the message names it.
    """
    check_eps(eps)
    check_step(step)
    check_count("steps", steps)
    if not beta >= 0:
        raise ValueError(f"beta: must be at least 0, got {beta}")
    objective = functools.partial(trades, eps=eps, step=step, steps=steps, beta=beta)
    recipe = dataclasses.replace(recipe, objective=objective)
    return adversarial.harden(model, train, recipe, validation=validation)


@versioned("TRADES", 1)
def trades(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    context: Context,
    *,
    eps: float,
    step: float,
    steps: int,
    beta: float,
) -> tuple[Tensor, Tensor]:
    """The objective: cross-entropy plus `beta` times KL(f(x) || f(x')), x' in the ball around x."""
    noise = torch.randn(images.shape, generator=context.generator, device=images.device)
    lower, upper = (images - eps).clamp_(min=0), (images + eps).clamp_(max=1)
    start = (images + NEAR * noise).clamp_(lower, upper)
    with evaluating(model), frozen(model):
        with torch.no_grad():
            said = context.forward(model, images).softmax(1)
        search = functools.partial(context.forward, model)
        ascent = column(step, images)
        shifted = climb(search, start, said, lower, upper, ascent, steps, loss=losses.divergence)
    logits = context.forward(model, images)
    apart = F.kl_div(
        context.forward(model, shifted).log_softmax(1), logits.softmax(1), reduction="batchmean"
    )
    return F.cross_entropy(logits, labels) + beta * apart, logits
