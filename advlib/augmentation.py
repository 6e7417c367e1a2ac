"""Changes to training images, drawn afresh for each batch, on the device and for the whole batch.

Each function returns a `prepare` step of a `training.Recipe`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import scipy.stats
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advlib.cache import versioned
from advlib.training import Context, Prepare

TRIES = 20  # rectangles drawn for an image until one lies within it


def flip_and_shift(*, flip: bool = True, shift: int = 4) -> functools.partial:
    """Mirror half of the images left to right, and move each by up to `shift` pixels.

    Moving with zeros filled in is the usual random crop of a padded image (He et al. 2016,
    section 4.2). Raises ValueError for a negative shift.
    """
    if shift < 0:
        raise ValueError(f"shift: must be 0 or more pixels, got {shift}")
    return functools.partial(_flip_and_shift, flip=flip, shift=shift)


def chain(*steps: Prepare) -> functools.partial:
    """These steps one after another, each on the batch that the one before it made."""
    return functools.partial(_chain, steps=steps)


@versioned("steps in a chain", 1)
def _chain(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    context: Context,
    *,
    steps: Sequence[Prepare],
) -> tuple[Tensor, Tensor]:
    for step in steps:
        images, labels = step(model, images, labels, context)
    return images, labels


def _drawing(context: Context, images: Tensor) -> dict[str, Any]:
    """Where random numbers come from, and where they lie."""
    return {"generator": context.generator, "device": images.device}


@versioned("flip and shift", 1)
def _flip_and_shift(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    context: Context,
    *,
    flip: bool,
    shift: int,
) -> tuple[Tensor, Tensor]:
    count, channels, height, width = images.shape
    draw = _drawing(context, images)
    mirrored = torch.rand(count, 1, **draw) < (0.5 if flip else 0.0)
    down, right = torch.randint(2 * shift + 1, (2, count, 1), **draw)
    rows = torch.arange(height, device=images.device) + down
    columns = torch.arange(width, device=images.device).expand(count, -1)
    columns = torch.where(mirrored, columns.flip(1), columns) + right
    padded = F.pad(images, (shift,) * 4)
    places = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    places = places.view(count, 1, -1).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, places).view_as(images), labels


def varied(
    *,
    rotate: float = 15.0,
    shift: float = 0.1,
    scale: float = 0.1,
    skew: float = 10.0,
    flip: bool = True,
    brightness: float = 0.2,
    noise: float = 0.02,
) -> functools.partial:
    """Turn, move, enlarge or shrink, skew and mirror each image, then its brightness and noise.

    The augmentations that paper 003 names; it gives no amounts. Each is drawn for each image,
    uniform between plus and minus the amount: `rotate` and `skew` in degrees, `shift` as a share of
    the side, `scale` and `brightness` as a share added to 1 (an image that is enlarged is cropped).
    `noise` is the deviation of normal noise in pixel units. Bilinear, with black outside.

    Raises ValueError for an amount that is negative or too large.
    """
    amounts: dict[str, Any] = {"rotate": rotate, "shift": shift, "scale": scale, "skew": skew,
               "brightness": brightness, "noise": noise}  # fmt: skip
    limits = {"rotate": 180, "shift": 1, "scale": 0.9, "skew": 80, "brightness": 1, "noise": 1}
    for name, amount in amounts.items():
        if not 0 <= amount <= limits[name]:
            raise ValueError(f"{name}: must lie in [0, {limits[name]}], got {amount}")
    return functools.partial(_vary, flip=flip, **amounts)


def mixup(*, classes: int, alpha: float = 1.0) -> functools.partial:
    """Learn weighted means of two images and of their labels (Zhang et al. 2018, eq. 1).

    The weight of a batch is drawn from Beta(`alpha`, `alpha`). Raises ValueError unless `alpha`
    is above 0.
    """
    return manifold_mixup(classes=classes, layers=[""], alpha=alpha)


def manifold_mixup(*, classes: int, layers: Sequence[str], alpha: float = 2.0) -> functools.partial:
    """Mix two images' states at a layer drawn for each batch, and their labels (Verma et al. 2019).

    `layers` are names of modules whose outputs may be mixed, "" for the images themselves. Raises
    ValueError unless `alpha` is above 0 and there is a layer; in training, for a name that the
    model does not have.
    """
    if not alpha > 0:
        raise ValueError(f"alpha: must be above 0, got {alpha}")
    if not layers:
        raise ValueError("layers: must name at least one")
    return functools.partial(_mix, classes=classes, layers=tuple(layers), alpha=alpha)


def random_erasing(
    *, probability: float = 0.5, area: tuple[float, float] = (0.02, 0.4), aspect: float = 0.3
) -> functools.partial:
    """Fill a rectangle of an image with noise, uniform on [0, 1] (Zhong et al. 2020, algorithm 1).

    It happens to an image with `probability`; the rectangle's share of the image is uniform on
    `area`, its height by its width uniform on [`aspect`, 1 / `aspect`], and it lies within the
    image. Raises ValueError naming the argument that is out of range.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"probability: must lie in [0, 1], got {probability}")
    if not 0 < area[0] <= area[1] < 1:
        raise ValueError(f"area: must be two shares in (0, 1), the smaller first, got {area}")
    if not 0 < aspect <= 1:
        raise ValueError(f"aspect: must lie in (0, 1], got {aspect}")
    return functools.partial(_erase, probability=probability, area=area, aspect=aspect)


