import re

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


def html(table):
    return table._repr_html_()


def test_numbers_stand_to_the_right_and_texts_to_the_left():
    frame = pd.DataFrame({"model": ["base"], "value": ["88.1<br><small>3–5</small>"], "n": [7]})
    shown = html(tables.table(frame, index=False))
    assert re.findall(r'class="data row0 col\d (\w+)"', shown) == ["text", "number", "number"]
    assert ">network<" in shown  # the column's name as people write it


def test_a_long_table_is_folded_and_the_same_table_is_the_same_html():
    short, long = (pd.DataFrame({"x": range(n)}) for n in (20, 21))
    assert "<details>" not in html(tables.table(short))
    folded = html(tables.table(long, caption="All of it"))
    assert folded.startswith("<details><summary>All of it (21 rows)</summary>")
    assert folded == html(tables.table(long, caption="All of it"))


def test_what_is_missing_is_a_dash():
    assert ">–<" in html(tables.table(pd.DataFrame({"x": [1.25, None]})))
    assert ">1.2<" in html(tables.table(pd.DataFrame({"x": [1.25, None]})))


def test_means_and_spread_show_the_same_figures():
    measured = rows(static=[0.9, 0.8], white_box=[0.0, 0.1])
    lines = html(tables.means(measured, by=["defense", "protocol"]))
    wide = html(tables.spread(measured, index=["defense"], columns=["protocol"]))
    for figure in ("85.0", "5.0"):
        assert f">{figure}<" in lines
        assert f">{figure}<br><small>" in wide
    with pytest.raises(ValueError, match=r"^column: .*did you mean 'protocol'"):
        tables.means(measured, by=["protocoll"])


def test_reported_and_compared_show_the_papers_figure():
    paper = rows(static=[0.99]).assign(model="base_cnn")
    ours = rows(static=[0.9], white_box=[0.1]).assign(model="base_cnn")
    assert ">99.0<" in html(tables.reported(paper, index=["defense"], columns=["model"]))
    shown = html(tables.compared(ours, paper, index=["defense"], columns=["model"]))
    assert [f for f in re.findall(r">([\d.]+)<", shown) if "." in f] == ["99.0", "90.0", "10.0"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vgg16: undecided (one seed)", "VGG-16: undecided (one seed)"),
        ("page (torchvision:squeezenet1_0: fails)", "page (SqueezeNet 1.0: fails)"),
        ("patches_cifar10: undecided", "patches_cifar10: undecided"),
        ("resnet18 and a colon: no", "resnet18 and a colon: no"),
    ],
)
def test_a_key_before_a_colon_is_written_out(text, said):
    assert tables.readable(text) == said
