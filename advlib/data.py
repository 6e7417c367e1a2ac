"""Image sets as tensors: `load("mnist")` gives train, validation and test splits.

Images are uint8 [N, C, H, W], kept on the device when it has room; `pixels` makes them float32 in
[0, 1]. The same arguments give the same tensors, bit for bit. A set that is missing, truncated or
corrupt is refused with a `DataError`, and a download counts only when it is whole.
"""

import hashlib
import io
import json
import os
import socket
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from filelock import FileLock
from PIL import Image
from platformdirs import user_cache_path
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision import datasets
from torchvision.datasets.utils import check_integrity
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2.functional import center_crop, rgb_to_grayscale, to_dtype
from tqdm import tqdm


class DataError(RuntimeError):
    """An image set is missing, damaged or of another layout than its name says."""


class Split(NamedTuple):
    """One part of a set. Every beginning of it, `images[:n]`, holds the classes in their shares."""

    images: Tensor  # uint8 [N, C, H, W]
    labels: Tensor  # int64 [N]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """An image set in three splits that share no image; `name` is what was asked of `load`."""

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split

    @property
    def size(self) -> int:
        """Side of the square images, in pixels."""
        return self.train.images.shape[-1]

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (colour)."""
        return self.train.images.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of the class names, shapes, pixels and labels; the same on any device."""
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for tensor in (*self.train, *self.validation, *self.test):
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.cpu().contiguous().numpy())
        return digest.hexdigest()[:16]

    def to(self, device: torch.device | str) -> "Dataset":
        """The same set with its tensors on `device`."""
        splits = (self.train, self.validation, self.test)
        moved = (Split(*(tensor.to(device) for tensor in split)) for split in splits)
        return Dataset(self.name, self.classes, *moved)


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

    name: one of
        `digits`: scikit-learn's 1,797 embedded digits; needs no file and no network;
        `mnist`, `fashion_mnist`, `cifar10`, `oxford_pets` (cat against dog): downloaded once;
        `imagenet`: its validation images, which you put in `root()`/imagenet/val/class/ yourself;
        `folder:PATH`: images in PATH/class/, or in PATH/train/class/ and PATH/test/class/;
        `parquet:PATH`: Hugging Face layout, train*.parquet and test*.parquet in PATH, with the
        columns `image` (an encoded file in its field `bytes`) and `label` (a whole number).
    size: side in pixels, 1 to 1024; of an oblong image the central square is taken. None: the
        set's own (28 for digits); 64 for files that are not all squares of one size.
    channels: 1 (grey, the luma of a colour) or 3. None: the set's own.
    train, test: how many images to keep, a stratified choice. None: all. The validation images
        are taken off before `train` counts; a larger choice contains a smaller one.
    validation: share of the training part that is held out, in [0, 1).
    seed: of the choices, and of the test split (20 %) of a set that comes without one.
    root: folder of the downloaded sets. None: `root()`.
    device: None is the GPU if the set takes at most a quarter of its free memory, else the CPU.

    Raises ValueError for an impossible parameter, before anything is read, and for more images
    than there are; DataError for a set that cannot be had or is damaged.
    """
    check(name)
    _check_parameters(size, channels, train, validation, test, seed)
    source = _open(name, root)
    kept, held_out, tested = _split(source.labels, source.given, validation, seed)
    parts = (_first("train", kept, train), held_out, _first("test", tested, test))
    size, channels = size or source.size, channels or source.channels
    splits = [Split(_images(source, part, size, channels), source.labels[part]) for part in parts]
    if device is None:
        device = _roomy_device(sum(split.images.nbytes for split in splits))
    return Dataset(name, source.classes, *splits).to(device)


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
        path = root() / PROVIDED[name]
    if not path:
        return name
    files = sorted(file for file in Path(path).expanduser().rglob("*") if file.is_file())
    states = [(str(file), (at := file.stat()).st_size, at.st_mtime_ns) for file in files]
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


def pixels(images: Tensor) -> Tensor:
    """float32 pixels in [0, 1] of uint8 images; float32 comes back as it is. Any shape."""
    if images.dtype == torch.float32:
        return images
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8 or float32, got {images.dtype}")
    return images.float().div_(255)


def at_once(images: Tensor, most: int) -> int:
    """How many of these images a network should see at once: `most`, or fewer above 64×64×3.

    What it holds for a batch grows with the pixels: 250 images of 224×224 took MobileNetV2 17 GB.
    """
    return max(1, min(most, most * 64 * 64 * 3 // max(1, prod(images.shape[1:]))))


def root() -> Path:
    """Folder of the downloaded sets: `$ADVLIB_DATA`, else `advlib/data` in the user's cache."""
    return Path(os.environ.get("ADVLIB_DATA") or user_cache_path("advlib") / "data").expanduser()


