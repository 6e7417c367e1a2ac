"""The site: stage the pages and the executed notebooks, render with jupyter-book, check, swap."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
from filelock import FileLock

from advlib import files
from advlib.batch import Job, store
from advlib.batch.plan import plan
from advlib.book import links, shown
from advlib.book.publishing import PUBLISHED, executed

BUILD = Path("_build")
SITE = BUILD / "site"
HTML = Path("_build/html")  # where jupyter-book puts the pages, below a site
SETTINGS = ("_config.yml", "_toc.yml")


def build(*, runs: Path = store.STORE, allow_stale: bool = False) -> Path:
    """Render the site and return its index.html.

    It takes the place of the one before when it is whole: each page of the contents is there, what
    a page links to is there, and the search finds each page. One build at a time; others wait.

    Raises ValueError if a page would rest on a failed run, on none, or on one of other code
    (`allow_stale` then takes the outputs stored in notebooks/), if jupyter-book warns, or if the
    site is not whole.
    """
    notebooks = {job.notebook: _executed(job, runs, allow_stale) for job in plan()}
    published = sorted(PUBLISHED.glob("*.ipynb"))
    for notebook in published:
        _check_published(notebook)
    BUILD.mkdir(exist_ok=True)
    with FileLock(BUILD / ".lock"):
        for left in BUILD.glob(".site-*"):  # of a build that was killed
            shutil.rmtree(left)
        fresh = files.beside(SITE)
        try:
            pages = _stage(fresh / "stage", notebooks, published)
            _render(fresh / "stage", fresh)
            links.check(fresh / HTML, pages)
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


def _executed(job: Job, runs: Path, allow_stale: bool) -> Path:
    try:
        return executed(job, runs)
    except ValueError:
        if not allow_stale:
            raise
    if found := store.errors(job.notebook):
        raise ValueError(f"book: {job.notebook} holds an error: {found[0]}")
    return job.notebook


def _check_published(notebook: Path) -> None:
    """Refuse a published page with an error in it, or without the records that it shows."""
    if found := store.errors(notebook):
        raise ValueError(f"book: {notebook} holds an error: {found[0]}")
    for name in store.RESULTS:
        if not (path := PUBLISHED / notebook.stem / name).is_file():
            raise ValueError(f"book: {notebook} lacks its {path}")


def _stage(stage: Path, notebooks: dict[Path, Path], published: list[Path]) -> list[str]:
    """Put the sources of the site into a new folder; returns its pages, without their endings."""
    wanted = {Path(p): Path(p) for p in SETTINGS}
    wanted |= {p: p for p in Path("book").rglob("*") if p.is_file()}
    wanted |= notebooks
    for place, origin in wanted.items():
        target = stage / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, target)
    status = stage / "book/_generated/status.md"
    status.parent.mkdir()
    status.write_text(_status(notebooks, published), encoding="utf-8")
    return links.contents(stage / "_toc.yml")


def _status(notebooks: dict[Path, Path], published: list[Path]) -> str:
    """The table of the status page: what each page was made with, by whom and how long."""
    rows = {}
    for notebook in published:
        rows[f"[{notebook.stem}](studies/{notebook.name})"] = _origin(PUBLISHED / notebook.stem)
    for notebook, origin in notebooks.items():
        if origin != notebook:
            link = f"[{notebook.stem}, quick](../notebooks/{notebook.name})"
            rows[link] = _origin(origin.parent)
    return shown.safe_markdown(pd.DataFrame(rows).to_markdown()) + "\n"


def _origin(run: Path) -> dict[str, str]:
    """One column of the status table."""
    made = store.provenance(run)
    try:
        (present,) = plan([made["study"]], made["parameters"], threads=made["threads"])
        same = made["key"] == present.key
    except ValueError:  # the study's parameters are others by now
        same = False
    return {
        "data": ", ".join(f"{name} ({print_})" for name, print_ in made["data"].items()),
        "seeds": ", ".join(map(str, made["parameters"]["seeds"])),
        "code": (made["commit"] or "no git") + ("" if same else ", changed since"),
        "torch": made["versions"]["torch"],
        "machine": f"{made['device']}, {made['threads']} threads",
        "made": made["started"][:16].replace("T", " "),
        "seconds": f"{made['seconds']:.0f}",
    }
