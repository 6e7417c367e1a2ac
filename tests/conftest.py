"""What the tests share: a cache of their own, a small trained network, a tiny repository."""

from __future__ import annotations

import nbformat
import pytest
from batches import WORK
from hypothesis import settings

from advlib import cache, data, networks, training
from advlib.attacks import Attack, pgd
from advlib.defenses import adversarial

# The same texts in each run, so that a failure is no matter of luck; more when asked for.
settings.register_profile("same", derandomize=True, database=None, max_examples=200)
settings.register_profile("thorough", database=None, max_examples=2000)
settings.load_profile("same")

TINY_PARAMETERS = "dataset = 'digits'  # data\neps = 0.3  # radius\nseeds = [0]"
TINY_WORK = """from advlib import records
run = records.Run("tiny", dict(dataset=dataset, eps=eps, seeds=seeds))
if eps == 0.5:
    raise RuntimeError("half is too much")
run.add("1", "accuracy", eps)
folder = run.save()"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Tests neither read the user's cache nor write to it."""
    monkeypatch.setenv("ADVLIB_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load("digits", size=16, train=600, test=200, device="cpu")


@pytest.fixture(scope="session")
def shallow(digits, tmp_path_factory):
    """A shallow CNN trained on the digits for a second or two. Tests must not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADVLIB_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        model = networks.build("shallow_cnn", size=16)
        recipe = training.Recipe(epochs=6, batch_size=32, optimizer="adam")
        training.fit(model, digits.train, recipe)
    return model


@pytest.fixture(scope="session")
def hardened(digits):
    """A CNN trained on PGD images of the digits, for a few seconds."""
    attack = Attack("PGD", pgd, eps=0.1, step=0.04, steps=4)
    prepare = adversarial.fresh(attack, warmup=0.5)
    recipe = training.Recipe(epochs=8, batch_size=32, optimizer="adam", lr=3e-3, prepare=prepare)
    new = networks.build("shallow_cnn", size=16, dropout=0.0)
    with cache.off():  # the cache of the tests is not there yet
        return adversarial.harden(new, digits.train, recipe).network


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one tiny study, as the working directory."""
    cells = [nbformat.v4.new_code_cell(TINY_PARAMETERS), nbformat.v4.new_code_cell(TINY_WORK)]
    cells[0].metadata["tags"] = ["parameters"]
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    (tmp_path / "notebooks/paper").mkdir(parents=True)
    nbformat.write(book, tmp_path / "notebooks/tiny.ipynb")
    (tmp_path / "notebooks/paper/tiny.yaml").write_text("eps: 0.1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A repository with one study; its label says what goes wrong."""
    cells = [
        nbformat.v4.new_code_cell("label = ''  # what happens\nseeds = [0]"),
        nbformat.v4.new_code_cell(WORK),
    ]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (tmp_path / "notebooks").mkdir()
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(book, tmp_path / "notebooks/bare.ipynb")
    monkeypatch.chdir(tmp_path)
    return tmp_path
