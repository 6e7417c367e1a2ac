"""Networks that a run keeps, and that come back as they were."""

import os
from pathlib import Path

import pytest
import torch

from advlib import data, networks, records, saved
from advlib.batch import store
from advlib.networks import keeping
from advlib.predictions import correct

BUILT = {"name": "base_cnn", "size": 12, "classes": 10, "channels": 1, "width": 64}
PAGES = keeping.pages()


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Two networks of a published page, as they were when they were kept."""
    made = {f"defense {seed}": networks.build(**BUILT, seed=seed) for seed in (1, 2)}
    run = records.Run("synthesis", {"dataset": "digits"})
    run.add("bench", "accuracy", 0.5)
    assert run.keep(made, **BUILT) == list(made)
    run.save(tmp_path / "a_page")
    monkeypatch.setattr(keeping, "BOOK", tmp_path)
    return made


def test_a_kept_network_gives_the_same_logits_bit_for_bit(page):
    images = torch.rand(5, 1, 12, 12)
    for name, network in page.items():
        found = networks.published(f"a_page/{name}")
        assert not found.training
        assert torch.equal(found(images), network(images))


def test_a_kept_network_is_the_same_file_each_time(tmp_path):
    network = networks.build(**BUILT)
    for number in range(8):  # one order of two in the header would repeat by chance once in 128
        keeping.write("a", network, BUILT, tmp_path / f"{number}")
    assert len({(tmp_path / f"{number}").read_bytes() for number in range(8)}) == 1


@pytest.mark.parametrize("name", ["another/defense 1", "a_page/defense 3", "a_page", ""])
def test_a_network_that_is_not_there_is_named(page, name):
    with pytest.raises(ValueError, match="^name: must be one of"):
        networks.published(name)


def test_a_large_network_is_not_kept(tmp_path):
    run = records.Run("synthesis", {"dataset": "digits"})
    run.add("bench", "accuracy", 0.5)
    built = {"name": "resnet18", "channels": 3, "size": 32, "width": 32}
    assert run.keep({"large": networks.build(**built)}, **built) == []
    assert not list(run.save(tmp_path).glob(keeping.NETWORKS))


@pytest.mark.parametrize("page", PAGES)
def test_a_published_network_is_right_as_often_as_its_page_says(page):
    """As a reader would try it: load the network, and count on the page's own test images."""
    rows, outcomes = saved.read(keeping.BOOK / page)
    made = store.provenance(keeping.BOOK / page)["parameters"]
    try:
        images = data.load(
            made["dataset"], size=made["size"], train=made["train_images"], validation=0.1
        )
    except data.DataError as error:
        pytest.skip(f"{error}; ADVLIB_DATA is {os.environ.get('ADVLIB_DATA')}")
    clean = rows[rows["protocol"].eq("clean") & rows["seed"].eq(made["seeds"][0])]
    assert len(clean) > 1
    for row in clean.itertuples():
        network = networks.published(f"{page}/{row.defense}")
        right = correct(network, images.test.first(made["attacked_images"]))
        assert right.tolist() == outcomes[row.Index].tolist(), row.defense


def test_there_are_published_networks():
    assert PAGES, Path(keeping.BOOK)