# Parameters and splits

TEST_SHARE = 0.2  # of a set that comes without a test part


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


def _split(labels: Tensor, given: int | None, validation: float, seed: int) -> list[Tensor]:
    """Indices of the train, validation and test images; `given` as in `Source`."""
    generator = torch.Generator().manual_seed(seed)
    if given is None:
        order = _stratified_order(labels, generator)
        cut = max(1, round(TEST_SHARE * len(order)))
        tested, rest = order[:cut], order[cut:]
    else:
        tested = given + _stratified_order(labels[given:], generator)
        rest = _stratified_order(labels[:given], generator)
    cut = min(round(validation * len(rest)), len(rest) - 1)
    return [rest[cut:], rest[:cut], tested]


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


def _first(parameter: str, indices: Tensor, count: int | None) -> Tensor:
    if count is not None and count > len(indices):
        raise ValueError(f"{parameter} must be at most {len(indices)} for this set; got {count}")
    return indices[:count]


def _roomy_device(needed: int) -> torch.device:
    roomy = torch.cuda.is_available() and 4 * needed <= torch.cuda.mem_get_info()[0]
    return torch.device("cuda" if roomy else "cpu")


# Sources: a set before it is split

ALTERNATIVES = (
    "Instead, 'digits' needs no file and no network, folder:PATH and parquet:PATH read your own "
    "images, and ADVLIB_DATA names a folder of sets that were downloaded before."
)
MIXED_SIZE = 64  # pixels, for files that are not all squares of one size
GREY_MODES = {"1", "L", "LA", "I", "I;16"}  # of PIL


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


def _open(name: str, base: str | Path | None) -> Source:
    kind, _, path = name.partition(":")
    if name == "digits":
        return _digits()
    if kind in FILES:
        return FILES[kind](Path(path).expanduser())
    base = root() if base is None else Path(base).expanduser()
    if name in PROVIDED:
        folder = base / PROVIDED[name]
        if not folder.is_dir():
            raise DataError(
                f"dataset {name!r} cannot be downloaded freely: put its images in {folder}, a "
                f"folder for each class. {ALTERNATIVES}"
            )
        return _folder(folder)
    folder = base / DOWNLOADS[name].folder
    if not folder.exists():
        _download(name, base)
    try:
        return DOWNLOADS[name].read(base)
    except DataError as error:
        again = f"Delete {folder}, and the next load downloads {name!r} anew."
        raise DataError(f"{error}. {again} {ALTERNATIVES}") from error


def _digits() -> Source:
    from sklearn.datasets import load_digits  # here, as it takes seconds to import

    data = load_digits()
    images = torch.tensor(data.images)[:, None].mul(255 / 16).round().to(torch.uint8)
    labels = torch.tensor(data.target, dtype=torch.int64)
    return Source(tuple(map(str, data.target_names)), images, labels, None, size=28, channels=1)


def _folder(path: Path) -> Source:
    parts = [path / "train", path / "test"]
    if parts[0].is_dir() != parts[1].is_dir():
        raise DataError(f"{path} must hold both train/ and test/, or class folders only")
    if not parts[0].is_dir():
        parts = [path]
    try:
        trees = [datasets.ImageFolder(part) for part in parts]
    except FileNotFoundError as error:
        raise DataError(f"{path} is no folder of class folders with images: {error}") from error
    if trees[0].classes != trees[-1].classes:
        raise DataError(f"{path}: train/ and test/ hold different class folders")
    samples = [sample for tree in trees for sample in tree.samples]
    files = [Encoded(file) for file, _ in samples]
    labels = torch.tensor([label for _, label in samples])
    given = len(trees[0]) if len(trees) == 2 else None
    return _encoded_source(path, tuple(trees[0].classes), files, labels, given)


def _parquet(path: Path) -> Source:
    files, labels, names, given = [], [], None, 0
    for part in ("train", "test"):
        given = len(files)
        for file in sorted(path.glob(f"{part}*.parquet")):
            contents, numbers, names = _read_parquet(file)
            files += [Encoded(f"{file}, row {row}", one) for row, one in enumerate(contents)]
            labels += numbers
        if len(files) == given:
            raise DataError(f"{path}: {part}*.parquet is missing or empty")
    labels = torch.tensor(labels)
    if names is None:
        values, labels = labels.unique(return_inverse=True)
        names = map(str, values.tolist())
    elif not 0 <= labels.min() <= labels.max() < len(names):
        raise DataError(f"{path}: some label is not in 0 to {len(names) - 1}")
    return _encoded_source(path, tuple(names), files, labels, given)


