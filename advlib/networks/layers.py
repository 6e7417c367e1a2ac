"""What the networks share: the shape of what goes in and out, layers, and how to find those of a
kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from advlib.cache import versioned


@dataclass(frozen=True)
class Shape:
    """What a network is built for."""

    classes: int
    channels: int
    size: int  # side of the square images, pixels
    dropout: float  # rate, in the networks that leave it open
    width: int  # channels of the first stage, in the networks that leave it open

    def at_least(self, size: int) -> None:
        """Raise ValueError if the network would pool the images away."""
        if self.size < size:
            raise ValueError(f"size: must be at least {size} for this network, got {self.size}")


@versioned("normalize", 1)
class Normalize(nn.Module):
    """(x - mean) / std for each channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


@versioned("dropout", 1)
class Dropout(nn.Dropout):
    """nn.Dropout with a lighter mask on the CPU: one random byte a value rather than a float.

    There nn.Dropout takes a quarter of a small CNN's training step. The rate is rounded to a
    multiple of 1/256, which 0.25 and 0.5 are.
    """

    def forward(self, images: Tensor) -> Tensor:
        if not self.training or images.device.type != "cpu":
            return super().forward(images)
        dropped = round(256 * self.p)
        words = torch.empty(-(-images.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8) >= dropped
        mask = kept.as_strided(images.shape, images.stride()).to(images.dtype)
        return images * mask.mul_(256 / (256 - dropped))


def convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """The model's convolutions by their name in the model, in order."""
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
