"""A set before it is split: its images as they lie on disk, and their labels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from advlib.data.dataset import DataError

ALTERNATIVES = (
    "Instead, 'digits' needs no file and no network, folder:PATH and parquet:PATH read your own "
    "images, and ADVLIB_DATA names a folder of sets that were downloaded before."
)


class Encoded(NamedTuple):
    """An image file, or the bytes of one that lie elsewhere; `origin` is its name for errors."""

    origin: str
    content: bytes | None = None

    def read(self) -> bytes:
        return Path(self.origin).read_bytes() if self.content is None else self.content

    def unreadable(self, error: Exception) -> DataError:
        return DataError(f"unreadable image {self.origin}: {error}. Replace or remove it.")


class Source(NamedTuple):
    classes: tuple[str, ...]
    images: Tensor | list[Encoded]  # uint8 [N, C, H, W], or files still to be decoded
    labels: Tensor  # int64 [N]
    given: int | None  # the first so many are the training part, the rest the test part
    size: int  # the set's own side in pixels
    channels: int  # and its own channels


class Head(NamedTuple):
    """What is known of a set before its images are read."""

    train: int  # images of the training part, those to be held out among them
    test: int
    classes: int
    channels: int | None = None  # its own; None: only the images tell
