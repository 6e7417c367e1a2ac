"""Changes to training images, drawn afresh for each batch, on the device and for the whole batch.

Each is a `prepare` step for `training.fit`.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def flip_and_shift(*, flip: bool = True, shift: int = 4) -> functools.partial:
    """Mirror half of the images left to right, and move each by up to `shift` pixels.

    Moving with zeros filled in is the usual random crop of a padded image (He et al. 2016,
    section 4.2). Raises ValueError for a negative shift.
    """
    if shift < 0:
        raise ValueError(f"shift: must be 0 or more pixels, got {shift}")
    return functools.partial(_flip_and_shift, flip=flip, shift=shift)


def _flip_and_shift(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    share: float,
    generator: torch.Generator,
    *,
    flip: bool,
    shift: int,
) -> Tensor:
    count, channels, height, width = images.shape
    mirrored = torch.rand(count, 1, generator=generator) < (0.5 if flip else 0.0)
    down, right = torch.randint(2 * shift + 1, (2, count, 1), generator=generator)
    rows, columns = torch.arange(height) + down, torch.arange(width).expand(count, -1)
    columns = torch.where(mirrored, columns.flip(1), columns) + right
    padded = F.pad(images, (shift,) * 4)
    places = (rows[:, :, None] * padded.shape[3] + columns[:, None, :]).to(images.device)
    places = places.view(count, 1, -1).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, places).view_as(images)
