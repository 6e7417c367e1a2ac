import functools
import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from advlib import networks, records
from advlib.attacks import fgsm, pgd
from advlib.data import Split
from advlib.evaluation import correct, craft, mean_interval

GIVEN = {"dataset": "digits", "eps": 0.3, "seeds": [0, 1]}


def rows(**values):
    """Rows of one accuracy for each protocol and seed: static=[0.9, 0.8], ..."""
    keys = {"defense": "dominant", "metric": "accuracy", "n": 100}
    return pd.DataFrame(
        [
            keys | {"protocol": p.replace("_", "-"), "seed": seed, "value": value}
            for p, of_seed in values.items()
            for seed, value in enumerate(of_seed)
        ]
    )


def test_a_run_refuses_impossible_parameters():
    with pytest.raises(ValueError, match="^eps: "):
        records.Run("dominant_filters", GIVEN | {"eps": 3.0})


def test_rows_are_tidy_and_a_tensor_counts_itself():
    run = records.Run("dominant_filters", GIVEN)
    right = torch.tensor([True, False, True, True])
    assert run.add("6", "accuracy", right, model="base_cnn", share=0.1) == 0.75
    (row,) = run.rows.to_dict("records")
    assert list(row)[: len(records.COLUMNS)] == list(records.COLUMNS)
    assert (row["study"], row["table"], row["n"], row["value"]) == (
        "dominant_filters",
        "6",
        4,
        0.75,
    )
    assert row["share"] == 0.1


def test_a_saved_run_tells_where_it_came_from(tmp_path):
    run = records.Run("dominant_filters", GIVEN)
    run.add("6", "accuracy", 0.5)
    run.time("a step", 0.01)
    folder = run.save(tmp_path / "out")
    assert pd.read_csv(folder / "records.csv")["value"].tolist() == [0.5]
    assert pd.read_csv(folder / "timings.csv")["seconds"].tolist() == [0.01]
    made = json.loads((folder / "provenance.json").read_text())
    assert made["parameters"] == GIVEN
    assert made["versions"]["torch"] == torch.__version__
    assert {"source", "commit", "device", "threads", "data", "seconds"} <= made.keys()


