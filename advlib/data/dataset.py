"""An image set in memory: its splits, its fingerprint, its pixels."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor


class DataError(RuntimeError):
    """An image set is missing, damaged or of another layout than its name says."""


class Split(NamedTuple):
    """One part of a set. Every beginning of it, `images[:n]`, holds the classes in their shares."""

    images: Tensor  # uint8 [N, C, H, W]
    labels: Tensor  # int64 [N]

    def first(self, count: int) -> Split:
        """Its first `count` images; all of them for 0."""
        return Split(*(part[: count or None] for part in self))


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """An image set in three splits that share no image; `name` is what was asked of `load`."""

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split

    @property
    def size(self) -> int:
        """Side of the square images, in pixels."""
        return self.train.images.shape[-1]

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (colour)."""
        return self.train.images.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the class names, shapes, pixels and labels; the same on any device."""
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for tensor in (*self.train, *self.validation, *self.test):
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()[:16]

    def to(self, device: torch.device | str) -> Dataset:
        """The same set with its tensors on `device`."""
        splits = (self.train, self.validation, self.test)
        moved = (Split(*(tensor.to(device) for tensor in split)) for split in splits)
        return Dataset(self.name, self.classes, *moved)


def pixels(images: Tensor) -> Tensor:
    """float32 pixels in [0, 1] of uint8 images; float32 comes back as it is. Any shape."""
    if images.dtype == torch.float32:
        return images
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8 or float32, got {images.dtype}")
    return images.float().div_(255)


def at_once(images: Tensor, most: int) -> int:
    """How many of these images a network should see at once: `most`, or fewer above 64×64×3.

    What it holds for a batch grows with the pixels: 250 images of 224×224 took MobileNetV2 17 GB.
    """
    return max(1, min(most, most * 64 * 64 * 3 // max(1, prod(images.shape[1:]))))
