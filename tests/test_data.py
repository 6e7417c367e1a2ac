"""The data sets: splits, sizes, determinism, and the refusal of whatever is missing or damaged."""

import io
import json
import os
import pickle
import socket
import zlib
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from pathlib import Path
from threading import Barrier
from urllib.error import URLError

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision import datasets

from advlib import data, devices
from advlib.data import DataError, check, decoding, downloads, files, load, pixels, splits

REAL = Path(os.environ.get("ADVLIB_DATA") or "ADVLIB_DATA is not set")


def real(folder):
    reason = f"no {folder} in ADVLIB_DATA" if REAL.is_dir() else "ADVLIB_DATA is not set"
    return pytest.mark.skipif(not (REAL / folder).is_dir(), reason=reason)


def picture(seed, size=12, channels=3):
    """A noise image, uint8 [size, size, 3] or [size, size]."""
    shape = (size, size, 3) if channels == 3 else (size, size)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(array, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def class_folders(path, counts=(10, 20), **form):
    for label, count in enumerate(counts):
        folder = path / f"class{label}"
        folder.mkdir(parents=True)
        for number in range(count):
            content = encoded(picture(100 * label + number, **form))
            (folder / f"{number:03}.png").write_bytes(content)
    return path


def write_parquet(file, labels, names=None, seed=0, contents=None):
    contents = contents or [encoded(picture(seed + row)) for row in range(len(labels))]
    table = pa.table(
        {
            "image": [{"bytes": content, "path": None} for content in contents],
            "label": pa.array(labels, pa.int64()),
        }
    )
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        metadata = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, file)


def noise(seed, size=12):
    """The bytes of `picture(seed, size)` as a tensor [3, size, size] holds them."""
    return picture(seed, size).transpose(2, 0, 1).tobytes()


def labels_by_image(split):
    return dict(zip(map(bytes, split.images.numpy()), split.labels.tolist(), strict=True))


def as_set(images):
    return {image.numpy().tobytes() for image in images}


# Splits of the embedded digits


def test_digits_splits_are_disjoint_stratified_and_complete():
    labels = load("digits", size=8).train.labels
    assert labels.dtype == torch.int64
    source = files.digits()
    parts = splits.split(source.labels, None, validation=0.3, seed=0)
    assert torch.cat(parts).sort().values.equal(torch.arange(1797))
    assert [len(part) for part in parts] == [1007, 431, 359]
    shares = source.labels.bincount() / 1797
    for part in parts:
        counts = source.labels[part].bincount(minlength=10)
        assert (counts - shares * len(part)).abs().max() <= 2
        assert (source.labels[part[:100]].bincount(minlength=10) - shares * 100).abs().max() <= 2


def test_digits_are_those_of_scikit_learn():
    digits = load("digits", size=8, device="cpu")
    splits = (digits.train, digits.validation, digits.test)
    found = {
        (image.numpy().tobytes(), int(label))
        for split in splits
        for image, label in zip(*split, strict=True)
    }
    theirs = load_digits()
    scaled = np.floor(theirs.images * 255 / 16 + 0.5).astype(np.uint8)
    assert found == {(i.tobytes(), int(n)) for i, n in zip(scaled, theirs.target, strict=True)}


def test_given_test_part_stays_apart():
    labels = torch.tensor([0, 1] * 50 + [0, 0, 0, 1] * 10)
    train, validation, test = splits.split(labels, 100, validation=0.2, seed=3)
    assert torch.cat([train, validation]).sort().values.equal(torch.arange(100))
    assert test.sort().values.equal(torch.arange(100, 140))
    assert labels[validation].bincount().tolist() == [10, 10]
    assert labels[test[:8]].bincount().tolist() == [6, 2]


