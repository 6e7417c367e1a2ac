"""The generated parts of the front page, of the page on gains and of that on evidence."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from advlib import contradictions, gains, saved
from advlib.batch import plan, store
from advlib.book import PUBLISHED, front, gained, judged, wanted
from advlib.claims import FAILS, HOLDS, UNTESTED
from advlib.protocols import PAPER

VERDICTS = pd.DataFrame(
    [
        ("dominant_filters", "002-C1", "<b>A</b> & b", "§ 1", HOLDS, "97.5% (95.0% to 99.0%), must "
         "be at least 60.0%; 88.0%, must be at least 50.0%", "1.3%, must be at least 60.0%", "p"),
        ("dominant_filters", "002-C2", "clean", "§ 1", FAILS, "71.6%, must be at least 80.0%",
         "71.6%, must be at least 80.0%", "p"),
        ("cross_resnet", "003-C1", "no", "§ 1", UNTESTED, "–", "–", "q"),
    ],
    columns=["study", "id", "claim", "where", "verdict", "static", "white-box", "page"],
).assign(reason="–")  # fmt: skip


class Cells(HTMLParser):
    """The texts of a table's body, row by row."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        self.inside = self.inside or tag == "td"
        if tag == "td":
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "td"

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def test_the_table_has_a_row_a_claim_with_its_figures_and_verdict():
    table = front.claims_table(VERDICTS)
    assert '<a href="studies/q.html">' in table
    _, first, second, third = Cells(table).rows
    assert first[:3] == ["002-C1", "Dominant filters", "<b>A</b> & b"]  # shown, not obeyed
    assert first[4:] == ["88.0 to 97.5 %", "1.3 %", "✓ holds"]
    assert second[2:] == ["clean Measured: 71.6 %", "14.3 to 98.4 %", "–", "–", "✗ does not hold"]
    assert third[3:] == ["–", "–", "–", "– not tested here"]


def test_the_sentence_counts_all_claims():
    assert front.sentence(VERDICTS) == (
        "Of 3 claims **1** hold, **0** hold only under the paper's own protocol, **1** do not "
        "hold, **0** are undecided, and **1** were not tested."
    )


@pytest.mark.parametrize("study", contradictions.STUDIES)
def test_a_gain_begins_with_the_papers_and_ends_with_one_who_knows_the_network(study):
    page = gains.gain_of(study)["page"]
    rows = gains.left(study, saved.read(PUBLISHED / page)[0])
    assert rows["step"].iloc[0] == PAPER
    assert rows["share"].iloc[0] == 1
    assert rows["step"].iloc[-1].startswith("white-box")
    assert rows["gain"].between(-100, 100).all()


def test_a_gain_is_with_the_defense_minus_without():
    study = "dominant_filters"
    told = gains.gain_of(study)
    rows, _ = saved.read(PUBLISHED / told["page"])
    changed = rows.copy()
    changed.loc[rows["table"].eq("9"), "value"] += 0.125
    before, after = (gains.left(study, of).set_index("step")["gain"] for of in (rows, changed))
    assert before[PAPER] == pytest.approx(98.66 - 0.58)  # Table 9's mean, and Table 7
    assert (after - before)["static"] == pytest.approx(12.5)
    assert (after - before)[PAPER] == 0


def test_the_nearest_protocol_is_named_with_its_distance():
    lines = gained.nearest().splitlines()
    (dominant,) = [line for line in lines if line.startswith("| Dominant filters")]
    assert "| static" in dominant
    assert not any("| paper " in line for line in lines[2:])