def test_a_batch_says_where_to_save(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVLIB_RUN", str(tmp_path / "run"))
    assert records.Run("dominant_filters", GIVEN).save() == tmp_path / "run"
    monkeypatch.delenv("ADVLIB_RUN")
    monkeypatch.chdir(tmp_path)
    records.Run("dominant_filters", GIVEN).save()
    assert (tmp_path / "results/dominant_filters/records.csv").is_file()


def test_over_seeds_gives_intervals():
    summary = records.over_seeds(rows(static=[0.9, 0.8, 1.0], white_box=[0.1]))
    static, white = summary.to_dict("records")
    assert (static["seeds"], static["mean"]) == (3, pytest.approx(0.9))
    assert static["low"] < 0.9 < static["high"]
    assert (white["seeds"], white["low"]) == (1, pytest.approx(0.0552, abs=1e-4))  # Wilson, 10/100


def test_an_interval_covers_other_seeds_and_other_images():
    agreed = records.interval([0.0, 0.0, 0.0], 40)
    assert agreed == (0, pytest.approx(0.0876, abs=1e-4))  # Wilson, 0/40
    far_apart = records.interval([0.2, 0.5, 0.8], 100)
    assert far_apart == mean_interval([0.2, 0.5, 0.8])
    assert records.interval([0.4, 0.6], float("nan")) == mean_interval([0.4, 0.6])
    assert all(v != v for v in records.interval([0.4], float("nan")))


def test_beside_lays_the_papers_figure_next_to_ours():
    paper = rows(static=[0.99]).assign(model="base_cnn")
    ours = rows(static=[0.9, 0.8], white_box=[0.0, 0.1]).assign(model="base_cnn")
    table = records.beside(ours, paper, index=["defense"], columns=["model"])
    assert table.loc["dominant", "base_cnn"].round(6).to_dict() == {
        "paper": 99.0, "static": 85.0, "white-box": 5.0
    }  # fmt: skip


def test_a_table_by_protocol_has_the_papers_line_first():
    measured = rows(clean=[0.9, 0.8], static=[0.5, 0.7], white_box=[0.1, 0.1]).assign(
        attack=["none", "none", *4 * ["pgd"]]
    )
    paper = pd.DataFrame(
        {"attack": ["pgd", "pgd"], "defense": ["dominant", "other"], "value": 0.95}
    )
    table = records.by_protocol(measured, paper, index=["attack"], columns="defense")
    assert table.columns.tolist() == ["dominant"]
    assert table["dominant"].to_dict() == {
        ("none", "clean"): "85.0<br><small>21–100</small>",
        ("pgd", "paper"): "95.0",
        ("pgd", "static"): "60.0<br><small>0–100</small>",
        ("pgd", "white-box"): "10.0<br><small>6–17</small>",
    }


def test_the_nearest_protocol_is_the_one_that_meets_the_papers_figures():
    attacks = [f"attack {n}" for n in range(8)]
    paper = pd.DataFrame({"attack": attacks, "value": [0.5 + n / 100 for n in range(8)]})
    off = {"static": 0.02, "white-box": -0.3}
    measured = pd.concat(
        [paper.assign(protocol=p, value=paper["value"] + d) for p, d in off.items()]
    )
    summary, chance = records.nearest_protocol(measured, paper.head(7), keys=["attack"])
    assert summary["figures"].tolist() == [7, 7]
    assert summary["mean difference"].to_dict() == pytest.approx({"static": 2, "white-box": -30})
    assert summary["root mean square"].to_dict() == pytest.approx({"static": 2, "white-box": 30})
    assert chance == pytest.approx(2 / 2**7)  # all signs alike
    same = measured.assign(value=0.4)
    assert records.nearest_protocol(same, paper, keys=["attack"])[1] == 1.0


def test_judging_adds_a_row_for_each_attack_and_protocol(digits):
    run = records.Run("dominant_filters", GIVEN)
    split = Split(*(part[:20] for part in digits.test))
    network, base = (networks.build("shallow_cnn", size=16, seed=s) for s in (0, 1))
    attack = functools.partial(fgsm, eps=0.1)
    run.judge("5", network, split, {"FGSM": attack}, undefended=base, seed=3, defense="dominant")
    told = run.rows.set_index("protocol")
    assert told["attack"].to_dict() == {"clean": "none", "static": "FGSM", "white-box": "FGSM"}
    assert told["eps"].dropna().tolist() == [0.1, 0.1]
    assert (told[["seed", "n"]] == [3, 20]).all().all()
    for protocol, against in (("static", base), ("white-box", network)):
        right = correct(network, craft(against, split, attack, seed=3)).float().mean().item()
        assert told.loc[protocol, "value"] == pytest.approx(right)


def test_networks_with_one_undefended_network_are_shown_the_same_static_images(digits):
    run = records.Run("dominant_filters", GIVEN)
    split = Split(*(part[:20] for part in digits.test))
    network, base = (networks.build("shallow_cnn", size=16, seed=s) for s in (0, 1))
    attack = functools.partial(pgd, eps=0.1, step=0.05, steps=2)
    run.judge("5", network, split, {"PGD": attack}, undefended=base, seed=3, attack_seed=7)
    right = correct(network, craft(base, split, attack, seed=7)).float().mean().item()
    told = run.rows.set_index("protocol").loc["static"]
    assert (told["seed"], told["value"]) == (3, pytest.approx(right))


def test_autoattack_counts_as_white_box(claim):
    measured = rows(autoattack=[0.99])
    assert records.verdicts("any", measured)["verdict"].tolist() == ["holds"]


def test_stacked_puts_three_lines_in_a_cell():
    paper = rows(static=[0.99]).assign(images=50)
    ours = pd.concat([rows(static=[0.9, 0.8]).assign(images=n) for n in (50, 100)])
    table = records.stacked(ours, paper, index=["defense"], columns="images")
    low, high = (f"{100 * v:.0f}" for v in records.interval([0.9, 0.8], 100))
    assert table.loc["dominant", 50] == f"99.0<br><b>85.0</b><br><small>{low}–{high}</small>"
    assert table.loc["dominant", 100].startswith("–<br>")


@pytest.fixture
def claim(monkeypatch):
    condition = {
        "rows": {"defense": "dominant", "metric": "accuracy"}, "is": "at least", "number": 0.9
    }  # fmt: skip
    known = {
        "protocol": "static",
        "claim": [{"says": "It defends.", "where": "Table 8", "condition": [condition]}],
    }
    monkeypatch.setattr(records, "claims", lambda study: known)
    return known


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (rows(static=[0.99], white_box=[0.99]), "holds"),
        (rows(static=[0.99], white_box=[0.95]), "holds, within the noise"),
        (
            rows(static=[0.99], white_box=[0.85]),
            "holds only under the paper's protocol, within the noise",
        ),
        (rows(static=[0.85], white_box=[0.1]), "does not hold, within the noise"),
        (rows(static=[0.99], white_box=[0.1]), "holds only under the paper's protocol"),
        (rows(static=[0.5], white_box=[0.1]), "does not hold"),
        (rows(static=[0.99], white_box=[0.1]).assign(defense="other"), "not tested here"),
        (rows(white_box=[0.99]), "holds"),
        (rows(white_box=[0.1]), "does not hold"),
    ],
)
def test_verdicts(claim, measured, verdict):
    assert records.verdicts("any", measured)["verdict"].tolist() == [verdict]
    assert verdict.removesuffix(records.NOISE) in records.VERDICTS


