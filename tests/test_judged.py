"""Verdicts over several pages, and the count of all claims."""

import pandas as pd
import pytest

from advlib import contradictions
from advlib.book import front, judged
from advlib.claims import FAILS, HOLDS, UNDECIDED, UNTESTED, claims

NUMBERED = {"000": 18, "001": 30, "002": 25, "003": 14, "004": 18}  # in our reading of the papers


@pytest.mark.parametrize("study", contradictions.STUDIES)
def test_every_claim_of_a_paper_is_there_once_and_in_order(study):
    ids = [claim["id"] for claim in claims(study)["claim"]]
    paper = ids[0][:3]
    numbered = [name for name in ids if "-C" in name]
    without_parts = list(dict.fromkeys(name.rstrip("abcdefgh") for name in numbered))
    assert without_parts == [f"{paper}-C{n}" for n in range(1, NUMBERED[paper] + 1)]
    assert len(set(ids)) == len(ids)


def test_there_are_105():
    assert sum(NUMBERED.values()) == 105


def of(*verdicts):
    keys = {"study": "dominant_filters", "id": "002-C1", "claim": "It holds.", "where": "here"}
    return pd.DataFrame(
        [
            keys | {"page": f"page{n}", "verdict": verdict, "reason": reason}
            for n, (verdict, reason) in enumerate(verdicts)
        ]
    )


@pytest.mark.parametrize(
    ("verdicts", "over", "pages"),
    [
        ([(HOLDS, "–")], HOLDS, ""),
        ([(UNTESTED, "lost")], UNTESTED, "lost"),
        ([(UNDECIDED, "noise"), (HOLDS, "–")], HOLDS, "page0: undecided (noise); page1: holds"),
        ([(HOLDS, "–"), (FAILS, "–")], FAILS, "page0: holds; page1: does not hold"),
    ],
)
def test_the_worst_verdict_of_the_pages_that_decide_counts(verdicts, over, pages):
    (line,) = judged.over_pages(of(*verdicts)).to_dict("records")
    assert (line["verdict"], line["pages"]) == (over, pages)


def test_controls_of_ours_are_not_counted():
    table = judged.over_pages(of((HOLDS, "–")))
    both = pd.concat([table, table.assign(id="002-K1")])
    assert judged.counts(both) == judged.counts(table)


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The folder of a published page, with what it said of the claims."""
    monkeypatch.setattr(judged, "PUBLISHED", tmp_path)
    (tmp_path / "page0").mkdir()

    def says(verdict):
        told = pd.DataFrame([{"id": "002-C1", "verdict": verdict, "reason": "–"}])
        told.to_csv(tmp_path / "page0/verdicts.csv", index=False)

    return says


def test_a_page_that_says_what_its_records_give_passes(page):
    page(HOLDS)
    judged.check(of((HOLDS, "–"), (FAILS, "–")))  # page1 stored none: it is older


def test_a_page_that_says_otherwise_is_refused(page):
    page(HOLDS)
    with pytest.raises(ValueError, match="page0: 002-C1: the page says holds, .* give undecided"):
        judged.check(of((UNDECIDED, "noise")))
    page(UNTESTED)
    with pytest.raises(ValueError, match="002-C1: the page says not tested here"):
        judged.check(of((HOLDS, "–")))


def test_a_claim_that_the_page_lacks_is_told(page):
    page(HOLDS)
    both = pd.concat([of((HOLDS, "–")), of((FAILS, "–")).assign(id="002-C2")])
    with pytest.raises(ValueError, match="002-C2: the page says nothing, .* does not hold"):
        judged.check(both)


def test_a_page_of_a_study_without_a_summary_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(front, "PUBLISHED", tmp_path)
    (tmp_path / "tiny").mkdir()
    noted = '{"study": "tiny", "parameters": {}, "seconds": 1, "started": "now"}'
    (tmp_path / "tiny/provenance.json").write_text(noted)
    assert front.summary("tiny") == ""
