"""The settings of the studies: what may be, and how a refusal reads."""

from pathlib import Path

import nbformat
import pytest

from advlib import data, studies
from advlib.batch import plan
from advlib.batch.plan import schema
from advlib.studies.settings import meant

NOTEBOOK = Path("notebooks/dominant_filters.ipynb")


def resolve(notebook, overrides):
    defaults = schema(notebook)
    return studies.settings_of(notebook.stem, defaults).of({**defaults, **overrides}).model_dump()


@pytest.mark.parametrize("study", studies.names())
def test_a_notebooks_parameters_are_the_fields_of_its_settings(study):
    defaults = schema(Path("notebooks", f"{study}.ipynb"))
    assert list(studies.settings_of(study, defaults).model_fields) == list(defaults)


def test_every_notebook_has_settings():
    assert {path.stem for path in Path("notebooks").glob("*.ipynb")} == set(studies.names())


def test_a_reader_s_own_notebook_keeps_the_rules_that_its_names_have():
    defaults = {"eps": 0.1, "colour": "red", "seeds": [0], "sides": [3], "extra": []}
    settings = studies.settings_of("mine", defaults)
    given = settings.of({**defaults, "eps": "0.3", "sides": "[4, 5]"})
    assert (given.study, given.eps, given.sides) == ("mine", 0.3, [4, 5])
    for wrong in ({"eps": 3.0}, {"colour": 3}, {"seeds": []}, {"sides": [0.5]}):
        with pytest.raises(ValueError, match=rf"^{next(iter(wrong))}\b"):
            settings.of({**defaults, **wrong})


def test_settings_are_read_from_a_namespace_and_texts_become_lists():
    defaults = schema(NOTEBOOK)
    space = {**defaults, "seeds": "[3, 4]", "models": "['base_cnn']", "other": object()}
    settings = studies.settings_of("dominant_filters", defaults).read(space)
    assert settings.seeds == space["seeds"] == [3, 4]
    assert space["models"] == ["base_cnn"]
    del space["eps"]
    with pytest.raises(ValueError, match="^eps: is missing"):
        studies.settings_of("dominant_filters", defaults).read(space)


@pytest.mark.parametrize("study", studies.names())
def test_every_parameter_of_a_study_may_come_as_text(study):
    defaults = schema(Path("notebooks", f"{study}.ipynb"))
    space = {name: str(value) for name, value in defaults.items()}
    studies.settings_of(study, defaults).read(space)
    assert space == defaults
    assert [type(value) for value in space.values()] == [type(v) for v in defaults.values()]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("010", int, 10),
        ("-3", int, -3),
        ("1e3", int, "1e3"),
        ("1_0", int, "1_0"),
        ("5e-4", float, 0.0005),
        (".5", float, 0.5),
        ("inf", float, "inf"),
        ("false", bool, False),
        ("True", bool, True),
        ("no", bool, "no"),
        ("1", bool, "1"),
        ("no", str, "no"),
        ("folder:/x/my #1", str, "folder:/x/my #1"),
        (" 07 ", str, " 07 "),
        ("[0, 010]", list[int], [0, 10]),
        ("['a b', \"c\", no]", list[str], ["a b", "c", "no"]),
        ("[]", list[str], []),
        ("[", list[int], "["),
        ("[1]]", list[int], "[1]]"),
        ("[*a]", list[int], "[*a]"),
        ("{a: 1}", list[int], "{a: 1}"),
        (0.5, int, 0.5),
    ],
)
def test_a_text_is_read_by_its_setting_s_own_type(text, kind, value):
    read = meant(text, kind)
    assert (read, type(read)) == (value, type(value))


def test_a_name_that_no_parameter_has_is_refused_in_the_notebook_too():
    defaults = schema(NOTEBOOK)
    settings = studies.settings_of("dominant_filters", defaults)
    cell = "\n".join(f"{name} = {value!r}" for name, value in defaults.items())
    later = ["import os\nepss = [1]", "epss = sorted(epss)", "not python"]
    settings.read({**defaults, "In": ["", cell, "# Parameters\neps = 0.15\n", *later]})
    for cells in (["# Parameters\nepss = 0.3\n"], [cell + "\nepss = [0.3]"]):
        with pytest.raises(ValueError, match=r"^epss: .*no such parameter.*did you mean 'eps'"):
            settings.read({**defaults, "In": cells})