@pytest.mark.parametrize("study", sorted(p.stem for p in Path("notebooks").glob("*.ipynb")))
def test_protocols_in_claims_exist(study):
    known = records.claims(study)
    named = [
        c["protocol"] for claim in known["claim"] for c in claim["condition"] if "protocol" in c
    ]
    assert {known["protocol"], *named} <= {*records.LINES}


def test_a_condition_may_be_of_one_protocol(claim):
    (condition,) = claim["claim"][0]["condition"]
    claim["claim"][0]["condition"].append(
        condition | {"protocol": "white-box", "rows": {"defense": "dominant", "attack": "pgd"}}
    )
    fgsm = rows(static=[0.99], white_box=[0.99])
    stronger = rows(white_box=[0.1]).assign(attack="pgd")
    (told,) = records.verdicts("any", pd.concat([fgsm, stronger])).to_dict("records")
    assert told["verdict"] == "holds only under the paper's protocol"
    assert (told["static"].count("must"), told["white-box"].count("must")) == (1, 2)


def test_defenses_that_guess_are_told():
    measured = rows(clean=[0.9]).assign(attack="none")
    guessing = rows(clean=[0.12]).assign(attack="none", defense="guesses")
    both = pd.concat([measured, guessing])
    assert records.at_chance(both, classes=10) == ["guesses"]
    assert records.at_chance(both, classes=100) == []


def test_what_static_images_alone_bear_out_is_no_claim_of_a_white_box_paper(claim):
    claim["protocol"] = "white-box"
    measured = rows(static=[0.99], white_box=[0.1])
    assert records.verdicts("any", measured)["verdict"].tolist() == ["does not hold"]
    measured = rows(static=[0.99])
    assert records.verdicts("any", measured)["verdict"].tolist() == ["not tested here"]


def test_a_paper_may_have_a_protocol_of_its_own(claim):
    claim["protocol"] = "float32"
    measured = pd.concat(
        [rows(static=[0.2]), rows(static=[0.99]).assign(protocol="float32"), rows(white_box=[0.1])]
    )
    (told,) = records.verdicts("any", measured).to_dict("records")
    assert told["verdict"] == "holds only under the paper's protocol"
    assert [told[p][:4] for p in ("static", "float32", "white-box")] == ["20.0", "99.0", "10.0"]


def test_a_condition_can_compare_rows(claim):
    (condition,) = claim["claim"][0]["condition"]
    condition |= {"than": {"defense": "whole"}, "margin": -0.02}
    del condition["number"]
    measured = rows(static=[0.95], white_box=[0.95]).assign(n=10_000)
    whole = measured.assign(defense="whole", value=0.96)
    verdict = records.verdicts("any", pd.concat([measured, whole]))
    assert verdict["verdict"].tolist() == ["holds"]
    better = records.verdicts("any", pd.concat([measured, whole.assign(value=0.99)]))
    assert better["verdict"].tolist() == ["does not hold"]
    few = records.verdicts("any", pd.concat([measured, whole]).assign(n=100))
    assert few["verdict"].tolist() == ["holds, within the noise"]


