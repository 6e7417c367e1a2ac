"""The papers' contradictions: all there, every figure recomputed, misspelt words named."""

import pandas as pd
import pytest

from advlib import cli, contradictions
from advlib.contradictions import figures

COUNTS = {"000": 11, "001": 22, "002": 15, "003": 8, "004": 17}
IDS = [f"{paper}-X{n}" for paper, count in COUNTS.items() for n in range(1, count + 1)]
# Nothing to compute: two sentences against each other, or tables that are lost.
WORDS_ONLY = {
    "000-X4", "000-X10", "001-X17", "001-X18", "001-X19", "002-X4", "002-X7", "002-X12",
    "003-X3", "003-X5", "003-X7", "003-X8", "004-X10", "004-X13", "004-X15", "004-X16", "004-X17",
}  # fmt: skip


@pytest.fixture(scope="module")
def table():
    return contradictions.all_contradictions()


def test_all_are_there_in_order_and_none_twice(table):
    assert len(IDS) == 73
    assert table["id"].to_list() == IDS
    assert list(table) == ["id", "title", "says", "but", "figures", "reading", "decided_by"]
    for column in ("title", "says", "but", "reading"):
        assert table[column].str.strip().ne("").all(), column


def test_all_but_those_of_words_alone_have_figures(table):
    assert set(table.loc[table["figures"].eq(""), "id"]) == WORDS_ONLY


@pytest.mark.parametrize("study", contradictions.STUDIES)
def test_every_figure_comes_out_of_the_papers_tables(study):
    found = contradictions.recomputed(study)
    against = found.loc[~found["agrees"], ["id", "label", "printed", "computed", "recomputed"]]
    assert against.empty, against.to_string()
    form = found["computed"].where(found["computed"].ne(""), found["printed"])
    assert (found["recomputed"] == form).all()
    assert not found["label"].str.contains(";").any()  # which parts figures in a cell


def test_what_the_paper_got_wrong_stands_beside_what_its_tables_give(table):
    cells = table.set_index("id")["figures"]
    assert "printed 25.2 %, recomputed 4.8 %" in cells["000-X1"]
    assert "printed 36.71 points, recomputed 30.71 points" in cells["001-X2"]
    assert "printed 11.68 %, recomputed 14.4 %" in cells["002-X8"]
    assert "printed 0.2767, recomputed 0.2727" in cells["004-X9"]


def test_outside_facts_stand_in_the_readings(table):
    reading = table.set_index("id")["reading"]
    assert "ResNet-34" in reading["004-X2"]
    assert "five a class" in reading["004-X3"]
    assert "torchvision" in reading["004-X3"]


ROWS = pd.DataFrame(
    {
        "table": ["1"] * 4 + ["2"] * 4,
        "defense": ["none", "none", "ours", "ours"] * 2,
        "eps": [0.1, 0.3] * 4,
        "images": [50, 100] * 4,
        "value": [0.5, 0.4, 0.8, 0.6, 0.5, 0.3, 0.9, 0.7001],
    }
)
OURS, NONE = {"table": "1", "defense": "ours"}, {"table": "1", "defense": "none"}


