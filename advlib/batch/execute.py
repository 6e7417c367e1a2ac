"""Execute jobs with papermill, one after the other."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from advlib import parameters
from advlib.batch import store
from advlib.batch.plan import Job


def run(jobs: Sequence[Job], *, out: Path = store.STORE) -> list[str]:
    """Execute the jobs that have no complete run in `out`; returns what failed, a line each.

    A job that fails does not keep the others from running. Its notebook stays in KEY-failed.
    """
    failures = []
    for number, job in enumerate(jobs, 1):
        place = store.folder(job, out)
        label = f"[{number}/{len(jobs)}] {job.study} {job.key}"
        if store.is_complete(place):
            print(f"{label}: already complete in {place}")
            continue
        print(f"{label}: running", flush=True)
        try:
            _execute(job, place)
        except Exception as error:  # whatever it is, the other jobs go on
            what = f"{type(error).__name__}: {error}"
            if isinstance(error, PapermillExecutionError):
                what = f"cell {error.exec_count} raised {error.ename}: {error.evalue}"
            failed = place.with_name(f"{place.name}-failed")
            failures.append(f"{job.study} {job.key}: {what} (see {failed / store.NOTEBOOK})")
            print(f"{label}: failed", flush=True)
        else:
            print(f"{label}: {store.provenance(place)['seconds']} s, in {place}", flush=True)
    return failures


def _execute(job: Job, place: Path) -> None:
    defaults = parameters.schema(job.notebook)
    with store.workspace(place) as work:
        before = os.environ.get("ADVLIB_RUN")
        os.environ["ADVLIB_RUN"] = str(work.resolve())  # the kernel inherits it
        try:
            papermill.execute_notebook(
                str(job.notebook),
                str(work / store.NOTEBOOK),
                parameters={k: v for k, v in job.parameters.items() if v != defaults[k]},
                kernel_name="python3",
                progress_bar={"leave": False} if sys.stderr.isatty() else False,
            )
        finally:
            if before is None:
                del os.environ["ADVLIB_RUN"]
            else:
                os.environ["ADVLIB_RUN"] = before
        if missing := [name for name in store.RESULTS if not (work / name).is_file()]:
            raise ValueError(f"the notebook wrote no {', '.join(missing)}; it must save its Run")
        clean(work / store.NOTEBOOK)
        noted = store.provenance(work) | {"key": job.key}
        (work / store.PROVENANCE).write_text(json.dumps(noted, indent=2) + "\n")


def clean(notebook: Path) -> None:
    """Take out what papermill and the kernel note of this machine, its paths and its clock."""
    book = nbformat.read(notebook, as_version=4)
    book.metadata.pop("papermill", None)
    book.metadata.pop("language_info", None)
    for cell in book.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]  # progress bars
    nbformat.write(book, notebook)