@pytest.mark.parametrize(
    ("study", "untold"),
    [
        (
            "patch_augmentation",
            ["It is the altered", "Fine-tuning with", "More", "Fine-tuning defends"],
        ),
        ("dominant_filters", ["The same few", "The dominant filters are", "A network fine-tuned"]),
        ("aft_fgsm_vs_jsma", ["The same, if", "It is the perturb", "What is", "What is"]),
    ],
)
def test_the_papers_own_rows_decide_the_claims_that_they_are_about(study, untold):
    paper = records.paper_rows(study).assign(seed=0)
    paper["defense"] = paper["defense"].replace(r"^(\d+-)?P\d+$", "proposed", regex=True)
    decided = records.verdicts(study, paper).set_index("claim")["verdict"]
    silent = [c for c in decided.index if decided[c] == "not tested here"]
    assert len(silent) == len(untold)
    assert all(c.startswith(u) for c, u in zip(silent, untold, strict=True))
    borne_out = decided.drop(silent)
    # The paper's text contradicts its own tables in one figure.
    contradicted = [c for c in borne_out.index if borne_out[c] != "holds"]
    assert [c[:12] for c in contradicted] == ["Against JSMA"] * (study == "aft_fgsm_vs_jsma")


def test_the_percentages_of_paper_000_come_out_of_its_tables():
    """Its text averages over the five columns; all but one figure can be had from its tables."""
    rows = records.paper_rows("aft_fgsm_vs_jsma")
    of_tables = rows[rows["metric"] == "accuracy"]
    mean = of_tables.groupby(["defense", "sample", "attack"])["value"].mean()
    told = rows[rows["table"] == "text"]
    for row in told[told["metric"] == "relative gain"].itertuples():
        samples = [row.sample] if isinstance(row.sample, str) else ["fgsm", "jsma"]
        after, before = (
            sum(mean[of, sample, row.attack] for sample in samples) for of in (row.defense, "none")
        )
        assert after / before - 1 == pytest.approx(row.value, abs=0.006)
    for row in told[told["metric"] == "ratio"].itertuples():
        ratio = mean[row.defense, row.sample, row.attack] / mean[row.defense, row.sample, "none"]
        assert ratio == pytest.approx(row.value, abs=0.006)
    better = mean["AFT-JSMA", "jsma", "jsma"] / mean["AFT-FGSM", "jsma", "jsma"] - 1
    assert better == pytest.approx(0.048, abs=0.001)  # the text says 0.252


def test_the_averages_of_paper_003_come_out_of_its_table():
    """Table 1 is all that its text keeps; one sentence about it is not so."""
    rows = records.paper_rows("cross_resnet")
    clean = rows[rows["table"] == "1"].set_index(["dataset", "model", "defense"])["value"]
    told = rows[rows["table"] == "text"]
    for row in told[told["metric"] == "mean accuracy"].query("attack == 'none'").itertuples():
        assert clean[row.dataset].xs("none", level="defense").mean() == pytest.approx(
            row.value, abs=1e-4
        )
    gain = clean.unstack("defense").eval("proposed - none")
    assert gain["mnist", "resnet18"] == pytest.approx(0.018, abs=5e-4)
    assert gain["cifar10", "resnet50"] < -0.03  # "was also increased", says the text


def test_paper_rows_are_whole():
    paper = records.paper_rows("aft_fgsm_vs_jsma")
    assert paper["table"].value_counts().to_dict() == {"I": 20, "II": 20, "III": 20, "text": 11}
    paper = records.paper_rows("patch_augmentation")
    assert paper["table"].value_counts().to_dict() == {
        "3": 70, "4": 20, "5": 30, "6": 25, "7": 27, "8": 12, "9": 12, "10": 9, "11": 18,
    }  # fmt: skip
    paper = records.paper_rows("cross_resnet")
    assert paper["table"].value_counts().to_dict() == {"1": 18, "text": 11}
    paper = records.paper_rows("dominant_filters")
    counts = paper["table"].value_counts().to_dict()
    assert counts == {
        "2": 90, "3": 90, "3.3": 1, "4": 12, "5": 12, "6": 18, "7": 18, "8": 12, "9": 12,
        "10": 12, "11": 12, "12": 9,
    }  # fmt: skip
    assert paper["value"].between(0, 1).all()
