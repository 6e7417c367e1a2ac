"""Run folders: STORE/STUDY/KEY, there only when whole.

A store is a folder, or any address that fsspec can write (s3://bucket/runs).
"""

from __future__ import annotations

import functools
import itertools
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import nbformat
from filelock import FileLock, Timeout
from upath import UPath

from advlib.batch import Job

STORE = Path("runs")
NOTEBOOK = "notebook.ipynb"
PROVENANCE = "provenance.json"
RESULTS = ("records.csv", "timings.csv", PROVENANCE)
HEADLINE = ("headline.md", "headline.png")  # of a study that has one
STATES = ("complete", "failed", "running", "abandoned")
EARLIER = 50  # runs of a study that are looked at for how long another may take


class Run(NamedTuple):
    """What the store holds of a run."""

    study: str
    key: str
    state: str  # one of STATES
    changed: datetime
    seconds: float | None  # that a complete run took
    device: str
    folder: Path | UPath


def at(address: str | Path) -> Path | UPath:
    """The store at an address: a folder's path, or PROTOCOL://PATH as fsspec reads it."""
    return UPath(address) if "://" in str(address) else Path(address)


def folder(job: Job, store: Path | UPath = STORE) -> Path | UPath:
    """Where a job's run lies, or will lie."""
    return store / job.study / job.key


def is_complete(run: Path | UPath) -> bool:
    """The run's folder holds a notebook without errors, records and their provenance."""
    return all((run / name).is_file() for name in (NOTEBOOK, *RESULTS)) and not errors(
        run / NOTEBOOK
    )


@contextmanager
def claimed(run: Path | UPath) -> Iterator[None]:
    """Wait until no other process makes this run, and keep them from it in the block.

    Only in a folder: other stores have no locks. There two batches may make the same run at once,
    and one replaces the other's equal records.
    """
    if not isinstance(run, Path):
        yield
        return
    lock = _lock(run)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        for left in _unfinished(run):  # whoever made it is gone, or would hold the lock
            shutil.rmtree(left)
        yield


@contextmanager
def workspace(run: Path | UPath) -> Iterator[Path]:
    """A folder to work in that gets the run's name at the end, or KEY-failed at an error."""
    beside = run.parent if isinstance(run, Path) else None
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=beside, prefix=f".{run.name}-"))
    work.chmod(0o755)  # mkdtemp makes it private
    try:
        yield work
    except Exception:
        _move(work, run.with_name(f"{run.name}-failed"))
        raise
    except BaseException:  # interrupted: no result, and nothing to learn from
        shutil.rmtree(work)
        raise
    _move(work, run)


def errors(notebook: Path | UPath) -> list[str]:
    """The error outputs of an executed notebook, as "name: message"."""
    return [
        f"{output.ename}: {output.evalue}"
        for cell in nbformat.reads(notebook.read_text(), as_version=4).cells
        for output in cell.get("outputs", ())
        if output.output_type == "error"
    ]


def provenance(run: Path | UPath) -> dict:
    """What the run noted of its origin."""
    return json.loads((run / PROVENANCE).read_text())


def runs(store: Path | UPath = STORE) -> list[Run]:
    """All runs in a store, the latest first."""
    found = []
    for study in store.iterdir() if store.is_dir() else ():
        if study.name.startswith(".") or not study.is_dir():
            continue
        found += [_run(study.name, place) for place in study.iterdir() if place.is_dir()]
    return sorted(found, key=lambda run: run.changed, reverse=True)


def expected(jobs: Sequence[Job], store: Path | UPath = STORE) -> dict[str, float]:
    """Seconds of a worker that jobs may take, by key: of the run with most parameters in common.

    Of several such runs it is the latest. The outputs stored in a notebook are of a run of its
    default parameters, too, made before all others. A job is absent if its study has no run.
    """
    earlier = {study: _earlier(store / study) for study in {job.study for job in jobs}}
    for job in jobs:
        if not job.changed and (seconds := _stored(job.notebook)) is not None:
            noted = {"parameters": job.parameters, "started": "", "seconds": seconds}
            earlier[job.study].append(noted)

    def likeness(job: Job, run: dict) -> tuple[int, str]:
        common = (run["parameters"].get(name) == value for name, value in job.parameters.items())
        return sum(common), run["started"]

    nearest = {
        job.key: max(earlier[job.study], key=functools.partial(likeness, job))
        for job in jobs
        if earlier[job.study]
    }
    # Runs made by older code tell only what came after the imports.
    return {key: run.get("worker_seconds", run["seconds"]) for key, run in nearest.items()}


def remove(found: list[Run], *, state: str = "", older: timedelta = timedelta(0)) -> list[Run]:
    """Delete those runs that are in this state (any, if empty) and unchanged for `older`.

    A run that is being made stays. Returns what was deleted.
    """
    if state and state not in STATES:
        raise ValueError(f"state: must be one of {', '.join(STATES)}, got {state!r}")
    limit = datetime.now(UTC) - older
    going = [
        run
        for run in found
        if run.state != "running" and run.state == (state or run.state) and run.changed <= limit
    ]
    for run in going:
        if isinstance(run.folder, Path):
            shutil.rmtree(run.folder)
        else:
            run.folder.fs.rm(run.folder.path, recursive=True)
    return going


def _earlier(study: Path | UPath) -> list[dict]:
    """The provenance of some complete runs of a study."""
    places = study.iterdir() if study.is_dir() else ()
    noted = (place / PROVENANCE for place in places if place.name.isalnum())  # neither . nor -
    return [
        json.loads(file.read_text())
        for file in itertools.islice((file for file in noted if file.is_file()), EARLIER)
    ]


def _stored(notebook: Path) -> float | None:
    """Seconds of a worker that the outputs took which a notebook keeps."""
    return json.loads(notebook.read_text())["metadata"].get("advlib", {}).get("worker_seconds")


def _run(study: str, place: Path | UPath) -> Run:
    name = place.name
    told = {}
    if name.startswith("."):
        key = name[1:].rpartition("-")[0]
        state = "running" if _is_claimed(place.with_name(key)) else "abandoned"
    elif name.endswith("-failed"):
        key, state = name.removesuffix("-failed"), "failed"
    else:
        key, state = name, "complete" if is_complete(place) else "abandoned"
        told = provenance(place) if state == "complete" else {}
    stamps = [getattr(file.stat(), "st_mtime", 0) for file in place.iterdir()]
    if isinstance(place, Path):
        stamps.append(place.stat().st_mtime)
    changed = datetime.fromtimestamp(max(stamps, default=0), UTC)
    return Run(study, key, state, changed, told.get("seconds"), told.get("device", ""), place)


def _lock(run: Path) -> Path:
    return run.parents[1] / ".locks" / f"{run.parent.name}-{run.name}.lock"


def _is_claimed(run: Path | UPath) -> bool:
    if not isinstance(run, Path) or not _lock(run).exists():
        return False
    try:
        with FileLock(_lock(run), timeout=0):
            return False
    except Timeout:
        return True


def _unfinished(run: Path) -> list[Path]:
    return list(run.parent.glob(f".{run.name}-*"))


def _move(work: Path, place: Path | UPath) -> None:
    """Give a finished folder its place; what was there, an incomplete run, goes."""
    if isinstance(place, Path):
        shutil.rmtree(place, ignore_errors=True)
        work.rename(place)
        return
    names = sorted((file.name for file in work.iterdir()), key=lambda name: name == PROVENANCE)
    for name in names:  # the provenance last: without it no run is complete
        (place / name).write_bytes((work / name).read_bytes())
    shutil.rmtree(work)
