import pytest

from advlib.papers import paper_rows
from advlib.records import COLUMNS


def test_the_percentages_of_paper_000_come_out_of_its_tables():
    """Its text averages over the five columns; all but one figure can be had from its tables."""
    rows = paper_rows("aft_fgsm_vs_jsma")
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
    rows = paper_rows("cross_resnet")
    clean = rows[rows["table"] == "1"].set_index(["dataset", "model", "defense"])["value"]
    told = rows[rows["table"] == "text"]
    for row in told[told["metric"] == "mean accuracy"].query("attack == 'none'").itertuples():
        assert clean[row.dataset].xs("none", level="defense").mean() == pytest.approx(
            row.value, abs=1e-4
        )
    gain = clean.unstack("defense").eval("proposed - none")
    assert gain["mnist", "resnet18"] == pytest.approx(0.018, abs=5e-4)
    assert gain["cifar10", "resnet50"] < -0.03  # "was also increased", says the text


def test_a_study_that_re_runs_no_paper_has_no_rows():
    paper = paper_rows("primer")
    assert paper.empty
    assert list(paper.columns) == list(COLUMNS)
    with pytest.raises(FileNotFoundError):
        paper_rows("primmer")


def test_paper_rows_are_whole():
    paper = paper_rows("aft_fgsm_vs_jsma")
    assert paper["table"].value_counts().to_dict() == {"I": 20, "II": 20, "III": 20, "text": 11}
    paper = paper_rows("patch_augmentation")
    assert paper["table"].value_counts().to_dict() == {
        "3": 70, "4": 20, "5": 30, "6": 25, "7": 27, "8": 12, "9": 12, "10": 9, "11": 18,
    }  # fmt: skip
    paper = paper_rows("cross_resnet")
    assert paper["table"].value_counts().to_dict() == {"1": 18, "text": 11}
    paper = paper_rows("dominant_filters")
    counts = paper["table"].value_counts().to_dict()
    assert counts == {
        "2": 90, "3": 90, "3.3": 1, "4": 12, "5": 12, "6": 18, "7": 18, "8": 12, "9": 12,
        "10": 12, "11": 12, "12": 9,
    }  # fmt: skip
    assert paper["value"].between(0, 1).all()
