"""Adversarial images of a whole split, made once and kept on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from advlib import cache, devices
from advlib.attacks.attack import Attack
from advlib.attacks.gradient import column, fgsm
from advlib.checks import check_count, check_eps
from advlib.data import Split, at_once, pixels
from advlib.predictions import device_of

NEAR = 2.0**-10  # the radius at which FGSM's direction is asked for


def craft(
    model: nn.Module,
    split: Split,
    attack: Attack,
    *,
    seed: int = 0,
    stop_when_wrong: bool = False,
    bfloat16: bool = False,
    batch_size: int | None = None,
    keep: bool = True,
) -> Split:
    """The attack's images for a whole split: float32 [N, C, H, W] with the split's labels.

    Made once for the same model, images, attack and seed, then kept on disk (see `cache`). For
    FGSM that is one gradient for all radii.

    Args:
        model: the network that they are crafted on, in evaluation mode.
        split: images uint8 [N, C, H, W], or float32 in [0, 1]; labels int64 [N], for a targeted
            attack the classes to reach.
        seed: of the attack's random numbers.
        stop_when_wrong: an image that the model gets wrong is moved no further: good enough to
            count how many it gets right, not to show them to another network.
        bfloat16: compute in it where that is faster: good enough for images to train on, not to
            judge by.
        batch_size: images attacked at once; None is 250, or fewer where they are large.
        keep: whether images that are not on disk yet are put there (of FGSM the gradient is).
    """
    if batch_size is None:
        batch_size = together(split.images)
    check_count("batch_size", batch_size)
    how = {"bfloat16": bfloat16, "batch_size": batch_size}
    if attack.function is fgsm:
        return Split(_fgsm(model, split, attack, how), split.labels)
    how |= {"seed": seed, "stop_when_wrong": stop_when_wrong, "keep": keep}
    return Split(_kept(model, split, attack, how), split.labels)


def together(images: Tensor) -> int:
    """How many of these images are attacked at once."""
    return at_once(images, 250)


def _fgsm(model: nn.Module, split: Split, attack: Attack, how: dict[str, Any]) -> Tensor:
    """FGSM's images: its direction, which is one at any radius, followed as far as it says."""
    eps = attack.settings["eps"]
    check_eps(eps, len(split.images))
    how = {**how, "seed": 0, "stop_when_wrong": False}  # of which it makes nothing
    images, start = _kept(model, split, attack.but(eps=NEAR), how), pixels(split.images.cpu())
    return images.sub_(start).sign_().mul_(column(eps, images)).add_(start).clamp_(0, 1)


def _kept(model: nn.Module, split: Split, attack: Attack, how: dict[str, Any]) -> Tensor:
    made, _ = cache.remember(
        _craft, device_of(model), model=model, split=split, attack=attack, **how
    )
    return made["images"]


@cache.versioned("craft", 1)
def _craft(
    model: nn.Module,
    split: Split,
    attack: Attack,
    seed: int,
    stop_when_wrong: bool,
    bfloat16: bool,
    batch_size: int,
) -> tuple[dict[str, Tensor], dict]:
    device = device_of(model)
    generator = devices.generator(seed, device)
    with devices.autocast(device) if bfloat16 else contextlib.nullcontext():
        made = [
            attack(
                model, images, labels, generator=generator, stop_when_wrong=stop_when_wrong
            ).cpu()
            for images, labels in _batches(split, batch_size, device)
        ]
    return {"images": torch.cat(made)}, {}


def _batches(
    split: Split, batch_size: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    batches = list(zip(*(part.split(batch_size) for part in split), strict=True))
    for images, labels in tqdm(batches, desc="attack", unit="batch", leave=False):
        yield pixels(images.to(device)), labels.to(device)
