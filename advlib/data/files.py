"""The sets that need no download: the embedded digits, and the files that a user names."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor
from torchvision import datasets

from advlib.data.dataset import DataError
from advlib.data.source import Encoded, Head, Source
from advlib.data.splits import test_count

if TYPE_CHECKING:
    import pyarrow as pa  # here, and where it is used: it takes a moment to import

MIXED_SIZE = 64  # pixels, for files that are not all squares of one size
GREY_MODES = {"1", "L", "LA", "I", "I;16"}  # of PIL


DIGITS = Head(1_438, 359, 10, 1)


def digits() -> Source:
    from sklearn.datasets import load_digits  # here, as it takes seconds to import

    data = load_digits()
    images = torch.tensor(data.images)[:, None].mul(255 / 16).round().to(torch.uint8)
    labels = torch.tensor(data.target, dtype=torch.int64)
    return Source(tuple(map(str, data.target_names)), images, labels, None, size=28, channels=1)


def folder(path: Path) -> Source:
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
    return encoded_source(path, tuple(trees[0].classes), files, labels, given)


def parquet(path: Path) -> Source:
    files: list[Encoded] = []
    numbers: list[int] = []
    names, given = None, 0
    for part in ("train", "test"):
        given = len(files)
        for file in sorted(path.glob(f"{part}*.parquet")):
            contents, found, names = _read_parquet(file)
            files += [Encoded(f"{file}, row {row}", one) for row, one in enumerate(contents)]
            numbers += found
        if len(files) == given:
            raise DataError(f"{path}: {part}*.parquet is missing or empty")
    labels = torch.tensor(numbers)
    if names is None:
        values, labels = labels.unique(return_inverse=True)
        names = [str(value) for value in values.tolist()]
    elif not 0 <= labels.min() <= labels.max() < len(names):
        raise DataError(f"{path}: some label is not in 0 to {len(names) - 1}")
    return encoded_source(path, tuple(names), files, labels, given)


def _read_parquet(file: Path) -> tuple[list[bytes], list[int], list[str] | None]:
    """Encoded images, labels and, if the Hugging Face metadata holds them, class names."""
    from pyarrow import compute

    table = _columns(file, ["image.bytes", "label"])
    contents = compute.struct_field(table["image"], "bytes")
    if contents.null_count or table["label"].null_count:
        raise DataError(f"{file}: image.bytes or label is null in some row")
    return contents.to_pylist(), table["label"].to_pylist(), _class_names(table)


def _columns(file: Path, names: list[str]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file).read(columns=names)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    wanted = {name.partition(".")[0] for name in names}
    if {*table.column_names} != wanted or not pa.types.is_integer(table["label"].type):
        raise DataError(f"{file}: the columns image.bytes and label (a whole number) are wanted")
    return table


def _class_names(table: pa.Table) -> list[str] | None:
    metadata = json.loads((table.schema.metadata or {}).get(b"huggingface", "{}"))
    label = metadata.get("info", {}).get("features", {}).get("label", {})
    return label.get("names")


def encoded_source(
    path: Path, classes: tuple[str, ...], files: list[Encoded], labels: Tensor, given: int | None
) -> Source:
    """A set of encoded images; the headers of some tell its size and whether it is grey."""
    if len(labels.unique()) < 2:
        raise DataError(f"{path} holds images of one class only, {classes[labels[0]]}; need two")
    sides: set[int] = set()
    grey = True
    for file in files[:: len(files) // 256 + 1]:  # headers of up to 256 tell what the set is
        try:
            with Image.open(io.BytesIO(file.read())) as image:
                sides.update(image.size)
                grey &= image.mode in GREY_MODES
        except OSError as error:
            raise file.unreadable(error) from error
    size = sides.pop() if len(sides) == 1 else MIXED_SIZE
    return Source(classes, files, labels, given, size, channels=1 if grey else 3)


def parquet_head(path: Path) -> Head:
    """The head of a set in parquet files, of which the images stay unread."""
    counts, seen, names = [], set[int](), None
    for part in ("train", "test"):
        tables = [_columns(file, ["label"]) for file in sorted(path.glob(f"{part}*.parquet"))]
        counts.append(sum(len(table) for table in tables))
        for table in tables:
            seen.update(table["label"].unique().to_pylist())
            names = _class_names(table)
        if not counts[-1]:
            raise DataError(f"{path}: {part}*.parquet is missing or empty")
    return Head(counts[0], counts[1], len(names or seen))


def folder_head(path: Path) -> Head:
    """The head of a set in class folders."""
    source = folder(path)
    count = len(source.labels)
    test = test_count(count) if source.given is None else count - source.given
    return Head(count - test, test, len(source.classes), source.channels)


FILES = {"folder": folder, "parquet": parquet}  # by the word before the colon
HEADS = {"folder": folder_head, "parquet": parquet_head}
