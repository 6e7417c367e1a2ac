"""Image sets as tensors: `load("mnist")` gives train, validation and test splits.

Images are uint8 [N, C, H, W], kept on the device when it has room; `pixels` makes them float32 in
[0, 1]. The same arguments give the same tensors, bit for bit. A set that is missing, truncated or
corrupt is refused with a `DataError`, and a download counts only when it is whole.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from platformdirs import user_cache_path

from advlib import devices
from advlib.data.dataset import DataError, Dataset, Split, at_once, pixels
from advlib.data.decoding import read_images
from advlib.data.downloads import DOWNLOADS, download
from advlib.data.files import DIGITS, FILES, HEADS, digits
from advlib.data.source import ALTERNATIVES, Head, Source
from advlib.data.splits import first, held_out, split

__all__ = [
    "DataError", "Dataset", "Head", "Split", "at_once", "check", "head", "held_out", "load",
    "pixels", "root", "stamp", "title",
]  # fmt: skip

PROVIDED = {"imagenet": "imagenet/val"}  # class folders that the user puts there
TITLES = {  # as people write them
    "digits": "small digits", "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "svhn": "SVHN",
    "cifar10": "CIFAR-10", "oxford_pets": "cats against dogs", "imagenet": "ImageNet",
}  # fmt: skip


def load(
    name: str,
    *,
    size: int | None = None,
    channels: int | None = None,
    train: int | None = None,
    validation: float = 0.3,
    test: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
    device: torch.device | str | None = None,
) -> Dataset:
    """Read an image set and split it, stratified by class.

    Args:
        name: `digits`, scikit-learn's 1,797 embedded digits, which need no file and no network;
            `mnist`, `fashion_mnist`, `cifar10`, `svhn`, `oxford_pets` (cat against dog), downloaded
            once; `imagenet`, its validation images, which you put in `root()`/imagenet/val/class/
            yourself; `folder:PATH`, images in PATH/class/, or in PATH/train/class/ and
            PATH/test/class/; or `parquet:PATH`, Hugging Face layout, train*.parquet and
            test*.parquet in PATH, with the columns `image` (an encoded file in its field `bytes`)
            and `label` (a whole number).
        size: side in pixels, 1 to 1024; of an oblong image the central square is taken. None: the
            set's own (28 for digits); 64 for files that are not all squares of one size.
        channels: 1 (grey, the luma of a colour) or 3. None: the set's own.
        train, test: how many images to keep, a stratified choice. None: all. The validation images
            are taken off before `train` counts; a larger choice contains a smaller one.
        validation: share of the training part that is held out, in [0, 1).
        seed: of the choices, and of the test split (20 %) of a set that comes without one.
        root: folder of the downloaded sets. None: `root()`.
        device: None is that of `devices.default` if the set takes at most a quarter of its free
            memory, else the CPU.

    Raises ValueError for an impossible parameter, before anything is read, and for more images
    than there are; DataError for a set that cannot be had or is damaged.
    """
    check(name)
    _check_parameters(size, channels, train, validation, test, seed)
    source = _open(name, root)
    kept, held_out, tested = split(source.labels, source.given, validation, seed)
    parts = (first("train", kept, train), held_out, first("test", tested, test))
    size, channels = size or source.size, channels or source.channels
    splits = [
        Split(read_images(source, part, size, channels), source.labels[part]) for part in parts
    ]
    if device is None:
        device = _roomy(sum(split.images.nbytes for split in splits))
    return Dataset(name, source.classes, *splits).to(device)


def title(name: str, label: str = "") -> str:
    """The data set as a text calls it: its label if there is one, or the name that people write."""
    return label or TITLES.get(name) or Path(name.partition(":")[2]).name or name


def check(name: str) -> None:
    """Refuse a data set name that `load` cannot serve; cheap, as nothing is read or downloaded.

    Raises ValueError if `name` is of no allowed form, DataError if its PATH is no folder.
    """
    kind, _, path = name.partition(":") if isinstance(name, str) else ("", "", "")
    known = ("digits", *DOWNLOADS, *PROVIDED)
    if not (name in known or (kind in FILES and path)):
        allowed = ", ".join((*known, *(f"{kind}:PATH" for kind in FILES)))
        raise ValueError(f"dataset must be one of {allowed}; got {name!r}")
    if path and not Path(path).expanduser().is_dir():
        raise DataError(f"dataset {name!r}: there is no folder {path}. {ALTERNATIVES}")


def stamp(name: str) -> str:
    """A cheap name for what `load` would read: it changes whenever the files of a PATH do.

    The other sets are fixed by their checksums. Raises as `check` does.
    """
    check(name)
    _, _, path = name.partition(":")
    if name in PROVIDED:
        path = str(root() / PROVIDED[name])
    if not path:
        return name
    files = sorted(file for file in Path(path).expanduser().rglob("*") if file.is_file())
    states = [(str(file), (at := file.stat()).st_size, at.st_mtime_ns) for file in files]
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


def head(name: str) -> Head:
    """How many images, classes and channels `load` would find; no image is decoded.

    Nothing is downloaded: what is fixed by checksums is known. Raises as `check` does, and
    DataError for files of the user's that cannot be read.
    """
    check(name)
    kind, _, path = name.partition(":")
    if name == "digits":
        return DIGITS
    if name in DOWNLOADS:
        return DOWNLOADS[name].head
    if name in PROVIDED:
        kind, path = "folder", str(_provided(name, root()))
    return HEADS[kind](Path(path).expanduser())


def root() -> Path:
    """Folder of the downloaded sets: `$ADVLIB_DATA`, else `advlib/data` in the user's cache."""
    return Path(os.environ.get("ADVLIB_DATA") or user_cache_path("advlib") / "data").expanduser()


