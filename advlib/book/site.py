"""The site: stage the pages and the executed notebooks, render with jupyter-book, check, swap."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from filelock import FileLock
from nbformat import NotebookNode

from advlib import files
from advlib.batch import Job, store
from advlib.batch.plan import plan
from advlib.book import excerpts, front, gained, judged, lab, launch, links, shown, terms, wanted
from advlib.book.heads import NOTEBOOK, Page, headed, pack, without_outputs
from advlib.book.publishing import KEPT, PUBLISHED, executed
from advlib.book.slim import slim

BUILD = Path("_build")
SITE = BUILD / "site"
HTML = Path("_build/html")  # where jupyter-book puts the pages, below a site
SETTINGS = ("_config.yml", "_toc.yml")
# Of a notebook as JSON: a tenth lighter, and the same to every program.
ONE_LINE = {"indent": None, "separators": (",", ":"), "split_lines": False}
FONTS = ("AMS-Regular", "Main-*", "Math-*Italic", "Size*", "Zero")  # of the letters that we use
MATHJAX = (
    "startup.js", "core.js", "input/tex.js", "output/chtml.js", "output/chtml/fonts/tex.js",
    *(f"output/chtml/fonts/woff-v2/MathJax_{font}.woff" for font in FONTS), "a11y/assistive-mml.js",
)  # fmt: skip
INCLUDED = ("CHANGELOG.md", "CONTRIBUTING.md")  # pages of the book, too


def build(*, runs: Path = store.STORE, allow_stale: bool = False) -> Path:
    """Render the site and return its index.html.

    It takes the place of the one before when it is whole: each page of the contents is there, what
    a page links to is there, and the search finds each page. One build at a time; others wait.
    Where $ADVLIB_REPOSITORY has an address, each page has a button that leads there, and that of a
    notebook one to Colab and one to Binder; what these open lies beside the site (`launch`).

    Raises ValueError if a page would rest on a failed run, on none, or on one of other code
    (`allow_stale` then takes the outputs stored in notebooks/), if a published page says another
    verdict than its records give, if jupyter-book warns, or if the site is not whole.
    """
    pages = [_published(notebook) for notebook in sorted(PUBLISHED.glob("*.ipynb"))]
    pages += [_quick(job, runs, allow_stale) for job in plan()]
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / ".lock"):
        for left in BUILD.glob(".site-*"):  # of a build that was killed
            shutil.rmtree(left)
        fresh = files.beside(SITE)
        try:
            contents = _stage(fresh / "stage", pages)
            _render(fresh / "stage", fresh)
            slim(fresh / HTML)
            excerpts.write(fresh / HTML)
            links.check(fresh / HTML, contents)
            shutil.rmtree(fresh / "stage")
            _swap(fresh)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return (SITE / HTML / "index.html").resolve()


def _render(stage: Path, site: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("jupyter-book")), "build", str(stage),
        "--path-output", str(site), "-W", "-n", "--keep-going", "--quiet",
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)  # it names the fresh folder
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise ValueError("book: jupyter-book reported the errors or warnings above")


def _swap(fresh: Path) -> None:
    """Give a finished site its place; the one before goes."""
    before = files.beside(SITE)
    if SITE.exists():
        SITE.rename(before)
    fresh.rename(SITE)
    shutil.rmtree(before, ignore_errors=True)


def _quick(job: Job, runs: Path, allow_stale: bool) -> Page:
    """The page of a study's run with its default parameters."""
    try:
        found = executed(job, runs)
        return Page(job.notebook, found, found.parent, job.study)
    except ValueError:
        if not allow_stale:
            raise
    if wrong := store.errors(job.notebook):
        raise ValueError(f"book: {job.notebook} holds an error: {wrong[0]}")
    return Page(job.notebook, job.notebook, None, job.study)


def _published(notebook: Path) -> Page:
    """A published page; refused with an error in it, or without the records that it shows."""
    if found := store.errors(notebook):
        raise ValueError(f"book: {notebook} holds an error: {found[0]}")
    run = notebook.with_suffix("")
    for name in store.RESULTS:
        if not (path := run / name).is_file():
            raise ValueError(f"book: {notebook} lacks its {path}")
    return Page(notebook, notebook, run, store.provenance(run)["study"])


