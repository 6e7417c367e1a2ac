"""The steps of study 001, on the paper's own rows and on made-up ones."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from advlib import findings, networks
from advlib.attacks import named
from advlib.data import Split
from advlib.papers import paper_files, paper_rows
from advlib.studies import patch_augmentation as study

PAPER = paper_rows("patch_augmentation")


def settings(**changed):
    given = {"attack_set": "digits", "models": ["shallow_cnn"], "variant": "7-P1"}
    given |= {"variants": ["4-P1", "7-P1", "7-P2"], "epochs_curve": [1, 4], "weights": [""]}
    given |= {"epochs": 10, "tune_epochs": 4, "compare_epochs": 3, "train_steps": 5}
    return SimpleNamespace(**given | {"others": list(study.OTHERS)} | changed)


def row(value, defense, attack="PGD-v1", protocol="white-box", **more):
    keys = {"table": "6", "model": "shallow_cnn", "metric": "accuracy", "seed": 0, "n": 100}
    keys |= {"attack": attack, "protocol": protocol, "gradient": "exact", "defense": defense}
    return keys | {"eps": 0.15, "value": value} | more


@pytest.mark.parametrize(
    ("attack_set", "table", "others"),
    [("digits", "6", 0), ("cifar10", "3", 30), ("empir", "4", 20), ("imagenet", "7", 0)],
)
def test_the_main_table_goes_with_the_attacks(attack_set, table, others):
    paper = study.beside(settings(attack_set=attack_set))
    assert set(paper.main["table"]) == {paper.table} == {table}
    assert len(paper.others) == others
    assert not {"P1", "P2"} & set(paper.main["defense"])


def test_a_network_that_the_paper_lacks_stands_beside_its_first():
    assert set(study.beside(settings()).main["model"]) == {"shallow_cnn"}
    ours = settings(attack_set="cifar10", models=["resnet18", "vgg16"])
    assert set(study.beside(ours).main["model"]) == {"resnet18", "vgg16"}


def test_a_variant_without_a_size_is_the_first_with_as_many_patches():
    paper = study.beside(settings(attack_set="imagenet"))
    assert set(paper.main["defense"]) == {"none", "4-P1", "7-P2"}


def test_stronger_attacks_that_leave_more_are_counted():
    table = study.disorder(PAPER).set_index(["stronger by", "network"])
    steps = table.loc["100 steps, not one"]
    assert steps.loc["undefended", "stronger leaves more"] == 0  # of 17
    assert steps.loc["fine-tuned"].tolist() == pytest.approx([56, 17, 10.29])
    starts = table.loc[("more starts", "undefended")]
    assert starts.tolist() == pytest.approx([3, 1, 0.23])  # 001-X11
    assert table.loc[("a larger ball", "fine-tuned")].tolist()[:2] == [22, 8]


def test_three_figures_are_printed_twice_and_differ():
    twice = study.printed_twice(PAPER)
    wide = twice.set_index(["attack", "table"])["value"].unstack() * 100
    assert (wide["5"] - wide["3"]).round(2).to_dict() == {
        "FGSM-v2": 2.76, "IFGSM-v2": 11.8, "PGD-v2": -4.79,
    }  # fmt: skip


def test_the_papers_minutes_make_the_ratio_that_it_prints():
    printed = PAPER[PAPER["metric"] == "times faster"]["value"].tolist()
    assert study.minutes(PAPER)["ratio"].tolist() == pytest.approx(printed, abs=0.06)


def test_a_clipped_gradient_is_exactly_zero_where_a_network_is_sure():
    table = study.gradients_at([2.0, 17.0, 40.0])
    assert table["through clipped probabilities"].tolist() == ["1.2e-01", "0", "0"]
    assert table["through logits"].tolist() == ["1.2e-01", "4.1e-08", "4.2e-18"]


def test_passes_count_attacks_and_the_first_training():
    passes = study.passes(settings(), replays=4)
    assert list(passes) == ["none", "4-P1", "7-P1", "7-P2", "unaltered", *study.OTHERS]
    assert passes["none"] == 10
    assert passes["7-P1"] == passes["unaltered"] == 10 + 2 * 4
    assert (passes["PGD-AT"], passes["AFT"]) == (6 * 3, 10 + 6 * 3)
    assert (passes["Fast AT"], passes["Free AT"], passes["mixup"]) == (6, 12, 3)
    elsewhere = study.passes(settings(weights=["default"]), replays=4)
    assert (elsewhere["none"], elsewhere["7-P1"]) == (0, 8)


def test_pgd_at_the_radius_of_autoattack_is_the_strong_one():
    attacks = named.settings("cifar10")
    assert study.strongest(attacks, 0.03).name == "PGD-v2"
    assert study.strongest(attacks, 0.2).name == "PGD-v1"  # there is none at 0.2


def test_the_listing_has_starts_of_pgd_alone():
    table = study.attack_settings(named.settings("fashion_mnist")).set_index("attack")
    assert table.loc["PGD-v2"].tolist() == ["0.3", 100, "0.01", 11]
    assert table.loc["FGSM"].tolist()[:3] == ["0.3", 1, "0.3"]
    assert table["random starts"].isna().tolist() == [False, False, True, True]


def test_claims_are_judged_under_the_papers_names():
    rows = pd.DataFrame(
        [row(0.5, name) for name in ("4-P1", "7-P1, epochs: 4", "7-P1, epochs: 1", "AFT")]
    )
    judged = study.for_claims(rows, settings(attack_set="empir"))
    assert judged["defense"].tolist() == ["proposed", "most epochs", "fewest epochs", "AFT"]
    assert set(judged["dataset"]) == {"cifar10"}


def test_defenses_compared_leave_out_the_blind_attack_and_other_networks():
    rows = pd.DataFrame(
        [
            row(0.1, "7-P1"),
            row(0.9, "7-P1", gradient="clipped"),
            row(0.2, "4-P1"),
            row(0.3, "AFT", table="5"),
            row(0.4, "7-P1", model="base_cnn"),
            row(0.5, "7-P1", table="ablations"),
        ]
    )
    shown = study.compared(rows, study.beside(settings()), settings())
    assert shown["value"].tolist() == [0.1, 0.3]


@pytest.mark.parametrize("apart", [True, False])
def test_a_reference_that_never_saw_the_classes_is_called_no_scale(monkeypatch, apart):
    text = paper_files("patch_augmentation")["findings.md"]
    said = '{% if measured(table="references") %}'
    block = said + text.split(said)[1].split("{% if guessing %}")[0]
    monkeypatch.setattr(findings, "paper_files", lambda study: {"findings.md": block})
    trained = {"defense": "PGD-AT, eps: 0.1", "table": "references"}
    table = pd.DataFrame(
        [
            row(0.7, attack="AutoAttack", **trained),
            row(0.9, attack="none", protocol="clean", **trained),
        ]
    )
    known = {"autoattack_images": 100, "reference_epochs": 2, "reference_epss": [0.1]}
    filled = findings.filled("patch_augmentation", table, known | {"apart": apart})
    assert "70.0 % at ε = 0.1 (clean images:" in filled
    assert ("no scale" in filled) == apart


def test_references_stand_in_the_curve_of_white_box_attacks():
    curve = {"attack": "pgd", "table": "eps curve"}
    rows = pd.DataFrame(
        [
            row(0.1, "none", **curve),
            row(0.2, "7-P1", **curve),
            row(0.9, "7-P1", protocol="static", **curve),
            row(0.8, "7-P1", metric="loss", **curve),
            row(0.3, "PGD-AT, eps: 0.1", **curve | {"table": "references"}),
            row(0.7, "PGD-AT, eps: 0.1", "AutoAttack", table="references"),
            row(0.95, "PGD-AT, eps: 0.1", "none", "clean", eps=None, table="references"),
        ]
    )
    shown = study.held(rows)
    assert shown["value"].tolist() == [0.1, 0.2, 0.3, 0.95]
    assert shown["eps"].tolist() == [0.15, 0.15, 0.15, 0.0]
    assert set(shown["attack"]) == {"pgd"}
    reference = "PGD-AT, eps: 0.1"
    assert shown["defense"].tolist() == ["undefended", "7-P1", reference, reference]


def test_values_name_who_guesses_and_classes_never_shown():
    paper = study.beside(settings())
    rows = [
        row(value, "7-P1", attack, protocol)
        for attack in ("PGD-v1", "FGSM", "IFGSM")
        for protocol, value in (("static", 0.7), ("white-box", 0.1))
    ]
    rows += [row(0.12, "PGD-AT", "none", "clean", table="5")]
    rows += [row(0.9, "AFT", "none", "clean", table="5")]
    images = SimpleNamespace(
        classes=range(10),
        train=Split(torch.zeros(4), torch.tensor([0, 1, 2, 3])),
        test=Split(torch.zeros(2), torch.tensor([4, 5])),
    )
    strong = study.strongest(named.settings("digits"), 0.15)
    values = study.values(
        pd.DataFrame(rows), settings(attacked_images=0), paper, strong,
        images=images, seconds={"plain": 1.0, "PGD-AT": 6.0},
    )  # fmt: skip
    assert values["guessing"] == ["PGD-AT"]
    assert "AFT" in values["trained"]
    assert "PGD-AT" not in values["trained"]
    assert values["apart"]
    assert values["near"][0] == "static"
    assert values["times"] == pytest.approx(6 * 10 / 18)
    assert values["reported"]["7-P1"] == pytest.approx(0.8809)


def test_every_image_twice():
    split = study.twice(Split(torch.arange(3)[:, None], torch.arange(3)))
    assert split.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_pictures_have_a_name_for_each_image():
    split = Split(torch.zeros(7, 1, 16, 16, dtype=torch.uint8), torch.zeros(7))
    for pictures, names in (
        study.each_operation(split, ["4-P1", "7-P1"]),
        study.variants_of(split, ["4-P1", "7-P2"], 3),
    ):
        assert {key: len(row) for key, row in pictures.items()} == {
            key: len(row) for key, row in names.items()
        }


def test_the_loss_of_a_network_that_is_undecided_is_the_logarithm_of_the_classes():
    network = networks.build("shallow_cnn", size=16)
    for parameter in network.parameters():
        parameter.data.zero_()
    split = Split(torch.zeros(5, 1, 16, 16), torch.zeros(5, dtype=torch.int64))
    assert study.mean_loss(network, split) == pytest.approx(2.302585)