def _check_parameters(size, channels, train, validation, test, seed) -> None:
    def whole(value, low, high=2**63 - 1):
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    share = isinstance(validation, int | float) and 0 <= validation < 1
    rules = (
        ("size", size, size is None or whole(size, 1, 1024), "None or a whole number, 1 to 1024"),
        ("channels", channels, channels in (None, 1, 3), "None, 1 or 3"),
        ("train", train, train is None or whole(train, 1), "None or a whole number, at least 1"),
        ("validation", validation, share, "a number in [0, 1)"),
        ("test", test, test is None or whole(test, 1), "None or a whole number, at least 1"),
        ("seed", seed, whole(seed, 0), "a whole number, at least 0"),
    )
    for parameter, value, allowed, wording in rules:
        if not allowed:
            raise ValueError(f"{parameter} must be {wording}; got {value!r}")


def _open(name: str, base: str | Path | None) -> Source:
    kind, _, path = name.partition(":")
    if name == "digits":
        return digits()
    if kind in FILES:
        return FILES[kind](Path(path).expanduser())
    base = root() if base is None else Path(base).expanduser()
    if name in PROVIDED:
        return FILES["folder"](_provided(name, base))
    folder = base / DOWNLOADS[name].folder
    if not folder.exists():
        download(name, base)
    try:
        return DOWNLOADS[name].read(base)
    except DataError as error:
        again = f"Delete {folder}, and the next load downloads {name!r} anew."
        raise DataError(f"{error}. {again} {ALTERNATIVES}") from error


def _provided(name: str, base: Path) -> Path:
    """The folder of a set that the user puts there."""
    folder = base / PROVIDED[name]
    if not folder.is_dir():
        raise DataError(
            f"dataset {name!r} cannot be downloaded freely: put its images in {folder}, a folder "
            f"for each class. {ALTERNATIVES}"
        )
    return folder


def _roomy(needed: int) -> torch.device:
    """Where to compute, if a set of so many bytes takes at most a quarter of its free memory."""
    device = devices.default()
    free = devices.room(device)
    return device if free is None or 4 * needed <= free else torch.device("cpu")