def _read_parquet(file: Path) -> tuple[list[bytes], list[int], list[str] | None]:
    """Encoded images, labels and, if the Hugging Face metadata holds them, class names."""
    import pyarrow as pa
    from pyarrow import compute, parquet

    try:
        table = parquet.ParquetFile(file).read(columns=["image.bytes", "label"])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    if {*table.column_names} != {"image", "label"} or not pa.types.is_integer(table["label"].type):
        raise DataError(f"{file}: the columns image.bytes and label (a whole number) are wanted")
    contents = compute.struct_field(table["image"], "bytes")
    if contents.null_count or table["label"].null_count:
        raise DataError(f"{file}: image.bytes or label is null in some row")
    metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", "{}"))
    label = metadata.get("info", {}).get("features", {}).get("label", {})
    return contents.to_pylist(), table["label"].to_pylist(), label.get("names")


def _encoded_source(path, classes, files, labels, given) -> Source:
    if len(labels.unique()) < 2:
        raise DataError(f"{path} holds images of one class only, {classes[labels[0]]}; need two")
    sides, grey = set(), True
    for file in files[:: len(files) // 256 + 1]:  # headers of up to 256 tell what the set is
        try:
            with Image.open(io.BytesIO(file.read())) as image:
                sides.update(image.size)
                grey &= image.mode in GREY_MODES
        except OSError as error:
            raise file.unreadable(error) from error
    size = sides.pop() if len(sides) == 1 else MIXED_SIZE
    return Source(classes, files, labels, given, size, channels=1 if grey else 3)


# Downloaded sets

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
        rows = [line.split() for line in table.read_text().splitlines()] if table.is_file() else []
        if len(rows) != count or any(len(row) != 4 for row in rows):
            raise DataError(f"{table}: expected {count} rows of 4 entries, found {len(rows)} rows")
        files += [Encoded(str(folder / "images" / f"{row[0]}.jpg")) for row in rows]
        labels += [int(row[2]) - 1 for row in rows]
    return _encoded_source(folder, ("cat", "dog"), files, torch.tensor(labels), PETS["trainval"])


class Download(NamedTuple):
    dataset: str  # class of torchvision.datasets
    folder: str  # where that class keeps it under its root
    read: Callable[[Path], Source]  # from that root; refuses what is not whole


DOWNLOADS = {
    "mnist": Download("MNIST", "MNIST", partial(_mnist, "MNIST")),
    "fashion_mnist": Download("FashionMNIST", "FashionMNIST", partial(_mnist, "FashionMNIST")),
    "cifar10": Download("CIFAR10", "cifar-10-batches-py", _cifar10),
    "oxford_pets": Download("OxfordIIITPet", "oxford-iiit-pet", _oxford_pets),
}
FILES = {"folder": _folder, "parquet": _parquet}
PROVIDED = {"imagenet": "imagenet/val"}  # class folders that the user puts there


def _download(name: str, base: Path) -> None:
    """Fetch a set beside its place and move it there when it is whole; one process at a time."""
    dataset, folder, read = DOWNLOADS[name]
    try:
        base.mkdir(parents=True, exist_ok=True)
        with (
            FileLock(base / f".{name}.lock"),
            TemporaryDirectory(dir=base, prefix=f".{name}-") as unfinished,
            _socket_timeout(30),
        ):
            if (base / folder).exists():  # another process was first
                return
            getattr(datasets, dataset)(unfinished, download=True)
            read(Path(unfinished))
            os.replace(Path(unfinished, folder), base / folder)
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


# Images

CHUNK = 64  # files a task; one file each would cost more in scheduling than in decoding


def _images(source: Source, indices: Tensor, size: int, channels: int) -> Tensor:
    """The chosen images, uint8 [N, channels, size, size]."""
    if isinstance(source.images, Tensor):
        images = _square(source.images[indices], size)
    else:
        files = [source.images[index] for index in indices.tolist()]
        images = _decode(files, size, source.channels)
    if source.channels == channels:
        return images
    return rgb_to_grayscale(images) if channels == 1 else images.repeat(1, 3, 1, 1)


def _square(images: Tensor, size: int) -> Tensor:
    """The central square of uint8 images [N, C, H, W], resized to `size` pixels a side."""
    if images.shape[-2:] == (size, size):
        return images
    images = center_crop(images, [min(images.shape[-2:])] * 2)
    return interpolate(images, (size, size), mode="bilinear", antialias=True)


def _decode(files: list[Encoded], size: int, channels: int) -> Tensor:
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
            images[index] = _square(image[None], size)[0]

    starts = range(0, len(files), CHUNK)
    with ThreadPoolExecutor() as pool:  # `disable=None`: no bar where nobody watches a terminal
        list(tqdm(pool.map(fill, starts), "decoding", len(starts), unit_scale=CHUNK, disable=None))
    return images
