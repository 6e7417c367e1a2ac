"""The bench's own steps: what is counted, laid out and left of a gain."""

import pandas as pd
import pytest

from advlib.batch.plan import schema, studies
from advlib.studies import synthesis as study
from advlib.worst_case import WORST


def settings(**changed):
    return study.Settings.of(schema(studies()["synthesis"]) | changed)


def rows(**of_defense):
    """Rows of the bench: (clean, static, transfer, FGSM, PGD, worst case) by defense."""
    columns = [
        ("none", "clean"), ("PGD", "static"), ("PGD", "transfer"), ("FGSM", "white-box"),
        ("PGD", "white-box"), (WORST, "white-box"),
    ]  # fmt: skip
    lines = [
        {"defense": name.replace("_", " "), "attack": attack, "protocol": protocol, "seed": seed,
         "gradient": "none" if attack == "none" else "exact", "n": 100, "value": value,
         "model": "base_cnn", "table": study.TABLE}
        for name, values in of_defense.items()
        for (attack, protocol), value in zip(columns, values, strict=True)
        for seed in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(lines)


BENCH = rows(
    none=(0.98, 0.1, 0.3, 0.2, 0.1, 0.0),
    **{"another's images": (0.99, 0.9, 0.95, 0.3, 0.0, 0.0)},
    FGSM_fine_tuning=(0.9, 0.5, 0.5, 0.4, 0.2, 0.05),
    Fast_AT=(0.97, 0.6, 0.7, 0.6, 0.5, 0.4),
    TRADES=(0.95, 0.6, 0.7, 0.6, 0.52, 0.5),
)
BENCH["defense"] = BENCH["defense"].replace("FGSM fine tuning", "FGSM fine-tuning")


def test_passes_count_every_training_and_every_step_of_an_attack():
    of = study.passes(settings(epochs=10, robust_epochs=4, train_steps=7, steps=20, tune_epochs=3))
    assert set(of) == set(study.DEFENSES)
    assert of["none"] == 10
    assert of["PGD-AT"] == 10 + 4 * 8
    assert of["FGSM-AT"] == of["Fast AT"] == 10 + 4 * 2
    assert of["dominant filters"] == 10 + 20 + 2 * 3
    assert of["distillation"] == 20  # teacher and student
    assert (
        of["another's images"] == 10 + 3 + 4 * 10
    )  # the stranger, three radii, four times as much
    assert of["augmentation"] == 40


def test_the_matrix_ends_with_the_worst_case_and_keeps_the_order_of_the_bench():
    wide = study.matrix(BENCH)
    assert wide.columns[0] == "clean"
    assert wide.columns[-1] == WORST
    assert list(wide.index) == [name for name in study.DEFENSES if name in set(BENCH["defense"])]
    assert wide.loc["TRADES", "PGD, white-box"] == pytest.approx(0.52)


def test_what_is_left_of_a_gain_is_against_the_undefended_network_under_the_same_attack():
    left = study.left(BENCH, ["another's images"]).set_index("step")["gain"]
    assert left.to_dict() == pytest.approx(
        {"static": 80, "transfer": 65, "white-box, FGSM": 10, "white-box, PGD": -10, WORST: 0}
    )


def test_what_pgd_missed_names_only_networks_that_keep_something():
    missed = study.missed_by_pgd(BENCH)
    assert list(missed.index) == ["FGSM fine-tuning", "Fast AT", "TRADES"]
    assert missed["missed"].to_list() == pytest.approx([15, 10, 2])


def test_the_cheapest_that_holds_is_the_one_with_the_fewest_passes(monkeypatch):
    passes, measured = study.passes(settings()), set(BENCH["defense"])
    bench = {name: of for name, of in study.DEFENSES.items() if name in measured}
    monkeypatch.setattr(study, "DEFENSES", bench)
    monkeypatch.setattr(study, "OF_PAPERS", ("another's images", "FGSM fine-tuning"))
    found = study.for_findings(BENCH, passes)
    assert set(found["holding"]) == {"Fast AT", "TRADES"}
    assert found["cheapest"] == "Fast AT"
    assert found["best_of_papers"] == "FGSM fine-tuning"
    nobody = study.for_findings(BENCH.assign(value=0.5), passes)
    assert nobody["holding"] == []
    assert nobody["cheapest"] == ""


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"few_images": 10_000}, "few_images: must be at most 500, train_images"),
        ({"autoattacked": ["PGD AT"]}, "autoattacked: "),
        ({"variant": "7P1"}, "variant: must be like 7-P1"),
        ({"attacked_images": 5000}, "attacked_images: must be at most 359"),
    ],
)
def test_what_cannot_be_is_refused(changed, says):
    with pytest.raises(ValueError, match="^" + says):
        settings(**changed)


def test_the_front_table_is_in_percent_without_the_attacks_name():
    front = study.front(BENCH)
    assert list(front.columns) == ["defense", "clean", "transfer", "static", "white-box", WORST]
    assert front.set_index("defense").loc["Fast AT", "clean"] == pytest.approx(97)
