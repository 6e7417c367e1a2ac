"""The head of a study's page tells its run, and the command that makes it again."""

import json
import re
import shlex
import zipfile
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from advlib import cli
from advlib.batch import store
from advlib.batch.plan import plan, schema, studies
from advlib.book import heads
from advlib.studies.settings import Settings

NOTEBOOKS = sorted(Path("notebooks").resolve().glob("*.ipynb"))
PUBLISHED = sorted(Path("book/studies").glob("*.ipynb"))
CONTRADICTIONS = pd.DataFrame(
    [
        {
            "id": "002-X1", "title": "Two means", "says": "One.", "but": "Another.",
            "figures": "mean: 1 %", "reading": "A slip.",
        }
    ]
)  # fmt: skip


@pytest.fixture
def page(repository):
    """A quick page of the tiny study, with a run of other parameters."""
    (job,) = plan()
    run = store.folder(job)
    run.mkdir(parents=True)
    noted = {
        "study": "tiny", "parameters": {"dataset": "digits", "eps": 0.3, "seeds": [0, 1]},
        "data": {"digits": "0123abcd"}, "commit": "0123456789ab", "device": "a <b>CPU",
        "threads": 1, "started": "2026-11-24T12:00:00", "seconds": 3671.2,
    }  # fmt: skip
    (run / "provenance.json").write_text(json.dumps(noted))
    (run / "records.csv").write_text("value\n1\n")
    notebook = nbformat.read(job.notebook, as_version=4)
    title = nbformat.v4.new_markdown_cell("# The study: is it tiny?\n\nIt is.")
    notebook.cells.insert(0, title)
    nbformat.write(notebook, run / store.NOTEBOOK)
    return heads.Page(job.notebook, run / store.NOTEBOOK, run, "tiny")


def test_the_title_names_the_data(page):
    first, head, *_ = heads.headed(page).cells
    assert first.source.startswith("# The study on small digits: is it tiny?\n")
    assert "smoke test" in head.source
    published = page._replace(notebook=page.notebook.parent.parent / "book/studies/tiny.ipynb")
    assert "smoke test" not in heads.headed(published).cells[1].source


@pytest.mark.parametrize(
    ("label", "said"),
    [("Cats against dogs", "cats against dogs"), ("CIFAR-10 (JPEG)", "CIFAR-10 (JPEG)"),
     ("Imagenette", "Imagenette")],
)  # fmt: skip
def test_a_phrase_begins_small_within_the_title(page, label, said):
    noted = json.loads((page.run / "provenance.json").read_text())
    noted["parameters"]["label"] = label
    (page.run / "provenance.json").write_text(json.dumps(noted))
    first, *_ = heads.headed(page).cells
    assert first.source.startswith(f"# The study on {said}: is it tiny?\n")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_links_of_a_lecture_lead_there_from_its_published_page_too(notebook):
    """A page's notebook lies elsewhere than the lecture that it was."""
    place = Path("book/studies/anywhere.ipynb")
    cells = heads.headed(heads.Page(place, notebook, None, notebook.stem)).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    links = [found[1] for found in heads.LINK.finditer(text)]
    for link in links:
        assert (place.parent / link).resolve().is_file(), link
    assert links  # the primer and the page on protocols are linked to by all


def test_a_study_of_no_paper_is_no_smoke_test_and_has_no_paper_beside_it(page, monkeypatch):
    class Own(Settings):
        paper = False
        scale = ("eps",)

    monkeypatch.setattr(heads.studies, "settings_of", lambda study, defaults: Own)
    head = heads.headed(page).cells[1].source
    assert "smoke test" not in head
    assert "paper" not in head
    assert "| scale | this run |\n|:--|--:|\n| radius | 0.3 |" in head
    assert "| `eps` | radius | 0.3 | 0.3 |" in head
    assert "smoke test" not in heads.headed(page._replace(run=None)).cells[0].source


def test_the_box_tells_the_run(page):
    head = heads.headed(page).cells[1].source
    for told in (
        "small digits (`0123abcd`)", "0, 1", "1:01:11", "commit `0123456789ab`", "CPU, 1 thread.",
        "{download}`the results <tiny/tiny.zip>` (records.csv, provenance.json)", "a &lt;b>",
        "has changed since",
    ):  # fmt: skip
        assert told in head, told


def test_the_box_tells_which_seeds_came_from_another_run(page):
    assert "Seeds " not in heads.headed(page).cells[1].source
    noted = json.loads((page.run / "provenance.json").read_text())
    noted["joined"] = [{"seeds": [0], "started": "2026-11-23T01:00:00", "commit": "ba9876543210"}]
    (page.run / "provenance.json").write_text(json.dumps(noted))
    told = "CPU, 1 thread. Seeds 0 on 2026-11-23 at commit `ba9876543210`."
    assert told in heads.headed(page).cells[1].source