def _stage(stage: Path, pages: list[Page]) -> list[str]:
    """Put the sources of the site into a new folder; returns its pages, without their endings."""
    sources = [Path(name) for name in SETTINGS]
    sources += [p for p in Path("book").rglob("*") if p.is_file() and PUBLISHED not in p.parents]
    copied = {source: source for source in sources}
    copied |= _mathjax()
    copied |= {
        Path("book/_generated") / name: Path(name) for name in INCLUDED if Path(name).is_file()
    }
    for page in pages:
        beside = page.notebook.with_suffix("")
        for name in KEPT if page.run else ():
            if page.run and (page.run / name).is_file():
                copied[beside / name] = page.run / name
    for place, origin in copied.items():
        target = stage / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, target)
    if address := os.environ.get(launch.VARIABLE):
        launch.configure(stage / "_config.yml", address)
        launch.write(stage.with_name(launch.BRANCH), pages, address)
    for text in (stage / "book").glob("*.md"):
        if text.name != terms.GLOSSARY.name:
            (with_terms,) = terms.linked([text.read_text(encoding="utf-8")])
            text.write_text(with_terms, encoding="utf-8")
    for page in pages:
        (stage / page.notebook).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(_with_terms(headed(page)), stage / page.notebook)
        beside = stage / page.notebook.with_suffix("")
        beside.mkdir(exist_ok=True)
        nbformat.write(without_outputs(page.origin), beside / NOTEBOOK, **ONE_LINE)
        if page.run:
            pack(page, beside / f"{beside.name}.zip")
    status = stage / "book/_generated/status.md"
    status.parent.mkdir(exist_ok=True)
    status.write_text(_status(pages), encoding="utf-8")
    verdicts = judged.of_pages()
    judged.check(verdicts)
    judged.write(status.parent, verdicts)
    front.write(status.parent, verdicts)
    gained.write(status.parent)
    wanted.write(status.parent)
    if (stage / lab.PAGE).is_file():
        lab.write(stage / "book/_static/lab", status.parent)
    return links.contents(stage / "_toc.yml")


def _with_terms(notebook: NotebookNode) -> NotebookNode:
    """The notebook with links to the glossary in its texts."""
    lecture = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    for cell, text in zip(lecture, terms.linked(cell.source for cell in lecture), strict=True):
        cell.source = text
    return notebook


def _mathjax() -> dict[Path, Path]:
    """Where the parts of MathJax go in the site, so that equations need no network; their origins.

    Its menu stays out: it would offer to load what the site has not.
    """
    package = importlib.metadata.distribution("sphinx-mathjax-offline")
    origin = Path(str(package.locate_file("sphinx-mathjax-offline/static/mathjax")))
    found = [path for part in MATHJAX for path in origin.glob(part)]
    return {Path("book/_static/mathjax") / path.relative_to(origin): path for path in found}


def _status(pages: list[Page]) -> str:
    """A card a page: what it was made with, by whom and how long."""
    cards = []
    for page in pages:
        if page.run is None:
            continue
        name = page.notebook.stem
        title = f"[{name}](studies/{name}.ipynb)"
        if page.quick:
            title = f"[{name}, quick](../notebooks/{name}.ipynb)"
        told = "\\\n".join(
            f"**{what}**: {shown.safe_markdown(text)}" for what, text in _origin(page.run).items()
        )
        cards.append(f":::{{grid-item-card}}\n**{title}**\n\n{told}\n:::")
    return "::::{grid} 1 1 2 2\n:gutter: 2\n\n" + "\n\n".join(cards) + "\n::::\n"


def _origin(run: Path) -> dict[str, str]:
    """What a card of the status page says of a run."""
    made = store.provenance(run)
    try:
        (present,) = plan([made["study"]], made["parameters"], threads=made["threads"])
        same = made["key"] == present.key
    except ValueError:  # the study's parameters are others by now
        same = False
    return {
        "data": ", ".join(f"{name} ({print_})" for name, print_ in made["data"].items()),
        "seeds": ", ".join(map(str, made["parameters"].get("seeds", ()))),
        "code": (made["commit"] or "no git") + ("" if same else ", changed since"),
        "torch": made["versions"]["torch"],
        "machine": f"{made['device']}, {made['threads']} threads",
        "made": made["started"][:16].replace("T", " "),
        "seconds": f"{made['seconds']:.0f}",
    }
