import json
import os
import re

import pandas as pd
import pytest
import torch

from advlib import data, networks, records, saved
from advlib.attacks import Attack, craft, fgsm, pgd
from advlib.data import Split
from advlib.evaluation import Subject, evaluate
from advlib.predictions import correct

GIVEN = {"dataset": "digits", "eps": 0.3, "seeds": [0, 1]}


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


def test_rows_name_the_set_that_is_judged():
    for named, expected in ({"test_dataset": ""}, "digits"), ({"test_dataset": "svhn"}, "svhn"):
        run = records.Run("aft_fgsm_vs_jsma", GIVEN | named)
        run.add("I", "accuracy", 0.5)
        assert run.rows["dataset"].tolist() == [expected]


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


def test_measuring_adds_a_row_for_each_attack_and_protocol(digits):
    run = records.Run("dominant_filters", GIVEN)
    split = Split(*(part[:20] for part in digits.test))
    network, base = (networks.build("shallow_cnn", size=16, seed=s) for s in (0, 1))
    attack = Attack("PGD", pgd, eps=0.1, step=0.05, steps=2)
    subject = Subject(network, "shallow_cnn", "dominant", seed=3, undefended=base)
    run.measure("5", [subject], split, [attack], seed=7, share=0.1)
    told = run.rows.set_index("protocol")
    assert told["attack"].to_dict() == {"clean": "none", "static": "PGD", "white-box": "PGD"}
    assert told["gradient"].to_dict() == {"clean": "none", "static": "exact", "white-box": "exact"}
    assert told["eps"].dropna().tolist() == [0.1, 0.1]
    assert (told[["seed", "n", "share"]] == [3, 20, 0.1]).all().all()
    for protocol, against in (("static", base), ("white-box", network)):
        right = correct(network, craft(against, split, attack, seed=7)).float().mean().item()
        assert told.loc[protocol, "value"] == pytest.approx(right)


def test_outcomes_are_kept_image_by_image(digits, tmp_path):
    run = records.Run("dominant_filters", GIVEN)
    split = Split(*(part[:21] for part in digits.test))
    network = networks.build("shallow_cnn", size=16)
    run.add("5", "loss", 0.25)
    what = [Subject(network, "shallow_cnn")], split, [Attack("FGSM", fgsm, eps=0.1)]
    run.measure("5", *what, ["clean", "white-box"])
    found = evaluate(*what, ["clean", "white-box"])
    folder = run.save(tmp_path / "out")
    rows, kept = saved.read(folder)
    assert kept.keys() == {1, 2}  # the loss is no outcome
    for number, outcome in zip((1, 2), found, strict=True):
        assert kept[number].tolist() == outcome.right.tolist()
        assert kept[number].mean() == pytest.approx(rows.loc[number, "value"])


def of_seeds(*seeds, **changes):
    """A run with a figure of the data and, for each seed, a share and a mean of 20 images."""
    run = records.Run("dominant_filters", {**GIVEN, "seeds": [*seeds], **changes})
    run.data["digits"] = changes.get("data", "0123abcd")
    run.add("12", "untrained share", 0.9)
    for seed in seeds:
        right = torch.rand(20, generator=torch.Generator().manual_seed(seed)) < 1 / 3
        run.add("5", "accuracy", right, attack="pgd", protocol="white-box", seed=seed)
        run.add("5", "loss", seed / 7, seed=seed, share=0.1)
    return run


def known(run):
    """Its rows and the outcomes behind them, in no order."""
    rows, outcomes = run.rows.astype({"seed": float}), run.outcomes
    told = [
        (*map(repr, row), outcomes.get(n, [])) for n, row in enumerate(rows.itertuples(index=False))
    ]
    return sorted((*row[:-1], [*map(bool, row[-1])]) for row in told)