@pytest.mark.parametrize(
    ("figure", "answers"),
    [
        ({"take": "values", "rows": OURS}, [0.8, 0.6]),
        ({"take": "mean", "rows": OURS}, [0.7]),
        ({"take": "highest", "rows": NONE}, [0.5]),
        ({"take": "range", "rows": {"table": "2"}}, [0.3, 0.9]),
        ({"take": "values", "rows": [0.1, 2]}, [0.1, 2]),
        ({"take": "sum", "rows": OURS, "than": 1}, [1.7]),
        ({"take": "difference", "rows": OURS, "than": NONE}, [0.25]),
        ({"take": "product", "rows": OURS, "than": 3.0}, [2.1]),
        ({"take": "ratio", "rows": OURS, "than": 0.35}, [2.0]),
        ({"take": "relative gain", "rows": OURS, "than": 0.35}, [1.0]),
        ({"take": "difference", "rows": OURS, "than": NONE, "by": ["eps"]}, [0.3, 0.2]),
        (
            {"take": "difference", "rows": OURS, "than": {**NONE, "eps": 0.1}, "by": ["eps"]},
            [0.3, 0.1],
        ),
        (
            {
                "take": "mean",
                "rows": {"take": "relative gain", "rows": OURS, "than": NONE, "by": ["eps"]},
            },
            [0.55],
        ),
        (
            {
                "take": "difference",
                "among": {"table": "1"},
                "rows": {"defense": "ours"},
                "than": {"defense": "none"},
            },
            [0.25],
        ),
        ({"take": "times higher", "rows": {"table": "1"}, "than": 0.5}, [2, 4]),
        (
            {
                "take": "times higher",
                "rows": {"defense": "ours", "eps": 0.3},
                "than": {"defense": "ours", "eps": 0.1},
                "by": ["table"],
            },
            [0, 2],
        ),
        (
            {
                "take": "times higher",
                "rows": {"table": "2", "defense": "ours"},
                "than": {"table": "1"},
                "by": ["eps"],
            },
            [2, 2],
        ),
        (
            {
                "take": "times equal",
                "rows": {"table": "1"},
                "than": {"table": "2"},
                "by": ["defense", "eps"],
            },
            [1, 4],
        ),
        ({"take": "multiples", "rows": {"table": "2"}, "parts": 10}, [3, 4]),
        ({"take": "multiples", "rows": [1 / 3, 0.3333, 0.34], "parts": 3}, [2, 3]),
        (
            {"take": "multiples", "rows": {"table": "1"}, "parts": 0.1, "column": "images"},
            [3, 4],
        ),
        ({"take": "at highest", "rows": {"table": "2"}, "column": "eps"}, [0.1]),
        ({"take": "at highest", "rows": {"table": "2"}, "column": "defense"}, ["ours"]),
        ({"take": "parameters", "model": "base_cnn", "of": "all"}, [120042]),
        ({"take": "parameters", "model": "base_cnn", "of": "convolutions"}, [832 + 18496]),
        ({"take": "parameters", "model": "base_cnn", "of": "first dense layer"}, [100384]),
        (
            {"take": "parameters", "model": "base_cnn", "of": "dominant filters", "share": [1.0]},
            [832 + 18496],
        ),
        (
            {
                "take": "share of parameters",
                "model": "base_cnn",
                "of": "all but dominant filters",
                "share": [0.1, 1.0],
            },
            [1 - (4 * 26 + 7 * 289) / 120042, 1 - (832 + 18496) / 120042],
        ),
    ],
)
def test_operations(figure, answers):
    found = figures.answers(figure, ROWS)
    assert found == (answers if isinstance(answers[0], str) else pytest.approx(answers))


@pytest.mark.parametrize(
    ("figure", "wrong"),
    [
        ({"rows": OURS}, "figure: must be one of rows, got 'take'"),
        ({"take": "meen", "rows": OURS}, "take: .*did you mean 'mean'"),
        ({"take": "mean"}, "mean: .*got 'rows'"),
        ({"take": "mean", "rows": OURS, "than": NONE}, "mean: .*got 'than'"),
        ({"take": "mean", "rows": {"tabel": "1"}}, "column: .*did you mean 'table'"),
        ({"take": "mean", "rows": {"defense": "our"}}, "defense: .*did you mean 'ours'"),
        ({"take": "mean", "rows": OURS, "among": {"table": "3"}}, "table: must be one of 1, 2"),
        ({"take": "ratio", "rows": OURS, "than": NONE, "by": ["esp"]}, "column: .*'eps'"),
        (
            {"take": "ratio", "rows": {"table": "1"}, "than": NONE, "by": ["eps"]},
            "by: must tell all rows apart, got \\['eps'\\]",
        ),
        (
            {"take": "ratio", "rows": {"table": "1"}, "than": NONE, "by": ["defense"]},
            "by: rows has .* where than has",
        ),
        ({"take": "at highest", "rows": OURS, "column": "epss"}, "column: .*did you mean 'eps'"),
        ({"take": "parameters", "model": "base_cnn", "of": "al"}, "of: .*did you mean 'all'"),
        ({"take": "parameters", "model": "bas_cnn", "of": "all"}, "unknown network 'bas_cnn'"),
    ],
)
def test_a_misspelt_word_is_named(figure, wrong):
    with pytest.raises(ValueError, match=wrong):
        figures.answers(figure, ROWS)