def test_a_wish_is_compared_with_the_run_or_its_records(tmp_path, monkeypatch):
    file = tmp_path / "wanted.toml"
    file.write_text(
        """
        [[want]]
        page = "dominant_filters"
        says = "seeds"
        parameter = "seeds"
        at_least = 3
        [[want]]
        page = "dominant_filters"
        says = "images"
        parameter = "train_images"
        at_least = 1000000
        [[want]]
        page = "dominant_filters"
        says = "accuracy"
        rows = { defense = "none", attack = "none", metric = "accuracy" }
        at_least = 0.9999
        [[want]]
        page = "dominant_filters"
        says = "a parameter that the run does not have yet"
        parameter = "none"
        at_least = 1
        [[want]]
        page = "dominant_filters"
        says = "a defense that the run does not have yet"
        rows = { defense = "PGD-AT, eps: 0.1", metric = "accuracy" }
        at_least = 0.6
        [[want]]
        page = "patches_imagenet"
        says = "a reference that kept nothing"
        rows = { table = "references", attack = "AutoAttack", metric = "accuracy" }
        at_least = 0.2
        [[want]]
        page = "nowhere"
        says = "a page that is not published"
        parameter = "seeds"
        at_least = 3
        """
    )
    monkeypatch.setattr(wanted, "WANTED", file)
    assert wanted.compared()["met"].tolist() == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]  # 0 images are all there are
    told = wanted.told(wanted.compared())
    assert re.search(r"\| ✗ .*\| accuracy .*\| 9\d\.\d\N{NO-BREAK SPACE}% .*\| 100\.0", told)
    assert re.search(r"a defense that the run does not have yet +\| – ", told)
    assert re.search(r"a reference that kept nothing +\| 0\.0\N{NO-BREAK SPACE}% ", told)
    assert told.count("[dominant_<wbr>filters](studies/dominant_filters.ipynb)") == 1
    file.write_text('[[want]]\npage = "dominant_filters"\nmost = 3\n')
    with pytest.raises(ValueError, match="no such key: most"):
        wanted.wants()


def test_the_seeds_under_way_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(wanted, "UNDERWAY", tmp_path)
    assert wanted.underway() == "None are under way.\n"
    given = {"seeds": [3, 4], "attacked_images": 0}
    noted = {"parameters": given, "seconds": 5400, "started": "2026-11-30T01:00", "commit": "c0"}
    (tmp_path / "dominant_filters").mkdir()
    (tmp_path / "dominant_filters/provenance.json").write_text(json.dumps(noted))
    line = wanted.underway().splitlines()[-1]
    assert re.sub(r" +", " ", line) == (
        "| [dominant_filters](studies/dominant_filters.ipynb) | 3, 4 | all | 1.5 "
        "| 2026-11-30 at commit `c0` |"
    )


JOINED = [*wanted.UNDERWAY.glob("*/"), PUBLISHED / "dominant_filters"]


@pytest.mark.parametrize("run", JOINED, ids=str)
def test_a_run_of_further_seeds_can_join_those_that_are_done(run):
    made = store.provenance(run)
    others = {**made["parameters"], "seeds": [max(made["parameters"]["seeds"]) + 1]}
    assert saved.joined([run], made["study"], others)
    assert plan.schema(plan.studies()[made["study"]]).keys() == others.keys()
    assert len(saved.read(run)[1]) > 100  # outcomes, image by image


def test_every_published_page_has_its_wishes():
    pages = {page.stem for page in PUBLISHED.glob("*.ipynb")}
    assert {want["page"] for want in wanted.wants()} == pages


def test_a_summary_tells_the_scale_of_its_run(tmp_path):
    front.write(tmp_path, judged.of_pages())
    made = store.provenance(PUBLISHED / "dominant_filters")["parameters"]
    told = (tmp_path / "dominant_filters.md").read_text(encoding="utf-8")
    assert f"({len(made['seeds'])} seeds, up to {made['attacked_images']:,} images" in told


# How big something came out, or of how many seeds: what a run to come may change.
RESULT = re.compile(
    r"\d ?%|percent of|\b(near(ly)?|zero|nothing|high|low|most|few|above \d+)\b"
    r"|\b(one|two|three|five|ten|\d+) seeds?\b"
)


@pytest.mark.parametrize("page", ["README.md", *sorted(map(str, Path("book").glob("*.md")))])
def test_no_picture_of_results_has_one_in_its_alternative_text(page):
    text = Path(page).read_text(encoding="utf-8")
    told = re.findall(r"^:alt: (.*)$", text, re.M) + re.findall(r"!\[(.*?)\]", text)
    assert not [alt for alt in told if RESULT.search(alt)]


@pytest.mark.parametrize("alt", [
    "Static bars reach nearly 100 percent for the whole network.", "It stays above 90.",
    "most bars are short or gone", "two networks, three seeds", "a gain of 12 %",
])  # fmt: skip
def test_a_result_is_told_from_a_description(alt):
    assert RESULT.search(alt)
    assert not RESULT.search("Bars of accuracy under FGSM, static and white-box, at eps 0.3.")


def test_what_was_found_stands_in_the_summaries_alone():
    """The prose around them knows no run: it would outlive the one that it was written for."""
    text = Path("book/found.md").read_text(encoding="utf-8")
    assert not RESULT.search(text)


def test_titles_are_those_of_the_papers():
    assert set(judged.TITLES) == set(contradictions.STUDIES)