def test_data_sets_are_told_by_their_type():
    found = {study: studies.settings_of(study, {}).datasets() for study in studies.names()}
    assert found["aft_fgsm_vs_jsma"] == ["dataset", "test_dataset"]
    assert found["distillation_and_patches"] == ["dataset", "distilled_on"]


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
        ("eps", "three"),
        ("eps", "1e999"),
        ("eps", "nan"),
        ("steps", "1e1"),
        ("steps", 5000 * "9"),
        ("seeds", "3"),
        ("seeds", "[3"),
        ("seeds", "[0, one]"),
        ("seeds", [2**32]),
        ("models", ["base_cnn", "base_cnn"]),
        ("shares", [0.5, 0.5]),
        ("size", 2000),
        ("step", 0),
        ("steps", 0),
        ("steps", 1.5),
        ("seeds", []),
        ("seeds", [1, 1]),
        ("seeds", 0),
        ("models", ["lenet"]),
        ("share", 0),
        ("shares", [2]),
        ("seeds", "[0, 1"),
        ("seeds", [True]),
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
    [("weights", ["", ""]), ("targets", []), ("temperature", 0), ("patch_scale", [2.0, 1.0])],
)
def test_and_those_of_distillation_and_patches(name, value):
    notebook = Path("notebooks/distillation_and_patches.ipynb")
    overrides = {"models": ["base_cnn"]} if name == "weights" else {}
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        resolve(notebook, {name: value} | overrides)


def test_a_text_that_no_file_can_hold_is_refused():
    with pytest.raises(
        ValueError, match=r"^label: must be text that UTF-8 can hold, got '\\ud800'"
    ):
        resolve(Path("notebooks/aft_fgsm_vs_jsma.ipynb"), {"label": "\ud800"})


def test_few_images_are_no_more_than_the_counts():
    with pytest.raises(
        ValueError, match="^few: must be at most 200, the largest of counts; got 201"
    ):
        resolve(Path("notebooks/aft_fgsm_vs_jsma.ipynb"), {"few": 201})


@pytest.mark.parametrize(
    ("name", "value"),
    [("paper_set", "svhn"), ("other_source", "lenet"), ("epss", [0.01, 0])],
)
def test_and_those_of_the_cross_model_study(name, value):
    with pytest.raises(ValueError, match=rf"^{name}\b"):
        resolve(Path("notebooks/cross_resnet.ipynb"), {name: value})


def test_an_unknown_parameter_is_refused_with_a_hint():
    with pytest.raises(ValueError, match=r"^epss: .*did you mean 'eps'\?"):
        resolve(NOTEBOOK, {"epss": 0.1})


def test_a_notebook_without_parameters_is_refused(tmp_path):
    path = tmp_path / "bare.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), path)
    with pytest.raises(ValueError, match="parameters"):
        schema(path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"eps": "hello"}, "eps: must be a valid number, got 'hello'"),
        ({"seeds": [1, 1]}, "seeds: must be distinct, got [1, 1]"),
        ({"steps": 0}, "steps: must be greater than or equal to 1, got 0"),
        ({"eps": 3}, "eps: must lie in [0, 1] (pixel units), got 3.0"),
        ({"eps_curve": [0.1, 3]}, "eps_curve: must lie in [0, 1] (pixel units), got 3.0"),
    ],
)
def test_a_refusal_is_one_line_that_says_what_is_allowed(wrong, message):
    with pytest.raises(ValueError, match="^") as refused:
        resolve(NOTEBOOK, wrong)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("study", "overrides", "says"),
    [
        (
            "dominant_filters",
            {"train_images": 1008},
            "train_images: must be at most 1,007, all that",
        ),
        ("dominant_filters", {"test_images": 360}, "test_images: must be at most 359, all test im"),
        ("dominant_filters", {"test_images": 50}, "attacked_images: must be at most 50, all test "),
        (
            "dominant_filters",
            {"validation": 0.0001},
            "validation: holds out none of 1,438 training",
        ),
        ("dominant_filters", {"size": 7}, "models: dense_cnn: size: must be at least 8 for this"),
        (
            "dominant_filters",
            {"models": ["torchvision:alexnet"]},
            "models: torchvision:alexnet: chan",
        ),
        (
            "aft_fgsm_vs_jsma",
            {"tune_images": 1439},
            "tune_images: must be at most 1,438, all train",
        ),
        ("aft_fgsm_vs_jsma", {"counts": [50, 360]}, "counts: must be at most 359, all test images"),
        ("aft_fgsm_vs_jsma", {"shift": 16}, "shift: must be at most 11, less than size; got 16"),
        (
            "aft_fgsm_vs_jsma",
            {"test_dataset": "svhn"},
            "test_dataset: must have the 10 classes and 1 ",
        ),
        ("aft_fgsm_vs_jsma", {"width": 16000}, "model: resnet18: width, size: training resnet18 "),
        ("aft_fgsm_vs_jsma", {"train_images": 9999}, "train_images: must be at most 1,438, all tr"),
        (
            "cross_resnet",
            {"attacked_images": 360},
            "attacked_images: must be at most 359, all test",
        ),
        (
            "dominant_filters",
            {"autoattack_images": 101},
            "autoattack_images: must be at most 100, all attacked",
        ),
        (
            "cross_resnet",
            {"other_source": "vgg16"},
            "other_source: vgg16: size: must be at least 3",
        ),
        (
            "patch_augmentation",
            {"variant": "3-P1"},
            "variant: must be among variants (4-P1, 7-P1, ",
        ),
        (
            "patch_augmentation",
            {"variants": ["17-P1"], "variant": "17-P1"},
            "variants: must be at m",
        ),
        ("patch_augmentation", {"shift": 16}, "shift: must be at most 15, less than size"),
        (
            "patch_augmentation",
            {"others": ["AFT"]},
            "autoattack_others: must be among others (AFT)",
        ),
        (
            "patch_augmentation",
            {"mixup_layers": ["network.99"]},
            "mixup_layers: must be among shallo",
        ),
        (
            "patch_augmentation",
            {"autoattack_images": 400},
            "autoattack_images: must be at most 359",
        ),
        (
            "distillation_and_patches",
            {"targets": [10]},
            "targets: must be at most 9, the last class",
        ),
        (
            "distillation_and_patches",
            {"patch_sizes": [40]},
            "patch_sizes: size: a patch of 40 pixels",
        ),
        (
            "distillation_and_patches",
            {"distilled_images": 1400},
            "distilled_images: must be at most ",
        ),
        (
            "distillation_and_patches",
            {"curve_images": 700},
            "curve_images: must be at most 600, all ",
        ),
        (
            "distillation_and_patches",
            {"distilled_size": 5},
            "distilled_model: mnist_conv: size: must",
        ),
        (
            "distillation_and_patches",
            {"robust_eps": 0.07},
            "robust_eps: must be among epss (0.05, 0.1, 0.2, 0.3), got 0.07",
        ),
        (
            "distillation_and_patches",
            {"distilled_attacked": 360},
            "distilled_attacked: must be at most 359, all test images",
        ),
        (
            "distillation_and_patches",
            {"autoattack_images": 101},
            "autoattack_images: must be at most 100, all attacked",
        ),
    ],
)
def test_what_the_data_or_another_parameter_do_not_bear_is_refused(study, overrides, says):
    with pytest.raises(ValueError, match="^") as refused:
        resolve(Path(f"notebooks/{study}.ipynb"), overrides)
    assert str(refused.value).startswith(says)


