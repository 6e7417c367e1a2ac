"""The steps of study 003, on made-up rows and small networks whose answers are known."""

import pandas as pd
import pytest
import torch

from advlib import networks
from advlib.attacks import Attack, fgsm, pgd
from advlib.data import Split
from advlib.evaluation import Subject
from advlib.papers import paper_rows
from advlib.predictions import correct
from advlib.records import select
from advlib.studies import cross_resnet as study

MODELS = ("resnet18", "resnet50")
PAPER = paper_rows("cross_resnet")


def stated(dataset):
    return select(PAPER, table="text", dataset=dataset)


def row(value, made_on="itself", defense="none", model="resnet18", eps=0.1, table="4"):
    protocol = "white-box" if made_on == "itself" else "static"
    keys = {"table": table, "made_on": made_on, "defense": defense, "model": model, "eps": eps}
    keys |= {"attack": "fgsm", "protocol": protocol, "gradient": "exact", "metric": "accuracy"}
    return keys | {"seed": 0, "n": 100, "value": value}


def clean(value, model):
    keys = {"table": "1", "attack": "none", "protocol": "clean", "made_on": None, "eps": None}
    return row(value, model=model) | keys


def made_up():
    """Clean 0.9; under attack 0.4 or, retrained, 0.8 (source), 0.7 (own base), 0.5 (itself)."""
    after = {"the source": 0.8, "its own base": 0.7, "itself": 0.5}
    rows = [clean(0.9, model) for model in MODELS]
    for made_on, value in after.items():
        for model, more in zip(MODELS, (0.0, 0.1), strict=True):
            for eps in (0.1, 0.2):
                rows.append(row(0.4, made_on, model=model, eps=eps))
                rows.append(row(value + more, made_on, "proposed", model, eps))
    return pd.DataFrame(rows)


def test_the_papers_clean_accuracy_falls_on_cifar10():
    gains = study.clean_gains(PAPER)
    assert gains.index.tolist() == ["MNIST", "CIFAR-10", "cats against dogs"]
    assert gains.columns.tolist() == ["ResNet-18", "ResNet-50", "ResNet-101", "mean"]
    assert gains.loc["CIFAR-10"].round(2).tolist() == [1.24, -3.28, -3.21, -1.75]
    assert gains["mean"].round(2).tolist() == [1.29, -1.75, 0.42]


def test_averages_are_over_networks_and_radii_for_each_reading():
    table = study.averages(made_up(), stated("mnist"))
    assert table.columns.tolist() == ["paper", *study.READINGS]
    expected = {
        ("mean accuracy", "none"): [97.93, 90, 90, 90],
        ("mean accuracy", "FGSM"): [39.46, 40, 40, 40],
        ("mean drop", "FGSM"): [58.47, 50, 50, 50],
        ("mean gain", "FGSM"): [41.54, 45, 35, 15],
        ("largest gain", "FGSM"): [52.25, 50, 40, 20],
    }
    assert table.index.tolist() == list(expected)
    for line, values in expected.items():
        assert table.loc[line].tolist() == pytest.approx(values)


def test_averages_that_the_paper_does_not_state_are_missing():
    table = study.averages(made_up(), stated("cifar10"))
    assert table["paper"].isna().tolist() == [True, True, True, False, True]


def test_averages_are_of_the_radii_of_the_training_alone():
    further = pd.DataFrame([row(0.0, eps=0.5, table="curve")])
    rows = pd.concat([made_up(), further])
    mnist = stated("mnist")
    pd.testing.assert_frame_equal(study.averages(rows, mnist), study.averages(made_up(), mnist))


def falling(*values):
    """Accuracy 0.1 apart in eps, the first at 0.1; the second radius is one of the training."""
    tables = ["curve", "4", *["curve"] * len(values)]
    return pd.DataFrame(
        [
            row(value, eps=(place + 1) / 10, table=table)
            for place, (value, table) in enumerate(zip(values, tables, strict=False))
        ]
    )


def test_the_radius_needed_is_interpolated():
    """The paper's MNIST average is 0.3946: halfway between 0.4946 and 0.2946."""
    rows = falling(0.9, 0.4946, 0.2946)
    assert study.needed_eps(rows, stated("mnist")) == pytest.approx(0.25)


def test_the_radius_needed_is_the_first_where_accuracy_rises_again():
    rows = falling(0.9, 0.4946, 0.2946, 0.45)
    assert study.needed_eps(rows, stated("mnist")) == pytest.approx(0.25)


