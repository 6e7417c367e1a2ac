"""Adversarial patches: one small picture that pulls whatever it is pasted on to a target class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from advlib import cache, devices
from advlib.attacks.attack import check_inputs, frozen
from advlib.checks import check_count, check_step
from advlib.data import pixels
from advlib.predictions import device_of


class Placements(NamedTuple):
    """Where a patch goes on each of N images; everything float32 [N]."""

    x: Tensor  # its centre, in pixels from the image's left edge
    y: Tensor  # from the top edge
    scale: Tensor  # side on the image divided by the patch's own
    angle: Tensor  # counter-clockwise, in degrees


def place(
    count: int,
    *,
    size: int,
    image_size: Sequence[int],
    scale: Sequence[float] = (1.0, 1.0),
    rotation: float = 0.0,
    generator: torch.Generator | None = None,
) -> Placements:
    """Random placements of a patch of `size` pixels, wholly inside images of (height, width).

    Scale and angle are uniform; then each whole-pixel position of the patch's bounding box is as
    likely as any other. A patch that is neither scaled nor turned is thus pasted pixel by pixel.

    Args:
        scale: least and greatest, above 0.
        rotation: greatest angle to either side, degrees in [0, 180].

    Raises:
        ValueError: an argument is outside what is allowed, or the patch might not fit.
    """
    check_count("size", size)
    check_scale(scale)
    check_rotation(rotation)
    check_room(size, scale, rotation, min(image_size))
    low, high = scale
    device = None if generator is None else generator.device
    scale_of, angle, across, down = torch.rand(4, count, generator=generator, device=device)
    scale_of = low + (high - low) * scale_of
    angle = rotation * (2 * angle - 1)
    turn = torch.deg2rad(angle)
    box = size * scale_of * (turn.cos().abs() + turn.sin().abs())
    height, width = image_size
    x, y = (
        box / 2 + (share * ((side - box + 1e-4).floor() + 1)).floor()
        for share, side in ((across, width), (down, height))
    )
    return Placements(x, y, scale_of, angle)


def check_scale(scale: Sequence[float]) -> None:
    """Raise ValueError unless `scale` is (least, greatest) of a patch's enlargement."""
    if len(scale) != 2 or not 0 < scale[0] <= scale[1]:
        raise ValueError(f"scale: must be (least, greatest), both above 0, got {scale}")


def check_rotation(rotation: float) -> None:
    """Raise ValueError unless `rotation` is a greatest angle in degrees."""
    if not 0 <= rotation <= 180:
        raise ValueError(f"rotation: must lie in [0, 180] degrees, got {rotation}")


def check_room(size: int, scale: Sequence[float], rotation: float, side: int) -> None:
    """Raise ValueError unless every such patch fits on images with sides of `side` pixels."""
    widest = size * max(scale) * math.sqrt(2) * math.cos(math.radians(max(0.0, 45 - rotation)))
    if widest > side + 1e-4:
        raise ValueError(
            f"size: a patch of {size} pixels, scaled and turned, takes up to {widest:.1f}; "
            f"the image has only {side}"
        )


def apply_patch(images: Tensor, patch: Tensor, placements: Placements) -> Tensor:
    """The images with the patch pasted over them, bilinearly where it is scaled or turned.

    Differentiable in `patch`; pixels outside the placed patch are the images' own.

    Args:
        images: float32 [N, C, H, W] in [0, 1].
        patch: float32 [C, S, S] in [0, 1].
        placements: one an image (`place` draws them).
    """
    if patch.ndim != 3 or patch.shape[0] != images.shape[1] or patch.shape[1] != patch.shape[2]:
        found = tuple(patch.shape)
        raise ValueError(f"patch: must be [{images.shape[1]}, S, S] like the images, got {found}")
    x, y, scale, angle = (part.to(images.device) for part in placements)
    height, width = images.shape[2:]
    turn = torch.deg2rad(angle)
    # Image pixel to patch coordinates, in which the patch is the square from -1 to 1.
    reach = 2 / (patch.shape[-1] * scale)
    right = torch.arange(width, device=images.device) + 0.5 - x[:, None]
    below = torch.arange(height, device=images.device) + 0.5 - y[:, None]
    right, below = (reach[:, None] * right)[:, None, :], (reach[:, None] * below)[:, :, None]
    cos, sin = turn.cos()[:, None, None], turn.sin()[:, None, None]
    grid = torch.stack([cos * right - sin * below, sin * right + cos * below], dim=-1)
    inside = (grid.abs() <= 1).all(-1)[:, None]
    many = patch.expand(len(images), *patch.shape)
    pasted = F.grid_sample(many, grid, padding_mode="border", align_corners=False)
    return torch.where(inside, pasted.clamp(0, 1), images)


