"""Rules that need more than one parameter, or the head of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import psutil

from advlib import networks
from advlib.attacks.autoattack import FEWEST_CLASSES
from advlib.data import Head, held_out


def at_most(name: str, value: int, most: int, what: str) -> None:
    """Raise ValueError unless the parameter called `name` is at most `most`, `what` that is."""
    if value > most:
        raise ValueError(f"{name}: must be at most {most:,}, {what}; got {value:,}")


def among(name: str, values: Sequence, other: str, others: Sequence) -> None:
    """Raise ValueError unless each value of the parameter is one of those of the other one."""
    for value in values:
        if value not in others:
            known = ", ".join(map(str, others))
            raise ValueError(f"{name}: must be among {other} ({known}), got {value!r}")


def one_for_each(name: str, values: Sequence, other: str, others: Sequence) -> None:
    """Raise ValueError unless the list called `name` is as long as the `other` one."""
    if len(values) != len(others):
        count = len(others)
        raise ValueError(f"{name}: must be one for each of the {count} {other}, got {values}")


def training_images(
    head: Head,
    wanted: int,
    *,
    validation: float = 0.0,
    names: Sequence[str] = ("train_images", "validation"),
) -> int:
    """How many images are trained on, where `wanted` are asked for, 0 for all.

    Raises ValueError, which names the parameters by `names`, for more than validation leaves, or a
    share of it that holds out no image.
    """
    held = held_out(head.train, validation)
    if validation and not held:
        raise ValueError(
            f"{names[1]}: holds out none of {head.train:,} training images, got {validation}"
        )
    what = "all that validation leaves" if held else "all training images"
    at_most(names[0], wanted, head.train - held, what)
    return wanted or head.train - held


def takes(
    name: str, models: Sequence[str], head: Head, *, size: int, images: int, width: int = 64
) -> None:
    """Raise ValueError unless each network takes the set's images at this size, and their `images`
    fit into memory. The parameter with the networks is called `name`."""
    channels = head.channels or 3
    for model in models:
        try:
            networks.sketch(model, classes=head.classes, channels=channels, size=size, width=width)
        except ValueError as error:
            raise ValueError(f"{name}: {model}: {error}") from None
    needed, there = images * channels * size**2, psutil.virtual_memory().total
    if needed > there:
        raise ValueError(
            f"size: {images:,} images of {channels}×{size}×{size} take {needed / 2**30:,.1f} GiB; "
            f"there are {there / 2**30:.1f}"
        )


def autoattackable(name: str, head: Head, instead: str) -> None:
    """Raise ValueError unless the set has as many classes as AutoAttack needs; `instead` says what
    else to give the parameter called `name`."""
    if head.classes < FEWEST_CLASSES:
        raise ValueError(
            f"{name}: AutoAttack needs {FEWEST_CLASSES} classes, and the data set has "
            f"{head.classes}; {instead}"
        )


def attacked_images(
    attacked: int, autoattacked: int, head: Head, tested: int, *, name: str = "attacked_images"
) -> None:
    """Raise ValueError unless so many images can be attacked, of `tested` (0: all of them), and so
    many of those by AutoAttack (0: none). The parameter with the former is called `name`."""
    at_most(name, attacked, tested, "all test images")
    at_most("autoattack_images", autoattacked, attacked or tested, "all attacked images")
    if autoattacked:
        autoattackable("autoattack_images", head, "give it 0")