def test_runs_of_single_seeds_joined_are_the_run_of_all(tmp_path, monkeypatch):
    for seed in (0, 1):
        of_seeds(seed).save(tmp_path / str(seed))
    monkeypatch.setenv(records.JOIN, os.pathsep.join(str(tmp_path / s) for s in "01"))
    last = of_seeds(2)
    monkeypatch.delenv(records.JOIN)
    assert last.parameters["seeds"] == [0, 1, 2]
    assert known(last) == known(of_seeds(0, 1, 2))
    rows, outcomes = saved.read(last.save(tmp_path / "all"))  # what is saved is so, too
    assert len(rows) == len(last.rows)
    assert {n: kept.tolist() for n, kept in outcomes.items()} == {
        n: kept.tolist() for n, kept in last.outcomes.items()
    }


@pytest.mark.parametrize("base", [0, 1, 9])
def test_what_all_parts_measure_with_one_seed_counts_once(tmp_path, monkeypatch, base):
    def of(*seeds):
        run = of_seeds(*seeds)
        run.add("3", "accuracy", torch.tensor([True, base == 9]), seed=base)
        return run

    of(0).save(tmp_path / "part")
    monkeypatch.setenv(records.JOIN, str(tmp_path / "part"))
    last = of(1)
    monkeypatch.delenv(records.JOIN)
    assert known(last) == known(of(0, 1))


def test_a_subject_of_a_joined_seed_is_not_evaluated_again(tmp_path, monkeypatch, digits, shallow):
    asked, evaluate = [], records.evaluate

    def heard(subjects, *others, **named):
        asked.append([subject.seed for subject in subjects])
        return evaluate(subjects, *others, **named)

    def of(*seeds):
        run = records.Run("dominant_filters", {**GIVEN, "seeds": [*seeds]})
        subjects = [Subject(shallow, "shallow_cnn", seed=seed) for seed in {0, *seeds}]
        return run, run.measure("5", subjects, digits.test.first(9), protocols=["clean"])

    of(0)[0].save(tmp_path / "part")
    monkeypatch.setattr(records, "evaluate", heard)
    monkeypatch.setenv(records.JOIN, str(tmp_path / "part"))
    _, rows = of(1)
    monkeypatch.delenv(records.JOIN)
    assert asked == [[1]]
    assert set(rows["seed"]) == {0, 1}


def test_measuring_gives_the_rows_of_joined_runs_too(tmp_path, monkeypatch, digits, shallow):
    attack, weaker = (Attack("PGD", pgd, eps=eps, step=0.1, steps=1) for eps in (0.1, 0.05))

    def of(*seeds):
        run = records.Run("dominant_filters", {**GIVEN, "seeds": [*seeds]})
        subjects = [Subject(shallow, "shallow_cnn", seed=seed) for seed in seeds]
        few = digits.test.first(9)
        run.measure("5", subjects, few, [attack, weaker], ["white-box"], share=0.1)
        run.measure("4", subjects, few, [attack], ["white-box"])
        return run.measure("5", subjects, few, [attack], ["clean", "white-box"]), run

    of(0)[1].save(tmp_path / "part")
    monkeypatch.setenv(records.JOIN, str(tmp_path / "part"))
    rows, _ = of(1)
    monkeypatch.delenv(records.JOIN)
    whole, _ = of(0, 1)
    pd.testing.assert_frame_equal(rows, whole, check_dtype=False, check_like=True)


def test_a_joined_run_tells_what_it_consists_of(tmp_path, monkeypatch):
    of_seeds(0, 1).save(tmp_path / "first")
    for joined, seeds in ("first", (2,)), ("second", (3,)):
        monkeypatch.setenv(records.JOIN, str(tmp_path / joined))
        folder = of_seeds(*seeds).save(tmp_path / ("second" if joined == "first" else "third"))
    made = json.loads((folder / "provenance.json").read_text())
    assert made["parameters"]["seeds"] == [0, 1, 2, 3]
    assert [part["seeds"] for part in made["joined"]] == [[0, 1], [2]]
    assert [part["seeds"] for part in saved.parts(made)] == [[0, 1], [2], [3]]
    took = [part["seconds"] for part in saved.parts(made)]
    assert sum(took) == pytest.approx(made["seconds"], abs=0.1)


