"""Which images are for training, validation and test."""

from __future__ import annotations

import torch
from torch import Tensor

TEST_SHARE = 0.2  # of a set that comes without a test part


def split(labels: Tensor, given: int | None, validation: float, seed: int) -> list[Tensor]:
    """Indices of the train, validation and test images; `given` as in `Source`."""
    generator = torch.Generator().manual_seed(seed)
    if given is None:
        order = _stratified_order(labels, generator)
        cut = test_count(len(order))
        tested, rest = order[:cut], order[cut:]
    else:
        tested = given + _stratified_order(labels[given:], generator)
        rest = _stratified_order(labels[:given], generator)
    cut = held_out(len(rest), validation)
    return [rest[cut:], rest[:cut], tested]


def test_count(count: int) -> int:
    """Test images of so many, in a set that comes without a test part."""
    return max(1, round(TEST_SHARE * count))


def held_out(count: int, validation: float) -> int:
    """Validation images of so many in the training part."""
    return min(round(validation * count), count - 1)


def _stratified_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """A random order of `labels` in which every beginning holds each class in its share.

    The images of a class are spread evenly over [0, 1), each at random within its own interval.
    """
    order = torch.randperm(len(labels), generator=generator)
    order = order[labels[order].argsort(stable=True)]
    counts = labels.bincount()
    place = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[order]]
    jitter = torch.rand(len(labels), generator=generator, dtype=torch.float64)
    return order[((place + jitter) / counts[labels[order]]).argsort(stable=True)]


def first(parameter: str, indices: Tensor, count: int | None) -> Tensor:
    if count is not None and count > len(indices):
        raise ValueError(f"{parameter} must be at most {len(indices)} for this set; got {count}")
    return indices[:count]