@pytest.mark.parametrize("values", [(0.9, 0.5), (0.3, 0.1)], ids=["more", "less"])
def test_no_radius_is_needed_where_none_reaches_the_papers_average(values):
    assert study.needed_eps(falling(*values), stated("mnist")) is None


def test_no_radius_is_needed_where_the_paper_states_no_average():
    assert study.needed_eps(falling(0.9, 0.1), stated("cifar10")) is None


def test_the_radius_needed_is_of_undefended_networks_and_their_own_images():
    rows = falling(0.9, 0.4946, 0.2946)
    astray = pd.concat([rows.assign(value=0.0, defense="proposed"),
                        rows.assign(value=0.0, made_on="the source")])  # fmt: skip
    found = study.needed_eps(pd.concat([rows, astray]), stated("mnist"))
    assert found == pytest.approx(0.25)


def test_readings_tell_the_sources_images_apart():
    rows = study.readings(made_up(), "resnet18")
    attacked = rows[rows["table"] == "4"]
    found = attacked.groupby(["model", "made_on"])["protocol"].unique().map(list).to_dict()
    assert found == {
        ("resnet18", "its own base"): ["static"],
        ("resnet18", "itself"): ["white-box"],
        ("resnet50", "the source"): ["transfer"],
        ("resnet50", "its own base"): ["static"],
        ("resnet50", "itself"): ["white-box"],
    }
    assert rows["model"].iloc[0] == "resnet18"  # the source's panel comes first


def test_others_are_all_but_the_source():
    rows = made_up()
    assert set(study.others(rows, "resnet18")["model"]) == {"resnet50"}
    alone = select(rows, model="resnet18")
    assert study.others(alone, "resnet18") is alone


def test_who_fools_whom_has_a_line_for_each_source():
    rows = pd.DataFrame(
        [
            row(value, made_on, defense, model, table="transfer")
            for defense, more in (("none", 0.0), ("proposed", 0.5))
            for made_on, model, value in (
                ("resnet18", "resnet18", 0.0 + more), ("resnet18", "resnet50", 0.1 + more),
                ("base_cnn", "resnet18", 0.2 + more), ("base_cnn", "resnet50", 0.3 + more),
            )
        ]
    )  # fmt: skip
    found = study.who_fools_whom(rows)
    assert list(found) == ["before", "after retraining"]
    assert found["before"].index.tolist() == ["resnet18", "base_cnn"]
    assert found["before"].to_numpy().tolist() == [[0.0, 0.1], [0.2, 0.3]]
    assert found["after retraining"].loc["base_cnn", "resnet50"] == 0.8
    assert list(study.who_fools_whom(select(rows, defense="none"))) == ["before"]


def test_images_are_crafted_on_the_network_of_the_same_seed():
    nets = {seed: networks.build("shallow_cnn", size=8, seed=seed) for seed in (0, 1)}
    own = [Subject(nets[s], "base_cnn", seed=s, undefended=nets[s]) for s in (1, 0)]
    bases = {seed: networks.build("shallow_cnn", size=8, seed=7 + seed) for seed in (0, 1)}
    found = study.crafted_on(bases, own)
    assert [subject.undefended for subject in found] == [bases[1], bases[0]]
    assert [subject.network for subject in found] == [nets[1], nets[0]]
    assert own[0].undefended is nets[1]


def test_right_by_all_is_what_every_network_gets_right(digits):
    nets = [networks.build("shallow_cnn", size=16, seed=seed) for seed in (0, 1)]
    split = digits.test.first(60)
    found = study.right_by_all([Subject(net, "shallow_cnn") for net in nets], split)
    assert torch.equal(found, correct(nets[0], split) & correct(nets[1], split))


@pytest.mark.parametrize(
    "attack",
    [Attack("fgsm", fgsm, eps=0.05), Attack("pgd", pgd, eps=0.05, step=0.02, steps=9)],
    ids=["FGSM", "PGD"],
)
def test_no_pixel_moves_farther_than_its_radius(digits, shallow, attack):
    moved = study.largest_change(shallow, digits.test.first(5), attack, seed=0)
    assert moved == pytest.approx(0.05, abs=1e-6)


def test_pictures_come_with_what_the_network_takes_them_for(shallow):
    grey = Split(torch.full((2, 1, 16, 16), 51, dtype=torch.uint8), torch.tensor([0, 1]))
    images, captions = study.pictures(shallow, {"clean": grey}, [f"class {n}" for n in range(10)])
    assert images["clean"].shape == (2, 1, 16, 16)
    assert images["clean"].unique().tolist() == pytest.approx([0.2])
    assert len(captions["clean"]) == 2
    assert captions["clean"][0] == captions["clean"][1]  # the same image
