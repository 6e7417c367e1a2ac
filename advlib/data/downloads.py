"""The sets that torchvision downloads: one row each, and how to read what came."""

from __future__ import annotations

import os
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from filelock import FileLock
from torch import Tensor
from torchvision import datasets
from torchvision.datasets.utils import check_integrity

from advlib.data.dataset import DataError
from advlib.data.files import encoded_source
from advlib.data.source import ALTERNATIVES, Encoded, Head, Source

IDX_SHAPES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}
IDX_CRC32 = {  # in the order of the files; torchvision would read damaged ones
    "MNIST": (0xE9F4D8B3, 0xE0CB4AD2, 0x91373BDF, 0x4AB9EFF9),
    "FashionMNIST": (0xB4F29F28, 0x741A4657, 0x678FE0B1, 0x80142C1F),
}
SVHN_FOLDER = "svhn"
PETS = {"trainval": 3_680, "test": 3_669}  # images


def _mnist(kind: str, base: Path) -> Source:
    parts = [
        _read_idx(base / kind / "raw" / file, shape, crc)
        for (file, shape), crc in zip(IDX_SHAPES.items(), IDX_CRC32[kind], strict=True)
    ]
    images, labels = torch.cat(parts[::2])[:, None], torch.cat(parts[1::2]).long()
    classes = tuple(name.partition(" - ")[0] for name in getattr(datasets, kind).classes)
    return Source(classes, images, labels, len(parts[0]), size=28, channels=1)


def _read_idx(file: Path, shape: tuple[int, ...], crc: int) -> Tensor:
    header = 4 * (1 + len(shape))  # bytes: a magic number, then the shape
    expected = header + prod(shape)
    if not file.is_file():
        raise DataError(f"{file}: expected {expected} bytes, found no file")
    content = bytearray(file.read_bytes())
    if len(content) != expected:
        raise DataError(f"{file}: expected {expected} bytes, found {len(content)}")
    if zlib.crc32(content) != crc:
        raise DataError(f"{file}: expected CRC-32 {crc:08x}, found {zlib.crc32(content):08x}")
    return torch.frombuffer(content, dtype=torch.uint8, offset=header).view(shape)


def _cifar10(base: Path) -> Source:
    folder = base / datasets.CIFAR10.base_folder
    try:
        parts = [datasets.CIFAR10(base, train=train) for train in (True, False)]
    except RuntimeError as error:  # some MD5 is wrong, torchvision does not say which
        listed = datasets.CIFAR10.train_list + datasets.CIFAR10.test_list
        bad = [file for file, md5 in listed if not check_integrity(folder / file, md5)]
        raise DataError(f"{folder}: missing or corrupt: {', '.join(bad) or error}") from error
    images = torch.cat([torch.from_numpy(part.data) for part in parts])
    images = images.permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor(parts[0].targets + parts[1].targets)
    return Source(tuple(parts[0].classes), images, labels, len(parts[0]), size=32, channels=3)


def _oxford_pets(base: Path) -> Source:
    folder = base / "oxford-iiit-pet"
    files, labels = [], []
    for part, count in PETS.items():
        table = folder / "annotations" / f"{part}.txt"
        rows = (
            [line.split() for line in table.read_text(encoding="utf-8").splitlines()]
            if table.is_file()
            else []
        )
        if len(rows) != count or any(len(row) != 4 for row in rows):
            raise DataError(f"{table}: expected {count} rows of 4 entries, found {len(rows)} rows")
        files += [Encoded(str(folder / "images" / f"{row[0]}.jpg")) for row in rows]
        labels += [int(row[2]) - 1 for row in rows]
    return encoded_source(folder, ("cat", "dog"), files, torch.tensor(labels), PETS["trainval"])


def _svhn(base: Path) -> Source:
    try:
        parts = [datasets.SVHN(base / SVHN_FOLDER, split=split) for split in ("train", "test")]
    except RuntimeError as error:  # some MD5 is wrong, torchvision does not say which
        listed = [datasets.SVHN.split_list[split][1:] for split in ("train", "test")]
        bad = [file for file, md5 in listed if not check_integrity(base / SVHN_FOLDER / file, md5)]
        place = base / SVHN_FOLDER
        raise DataError(f"{place}: missing or corrupt: {', '.join(bad) or error}") from error
    images = torch.cat([torch.from_numpy(part.data) for part in parts])
    labels = torch.cat([torch.from_numpy(part.labels).long() for part in parts])
    classes = tuple(map(str, range(10)))
    return Source(classes, images, labels, len(parts[0]), size=32, channels=3)


class Download(NamedTuple):
    dataset: str  # class of torchvision.datasets
    folder: str  # where that class keeps it under its root
    read: Callable[[Path], Source]  # from that root; refuses what is not whole
    head: Head
    splits: tuple[str, ...] = ()  # where the class fetches only one, and straight into its root

    def fetch(self, base: Path) -> None:
        """Let torchvision download the set below `base`."""
        kind = getattr(datasets, self.dataset)
        if not self.splits:
            kind(base, download=True)
        for split in self.splits:
            (base / self.folder).mkdir(exist_ok=True)
            kind(base / self.folder, split=split, download=True)


DOWNLOADS = {
    "mnist": Download("MNIST", "MNIST", partial(_mnist, "MNIST"), Head(60_000, 10_000, 10, 1)),
    "fashion_mnist": Download(
        "FashionMNIST", "FashionMNIST", partial(_mnist, "FashionMNIST"), Head(60_000, 10_000, 10, 1)
    ),
    "cifar10": Download("CIFAR10", "cifar-10-batches-py", _cifar10, Head(50_000, 10_000, 10, 3)),
    "svhn": Download(
        "SVHN", SVHN_FOLDER, _svhn, Head(73_257, 26_032, 10, 3), splits=("train", "test")
    ),
    "oxford_pets": Download(
        "OxfordIIITPet", "oxford-iiit-pet", _oxford_pets, Head(PETS["trainval"], PETS["test"], 2, 3)
    ),
}


def download(name: str, base: Path) -> None:
    """Fetch a set beside its place and move it there when it is whole; one process at a time."""
    chosen = DOWNLOADS[name]
    try:
        base.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(base / f".{name}.lock"),
            TemporaryDirectory(dir=base, prefix=f".{name}-") as unfinished,
            _socket_timeout(30),
        ):
            if (base / chosen.folder).exists():  # another process was first
                return
            chosen.fetch(Path(unfinished))
            chosen.read(Path(unfinished))
            os.replace(Path(unfinished, chosen.folder), base / chosen.folder)
    except Exception as error:  # torchvision lets through whatever failed: URL, TLS, tar, disk
        raise DataError(
            f"dataset {name!r} is not in {base} and could not be downloaded: {error}. "
            f"{ALTERNATIVES}"
        ) from error


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Bound the waits of torchvision's downloads, which have no limit of their own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
