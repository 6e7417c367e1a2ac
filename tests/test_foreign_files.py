"""Image files as others leave them: what is read is right, or refused by name."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, PngImagePlugin
from pyarrow import parquet

from advlib import data
from advlib.data import DataError


def shades(number, side=8):
    """A grey gradient, a little different for each number."""
    return (np.add.outer(np.arange(side), np.arange(side)) * 8 + number).astype(np.uint8)


@pytest.fixture
def grey(tmp_path):
    """A folder of two classes of ten grey images each."""
    for label in ("cat", "dog"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(shades(number)).save(tmp_path / "set" / label / f"{number}.png")
    return tmp_path / "set"


def load(folder, **options):
    return data.load(f"folder:{folder}", validation=0, device="cpu", **options)


def count(found):
    return len(found.train.labels) + len(found.test.labels)


def test_links_to_folders_are_not_followed_below_a_class(grey):
    """A loop of links once turned 20 images into 820, over train and test."""
    (grey / "cat/all").symlink_to(grey)
    (grey / "dog/self").symlink_to(grey / "dog")
    assert count(load(grey)) == 20


def test_a_class_may_be_a_link(grey, tmp_path):
    (grey / "dog").rename(tmp_path / "elsewhere")
    (grey / "dog").symlink_to(tmp_path / "elsewhere")
    assert count(load(grey)) == 20


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_no_file_is_two_images(grey, kind):
    if kind == "folder":
        (grey / "eel").symlink_to(grey / "cat")
    else:
        (grey / "dog/again.png").symlink_to(grey / "cat/3.png")
    with pytest.raises(DataError, match=r"cat/\d\.png and .*(eel|dog)/.*\.png are the same file"):
        load(grey)


def test_one_image_in_colour_makes_a_set_in_colour(grey):
    for number in range(301):  # so that a look at some would miss it
        Image.fromarray(shades(number % 100)).save(grey / "cat" / f"more{number}.png")
    colour = np.stack([shades(0), shades(0) * 0, shades(0) * 0], axis=2)
    Image.fromarray(colour).save(grey / "cat" / "one.png")
    found = load(grey)
    assert found.channels == 3
    images = torch_cat(found)
    assert sum((image[0] != image[1]).any() for image in images) == 1


def torch_cat(found):
    return [*found.train.images, *found.test.images]


def damaged(png, damage):
    """A PNG with something wrong in it."""
    if damage == "bomb":
        header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
        return png[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + png[33:]
    if damage == "text bomb":
        told = PngImagePlugin.PngInfo()
        told.add_text("comment", 70_000_000 * "x", zip=True)
        made = io.BytesIO()
        Image.fromarray(shades(0)).save(made, "PNG", pnginfo=told)
        return made.getvalue()
    if damage == "checksum":
        return png[:29] + b"\0\0\0\0" + png[33:]
    return {"empty": b"", "cut": png[:40], "text": b"<html>not found</html>", "zeros": bytes(99)}[
        damage
    ]


@pytest.mark.parametrize(
    "damage", ["bomb", "text bomb", "checksum", "empty", "cut", "text", "zeros"]
)
def test_a_damaged_image_is_named(grey, damage):
    file = grey / "dog" / "7.png"
    file.write_bytes(damaged(file.read_bytes(), damage))
    with pytest.raises(DataError, match=r"unreadable image .*dog/7\.png: .*Replace or remove it"):
        load(grey)


def test_broken_metadata_does_no_harm(grey):
    picture = Image.fromarray(shades(0))
    picture.save(grey / "cat/0.png", icc_profile=b"broken", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert count(load(grey)) == 20


@pytest.mark.parametrize("mode", ["I;16", "1", "P", "LA", "RGBA", "CMYK"])
def test_every_kind_of_picture_is_read_as_it_looks(grey, mode):
    picture = Image.fromarray(shades(0))
    file = grey / "cat" / ("0.jpg" if mode == "CMYK" else "0.png")
    (grey / "cat" / "0.png").unlink()
    if mode == "I;16":
        Image.fromarray(shades(0).astype(np.uint16) * 257).save(file)
    elif mode == "CMYK":
        picture.convert("RGB").convert("CMYK").save(file, quality=100)
    else:
        picture.convert(mode).save(file)
    found = load(grey)
    looks = np.asarray(picture.convert(mode).convert("L") if mode == "1" else picture, float)
    nearest = min(abs(image[0].double().numpy() - looks).mean() for image in torch_cat(found))
    assert nearest < (4 if mode == "CMYK" else 0.6)


@pytest.mark.parametrize("labels", [[2**63 + 5, 7], [-1, 3], [0, 3]])
def test_labels_may_be_any_whole_numbers(tmp_path, labels):
    made = io.BytesIO()
    Image.fromarray(shades(0)).save(made, "PNG")
    kind = pa.uint64() if max(labels) >= 2**63 else pa.int64()
    for part in ("train", "test"):
        rows = [{"bytes": made.getvalue()} for _ in labels]
        table = pa.table({"image": rows, "label": pa.array(labels, kind)})
        parquet.write_table(table, tmp_path / f"{part}.parquet")
    found = data.load(f"parquet:{tmp_path}", validation=0)
    assert found.classes == tuple(map(str, sorted(labels)))
    assert sorted(found.train.labels.tolist()) == [0, 1]
    assert data.head(f"parquet:{tmp_path}").classes == 2


def test_a_tilde_is_the_user_s_home(grey, monkeypatch):
    monkeypatch.setenv("HOME", str(grey.parent))
    assert count(data.load("folder:~/set", validation=0)) == 20
    assert data.stamp("folder:~/set") == data.stamp(f"folder:{grey}")
    assert data.head("folder:~/set").classes == 2


def test_the_stamp_sees_a_change_of_content_name_or_class(grey):
    before = data.stamp(f"folder:{grey}")
    seen = {before}
    os.utime(grey / "cat/0.png", ns=(1, 1))
    seen.add(data.stamp(f"folder:{grey}"))
    (grey / "cat/0.png").rename(grey / "cat/zero.png")
    seen.add(data.stamp(f"folder:{grey}"))
    (grey / "cat").rename(grey / "kitten")
    seen.add(data.stamp(f"folder:{grey}"))
    assert len(seen) == 4