ENTRY = """
[[contradiction]]
id = "000-X1"
title = "t"
says = "s"
but = "b"
reading = "r"
"""
FIGURE = """
[[contradiction.figures]]
label = "gain"
take = "mean"
rows = { table = "1", defense = "ours" }
"""


@pytest.fixture
def made_up(monkeypatch):
    """Sets the text of a study's contradictions.toml."""
    monkeypatch.setattr(contradictions, "paper_rows", lambda study: ROWS)

    def set_to(text):
        monkeypatch.setattr(
            contradictions, "paper_files", lambda study: {contradictions.FILE: text}
        )

    return set_to


@pytest.mark.parametrize(
    ("printed", "recomputed", "agrees"),
    [
        ('printed = "70 %"', "70 %", True),
        ('printed = "71 %"', "70 %", False),
        ('printed = "70.1 %"', "70.0 %", False),
        ('printed = "+70.00 points"', "+70.00 points", True),
        ('printed = "0.7"', "0.7", True),
        ('printed = "about half"\ncomputed = "70 %"', "70 %", True),
        ('printed = "70 %"\ncomputed = "60 %"', "70 %", False),
    ],
)
def test_a_figure_agrees_to_the_digits_that_are_printed(made_up, printed, recomputed, agrees):
    made_up(ENTRY + FIGURE + printed)
    (row,) = contradictions.recomputed("cross_resnet").itertuples()
    assert (row.recomputed, row.agrees) == (recomputed, agrees)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (ENTRY + 'raeding = "r"', "000-X1: .*did you mean 'reading'"),
        (ENTRY.replace('but = "b"', ""), "000-X1: .*got 'but'"),
        (ENTRY + FIGURE, "000-X1, gain: figure: must have printed, computed or both"),
        (ENTRY + FIGURE + 'printed = "1 to 2 %"', "000-X1, gain: figure: must be as many numbers"),
        (ENTRY + FIGURE + 'printd = "70 %"', "000-X1, gain: figure: must have printed"),
        (ENTRY + FIGURE + 'printed = "70 %"\nparts = 3', "000-X1, gain: mean: .*got 'parts'"),
        (
            ENTRY + FIGURE.replace('"ours"', '"our"') + 'printed = "70 %"',
            "000-X1, gain: defense: .*did you mean 'ours'",
        ),
        (ENTRY + FIGURE.replace('label = "gain"', "") + 'printed = "70 %"', "000-X1, a figure: "),
    ],
)
def test_a_wrong_entry_is_named(made_up, text, wrong):
    made_up(text)
    with pytest.raises(ValueError, match=wrong):
        contradictions.contradictions("cross_resnet")


def test_an_unknown_study_is_named():
    with pytest.raises(ValueError, match="study: .*did you mean 'cross_resnet'"):
        contradictions.contradictions("crossresnet")


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_command_lists_them_in_columns(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    assert cli.main(["claims", "--contradictions"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line[0] != " "] == IDS
    assert max(map(len, lines)) <= width
    assert len({line[:9].isspace() for line in lines}) == 2  # wrapped texts stay in their columns


@pytest.mark.parametrize("order", [1, -1])
def test_the_command_lists_one_study(capsys, order):
    assert cli.main(["claims", *["--contradictions", "cross_resnet"][::order]]) == 0
    ids = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[0] != " "]
    assert ids == [i for i in IDS if i.startswith("003")]


def test_the_command_names_an_unknown_study(capsys):
    assert cli.main(["claims", "--contradictions", "crossresnet"]) == 2
    assert "did you mean 'cross_resnet'" in capsys.readouterr().err
