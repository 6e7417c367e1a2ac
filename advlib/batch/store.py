"""Run folders: STORE/STUDY/KEY, there only when whole."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

from advlib.batch.plan import Job

STORE = Path("runs")
NOTEBOOK = "notebook.ipynb"
PROVENANCE = "provenance.json"
RESULTS = ("records.csv", "timings.csv", PROVENANCE)
HEADLINE = ("headline.md", "headline.png")  # of a study that has one


def folder(job: Job, store: Path = STORE) -> Path:
    """Where a job's run lies, or will lie."""
    return store / job.study / job.key


def is_complete(run: Path) -> bool:
    """The run's folder holds a notebook without errors, records and their provenance."""
    return all((run / name).is_file() for name in (NOTEBOOK, *RESULTS)) and not errors(
        run / NOTEBOOK
    )


@contextmanager
def workspace(run: Path) -> Iterator[Path]:
    """A folder to work in that gets the run's name at the end, or KEY-failed at an error."""
    run.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=run.parent, prefix=f".{run.name}-"))
    work.chmod(0o755)  # mkdtemp makes it private
    try:
        yield work
    except BaseException:
        failed = run.with_name(f"{run.name}-failed")
        shutil.rmtree(failed, ignore_errors=True)
        work.rename(failed)
        raise
    shutil.rmtree(run, ignore_errors=True)  # an incomplete one, else it would not be made again
    work.rename(run)


def errors(notebook: Path) -> list[str]:
    """The error outputs of an executed notebook, as "name: message"."""
    return [
        f"{output.ename}: {output.evalue}"
        for cell in nbformat.read(notebook, as_version=4).cells
        for output in cell.get("outputs", ())
        if output.output_type == "error"
    ]


def provenance(run: Path) -> dict:
    """What the run noted of its origin."""
    return json.loads((run / PROVENANCE).read_text())
