"""What the README says must be so."""

import json
import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import yaml

from advlib import book, contradictions, data, papers, saved, studies
from advlib.batch import plan, store
from advlib.book import front, judged
from advlib.data import downloads

README = Path("README.md").read_text(encoding="utf-8")
FOUND = Path("book/found.md").read_text(encoding="utf-8")
SYNTHESIS = "synthesis_mnist"

PAGES = sorted(page.stem for page in book.PUBLISHED.glob("*.ipynb"))


@pytest.mark.parametrize("page", PAGES)
def test_every_published_page_is_linked(page):
    assert f"(book/studies/{page}.ipynb)" in README
    assert f"(studies/{page}.ipynb)" in FOUND


def test_every_study_has_its_table_in_the_book():
    told = {page for page in PAGES if f"studies/{page}/headline.md" in FOUND}
    studies = {store.provenance(book.PUBLISHED / page)["study"] for page in PAGES}
    assert {store.provenance(book.PUBLISHED / page)["study"] for page in told} == studies


def test_it_is_short():
    assert len(README.splitlines()) < 120


def test_the_counts_of_verdicts_are_those_of_the_published_records():
    before, after = "<!-- verdicts -->", "<!-- end of verdicts -->"
    shown = README[README.index(before) + len(before) : README.index(after)]
    told = judged.counts(judged.over_pages(judged.of_pages()))
    assert shown.strip() == told, "advlib claims --readme"


def test_what_the_synthesis_found_is_told_by_its_records():
    mark = front.mark(SYNTHESIS)
    before, after = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    shown = README[README.index(before) + len(before) : README.index(after)]
    assert shown.strip() == front.summary(SYNTHESIS), "advlib claims --readme"


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_found_is_told_in_the_book(page):
    assert f"_generated/{page}.md" in FOUND


def shares(text):
    """The shares that a text states, in percent, as they are written; not those in code, in
    regions that are filled from records, and of intervals and tests."""
    text = re.sub(
        r"<!-- (.*?) -->.*?<!-- end of \1 -->|```.*?```|`[^`]*`", "", text, flags=re.DOTALL
    )
    text = text.replace("95 %", "").replace("about 5 %", "")
    return re.findall(r"(?<![\d.])(\d+(?:\.\d+)?)\s?%", text)


@pytest.fixture(scope="module")
def figures():
    """All shares of the published records and of the papers' tables, in percent."""
    tables = [saved.read(book.PUBLISHED / page)[0] for page in PAGES]
    tables += [papers.paper_rows(study) for study in contradictions.STUDIES]
    return pd.concat(tables)["value"].dropna().mul(100)


@pytest.mark.parametrize("file", ["README.md", *map(str, sorted(Path("book").glob("*.md")))])
def test_a_share_in_a_text_is_that_of_a_record(file, figures):
    for share in shares(Path(file).read_text(encoding="utf-8")):
        digits = len(share.partition(".")[2])
        assert float(share) in set(figures.round(digits)), f"{share} % is in no record"


def test_ci_runs_the_readmes_two_commands():
    script = Path(".ci/run").read_text(encoding="utf-8")
    for command in ("make book", "make test"):
        assert command in README
        assert command in script


def test_the_lock_pins_exactly_and_names_no_index():
    lines = Path("requirements.lock").read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        name, _, version = line.partition("==")
        assert name.strip()
        assert version.strip()
        assert not set(line) & set(" ;@/")
    pinned = {line.partition("==")[0].lower() for line in lines}
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"]]
    for name, extra in project["optional-dependencies"].items():
        wanted += extra if name != "lab" else []  # `make` installs all but JupyterLab
    names = {w.split(">")[0].split("<")[0].split("=")[0].lower() for w in wanted}
    assert names <= pinned


def test_conda_installs_the_same_pins():
    environment = yaml.safe_load(Path("environment.yml").read_text(encoding="utf-8"))
    (pip,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    assert "-r requirements.lock" in pip


@pytest.mark.parametrize("profile", ["quick", "paper"])
def test_every_profile_resolves(profile, monkeypatch):
    heads = {"imagenet": data.Head(40_000, 10_000, 1000, 3)}  # which the user puts there
    head = data.head
    monkeypatch.setattr(data, "head", lambda name: heads.get(name) or head(name))
    planned = {job.study for job in plan.plan(profile=profile)}
    names = studies.names()
    profiles = {path.stem for path in Path("notebooks/paper").glob("*.yaml")}
    assert planned == (set(names) if profile == "quick" else profiles)
    assert {s for s in names if studies.settings_of(s, {}).paper} <= profiles


@pytest.mark.parametrize("name", downloads.DOWNLOADS)
def test_every_data_set_is_told_where_a_user_looks(name):
    for text in (README, Path("book/rerun.md").read_text(encoding="utf-8"), data.load.__doc__):
        assert f"`{name}`" in text


def test_no_stored_output_is_the_bare_name_of_an_object():
    """Such as the list that a cell's last line returned: a page of memory addresses."""
    for path in Path("notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            for shown in (output.get("data", {}) for output in cell.get("outputs", [])):
                told = "".join(shown.get("text/plain", ""))
                assert shown.keys() - {"text/plain"} or " at 0x" not in told, cell["source"]


def test_every_notebook_is_in_the_table_of_contents():
    contents = Path("_toc.yml").read_text(encoding="utf-8")
    for name in plan.studies():
        assert f"notebooks/{name}" in contents
    for page in book.PUBLISHED.glob("*.ipynb"):
        assert f"book/studies/{page.stem}" in contents


def test_what_was_tried_to_break_it_is_a_test():
    named = re.findall(
        r"`([\w/]+\.py)::(\w+)` \|", Path("book/tried.md").read_text(encoding="utf-8")
    )
    assert len(named) > 40
    for file, test in named:
        assert f"def {test}(" in Path("tests", file).read_text(encoding="utf-8")