@versioned("varied", 1)
def _vary(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    context: Context,
    *,
    flip: bool,
    brightness: float,
    noise: float,
    **amounts: float,
) -> tuple[Tensor, Tensor]:
    draw = _drawing(context, images)

    def drawn(amount: float) -> Tensor:
        return amount * (2 * torch.rand(len(images), **draw) - 1)

    warp = _warp(
        angle=drawn(amounts["rotate"]),
        right=drawn(amounts["shift"]),
        down=drawn(amounts["shift"]),
        size=1 + drawn(amounts["scale"]),
        skew=drawn(amounts["skew"]),
        mirrored=torch.rand(len(images), **draw) < (0.5 if flip else 0.0),
    )
    light = 1 + drawn(brightness).view(-1, 1, 1, 1)
    grain = noise * torch.randn(images.shape, **draw)
    grid = F.affine_grid(warp, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, align_corners=False)
    return (moved * light + grain).clamp_(0, 1), labels


def _warp(
    *, angle: Tensor, right: Tensor, down: Tensor, size: Tensor, skew: Tensor, mirrored: Tensor
) -> Tensor:
    """Where an affine change finds its pixels: [N, 2, 3] for `F.affine_grid` of square images.

    The image is mirrored, skewed along x, enlarged by `size`, turned clockwise by `angle` degrees
    and moved by shares of its side.
    """
    turn, lean = angle.deg2rad(), skew.deg2rad().tan()
    cos, sin = turn.cos() / size, turn.sin() / size
    # The inverse of each change, in the opposite order.
    back = torch.stack([cos, sin, -sin, cos], 1).view(-1, 2, 2)
    straight = torch.eye(2, device=back.device).expand_as(back).clone()
    straight[:, 0, 1] = lean
    side = torch.where(mirrored, -1.0, 1.0)
    straight[:, 0] *= side[:, None]
    linear = straight @ back
    offset = -2 * linear @ torch.stack([right, down], 1)[:, :, None]
    return torch.cat([linear, offset], 2)


@versioned("mixup", 1)
def _mix(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    context: Context,
    *,
    classes: int,
    layers: Sequence[str],
    alpha: float,
) -> tuple[Tensor, Tensor]:
    layer = layers[int(torch.randint(len(layers), (), generator=context.host))]
    chance = torch.rand((), generator=context.host, dtype=torch.float64)
    weight = float(scipy.stats.beta.ppf(chance, alpha, alpha))
    partner = torch.randperm(len(images), generator=context.generator, device=images.device)

    def mixed(states: Tensor) -> Tensor:
        return weight * states + (1 - weight) * states[partner]

    labels = mixed(F.one_hot(labels, classes).float())
    if layer == "":
        return mixed(images), labels
    try:
        module = model.get_submodule(layer)
    except AttributeError as error:
        raise ValueError(f"layers: the model has none called {layer!r}") from error

    def once(_module: nn.Module, _inputs: tuple, states: Tensor) -> Tensor:
        handle.remove()
        return mixed(states)

    handle = module.register_forward_hook(once)  # of the forward pass that learns this batch
    return images, labels


@versioned("random erasing", 1)
def _erase(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    context: Context,
    *,
    probability: float,
    area: tuple[float, float],
    aspect: float,
) -> tuple[Tensor, Tensor]:
    count, _, height, width = images.shape
    draw = _drawing(context, images)
    size, ratio, down, right = torch.rand(4, count, TRIES, **draw)
    size = (area[0] + (area[1] - area[0]) * size) * height * width
    ratio = aspect + (1 / aspect - aspect) * ratio
    tall, wide = (size * ratio).sqrt().round(), (size / ratio).sqrt().round()
    top, left = (down * height).floor(), (right * width).floor()
    fits = (top + tall <= height) & (left + wide <= width)
    first = fits.float().argmax(1, keepdim=True)
    top, left, tall, wide = (t.gather(1, first) for t in (top, left, tall, wide))
    hit = fits.any(1) & (torch.rand(count, **draw) < probability)
    rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
    inside = (rows >= top) & (rows < top + tall) & hit[:, None]
    inside = inside[:, :, None] & ((columns >= left) & (columns < left + wide))[:, None]
    noise = torch.rand(images.shape, **draw)
    return noise.where(inside[:, None], images), labels
