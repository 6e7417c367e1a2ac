"""Steps of the study of paper 004."""

from __future__ import annotations

import pandas as pd

from advlib.studies import distillation_and_patches as study


def test_a_curve_of_steps_has_each_size_and_the_patches_of_the_usual_number():
    usual = {"table": "patches", "target": "3", "metric": "top-1 success"}
    rows = pd.DataFrame(
        [
            usual | {"model": "base_cnn", "patch": 32, "value": 0.2},
            usual | {"model": "base_cnn", "patch": 64, "value": 0.7},
            usual | {"model": "base_cnn", "patch": 64, "target": "8", "value": 0.9},
            usual | {"model": "base_cnn", "patch": 64, "metric": "top-5 success", "value": 1.0},
            usual | {"table": "steps", "model": "base_cnn", "patch": 64, "value": 0.4}
            | {"patch_steps": 10},
        ]
    )  # fmt: skip
    ((x, curve),) = study.steps_curve(rows, "3", steps=40).items()
    found = curve[["defense", x, "value"]].to_numpy().tolist()
    assert found == [["base, 32 pixels", 40, 0.2], ["base, 64 pixels", 40, 0.7],
                     ["base, 64 pixels", 10, 0.4]]  # fmt: skip
    alone = rows[rows["table"] == "patches"].drop(columns="patch_steps")  # a curve of one number
    assert study.steps_curve(alone, "3", steps=40)[x][x].tolist() == [40, 40]


def test_beside_autoattack_stand_networks_with_the_seeds_that_all_have():
    """The yardstick has one seed, and so has AutoAttack; a mean over more would be of others."""
    pgd = {"table": "distillation", "metric": "accuracy", "attack": "pgd", "eps": 0.1}
    pgd |= {"protocol": "white-box", "gradient": "exact"}
    rows = pd.DataFrame(
        [
            pgd | {"defense": "none", "seed": 0, "value": 0.1},
            pgd | {"defense": "none", "seed": 1, "value": 0.9},
            pgd | {"defense": "none", "seed": 0, "eps": 0.2, "value": 0.0},
            pgd | {"defense": "none", "seed": 0, "attack": "fgsm", "value": 0.5},
            pgd | {"defense": "none", "seed": 0, "gradient": "float32", "value": 0.6},
            pgd | {"defense": "PGD-AT", "seed": 0, "value": 0.7},
            pgd | {"defense": "PGD-AT", "seed": 0, "value": 0.65}
            | {"table": "AutoAttack", "attack": "AutoAttack"},
        ]
    )  # fmt: skip
    kept = study.beside_autoattack(rows, ["none", "PGD-AT"], eps=0.1)
    assert kept["value"].tolist() == [0.1, 0.7, 0.65]
    assert kept["attack"].tolist() == ["pgd", "pgd", "AutoAttack"]