def test_the_box_tells_of_figures_that_are_later_than_the_run(page):
    assert "drawn again" not in heads.headed(page).cells[1].source
    noted = json.loads((page.run / "provenance.json").read_text())
    noted["redrawn"] = {"figures": 3, "date": "2026-11-30", "commit": "ba9876543210"}
    (page.run / "provenance.json").write_text(json.dumps(noted))
    told = "3 figures were drawn again from its records on 2026-11-30, at commit `ba9876543210`."
    assert told in heads.headed(page).cells[1].source


def test_the_archive_has_the_results_byte_for_byte(page, tmp_path):
    archives = [tmp_path / "tiny.zip", tmp_path / "again/tiny.zip"]
    archives[1].parent.mkdir()
    for archive in archives:
        heads.pack(page, archive)
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with zipfile.ZipFile(archives[0]) as packed:
        held = {name: packed.read(name) for name in packed.namelist()}
    kept = {name: (page.run / name).read_bytes() for name in ("records.csv", "provenance.json")}
    assert held == {f"tiny/{name}": content for name, content in kept.items()}


def test_a_published_page_ends_with_its_papers_contradictions(page, monkeypatch):
    monkeypatch.setattr(heads.contradictions, "contradictions", lambda study: CONTRADICTIONS)
    monkeypatch.setattr(heads.contradictions, "STUDIES", ("tiny",))
    published = page._replace(notebook=page.notebook.parent.parent / "book/studies/tiny.ipynb")
    last = heads.headed(published).cells[-1].source
    assert last.startswith("## Where the paper contradicts itself")
    assert ":::{dropdown} 002-X1: Two means" in last
    assert "One. **But:** Another.\n\n*mean: 1 %*\n\nA slip." in last
    assert "contradicts" not in heads.headed(page).cells[-1].source  # a smoke test


def test_every_parameter_is_in_the_table_with_its_comment(page):
    head = heads.headed(page).cells[1].source
    assert "| `eps` | radius | 0.3 | 0.1 | 0.3 |" in head  # here, the paper's profile, quick
    assert "| `seeds` | seeds | 0, 1 | 0 | 0 |" in head


def test_the_raw_parameters_are_folded(page):
    cell = next(c for c in heads.headed(page).cells if c.cell_type == "code")
    assert set(cell.metadata["tags"]) == {"parameters", "hide-cell"}


def test_a_notebook_without_a_run_keeps_its_title_and_has_the_banner(page):
    first = heads.headed(page._replace(run=None)).cells[0].source
    assert first.startswith("# The study: is it tiny?")
    assert "smoke test" in first


@pytest.mark.parametrize(
    "parameters",
    [
        {"eps": 0.1, "seeds": [3, 4]},
        {"dataset": "folder:/a/my #1 folder"},
        {},
    ],
)
def test_the_command_makes_the_same_run(repository, parameters):
    wanted = schema(studies()["tiny"]) | parameters
    words = shlex.split(heads.command("tiny", wanted))
    assert words[0] == "advlib"
    asked = cli._parser().parse_args(words[1:])
    given = dict(asked.given)
    assert asked.studies == ["tiny"]
    if "dataset" in parameters:
        assert given["dataset"] == parameters["dataset"]
    else:
        (job,) = plan(asked.studies, given, profile=asked.profile)
        assert job.parameters == wanted


def test_parameters_that_the_study_no_longer_has_make_no_command(repository):
    with pytest.raises(ValueError, match="tiny: has other parameters by now"):
        heads.command("tiny", {"eps": 0.1})


def test_a_page_of_other_parameters_has_the_nearest_command(page):
    assert "how](../book/rerun.md), with" in heads.headed(page).cells[1].source
    made = json.loads((page.run / "provenance.json").read_text())
    made["parameters"] |= {"gone": 3}
    del made["parameters"]["seeds"]
    (page.run / "provenance.json").write_text(json.dumps(made))
    head = heads.headed(page).cells[1].source
    assert "as near as the study's present parameters allow, with" in head
    assert "advlib run tiny" in head.partition("```bash")[2]


def its_command(page):
    """The command at the head of a published page, in words."""
    run = page.with_suffix("")
    head = heads.headed(heads.Page(page, page, run, store.provenance(run)["study"])).cells[1].source
    (shown,) = re.findall(r"```bash\nadvlib (run .*)\n```", head)
    return shlex.split(shown)


@pytest.mark.parametrize("page", PUBLISHED, ids=lambda page: page.stem)
def test_the_command_of_a_published_page_would_run(page, capsys):
    """Also where the study has got parameters since: their defaults must suit the page's data."""
    words = its_command(page)
    paths = [path for word in words for path in re.findall(r"\.\./[\w./-]+", word)]
    if absent := [path for path in paths if not Path(path).exists()]:
        pytest.skip(f"{absent[0]} is not there")
    assert cli.main([*words, "--dry-run"]) == 0, capsys.readouterr().err