@pytest.mark.parametrize(("size", "channels"), [(None, None), (8, 1), (5, 3), (32, 3)])
def test_size_and_channels(size, channels):
    digits = load("digits", size=size, channels=channels, train=20, test=10, validation=0.1)
    side, depth = size or 28, channels or 1
    assert (digits.size, digits.channels) == (side, depth)
    for split, count in ((digits.train, 20), (digits.validation, 144), (digits.test, 10)):
        assert split.images.shape == (count, depth, side, side)
        assert split.images.dtype == torch.uint8
        assert split.labels.shape == (count,)
        assert split.images.is_contiguous()
        assert split.images.device == split.labels.device
    assert digits.classes == tuple("0123456789")
    assert digits.train.images.max() > 230
    assert digits.train.images.min() == 0


def test_balanced_subset_is_exactly_balanced_and_nested():
    labels = torch.arange(10).repeat(100)
    order = splits._stratified_order(labels, torch.Generator().manual_seed(0))
    assert labels[order[:30]].bincount().tolist() == [3] * 10
    small, large = load("digits", train=50, size=8), load("digits", train=200, size=8)
    assert small.train.images.equal(large.train.images[:50])
    assert small.test.images.equal(large.test.images)


def test_same_arguments_same_tensors_and_another_seed_others():
    first, again, other = (load("digits", train=100, seed=seed) for seed in (1, 1, 2))
    for part in ("train", "validation", "test"):
        for left, right in zip(getattr(first, part), getattr(again, part), strict=True):
            assert left.equal(right)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert len(first.fingerprint) == 16
    assert int(first.fingerprint, 16) >= 0


def test_fingerprint_sees_every_part():
    def fingerprint(classes=("a", "b"), changed=None, shape=(2, 1, 2, 2)):
        tensors = [
            t
            for _ in range(3)
            for t in (torch.zeros(shape, dtype=torch.uint8), torch.zeros(2).long())
        ]
        if changed is not None:
            tensors[changed].view(-1)[-1] = 1
        splits = [data.Split(*tensors[at : at + 2]) for at in (0, 2, 4)]
        return data.Dataset("set", classes, *splits).fingerprint

    variants = [fingerprint(), fingerprint(("a", "c")), fingerprint(shape=(2, 1, 4, 1))]
    variants += [fingerprint(changed=which) for which in range(6)]
    assert len(set(variants)) == 9
    assert fingerprint() == fingerprint()


def test_moving_keeps_content():
    digits = load("digits", train=10, device="cpu")
    assert digits.to("cpu").fingerprint == digits.fingerprint
    assert digits.to("meta").test.images.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_gpu_is_the_default_and_changes_nothing():
    digits = load("digits")
    assert digits.train.images.is_cuda
    assert digits.train.labels.is_cuda
    assert digits.fingerprint == load("digits", device="cpu").fingerprint


def test_a_full_gpu_is_left_alone(monkeypatch):
    monkeypatch.setattr(devices, "default", lambda: torch.device("cuda"))
    monkeypatch.setattr(devices, "room", lambda device: 4_000)
    assert data._roomy(1_000).type == "cuda"
    assert data._roomy(1_001).type == "cpu"


def test_pixels():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert pixels(images).dtype == torch.float32
    torch.testing.assert_close(pixels(images), torch.tensor([0.0, 0.2, 1.0]))
    assert images.tolist() == [0, 51, 255]
    floats = torch.rand(3)
    assert pixels(floats) is floats
    with pytest.raises(TypeError, match="float64"):
        pixels(floats.double())


def test_oblong_image_gives_its_central_square():
    image = torch.zeros(1, 3, 4, 10, dtype=torch.uint8)
    image[..., 3:7] = 200
    assert decoding.square(image, 4).eq(200).all()
    assert decoding.square(image, 2).eq(200).all()


# Names and parameters


@pytest.mark.parametrize("name", ["cifar", "", "folder:", "parquet", "digits:x", "mnist:", None, 3])
def test_unknown_name(name):
    with pytest.raises(ValueError, match=r"^dataset must be .*digits.*mnist.*folder:PATH") as error:
        check(name)
    assert repr(name) in str(error.value)


