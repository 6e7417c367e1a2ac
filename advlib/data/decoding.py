"""From image files to square uint8 tensors of one size."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2.functional import center_crop, rgb_to_grayscale, to_dtype
from tqdm import tqdm

from advlib.data.source import Encoded, Source

CHUNK = 64  # files a task; one file each would cost more in scheduling than in decoding


def read_images(source: Source, indices: Tensor, size: int, channels: int) -> Tensor:
    """The chosen images, uint8 [N, channels, size, size]."""
    if isinstance(source.images, Tensor):
        images = square(source.images[indices], size)
    else:
        files = [source.images[index] for index in indices.tolist()]
        images = decode(files, size, source.channels)
    if source.channels == channels:
        return images
    return rgb_to_grayscale(images) if channels == 1 else images.repeat(1, 3, 1, 1)


def square(images: Tensor, size: int) -> Tensor:
    """The central square of uint8 images [N, C, H, W], resized to `size` pixels a side."""
    if images.shape[-2:] == (size, size):
        return images
    images = center_crop(images, [min(images.shape[-2:])] * 2)
    return interpolate(images, (size, size), mode="bilinear", antialias=True)


def decode(files: list[Encoded], size: int, channels: int) -> Tensor:
    """Decode image files in threads to uint8 [N, channels, size, size]."""
    images = torch.empty(len(files), channels, size, size, dtype=torch.uint8)
    mode = ImageReadMode.GRAY if channels == 1 else ImageReadMode.RGB

    def fill(start: int) -> None:
        for index, file in enumerate(files[start : start + CHUNK], start):
            try:
                content = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
                image = to_dtype(decode_image(content, mode), torch.uint8, scale=True)
            except (OSError, RuntimeError, ValueError) as error:
                raise file.unreadable(error) from error
            images[index] = square(image[None], size)[0]

    starts = range(0, len(files), CHUNK)
    with ThreadPoolExecutor() as pool:  # `disable=None`: no bar where nobody watches a terminal
        list(tqdm(pool.map(fill, starts), "decoding", len(starts), unit_scale=CHUNK, disable=None))
    return images
