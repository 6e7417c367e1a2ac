import pandas as pd
import pytest
from made_up import rows

from advlib import tables
from advlib.statistics import interval


def test_beside_lays_the_papers_figure_next_to_ours():
    paper = rows(static=[0.99]).assign(model="base_cnn")
    ours = rows(static=[0.9, 0.8], white_box=[0.0, 0.1]).assign(model="base_cnn")
    table = tables.beside(ours, paper, index=["defense"], columns=["model"])
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
    table = tables.by_protocol(measured, paper, index=["attack"], columns="defense")
    assert table.columns.tolist() == ["dominant"]
    assert table["dominant"].to_dict() == {
        ("none", "clean"): "85.0<br><small>21–100</small>",
        ("pgd", "paper"): "95.0",
        ("pgd", "static"): "60.0<br><small>0–100</small>",
        ("pgd", "white-box"): "10.0<br><small>6–17</small>",
    }


def test_stacked_puts_three_lines_in_a_cell():
    paper = rows(static=[0.99]).assign(images=50)
    ours = pd.concat([rows(static=[0.9, 0.8]).assign(images=n) for n in (50, 100)])
    table = tables.stacked(ours, paper, index=["defense"], columns="images")
    low, high = (f"{100 * v:.0f}" for v in interval([0.9, 0.8], 100))
    assert table.loc["dominant", 50] == f"99.0<br><b>85.0</b><br><small>{low}–{high}</small>"
    assert table.loc["dominant", 100].startswith("–<br>")


def test_what_only_the_paper_has_stands_in_its_line_alone():
    measured = rows(white_box=[0.1]).assign(attack="pgd")
    paper = pd.DataFrame({"attack": "pgd", "defense": ["dominant", "other"], "value": [0.9, 0.8]})
    paper["protocol"] = "white-box"
    table = tables.by_protocol(
        measured, paper, index=["attack"], columns="defense", paper_only=["other"]
    )
    assert table.loc[("pgd", "paper"), "other"] == "80.0"
    assert pd.isna(table.loc[("pgd", "white-box"), "other"])


def test_a_misspelt_column_or_protocol_is_named():
    measured = rows(white_box=[0.1]).assign(attack="pgd")
    with pytest.raises(ValueError, match=r"^column: .*attack.*did you mean 'attack'"):
        tables.by_protocol(measured, measured, index=["atack"], columns="defense")
    wrong = measured.assign(protocol="whitebox")
    for call in (
        lambda: tables.by_protocol(wrong, measured, index=["attack"], columns="defense"),
        lambda: tables.beside(wrong, measured, index=["defense"], columns=[]),
    ):
        with pytest.raises(ValueError, match=r"^protocol: .*did you mean 'white-box'"):
            call()


def test_rows_about_no_images_are_refused_where_they_would_be_left_out():
    measured = pd.concat([rows(white_box=[0.1]), rows(none=[0.5])])
    for call in (
        lambda: tables.by_protocol(measured, measured, index=["metric"], columns="defense"),
        lambda: tables.beside(measured, measured, index=["defense"], columns=[]),
    ):
        with pytest.raises(ValueError, match=r"^protocol: must be one of .*, got 'none'"):
            call()


def test_names_replace_keys_in_tables_only():
    measured = rows(static=[0.9]).assign(model="shallow_cnn", eps=0.1)
    named = tables.named(measured)
    assert (named["model"].item(), named["eps"].item()) == ("shallow", "0.1")
    assert measured["model"].item() == "shallow_cnn"
