"""The Square attack: a random search that asks the network for logits alone.

It looks at no gradient, so that none can be hidden from it. Where it leaves less than a gradient
attack does, that attack's gradients are masked.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from advlib.attacks.attack import check_inputs, declare
from advlib.checks import check_count, check_eps

# After so many of 10,000 queries the share of the image that a square covers is halved (table 6).
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@declare("Square", 1, norm="Linf")
def square(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    steps: int = 1000,
    share: float = 0.8,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Square attack in the L-inf ball (Andriushchenko et al. 2020, algorithms 1 and 2), untargeted.

    It begins with vertical stripes of plus or minus `eps`. Each step proposes one square of the
    image, plus or minus `eps` in each channel, and keeps it if the margin between the label's logit
    and the best other one falls. An image that the model gets wrong is asked about no further.

    Args:
        model, images, labels: as for `pgd`.
        eps: radius of the ball in pixel units, in [0, 1].
        steps: queries an image after the first, at most.
        share: of the image that the first squares cover, in (0, 1].
        generator: source of the random numbers, on the images' device.

    Returns:
        A new float32 tensor [N, C, H, W] in the box [0, 1] and in the ball around `images`.

    Raises:
        ValueError: an argument is outside what is allowed; the message names it.
    """
    check_inputs(model, images, labels)
    check_eps(eps, len(images))
    check_count("steps", steps)
    if not 0 < share <= 1:
        raise ValueError(f"share: must lie in (0, 1], got {share}")
    if not len(images):
        return images.clone()
    draw = {"generator": generator, "device": images.device}
    count, channels, height, width = images.shape
    stripes = _signs((count, channels, 1, width), draw)
    result = (images + eps * stripes).clamp(0, 1)
    left = _margins(model, result, labels)
    rows = torch.arange(count, device=images.device)  # of `result`, still being attacked
    origin, best, goal = images, result, labels
    for step in range(steps):
        (alive,) = (left > 0).nonzero(as_tuple=True)
        rows, origin, best, goal, left = (
            t.index_select(0, alive) for t in (rows, origin, best, goal, left)
        )
        if not len(rows):
            break
        side = _side(share, step / steps, height, width)
        inside = _squares(len(rows), side, height, width, draw)
        signs = _signs((len(rows), channels, 1, 1), draw)
        proposed = torch.where(inside, (origin + eps * signs).clamp(0, 1), best)
        margins = _margins(model, proposed, goal)
        better = margins < left
        best = torch.where(better[:, None, None, None], proposed, best)
        left = torch.where(better, margins, left)
        result[rows] = best
    return result


@torch.no_grad()
def _margins(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The label's logit minus the best other one: float32 [N]; at most 0 where the model errs."""
    logits, label = model(images).float(), labels[:, None]
    best = logits.scatter(1, label, -torch.inf).amax(1)
    return logits.gather(1, label)[:, 0] - best


def _side(share: float, done: float, height: int, width: int) -> int:
    """Pixels of a square's side when this share of the steps is done."""
    halved = sum(10_000 * done > mark for mark in HALVINGS)
    side = round(math.sqrt(share / 2**halved * height * width))
    return min(max(side, 1), min(height, width))


def _squares(count: int, side: int, height: int, width: int, draw: dict) -> Tensor:
    """Boolean [count, 1, height, width]: one square of `side` pixels in each image, anywhere."""
    top = torch.randint(height - side + 1, (count, 1, 1, 1), **draw)
    left = torch.randint(width - side + 1, (count, 1, 1, 1), **draw)
    down = torch.arange(height, device=draw["device"])[:, None]
    right = torch.arange(width, device=draw["device"])
    return (down >= top) & (down < top + side) & (right >= left) & (right < left + side)


def _signs(shape: tuple[int, ...], draw: dict) -> Tensor:
    return torch.randint(2, shape, **draw) * 2.0 - 1.0
