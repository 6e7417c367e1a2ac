"""What is known of a data set before its images are read agrees with what is read."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from advlib import data
from advlib.data import downloads

REAL = Path(os.environ.get("ADVLIB_DATA", "nowhere"))


def picture(number):
    made = io.BytesIO()
    Image.fromarray(np.full((6, 6, 3), number, np.uint8)).save(made, "PNG")
    return made.getvalue()


def agree(name):
    head, found = data.head(name), data.load(name, validation=0.3, size=8)
    held = data.held_out(head.train, 0.3)
    counts = [len(part.labels) for part in (found.train, found.validation, found.test)]
    assert counts == [head.train - held, held, head.test]
    assert head.classes == len(found.classes)
    assert head.channels in (None, found.channels)


def test_of_the_embedded_digits():
    agree("digits")


@pytest.mark.parametrize("parts", [("",), ("train", "test")])
def test_of_a_folder(tmp_path, parts):
    for part in parts:
        for label, count in (("cat", 5), ("dog", 9)):
            place = tmp_path / part / label
            place.mkdir(parents=True)
            for number in range(count):
                (place / f"{number}.png").write_bytes(picture(number))
    agree(f"folder:{tmp_path}")


def test_of_parquet_files_whose_images_stay_unread(tmp_path):
    for file, labels in (("train-0", [0, 1, 1]), ("train-1", [2, 2]), ("test", [0, 2])):
        images = [{"bytes": picture(label)} for label in labels]
        parquet.write_table(
            pa.table({"image": images, "label": labels}), tmp_path / f"{file}.parquet"
        )
    agree(f"parquet:{tmp_path}")
    (tmp_path / "test.parquet").write_bytes(b"PAR1")
    with pytest.raises(data.DataError, match=r"cannot read .*test\.parquet"):
        data.head(f"parquet:{tmp_path}")
    (tmp_path / "test.parquet").unlink()
    with pytest.raises(data.DataError, match=r"test\*\.parquet is missing"):
        data.head(f"parquet:{tmp_path}")


def test_of_a_set_that_is_not_there_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVLIB_DATA", str(tmp_path))
    for name, kind in downloads.DOWNLOADS.items():
        assert data.head(name) == kind.head
    with pytest.raises(data.DataError, match="put its images in"):
        data.head("imagenet")


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")]
)
def test_of_the_real_files(name, folder):
    if not (REAL / folder).is_dir():
        pytest.skip(f"{folder} is not in ADVLIB_DATA")
    agree(name)