def test_check_reads_and_loads_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVLIB_DATA", str(tmp_path / "none"))
    for name in (
        "digits",
        "mnist",
        "fashion_mnist",
        "cifar10",
        "oxford_pets",
        f"folder:{tmp_path}",
    ):
        check(name)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_missing_path(kind, tmp_path):
    with pytest.raises(DataError, match=r"no folder .*absent"):
        check(f"{kind}:{tmp_path / 'absent'}")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *[("size", value) for value in (0, -1, 2.5, "28", True, 1025)],
        *[("channels", value) for value in (0, 2, 4, "1")],
        *[(part, value) for part in ("train", "test") for value in (0, -5, 1.5, True, "all")],
        *[("validation", value) for value in (1, 1.0, -0.1, float("nan"), None, "0.3")],
        *[("seed", value) for value in (-1, None, 0.5)],
    ],
)
def test_impossible_parameter_is_refused_before_reading(parameter, value, monkeypatch):
    monkeypatch.setattr(data, "_open", lambda *_: pytest.fail("something was read"))
    with pytest.raises(ValueError, match=rf"^{parameter} must be .*; got ") as error:
        load("digits", **{parameter: value})
    assert repr(value) in str(error.value)


def test_more_images_than_there_are():
    with pytest.raises(ValueError, match="train must be at most 1007"):
        load("digits", train=1008)
    with pytest.raises(ValueError, match="test must be at most 359"):
        load("digits", test=360)
    assert len(load("digits", train=1438, validation=0).train.labels) == 1438


def test_root(monkeypatch, tmp_path):
    monkeypatch.setenv("ADVLIB_DATA", str(tmp_path))
    assert data.root() == tmp_path
    monkeypatch.delenv("ADVLIB_DATA")
    assert data.root().parts[-2:] == ("advlib", "data")


# Folders


@pytest.mark.parametrize(
    ("shape", "count"),
    [((1, 28, 28), 250), ((3, 64, 64), 250), ((3, 224, 224), 20), ((3, 9999, 9999), 1)],
)
def test_large_images_come_fewer_at_once(shape, count):
    assert data.at_once(torch.empty(0, *shape), 250) == count


def test_folder_round_trip(tmp_path):
    class_folders(tmp_path)
    mine = load(f"folder:{tmp_path}", validation=0.25, device="cpu")
    assert mine.classes == ("class0", "class1")
    assert (mine.size, mine.channels) == (12, 3)
    splits = (mine.train, mine.validation, mine.test)
    assert [len(split.labels) for split in splits] == [18, 6, 6]
    assert mine.test.labels.bincount().tolist() == [2, 4]
    for label, count in ((0, 10), (1, 20)):
        found = as_set(torch.cat([split.images[split.labels == label] for split in splits]))
        wanted = {noise(100 * label + n) for n in range(count)}
        assert found == wanted


