import ast
from pathlib import Path

import nbformat
import pytest

from advlib import parameters

NOTEBOOK = Path("notebooks/dominant_filters.ipynb")


def resolve(notebook, overrides):
    return parameters.resolve(notebook.stem, parameters.schema(notebook), overrides)


def test_the_parameters_cell_is_the_schema():
    found = parameters.schema(NOTEBOOK)
    assert found["dataset"] == "digits"
    assert found["seeds"] == [0]
    assert found.keys() <= parameters.RULES.keys()


@pytest.mark.parametrize(
    "notebook", sorted(Path("notebooks").glob("*.ipynb")), ids=lambda p: p.stem
)
def test_every_list_of_a_study_may_come_as_text(notebook):
    lists = {n for n, v in parameters.schema(notebook).items() if isinstance(v, list)}
    (code,) = (
        cell.source
        for cell in nbformat.read(notebook, as_version=4).cells
        if "parameters.listed" in cell.source
    )
    last = ast.parse(code).body[-1]
    assert {target.id for target in last.targets[0].elts} == lists


def test_overrides_are_put_in_and_typed():
    given = resolve(NOTEBOOK, {"eps": 1, "seeds": [7]})
    assert given["eps"] == 1.0
    assert isinstance(given["eps"], float)
    assert given["seeds"] == [7]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dataset", "nosuch"),
        ("dataset", 3),
        ("dataset", "folder:/no/such/folder"),
        ("eps", 3),
        ("eps", 0),
        ("eps", "0.3"),
        ("step", 0),
        ("steps", 0),
        ("steps", 1.5),
        ("seeds", []),
        ("seeds", [1, 1]),
        ("seeds", 0),
        ("models", ["lenet"]),
        ("share", 0),
        ("shares", [2]),
        ("epochs", True),
        ("validation", 1),
        ("eps_curve", [0.1, 7]),
        ("attacked_images", -1),
    ],
)
def test_what_cannot_be_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        resolve(NOTEBOOK, {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("variant", "7P1"),
        ("variants", ["7-P1", "seven"]),
        ("attack_set", "mnist"),
        ("tune_optimizer", "lion"),
        ("optimizers", ["adam", "lion"]),
        ("autoattack_eps", 2),
        ("others", ["TRADES"]),
        ("weights", ["nowhere.safetensors"]),
    ],
)
def test_so_are_the_settings_of_altered_patches(name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        resolve(Path("notebooks/patch_augmentation.ipynb"), {name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("paper_set", "svhn"), ("other_source", "lenet"), ("epss", [0.01, 0])],
)
def test_and_those_of_the_cross_model_study(name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        resolve(Path("notebooks/cross_resnet.ipynb"), {name: value})


def test_an_unknown_parameter_is_refused_with_a_hint():
    with pytest.raises(ValueError, match=r"^epss: .*did you mean eps\?"):
        resolve(NOTEBOOK, {"epss": 0.1})


def test_a_notebook_without_parameters_is_refused(tmp_path):
    path = tmp_path / "bare.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), path)
    with pytest.raises(ValueError, match="parameters"):
        parameters.schema(path)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[7]", [7]),
        (" ['a', 'b']", ["a", "b"]),
        ([7], [7]),
        ("[7", "[7"),
        ("digits", "digits"),
        (1, 1),
    ],
)
def test_a_list_may_come_as_text(value, expected):
    assert parameters.listed(value) == expected