def pasted(
    images: Tensor,
    patch: Tensor,
    *,
    scale: Sequence[float] = (1.0, 1.0),
    rotation: float = 0.0,
    seed: int = 0,
    batch_size: int = 100,
) -> Tensor:
    """Images (uint8, or float32 in [0, 1]) with the patch pasted at random: float32, on the CPU.

    `scale` and `rotation` are those of `place`.
    """
    generator = devices.generator(seed, patch.device)
    parts = []
    for part in images.split(batch_size):
        where = place(
            len(part), size=patch.shape[-1], image_size=part.shape[2:], scale=scale,
            rotation=rotation, generator=generator,
        )  # fmt: skip
        parts.append(apply_patch(pixels(part.to(patch.device)), patch, where).cpu())
    return torch.cat(parts)


def train_patch(
    model: nn.Module,
    images: Tensor,
    target: int,
    *,
    size: int,
    steps: int,
    batch_size: int = 16,
    step: float = 0.05,
    scale: Sequence[float] = (1.0, 1.0),
    rotation: float = 0.0,
    start: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    """A universal adversarial patch (Brown et al. 2017): float32 [C, size, size] in [0, 1].

    Each step pastes the patch on the next images, each at a place, scale and angle of its own,
    and moves it with Adam towards the target's likelihood; it is then cut to the box. The network
    computes in bfloat16 where that is faster. An identical earlier call is reused.

    Args:
        model: maps float32 images [N, C, H, W] in [0, 1] to logits [N, K]; in evaluation mode.
        images: uint8 [N, C, H, W], or float32 in [0, 1]; of any class but the target's.
        target: class to reach.
        size: side of the patch in pixels.
        steps: batches of images to learn from; the images are gone through in a new random order
            as often as that takes.
        step: Adam's rate, in pixel units.
        scale, rotation: as for `place`.
        start: the patch to begin with; None is grey.
        seed: of the order and the placements.

    Raises:
        ValueError: an argument is outside what is allowed; the message names it.
    """
    if not len(images):
        raise ValueError("images: holds no images")
    device = device_of(model)
    first = pixels(images[:1].to(device))
    check_inputs(model, first, torch.zeros(1, dtype=torch.int64, device=device))
    with torch.no_grad():
        classes = model(first).shape[1]
    if not 0 <= target < classes:
        raise ValueError(f"target: must be a class, 0 to {classes - 1}, got {target}")
    check_count("steps", steps)
    check_count("batch_size", batch_size)
    check_step(step)
    shape = (first.shape[1], size, size)
    if start is not None and (start.shape != shape or not 0 <= start.min() <= start.max() <= 1):
        raise ValueError(f"start: must be {shape} in [0, 1], got {tuple(start.shape)}")
    place(1, size=size, image_size=first.shape[2:], scale=scale, rotation=rotation)  # it fits
    made, _ = cache.remember(
        _train_patch, device, model=model, images=images, target=target, start=start, size=size,
        steps=steps, batch_size=batch_size, step=step, scale=scale, rotation=rotation, seed=seed,
    )  # fmt: skip
    return made["patch"]


@cache.versioned("patch", 1)
def _train_patch(
    model: nn.Module,
    images: Tensor,
    target: int,
    start: Tensor | None,
    size: int,
    steps: int,
    batch_size: int,
    step: float,
    scale: Sequence[float],
    rotation: float,
    seed: int,
) -> tuple[dict[str, Tensor], dict]:
    device = device_of(model)
    generator = devices.generator(seed, device)
    channels, *image_size = images.shape[1:]
    patch = torch.full((channels, size, size), 0.5) if start is None else start
    patch = patch.to(device, copy=True).requires_grad_()
    descent = torch.optim.Adam([patch], lr=step)
    images = images.to(device)
    goal = torch.full((batch_size,), target, device=device)
    order = torch.empty(0, dtype=torch.int64, device=device)
    with frozen(model):
        for _ in tqdm(range(steps), desc="patch", unit="step", leave=False):
            while len(order) < batch_size:
                again = torch.randperm(len(images), generator=generator, device=device)
                order = torch.cat([order, again])
            rows, order = order[:batch_size], order[batch_size:]
            where = place(
                batch_size, size=size, image_size=image_size, scale=scale, rotation=rotation,
                generator=generator,
            )  # fmt: skip
            shown = apply_patch(pixels(images[rows]), patch, where)
            with devices.autocast(device):
                logits = model(shown).float()
            (patch.grad,) = torch.autograd.grad(F.cross_entropy(logits, goal), patch)
            descent.step()
            with torch.no_grad():
                patch.clamp_(0, 1)
    return {"patch": patch.detach()}, {}
