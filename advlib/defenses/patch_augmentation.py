"""Fine-tuning on images of which patches near the centre were altered at random.

Agarwal, Ratha, Singh and Vatsa (paper 001): every training image is learned twice, as it is and
with k patches of n x n pixels altered, each by one of nine operations (n-P_k). What happens to an
image is drawn once and stays the same in every epoch. Here it is a function of a seed and of the
image's number alone: no image is kept for it, and neither order nor batch matters.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable

import scipy.stats
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms.v2.functional import gaussian_blur

from advlib.checks import check_choice, check_count
from advlib.data import Split, pixels
from advlib.defenses import adversarial
from advlib.training import Hardened, Recipe

VARIANCE = 0.05  # of Gaussian and speckle noise, on pixels in [0, 1]
DENSITY = 0.5  # of salt and pepper
BATCH = 4096  # images altered at a time

# From patches float32 [M, C, n, n] in [0, 1], and what draws as many numbers uniform on (0, 1).
Operation = Callable[[Tensor, Callable[[], Tensor]], Tensor]


def rotation(patches: Tensor, _draw: Callable[[], Tensor]) -> Tensor:
    """10 degrees clockwise about the patch's centre, bicubic; the corners repeat the edge."""
    angle = math.radians(10)
    turn = torch.tensor(
        [[math.cos(angle), math.sin(angle), 0], [-math.sin(angle), math.cos(angle), 0]]
    ).to(patches)
    grid = F.affine_grid(turn.expand(len(patches), -1, -1), list(patches.shape), False)
    return F.grid_sample(patches, grid, "bicubic", "border", False)


def translation(patches: Tensor, _draw: Callable[[], Tensor]) -> Tensor:
    """2 pixels down and to the right; what comes in has the mean of the patch's channel."""
    moved = patches.mean((2, 3), keepdim=True).expand_as(patches).clone()
    moved[:, :, 2:, 2:] = patches[:, :, :-2, :-2]
    return moved