def test_imagenet_is_the_folder_that_the_user_filled(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVLIB_DATA", str(tmp_path))
    data.check("imagenet")
    with pytest.raises(data.DataError, match=r"imagenet/val, a folder for each class"):
        load("imagenet")
    empty = data.stamp("imagenet")
    class_folders(tmp_path / "imagenet/val")
    assert load("imagenet").fingerprint == load(f"folder:{tmp_path}/imagenet/val").fingerprint
    assert data.stamp("imagenet") != empty


def test_folder_with_its_own_test_part(tmp_path):
    class_folders(tmp_path / "train", (6, 6))
    class_folders(tmp_path / "test", (2, 3), size=9)
    mine = load(f"folder:{tmp_path}", validation=0)
    assert mine.size == files.MIXED_SIZE
    assert (len(mine.train.labels), len(mine.validation.labels)) == (12, 0)
    assert mine.test.labels.bincount().tolist() == [2, 3]
    assert load(f"folder:{tmp_path}", size=9, train=4, test=1, validation=0).size == 9


def test_grey_files_stay_grey_unless_colour_is_asked_for(tmp_path):
    class_folders(tmp_path, (5, 5), channels=1)
    assert load(f"folder:{tmp_path}").channels == 1
    colour = load(f"folder:{tmp_path}", channels=3).train.images
    assert colour.shape[1] == 3
    assert colour[:, 0].equal(colour[:, 2])


def test_colour_becomes_grey_by_luma(tmp_path):
    class_folders(tmp_path, (5, 5))
    colour, grey = (load(f"folder:{tmp_path}", channels=n).train.images for n in (3, 1))
    luma = (colour * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    assert grey.shape[1] == 1
    assert (grey - luma).abs().max() <= 1.1


@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_unreadable_image_is_named(tmp_path, damage, kind):
    class_folders(tmp_path, (5, 5))
    content = encoded(picture(0, size=64), kind)
    content = {"truncated": content[: len(content) // 2], "text": b"not an image", "empty": b""}
    bad = tmp_path / "class1" / "004.png"
    bad.write_bytes(content[damage])
    with pytest.raises(DataError, match=r"unreadable image .*class1.004\.png"):
        load(f"folder:{tmp_path}")


def test_folder_of_another_layout(tmp_path):
    with pytest.raises(DataError, match="class folders"):
        load(f"folder:{tmp_path}")
    class_folders(tmp_path / "one", (5,))
    with pytest.raises(DataError, match="one class only, class0"):
        load(f"folder:{tmp_path / 'one'}")
    (class_folders(tmp_path / "empty") / "hollow").mkdir()
    with pytest.raises(DataError, match="hollow"):
        load(f"folder:{tmp_path / 'empty'}")
    class_folders(tmp_path / "half" / "train")
    with pytest.raises(DataError, match=r"both train/ and test/"):
        load(f"folder:{tmp_path / 'half'}")
    class_folders(tmp_path / "half" / "test", (2, 2, 2))
    with pytest.raises(DataError, match="different class folders"):
        load(f"folder:{tmp_path / 'half'}")


# Parquet


def test_parquet_round_trip(tmp_path):
    write_parquet(tmp_path / "train-00000-of-00002.parquet", [0, 1] * 5, ["cat", "dog"])
    write_parquet(tmp_path / "train-00001-of-00002.parquet", [1, 0] * 5, ["cat", "dog"], seed=10)
    write_parquet(tmp_path / "test.parquet", [1, 0, 1], ["cat", "dog"], seed=20)
    mine = load(f"parquet:{tmp_path}", validation=0.2, device="cpu")
    assert mine.classes == ("cat", "dog")
    assert mine.size == 12
    assert [len(split.labels) for split in (mine.train, mine.validation)] == [16, 4]
    assert labels_by_image(mine.test) == {noise(20): 1, noise(21): 0, noise(22): 1}


def test_parquet_without_class_names(tmp_path):
    write_parquet(tmp_path / "train.parquet", [7, 3] * 5)
    write_parquet(tmp_path / "test.parquet", [7, 3, 3], seed=20)
    mine = load(f"parquet:{tmp_path}", device="cpu")
    assert mine.classes == ("3", "7")
    assert labels_by_image(mine.test) == {noise(20): 1, noise(21): 0, noise(22): 0}


def test_parquet_columns_in_another_order(tmp_path):
    for part in ("train", "test"):
        file = tmp_path / f"{part}.parquet"
        write_parquet(file, [0, 1] * 5)
        pq.write_table(pq.read_table(file).select(["label", "image"]), file)
    assert len(load(f"parquet:{tmp_path}").test.labels) == 10


def test_damaged_parquet_is_named(tmp_path):
    train, test = tmp_path / "train.parquet", tmp_path / "test.parquet"
    write_parquet(train, [0, 1] * 5, ["cat", "dog"])
    with pytest.raises(DataError, match=r"test\*\.parquet is missing"):
        load(f"parquet:{tmp_path}")
    write_parquet(test, [0, 2], ["cat", "dog"])
    with pytest.raises(DataError, match=r"label is not in 0 to 1"):
        load(f"parquet:{tmp_path}")
    write_parquet(test, [0, 1], ["cat", "dog"], contents=[encoded(picture(0)), b"rubbish"])
    with pytest.raises(DataError, match=r"unreadable image .*test\.parquet, row 1"):
        load(f"parquet:{tmp_path}")
    write_parquet(test, [0, None], ["cat", "dog"])
    with pytest.raises(DataError, match=r"test\.parquet: .* null"):
        load(f"parquet:{tmp_path}")
    pq.write_table(pa.table({"img": [1], "label": [0]}), test)
    with pytest.raises(DataError, match=r"test\.parquet: the columns image\.bytes and label"):
        load(f"parquet:{tmp_path}")
    test.write_bytes(train.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"cannot read .*test\.parquet"):
        load(f"parquet:{tmp_path}")
    write_parquet(train, [1] * 4, ["cat", "dog"])
    write_parquet(test, [1], ["cat", "dog"])
    with pytest.raises(DataError, match="one class only, dog"):
        load(f"parquet:{tmp_path}")


# Downloaded sets, on small stand-ins for the files


@pytest.fixture
def small_mnist(monkeypatch):
    """Write a whole MNIST of 40 + 20 images of 4 pixels a side under a given root."""
    contents, shapes = {}, {}
    for file, shape in downloads.IDX_SHAPES.items():
        shapes[file] = (40 if file.startswith("train") else 20, *(4 for _ in shape[1:]))
        values = np.arange(np.prod(shapes[file])) % (10 if len(shape) == 1 else 251)
        contents[file] = b"\0" * 4 * (1 + len(shape)) + values.astype(np.uint8).tobytes()
    monkeypatch.setattr(downloads, "IDX_SHAPES", shapes)
    crcs = tuple(map(zlib.crc32, contents.values()))
    monkeypatch.setattr(downloads, "IDX_CRC32", {"MNIST": crcs, "FashionMNIST": crcs})

    def write(root, kind="MNIST"):
        folder = Path(root) / kind / "raw"
        folder.mkdir(parents=True)
        for file, content in contents.items():
            (folder / file).write_bytes(content)
        return folder

    return write


def test_mnist_files_are_read_without_network_lock_or_writing(tmp_path, small_mnist):
    small_mnist(tmp_path)
    mine = load("mnist", root=tmp_path, size=4, validation=0.5, device="cpu")
    assert mine.train.labels.bincount().tolist() == [2] * 10
    first = (torch.arange(16) % 251).byte().view(1, 4, 4)
    held = (*mine.train.images, *mine.validation.images)
    assert any(image.equal(first) for image in held)
    assert mine.classes == tuple("0123456789")
    assert [entry.name for entry in tmp_path.iterdir()] == ["MNIST"]


def test_truncated_mnist_is_refused(tmp_path):
    """True sizes: sparse files of the right length but one."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    with open(folder / "train-images-idx3-ubyte", "wb") as file:
        file.truncate(47_040_015)
    with pytest.raises(DataError) as error:
        load("mnist", root=tmp_path)
    for wanted in ("train-images-idx3-ubyte", "47040016", "47040015", "Delete", "digits"):
        assert wanted in str(error.value)


@pytest.mark.parametrize("file", list(downloads.IDX_SHAPES))
@pytest.mark.parametrize("damage", ["truncated", "missing", "one bit", "too long"])
def test_damaged_mnist_is_refused(tmp_path, small_mnist, file, damage):
    path = small_mnist(tmp_path, "FashionMNIST") / file
    content = path.read_bytes()
    changed = {
        "truncated": content[:-1],
        "one bit": content[:-1] + bytes([content[-1] ^ 1]),
        "too long": content + b"\0",
    }
    path.unlink()
    if damage in changed:
        path.write_bytes(changed[damage])
    with pytest.raises(DataError, match=rf"{file}: expected .*, found .*Delete .*FashionMNIST"):
        load("fashion_mnist", root=tmp_path)


def test_no_network_says_what_else_works(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise URLError("no route to host")

    for name in ("MNIST", "FashionMNIST", "CIFAR10", "SVHN", "OxfordIIITPet"):
        monkeypatch.setattr(datasets, name, unreachable)
    for name, download in downloads.DOWNLOADS.items():
        with pytest.raises(DataError) as error:
            load(name, root=tmp_path / "new")
        for wanted in (repr(name), str(tmp_path / "new"), "no route", "ADVLIB_DATA", "'digits'"):
            assert wanted in str(error.value)
        assert not (tmp_path / "new" / download.folder).exists()


@pytest.mark.parametrize("failure", [RuntimeError("md5"), KeyboardInterrupt(), None])
def test_interrupted_download_leaves_nothing(tmp_path, small_mnist, monkeypatch, failure):
    def interrupted(root, download):
        (small_mnist(root) / "t10k-labels-idx1-ubyte").unlink()
        if failure:
            raise failure

    with monkeypatch.context() as patch:
        patch.setattr(datasets, "MNIST", interrupted)
        with pytest.raises(type(failure) if isinstance(failure, KeyboardInterrupt) else DataError):
            load("mnist", root=tmp_path)
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_dir()] == []
    assert socket.getdefaulttimeout() is None


def test_whole_download_is_kept_and_made_once(tmp_path, small_mnist, monkeypatch):
    calls, together = [], Barrier(3)

    class Lock(downloads.FileLock):
        def __enter__(self):  # all three have seen by now that the set is not there
            together.wait(timeout=10)
            return super().__enter__()

    class Fake(datasets.MNIST):
        def __init__(self, root, download):
            calls.append(root)
            small_mnist(root)

    monkeypatch.setattr(downloads, "FileLock", Lock)
    monkeypatch.setattr(datasets, "MNIST", Fake)
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: load("mnist", root=tmp_path).fingerprint, range(3)))
    assert len(calls) == 1
    assert len(set(made)) == 1
    assert {entry.name for entry in tmp_path.iterdir()} <= {"MNIST", ".mnist.lock"}


def test_root_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="could not be downloaded"):
        load("mnist", root=tmp_path / "file" / "data")


def test_cifar10_is_read_and_a_corrupt_batch_named(tmp_path, monkeypatch):
    folder = tmp_path / datasets.CIFAR10.base_folder
    folder.mkdir()

    def write(file, entry):
        (folder / file).write_bytes(pickle.dumps(entry))
        return [file, md5((folder / file).read_bytes()).hexdigest()]

    def batch(file, seed):
        pictures = [picture(seed + n, 32).transpose(2, 0, 1).ravel() for n in range(4)]
        return write(file, {"data": np.stack(pictures), "labels": [0, 1, 2, 3]})

    monkeypatch.setattr(datasets.CIFAR10, "train_list", [batch("data_batch_1", 0)])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [batch("test_batch", 4)])
    meta = write("batches.meta", {"label_names": list("abcd")})
    listed = {"filename": meta[0], "key": "label_names", "md5": meta[1]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", listed)

    mine = load("cifar10", root=tmp_path, validation=0, device="cpu")
    assert mine.classes == tuple("abcd")
    assert (mine.size, mine.channels) == (32, 3)
    assert mine.train.images.is_contiguous()
    assert as_set(mine.test.images) == {noise(n, 32) for n in range(4, 8)}

    (folder / "test_batch").write_bytes(b"half")
    with pytest.raises(DataError, match=r"corrupt: test_batch\. Delete"):
        load("cifar10", root=tmp_path)


def test_svhn_is_read_and_a_corrupt_file_named(tmp_path, monkeypatch):
    folder = tmp_path / "svhn"
    folder.mkdir()
    listed = {}
    for split, numbers in {"train": range(4), "test": range(4, 8)}.items():
        file = f"{split}_32x32.mat"
        pictures = np.stack([picture(n, 32) for n in numbers], axis=-1)
        scipy.io.savemat(folder / file, {"X": pictures, "y": np.array([[10], [1], [2], [3]])})
        listed[split] = ["", file, md5((folder / file).read_bytes()).hexdigest()]
    monkeypatch.setattr(datasets.SVHN, "split_list", listed)

    mine = load("svhn", root=tmp_path, validation=0, device="cpu")
    assert mine.classes == tuple("0123456789")
    assert (mine.size, mine.channels) == (32, 3)
    assert mine.train.images.is_contiguous()
    assert sorted(mine.test.labels.tolist()) == [0, 1, 2, 3]  # the files call a zero 10
    assert as_set(mine.test.images) == {noise(n, 32) for n in range(4, 8)}

    (folder / "test_32x32.mat").write_bytes(b"half")
    with pytest.raises(DataError, match=r"corrupt: test_32x32.mat\. Delete"):
        load("svhn", root=tmp_path)


def test_both_parts_of_svhn_are_downloaded(tmp_path, monkeypatch):
    fetched = []

    class Fake:
        def __init__(self, root, split, download):
            fetched.append((Path(root).name, split, download))

    monkeypatch.setattr(datasets, "SVHN", Fake)
    downloads.DOWNLOADS["svhn"].fetch(tmp_path)
    assert fetched == [("svhn", "train", True), ("svhn", "test", True)]


def test_pets_are_cats_and_dogs(tmp_path, monkeypatch):
    folder = tmp_path / "oxford-iiit-pet"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    monkeypatch.setattr(downloads, "PETS", {"trainval": 6, "test": 4})
    for part, count in downloads.PETS.items():
        rows = [f"{part}_{n} {n + 1} {1 if n == 1 else 2} 1" for n in range(count)]
        (folder / "annotations" / f"{part}.txt").write_text("\n".join(rows) + "\n")
        for n in range(count):
            content = encoded(picture(n, size=20 + n), "JPEG")
            (folder / "images" / f"{part}_{n}.jpg").write_bytes(content)
    pets = load("oxford_pets", root=tmp_path, validation=0)
    assert pets.classes == ("cat", "dog")
    assert pets.train.images.shape == (6, 3, 64, 64)
    assert pets.test.labels.bincount().tolist() == [1, 3]

    (folder / "images" / "test_1.jpg").unlink()
    with pytest.raises(DataError, match=r"test_1\.jpg"):
        load("oxford_pets", root=tmp_path)
    (folder / "annotations" / "test.txt").write_text("test_0 1 1 1\n")
    with pytest.raises(DataError, match=r"test\.txt: expected 4 rows .* found 1"):
        load("oxford_pets", root=tmp_path)


# The real files


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("mnist", marks=real("MNIST")),
        pytest.param("fashion_mnist", marks=real("FashionMNIST")),
    ],
)
def test_real_mnist(name):
    full = load(name, root=REAL, device="cpu")
    assert full.train.images.shape == (42_000, 1, 28, 28)
    assert (len(full.validation.labels), len(full.test.labels)) == (18_000, 10_000)
    assert full.test.labels.bincount(minlength=10).min() > 850
    kind = downloads.DOWNLOADS[name].dataset
    theirs = getattr(datasets, kind)(REAL, train=False)
    assert as_set(full.test.images[:, 0]) == as_set(theirs.data)
    assert full.test.labels.bincount().equal(theirs.targets.bincount())


@real("cifar10-jpeg")
def test_real_parquet():
    name = f"parquet:{REAL / 'cifar10-jpeg'}"
    some = load(name, train=1_000, validation=0, test=500)
    assert some.train.images.shape == (1_000, 3, 32, 32)
    assert some.classes[3] == "cat"
    assert some.test.labels.bincount().tolist() == [50] * 10
    assert 100 < some.train.images.float().mean() < 140


@real("cats-vs-dogs")
def test_real_folder():
    photos = load(f"folder:{REAL / 'cats-vs-dogs'}", size=32, train=200, test=100, validation=0.1)
    assert photos.classes == ("cat", "dog")
    assert photos.train.images.shape == (200, 3, 32, 32)
    assert photos.test.labels.bincount().tolist() == [50, 50]