@pytest.mark.parametrize(
    ("study", "changes", "says"),
    [
        ("aft_fgsm_vs_jsma", {}, "is a run of dominant_filters, not of aft_fgsm_vs_jsma"),
        ("dominant_filters", {"eps": 0.1}, r"eps is 0\.1 here and 0\.3 in "),
        ("dominant_filters", {"steps": 9}, "steps is 9 here and None in "),
        ("dominant_filters", {"seeds": [1, 2]}, r"seeds that are there already: \[1\]"),
        ("dominant_filters", {"seeds": None}, "dominant_filters has no seeds"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_joined_is_refused(tmp_path, study, changes, says):
    folder = of_seeds(0, 1).save(tmp_path / "run")
    given = {name: v for name, v in (GIVEN | {"seeds": [2]} | changes).items() if v is not None}
    with pytest.raises(ValueError, match=f"^join: .*{says}"):
        saved.joined([folder], study, given)


def test_a_folder_that_is_no_run_and_other_data_are_refused(tmp_path, monkeypatch, digits):
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="^join: .*/none is no run"):
        saved.joined([tmp_path / "none"], "dominant_filters", GIVEN)
    folder = of_seeds(0).save(tmp_path / "run")
    monkeypatch.setenv(records.JOIN, str(folder))
    run = of_seeds(1)
    with pytest.raises(
        ValueError, match="^join: must be runs on the same data; digits is .* was 0123abcd"
    ):
        run.uses(digits)


def test_a_set_of_two_sizes_has_two_fingerprints_and_can_be_joined(tmp_path, monkeypatch):
    sizes = [data.load("digits", size=size, train=5) for size in (8, 12)]
    first = records.Run("dominant_filters", GIVEN)
    for images in [*sizes, sizes[0]]:
        first.uses(images)
    assert first.data == {"digits": ", ".join(images.fingerprint for images in sizes)}
    monkeypatch.setenv(records.JOIN, str(first.save(tmp_path / "run")))
    second = records.Run("dominant_filters", GIVEN | {"seeds": [2]})
    for images in sizes:
        second.uses(images)
    assert second.data == first.data
    with pytest.raises(ValueError, match="^join: must be runs on the same data"):
        second.uses(data.load("digits", size=9, train=5))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"protocol": "whitebox"}, "^protocol: .*did you mean 'white-box'"),
        (
            {"attack": "FGSM", "protocol": "white-box", "gradient": "flaot32"},
            "^gradient: .*float32",
        ),
    ],
)
def test_a_misspelt_protocol_or_gradient_is_named(columns, says):
    with pytest.raises(ValueError, match=says):
        records.Run("dominant_filters", GIVEN).add("1", "accuracy", 0.5, **columns)


def test_select_names_what_there_is():
    rows = pd.DataFrame(
        {"table": ["4", "4", "pgd"], "attack": ["fgsm", "none", "pgd"], "eps": [0.1, None, 0.1]}
    )
    assert records.select(rows, table="4", attack=["fgsm", "none"]).index.tolist() == [0, 1]
    assert records.select(rows, eps=0.1).index.tolist() == [0, 2]
    for wanted, says in (
        (
            {"attack": "pdg"},
            "attack: must be one of fgsm, none, pgd, got 'pdg'; did you mean 'pgd'",
        ),
        ({"table": "4", "attack": ["fgsm", "pgd"]}, "attack: must be one of fgsm, none, got 'pgd'"),
        ({"atack": "pgd"}, "column: must be one of table, attack, eps, got 'atack'"),
        ({"eps": 0.2}, "eps: must be one of 0.1, got 0.2"),
    ):
        with pytest.raises(ValueError, match=re.escape(says)):
            records.select(rows, **wanted)


def test_rows_of_one_column_for_protocol_and_gradient_are_read_as_of_two(tmp_path):
    (tmp_path / "records.csv").write_text(
        "table,attack,protocol,value\n1,none,clean,0.9\n1,pgd,clipped,0.8\n"
        "1,pgd,white-box,0.1\n1,AutoAttack,autoattack,0.0\n1,pgd,noise,0.7\n"
    )
    rows, outcomes = saved.read(tmp_path)
    assert rows["protocol"].tolist() == ["clean", "white-box", "white-box", "white-box", "noise"]
    assert rows["gradient"].tolist() == ["none", "clipped", "exact", "exact", "none"]
    assert outcomes == {}
