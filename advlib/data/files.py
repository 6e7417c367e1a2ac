"""The sets that need no download: the embedded digits, and the files that a user names."""

from __future__ import annotations

import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS, has_file_allowed_extension

from advlib.data.dataset import DataError
from advlib.data.source import Encoded, Head, Source
from advlib.data.splits import test_count

if TYPE_CHECKING:
    import pyarrow as pa  # here, and where it is used: it takes a moment to import

MOST_PIXELS = 100_000_000  # of an image; a file of a few kilobytes may claim any number
MIXED_SIZE = 64  # pixels, for files that are not all squares of one size
GREY_MODES = {"1", "L", "LA", "I", "I;16"}  # of PIL


DIGITS = Head(1_438, 359, 10, 1)


def digits() -> Source:
    from sklearn.datasets import load_digits  # here, as it takes seconds to import

    data = load_digits()
    images = torch.tensor(data.images)[:, None].mul(255 / 16).round().to(torch.uint8)
    labels = torch.tensor(data.target, dtype=torch.int64)
    return Source(tuple(map(str, data.target_names)), images, labels, None, size=28, channels=1)


class _Listed(NamedTuple):
    """A set's files before any is opened."""

    classes: tuple[str, ...]
    files: list[Encoded]
    labels: Tensor
    given: int | None  # as in `Source`


def folder(path: Path) -> Source:
    return encoded_source(path, *_listed(path))


def _listed(path: Path) -> _Listed:
    """The image files in class folders. A class folder may be a link; below it links to folders are
    not followed, and no file stands for two images."""
    parts = [path / "train", path / "test"]
    if parts[0].is_dir() != parts[1].is_dir():
        raise DataError(f"{path} must hold both train/ and test/, or class folders only")
    if not parts[0].is_dir():
        parts = [path]
    found = [_classes(part) for part in parts]
    if list(found[0]) != list(found[-1]):
        raise DataError(f"{path}: train/ and test/ hold different class folders")
    files = [file for classes in found for names in classes.values() for file in names]
    counts = [[len(names) for names in classes.values()] for classes in found]
    real: dict[str, str] = {}
    for file in files:
        if (other := real.setdefault(os.path.realpath(file), file)) != file:
            raise DataError(f"{path}: {other} and {file} are the same file")
    labels = [label for part in counts for label, count in enumerate(part) for _ in range(count)]
    given = sum(counts[0]) if len(parts) == 2 else None
    return _Listed(tuple(found[0]), [Encoded(f) for f in files], torch.tensor(labels), given)


def _classes(part: Path) -> dict[str, list[str]]:
    """The image files of each class folder, in torchvision's order."""
    found = {}
    for name in sorted(entry.name for entry in os.scandir(part) if entry.is_dir()):
        walked = sorted(os.walk(part / name))
        files = [os.path.join(at, file) for at, _, names in walked for file in sorted(names)]
        found[name] = [file for file in files if has_file_allowed_extension(file, IMG_EXTENSIONS)]
    empty = [name for name, files in found.items() if not files]
    if empty or not found:
        where = f"no image in {', '.join(empty)}" if empty else "no class folders"
        raise DataError(f"{part} is no folder of class folders with images: {where}")
    return found


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
    if names is None:  # the numbers themselves, however large, are the names
        values = sorted(set(numbers))
        places = {value: place for place, value in enumerate(values)}
        numbers, names = [places[value] for value in numbers], [str(value) for value in values]
    elif not 0 <= min(numbers) <= max(numbers) < len(names):
        raise DataError(f"{path}: some label is not in 0 to {len(names) - 1}")
    return encoded_source(path, tuple(names), files, torch.tensor(numbers), given)


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
    """A set of encoded images. The headers of all tell its size and its channels: one image in
    colour makes the set one in colour."""
    if len(labels.unique()) < 2:
        raise DataError(f"{path} holds images of one class only, {classes[labels[0]]}; need two")
    with ThreadPoolExecutor() as pool:
        headers = set(pool.map(_header, files, chunksize=256))
    sides = {side for size, _ in headers for side in size}
    size = sides.pop() if len(sides) == 1 else MIXED_SIZE
    return Source(classes, files, labels, given, size, 1 if all(g for _, g in headers) else 3)


def _header(file: Encoded) -> tuple[tuple[int, int], bool]:
    """An image's size, and whether it is grey. Raises DataError, which names it, if it is damaged
    or has more pixels than any photo."""
    try:
        opened = Image.open(file.origin if file.content is None else io.BytesIO(file.content))
        with opened as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are too many")
            return image.size, image.mode in GREY_MODES
    except Exception as error:  # a foreign file may make the decoder raise whatever it likes
        raise file.unreadable(error) from error


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
    """The head of a set in class folders, of which the files stay closed."""
    listed = _listed(path)
    count = len(listed.labels)
    test = test_count(count) if listed.given is None else count - listed.given
    return Head(count - test, test, len(listed.classes))


FILES = {"folder": folder, "parquet": parquet}  # by the word before the colon
HEADS = {"folder": folder_head, "parquet": parquet_head}