def gaussian_noise(patches: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """Plus normal noise of mean 0 and variance 0.05."""
    return patches + math.sqrt(VARIANCE) * torch.special.ndtri(draw())


def poisson_noise(patches: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """A draw from the Poisson distribution whose mean is the pixel's value in 0 to 255."""
    levels = patches.mul(255).round().to(torch.int64)
    ladder, width = _poisson_ladder(patches.device)
    # One sorted array holds the distribution function of every mean m, raised by m.
    rung = torch.searchsorted(ladder, (levels + draw().double()).contiguous())
    return (rung - levels * width) / 255


def salt_and_pepper(patches: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """A quarter of the values become 0, a quarter 1 (density 0.5)."""
    uniform = draw()
    kept = torch.where(uniform < DENSITY / 2, 0.0, patches)
    return torch.where((uniform >= DENSITY / 2) & (uniform < DENSITY), 1.0, kept)


def speckle_noise(patches: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """Plus itself times uniform noise of mean 0 and variance 0.05."""
    return patches + math.sqrt(12 * VARIANCE) * (draw() - 0.5) * patches


def blur(patches: Tensor, _draw: Callable[[], Tensor]) -> Tensor:
    """Gaussian of deviation 1.5 (a kernel of 7 x 7), the patch mirrored at its edges."""
    return gaussian_blur(patches, [7, 7], [1.5, 1.5])


def mask(patches: Tensor, _draw: Callable[[], Tensor]) -> Tensor:
    """All pixels become 0."""
    return torch.zeros_like(patches)


def flip(patches: Tensor, draw: Callable[[], Tensor]) -> Tensor:
    """Mirrored left to right or upside down, one half of the patches each."""
    sideways = draw()[:, :1, :1, :1] < 0.5
    return torch.where(sideways, patches.flip(3), patches.flip(2))


OPERATIONS: dict[str, Operation] = {
    "rotation": rotation,
    "translation": translation,
    "Gaussian noise": gaussian_noise,
    "Poisson noise": poisson_noise,
    "salt and pepper": salt_and_pepper,
    "speckle noise": speckle_noise,
    "blur": blur,
    "mask": mask,
    "flip": flip,
}


def parse(variant: str) -> dict[str, int]:
    """`patch` and `patches` from the paper's name for them: "7-P2" is two patches of 7 x 7."""
    if not (match := re.fullmatch(r"([1-9]\d*)-P([1-9]\d*)", variant)):
        raise ValueError(f"variant: must be like 7-P1 (side of a patch, patches), got {variant!r}")
    return {"patch": int(match[1]), "patches": int(match[2])}


def harden(model: nn.Module, train: Split, recipe: Recipe, *, patch: int, patches: int) -> Hardened:
    """A copy of `model`, all of it fine-tuned on every image and its altered self.

    `patch` and `patches` as for `alter`, whose seed is the recipe's.
    """
    both = doubled(train, patch=patch, patches=patches, seed=recipe.seed)
    return adversarial.harden(model, both, recipe)


def doubled(train: Split, *, patch: int, patches: int, seed: int = 0) -> Split:
    """Every image, and after them every image altered; arguments and errors as for `alter`."""
    altered = alter(train.images, patch=patch, patches=patches, seed=seed)
    return Split(torch.cat([train.images, altered]), torch.cat([train.labels, train.labels]))


def alter(
    images: Tensor,
    numbers: Tensor | None = None,
    *,
    patch: int,
    patches: int,
    seed: int = 0,
    operation: str | None = None,
) -> Tensor:
    """The images with `patches` patches of `patch` x `patch` pixels altered (paper 001, 3.1).

    The patches stand side by side about the centre. Each gets an operation of its own, drawn from
    `OPERATIONS`, or all get the named `operation`. Every draw follows from `seed`, the image's
    number and the place in the patch, so an image fares the same in any batch and epoch.

    Args:
        images: uint8 [N, C, H, W], or float32 in [0, 1].
        numbers: int64 [N], the images' numbers in their set; None: 0 to N - 1.

    Returns:
        New images of the same type.

    Raises:
        ValueError: patches that the images have no room for, or an unknown operation.
    """
    check_count("patch", patch)
    check_count("patches", patches)
    height, width = images.shape[2:]
    if patch < 4:
        raise ValueError(f"patch: must be at least 4 pixels, got {patch}")
    if patch > height or patch * patches > width:
        raise ValueError(
            f"patch: {patches} of {patch} x {patch} pixels side by side do not fit into images of "
            f"{height} x {width}"
        )
    if operation is not None:
        check_choice("operation", operation, OPERATIONS)
    if numbers is None:
        numbers = torch.arange(len(images))
    if numbers.shape != images.shape[:1]:
        raise ValueError(f"numbers: must be int64 [{len(images)}], got {tuple(numbers.shape)}")
    result, numbers = images.clone(), numbers.to(images.device)
    for part, which in zip(result.split(BATCH), numbers.split(BATCH), strict=True):
        keys = _mixed(_mixed(which + _mixed(torch.tensor(seed, device=which.device))))
        for place, (top, left) in enumerate(corners(height, width, patch, patches)):
            window = part[:, :, top : top + patch, left : left + patch]
            window.copy_(_altered(window, keys + place + 1, operation))
    return result


def corners(height: int, width: int, patch: int, patches: int) -> list[tuple[int, int]]:
    """Top and left of the patches in an image: a row of them about the centre."""
    top, left = (height - patch) // 2, (width - patch * patches) // 2
    return [(top, left + patch * place) for place in range(patches)]


def _altered(window: Tensor, keys: Tensor, operation: str | None) -> Tensor:
    """Patches [N, C, n, n] after an operation each, drawn with int64 keys [N]; in their dtype."""
    patches = pixels(window)
    keys = _mixed(keys)
    if operation is None:
        drawn = (_uniform(keys) * len(OPERATIONS)).long()
    else:
        drawn = torch.full_like(keys, list(OPERATIONS).index(operation))
    made = torch.empty_like(patches)
    for number, change in enumerate(OPERATIONS.values()):
        rows = (drawn == number).nonzero()[:, 0]
        if len(rows):
            draw = functools.partial(_draw, keys[rows], patches.shape[1:])
            made[rows] = change(patches[rows], draw).clamp_(0, 1)
    return made.mul(255).round().to(window.dtype) if window.dtype == torch.uint8 else made


# Numbers out of numbers: the finaliser of SplitMix64 (Steele, Lea and Flood 2014), in int64.
GOLDEN = 0x9E3779B97F4A7C15 - 2**64


def _mixed(number: Tensor) -> Tensor:
    number = number + GOLDEN
    number = (number ^ ((number >> 30) & (2**34 - 1))) * (0xBF58476D1CE4E5B9 - 2**64)
    number = (number ^ ((number >> 27) & (2**37 - 1))) * (0x94D049BB133111EB - 2**64)
    return number ^ ((number >> 31) & (2**33 - 1))


def _uniform(number: Tensor) -> Tensor:
    """float32 in (0, 1) from the upper bits of int64."""
    return (((number >> 41) & (2**23 - 1)).float() + 0.5) * 2**-23


def _draw(keys: Tensor, shape: torch.Size) -> Tensor:
    """Uniform numbers [M, *shape] on (0, 1) that follow from int64 keys [M]."""
    places = torch.arange(1, math.prod(shape) + 1, device=keys.device)
    return _uniform(_mixed(keys[:, None] + places * GOLDEN)).view(-1, *shape)


@functools.cache
def _poisson_ladder(device: torch.device) -> tuple[Tensor, int]:
    """The Poisson distribution functions of the means 0 to 255, mean m raised by m, in one array.

    Also their width: the number of values 0, 1, ... that each of them covers.
    """
    width = 400  # the chance of more at a mean of 255 is below 1e-15
    means = torch.arange(256, dtype=torch.float64)
    below = torch.from_numpy(scipy.stats.poisson.cdf(torch.arange(width)[None], means[:, None]))
    return (below.clamp(max=1 - 1e-12) + means[:, None]).flatten().to(device), width