OF_PAPERS = [study for study in studies.names() if studies.settings_of(study, {}).paper]
PROFILES = sorted(path.stem for path in Path("notebooks/paper").glob("*.yaml"))


def test_every_study_of_a_paper_has_that_papers_profile():
    assert set(PROFILES) - {"synthesis"} == set(OF_PAPERS)  # which takes all five papers' defenses


@pytest.mark.parametrize("study", PROFILES)
def test_a_paper_profile_can_be_had(study):
    notebook = Path(f"notebooks/{study}.ipynb")
    settings = studies.settings_of(study, {})
    heads = {"imagenet": data.Head(40_000, 10_000, 1000, 3)}
    for profile in plan.profile_of(notebook, "paper"):
        given = {**plan.schema(notebook), **profile}
        settings.of(given, head=lambda name: heads.get(name) or data.head(name))


LEFT_OUT = ["aft_fgsm_vs_jsma", "cross_resnet", "dominant_filters"]  # AutoAttack may be, in these


@pytest.mark.parametrize(
    ("study", "name"),
    [*((study, "autoattack_images") for study in LEFT_OUT), ("patch_augmentation", "dataset")],
)
def test_autoattack_is_refused_where_there_are_two_classes(study, name):
    defaults = schema(Path("notebooks", f"{study}.ipynb"))
    settings = studies.settings_of(study, defaults).of(defaults)
    head = data.Head(train=1400, test=359, classes=2, channels=1)
    with pytest.raises(ValueError, match=rf"^{name}: AutoAttack needs 4 classes, .* has 2; "):
        settings.check_data({"dataset": head})


def test_nor_has_it_two_classes_to_attack_in_the_distillation():
    defaults = schema(Path("notebooks/distillation_and_patches.ipynb"))
    settings = studies.settings_of("distillation_and_patches", defaults).of(defaults)
    heads = {"dataset": data.head("digits"), "distilled_on": data.Head(1400, 359, 2, 1)}
    with pytest.raises(ValueError, match=r"^autoattack_images: AutoAttack needs 4 classes"):
        settings.check_data(heads)


@pytest.mark.parametrize("study", LEFT_OUT)
def test_where_autoattack_is_left_out_two_classes_will_do(study):
    defaults = schema(Path("notebooks", f"{study}.ipynb")) | {"autoattack_images": 0}
    head = data.Head(train=1400, test=359, classes=2, channels=1)
    studies.settings_of(study, defaults).of(defaults).check_data({"dataset": head})


def test_images_are_judged_on_the_test_set_that_is_named():
    """As many may be judged as it has, not as many as the set that is trained on."""
    defaults = schema(Path("notebooks/aft_fgsm_vs_jsma.ipynb"))
    given = {**defaults, "test_dataset": "mnist", "counts": [50, 101]}
    settings = studies.settings_of("aft_fgsm_vs_jsma", defaults).of(given)
    heads = {"dataset": data.Head(1400, 359, 10, 1), "test_dataset": data.Head(500, 100, 10, 1)}
    with pytest.raises(ValueError, match=r"^counts: must be at most 100, all test images"):
        settings.check_data(heads)
