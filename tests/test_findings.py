"""Sentences are filled with figures from records, and a misspelt word is named."""

import pandas as pd
import pytest
from made_up import rows

from advlib import findings
from advlib.claims import VERDICTS
from advlib.papers import paper_files
from advlib.records import Run

PAPER = pd.DataFrame({"table": ["8"], "defense": ["dominant"], "value": [0.986]})


@pytest.fixture
def template(monkeypatch):
    """Sets the text of findings.md."""
    monkeypatch.setattr(findings, "paper_rows", lambda study: PAPER)

    def set_to(text):
        monkeypatch.setattr(findings, "paper_files", lambda study: {"findings.md": text})

    return set_to


MEASURED = rows(static=[0.9, 0.8], white_box=[0.1, 0.2])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ here(shown='static')|percent }} at {{ eps }}", "85.0 % at 0.3"),
        ("{{ here(shown=['static', 'white-box'])|percent }}", "50.0 %"),
        ("{{ (here(shown='white-box') - here(shown='static'))|points }}", "-70.0 points"),
        ("{{ paper(table='8')|percent }}", "98.6 %"),
        ("{% if printed(table='9') %}a{% else %}no such table{% endif %}", "no such table"),
        ("{% if measured(seed=1) %}two seeds{% endif %}", "two seeds"),
        ("{{ 'base_cnn'|name }}", "base"),
        ("- one, {% if eps > 1 %}two, {% endif %} three \n  - four", "- one, three\n  - four"),
    ],
)
def test_a_sentence_is_filled(template, text, said):
    template(text)
    assert findings.filled("any", MEASURED, {"eps": 0.3}) == said


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{{ here(shown='statik') }}", "shown: .*did you mean 'static'"),
        ("{{ here(defence='dominant') }}", "column: .*did you mean 'defense'"),
        ("{{ measured(defence='dominant') }}", "column: .*did you mean 'defense'"),
        ("{{ here(shown='static', seed=1, n=100)|percent }} {{ epps }}", "any/findings.md: 'epps'"),
        ("{{ here( }}", "any/findings.md: "),
    ],
)
def test_a_misspelt_word_is_named(template, text, wrong):
    template(text)
    with pytest.raises(ValueError, match=wrong):
        findings.filled("any", MEASURED, {"eps": 0.3})


def test_values_that_no_row_has_together_are_no_figure(template):
    template("{{ here(shown='static', other='b')|percent }}")
    table = MEASURED.assign(other=["a", "a", "b", "b"])
    with pytest.raises(ValueError, match="other: must be one of a, got 'b'"):
        findings.filled("any", table, {})


def test_a_template_reaches_no_code(template):
    template("{{ eps.__class__.__mro__ }}")
    with pytest.raises(ValueError, match="unsafe"):
        findings.filled("any", MEASURED, {"eps": 0.3})


def test_findings_belong_to_a_study():
    assert "findings.md" in paper_files("dominant_filters")


@pytest.mark.parametrize(("dataset", "kept"), [("mnist", True), ("digits", False)])
def test_what_a_page_says_of_the_claims_is_saved_with_its_run(dataset, kept, tmp_path):
    run = Run("dominant_filters", {"dataset": dataset})
    run.add("8", "accuracy", 0.5, model="base_cnn", attack="fgsm", eps=0.3, protocol="static")
    shown = findings.verdicts(run)
    file = run.save(tmp_path) / "verdicts.csv"
    assert file.is_file() == kept
    assert ("judges no paper" in str(getattr(shown, "data", ""))) != kept
    if kept:
        told = pd.read_csv(file).set_index("id")["verdict"]
        assert set(told) <= set(VERDICTS)
        assert "002-C1" in told.index
