"""What a sign-gradient attack climbs.

A loss is given by its gradient at the logits: a function of logits [N, K] and labels int64 [N] that
returns [N, K]. An attack uses the sign of what follows from it at the pixels, so that any row may
be multiplied by any positive number.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from advlib.cache import versioned

Loss = Callable[[Tensor, Tensor], Tensor]


@versioned("exact cross-entropy", 1)
def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy's gradient, divided by 1 - p(label).

    The sign of what follows from it is the same; but the gradient itself vanishes in float32 where
    a model is sure of the label, and such an image would never be moved.
    """
    label = labels[:, None]
    others = logits.scatter(1, label, -torch.inf).softmax(1)
    return others.scatter_(1, label, -1.0)


@versioned("float32 cross-entropy", 1)
def float32_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy's gradient as float32 arithmetic gives it: p - [the class is the label].

    For an attacker who overlooks that it vanishes where a model is sure: beyond a margin of about
    100 between the first two logits every p but the label's is 0, and the label's is 1.
    """
    return logits.softmax(1) - F.one_hot(labels, logits.shape[1])


@versioned("margin", 1)
def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The best other class's logit minus the label's (Carlini and Wagner 2017, equation f6)."""
    label = labels[:, None]
    best = logits.scatter(1, label, -torch.inf).argmax(1, keepdim=True)
    return torch.zeros_like(logits).scatter_(1, best, 1.0).scatter_(1, label, -1.0)


@versioned("divergence", 1)
def divergence(logits: Tensor, probabilities: Tensor) -> Tensor:
    """The gradient of the Kullback-Leibler divergence from `probabilities` float32 [N, K].

    What TRADES climbs: the images on which the network says something else than on the originals.
    """
    return logits.softmax(1) - probabilities
