"""The site: stage the pages and the executed notebooks, check them, render with jupyter-book.

`notebooks/STUDY.ipynb` is rendered from the run of its default parameters. The runs at the paper's
scale are published pages, `book/studies/NAME.ipynb`, kept in git with their records: one a study,
or several with names of their own, such as one a data set.
"""

from __future__ import annotations

import base64
import filecmp
import functools
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
from PIL import Image

from advlib import files
from advlib.batch import Job, store
from advlib.batch.plan import plan
from advlib.records import OUTCOMES

STAGE, SITE = Path("_build/stage"), Path("_build/site")
PUBLISHED = Path("book/studies")
README = Path("README.md")
SETTINGS = ("_config.yml", "_toc.yml")
LARGE_PICTURE = 100_000  # bytes; larger pictures of a published page become JPEG


def build(*, runs: Path = store.STORE, allow_stale: bool = False) -> Path:
    """Render the site and return its index.html.

    Raises ValueError if a page would rest on a failed run, on none, or on one of other code
    (`allow_stale` then takes the outputs stored in notebooks/), or if jupyter-book warns.
    """
    executed = {job.notebook: _executed(job, runs, allow_stale) for job in plan()}
    published = sorted(PUBLISHED.glob("*.ipynb"))
    for notebook in published:
        _check_published(notebook)
    _stage(executed, published)
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [
        str(jupyter_book), "build", str(STAGE), "--path-output", str(SITE),
        "-W", "-n", "--keep-going", "--quiet",
    ]  # fmt: skip
    if subprocess.run(command).returncode:
        raise ValueError("book: jupyter-book reported the errors or warnings above")
    return (SITE / "_build/html/index.html").resolve()


def publish(run: Path, page: str = "") -> Path:
    """Copy a complete run's notebook and results to book/studies; returns the notebook.

    Figures over `LARGE_PICTURE` bytes, those that show photos, are stored as JPEG. `page` is the
    published page's name, by default the study's. The README's table of that name becomes the
    run's headline.
    """
    if wrong := store.problem(run):
        raise ValueError(f"run: {run} is no complete run: {wrong}")
    page = page or store.provenance(run)["study"]
    if not re.fullmatch(r"\w+", page):
        raise ValueError(f"page: must be letters, digits and underscores, got {page!r}")
    for name in (*store.RESULTS, *store.HEADLINE, OUTCOMES):
        if (run / name).is_file():
            target = PUBLISHED / page / name
            files.write_whole(target, functools.partial(shutil.copyfile, run / name))
    notebook = PUBLISHED / f"{page}.ipynb"
    executed = nbformat.read(run / store.NOTEBOOK, as_version=4)
    for output in (o for cell in executed.cells for o in cell.get("outputs", ())):
        _compress(output.get("data", {}))
    files.write_whole(notebook, lambda part: nbformat.write(executed, part))
    if (headline := run / store.HEADLINE[0]).is_file():
        files.fill(README, page, headline.read_text())
    return notebook


def _compress(shown: dict[str, str]) -> None:
    """Make an output's PNG a JPEG if it is large and gains by it."""
    png = base64.b64decode(shown.get("image/png", ""))
    if len(png) <= LARGE_PICTURE:
        return
    jpeg = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(jpeg, "JPEG", quality=90, optimize=True)
    if jpeg.tell() < len(png) / 2:
        del shown["image/png"]
        shown["image/jpeg"] = base64.b64encode(jpeg.getvalue()).decode()


def store_outputs(*, runs: Path = store.STORE) -> list[Path]:
    """Put the outputs of the default runs into notebooks/; returns the notebooks."""
    done = []
    for job in plan():
        executed = _executed(job, runs, allow_stale=False)
        book = nbformat.read(executed, as_version=4)
        book.cells = [
            c for c in book.cells if "injected-parameters" not in c.metadata.get("tags", ())
        ]
        if seconds := store.provenance(executed.parent).get("worker_seconds"):
            book.metadata["advlib"] = {"worker_seconds": seconds}  # for the order of later batches
        files.write_whole(job.notebook, functools.partial(nbformat.write, book))
        done.append(job.notebook)
    return done


def _executed(job: Job, runs: Path, allow_stale: bool) -> Path:
    run = runs / job.study / job.key
    if not (wrong := store.problem(run)):
        return run / store.NOTEBOOK
    if not allow_stale:
        raise ValueError(
            f"book: {job.study} has no complete run of the present code and default parameters in "
            f"{runs}: {wrong} (run `advlib run {job.study}`, or build with --allow-stale)"
        )
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


def _stage(executed: dict[Path, Path], published: list[Path]) -> None:
    """Bring the staged sources up to date; files that did not change keep their time."""
    wanted = {Path(p): Path(p) for p in SETTINGS}
    wanted |= {p: p for p in Path("book").rglob("*") if p.is_file()}
    wanted |= executed
    for place in [p for p in STAGE.rglob("*") if p.is_file()]:
        if place.relative_to(STAGE) not in wanted and "_generated" not in place.parts:
            place.unlink()
    for place, origin in wanted.items():
        target = STAGE / place
        if not (target.is_file() and filecmp.cmp(origin, target, shallow=False)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin, target)
    status = STAGE / "book/_generated/status.md"
    text = _status(executed, published)
    if not (status.is_file() and status.read_text() == text):
        files.write_whole(status, lambda part: part.write_text(text))


def _status(executed: dict[Path, Path], published: list[Path]) -> str:
    """The table of the status page: what each page was made with, by whom and how long."""
    rows = {}
    for notebook in published:
        rows[f"[{notebook.stem}](studies/{notebook.name})"] = _origin(PUBLISHED / notebook.stem)
    for notebook, origin in executed.items():
        if origin != notebook:
            link = f"[{notebook.stem}, quick](../notebooks/{notebook.name})"
            rows[link] = _origin(origin.parent)
    return pd.DataFrame(rows).to_markdown() + "\n"


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
