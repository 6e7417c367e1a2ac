"""A run becomes a published page, or the outputs that a notebook is stored with."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path

import nbformat

from advlib import files
from advlib.batch import Job, store
from advlib.batch.plan import plan
from advlib.book import shown
from advlib.networks.keeping import NETWORKS
from advlib.saved import OUTCOMES, VERDICTS

PUBLISHED = Path("book/studies")
README = Path("README.md")
KEPT = (
    *store.RESULTS,
    *store.HEADLINE,
    OUTCOMES,
    VERDICTS,
)  # of a run, beside its notebook


def publish(run: Path, page: str = "") -> Path:
    """Make a complete run's notebook and results a page in book/studies; returns the notebook.

    All of it or, where something is refused, nothing. `page` is the page's name, by default the
    study's. Outputs are those that
    `shown.made_safe` lets through.

    Raises:
        ValueError: the run is not complete, a file of it is a link, an output may not be published,
            or the name is none.
    """
    if wrong := store.problem(run):
        raise ValueError(f"run: {run} is no complete run: {wrong}")
    page = page or store.provenance(run)["study"]
    if not re.fullmatch(r"\w+", page):
        raise ValueError(f"page: must be letters, digits and underscores, got {page!r}")
    networks = [file.name for file in sorted(run.glob(NETWORKS))]
    names = [store.NOTEBOOK, *KEPT, *networks]
    found = {name: _own(run / name) for name in names if (run / name).exists()}
    executed = nbformat.reads(found.pop(store.NOTEBOOK).decode(), as_version=4)
    headline, picture = store.HEADLINE
    try:
        shown.made_safe(executed)
        if headline in found:
            found[headline] = shown.safe_markdown(found[headline].decode()).encode()
        if picture in found:
            shown.check_png(found[picture])
    except ValueError as error:
        raise ValueError(f"run: {run} cannot be published: {error}") from None
    notebook = PUBLISHED / f"{page}.ipynb"
    pages = {notebook: nbformat.writes(executed).rstrip("\n").encode() + b"\n"}
    pages |= {PUBLISHED / page / name: content for name, content in found.items()}
    files.write_all(pages)
    earlier = [file.name for file in (PUBLISHED / page).glob(NETWORKS)]
    for name in [*KEPT, *earlier]:
        if name not in found:  # of an earlier run
            (PUBLISHED / page / name).unlink(missing_ok=True)
    return notebook


def store_outputs(studies: Sequence[str] = (), *, runs: Path = store.STORE) -> list[Path]:
    """Put the outputs of the default runs of these studies, or of all, into notebooks/.

    Returns the notebooks. Raises ValueError for an unknown study, or one without a complete run.
    """
    done = []
    for job in plan(studies):
        book = nbformat.read(executed(job, runs), as_version=4)
        book.cells = [
            c for c in book.cells if "injected-parameters" not in c.metadata.get("tags", ())
        ]
        if seconds := store.provenance(store.folder(job, runs)).get("worker_seconds"):
            book.metadata["advlib"] = {"worker_seconds": seconds}  # for the order of later batches
        files.write_whole(job.notebook, functools.partial(nbformat.write, book))
        done.append(job.notebook)
    return done


def executed(job: Job, runs: Path) -> Path:
    """The notebook of a job's complete run; raises ValueError if it has none."""
    run = runs / job.study / job.key
    if wrong := store.problem(run):
        raise ValueError(
            f"book: {job.study} has no complete run of the present code and default parameters in "
            f"{runs}: {wrong} (run `advlib run {job.study}`, or build with --allow-stale)"
        )
    return run / store.NOTEBOOK


def _own(file: Path) -> bytes:
    """A file's content, unless it is a link, which may lead anywhere."""
    try:
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise ValueError(f"run: {file} cannot be read without following a link ({error})") from None
    with os.fdopen(handle, "rb") as opened:
        return opened.read()
