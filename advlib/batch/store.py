"""Run folders: STORE/STUDY/KEY, there only when whole.

A store is a folder, or any address that fsspec can write (s3://bucket/runs).
"""

from __future__ import annotations

import contextlib
import functools
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
from advlib.files import beside

STORE = Path("runs")
NOTEBOOK = "notebook.ipynb"
PROVENANCE = "provenance.json"
RECORDS = "records.csv"
RESULTS = (RECORDS, "timings.csv", PROVENANCE)
HEADLINE = ("headline.md", "headline.png")  # of a study that has one
MARK = ".advlib-run"  # a file in each run's folder, there before all others
STATES = ("complete", "failed", "running", "abandoned", "damaged")
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
    problem: str  # of a damaged run: what is wrong with it


def at(address: str | Path) -> Path | UPath:
    """The store at an address: a folder's path, or PROTOCOL://PATH as fsspec reads it.

    Raises ValueError for a protocol that needs a package which is not installed.
    """
    if "://" not in str(address):
        return Path(address).expanduser()
    try:
        place = UPath(address)
        place.fs  # noqa: B018 - what is missing is missed here
    except (ImportError, ValueError) as error:
        raise ValueError(f"out: {address} cannot be reached: {error}") from None
    return place


def folder(job: Job, store: Path | UPath = STORE) -> Path | UPath:
    """Where a job's run lies, or will lie."""
    return store / job.study / job.key


def is_complete(run: Path | UPath) -> bool:
    """The run's folder holds a notebook without errors, records and their provenance."""
    return not problem(run)


def problem(run: Path | UPath) -> str:
    """What keeps a run's folder from being complete, in a few words; "" if nothing does."""
    for name in (NOTEBOOK, *RESULTS):
        if not (run / name).is_file():
            return f"{name} is missing" if run.is_dir() else "it is not there"
        if not (run / name).stat().st_size:
            return f"{name} is empty"
    try:
        found = errors(run / NOTEBOOK)
        provenance(run)
        with (run / RECORDS).open(encoding="utf-8") as lines:
            heading, first = next(lines, ""), next(lines, "")
    except ValueError as error:
        return str(error)
    if found:
        return f"{NOTEBOOK} holds an error: {found[0]}"
    if "value" not in heading.strip().split(",") or not first.strip():
        return f"{RECORDS} holds no records"
    return ""


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
    if isinstance(run, Path):
        work = beside(run)
        work.mkdir(parents=True)
    else:
        work = Path(tempfile.mkdtemp())
    (work / MARK).touch()
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
    """The error outputs of an executed notebook, as "name: message".

    Raises ValueError, naming the file, if it is no notebook.
    """
    try:
        cells = nbformat.reads(notebook.read_text(encoding="utf-8"), as_version=4).cells
    except (ValueError, TypeError, AttributeError, nbformat.ValidationError) as error:
        raise ValueError(f"{notebook} is no notebook ({error or 'it is empty'})") from None
    return [
        f"{output.ename}: {output.evalue}"
        for cell in cells
        for output in cell.get("outputs", ())
        if output.output_type == "error"
    ]


def provenance(run: Path | UPath) -> dict:
    """What the run noted of its origin.

    Raises ValueError, naming the file, if it is damaged.
    """
    try:
        noted = json.loads((run / PROVENANCE).read_text(encoding="utf-8"))
        noted["parameters"], noted["seconds"], noted["started"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{run / PROVENANCE} is damaged ({error!r})") from None
    return noted


def runs(store: Path | UPath = STORE) -> list[Run]:
    """All runs in a store, the latest first. Only folders that bear our mark are runs; a run made
    before there were marks tells its study and its key. Links are not followed."""
    found = []
    for study in store.iterdir() if store.is_dir() else ():
        if not study.name.startswith(".") and _is_own_folder(study):
            found += [
                _run(study.name, place)
                for place in study.iterdir()
                if _is_own_folder(place) and _is_marked(study.name, place)
            ]
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


def chosen(found: list[Run], *, state: str = "", older: timedelta = timedelta(0)) -> list[Run]:
    """Those runs that are in this state (any but running, if empty), unchanged for `older`."""
    if state and (state not in STATES or state == "running"):
        known = ", ".join(known for known in STATES if known != "running")
        raise ValueError(f"state: must be one of {known}, got {state!r}")
    limit = datetime.now(UTC) - older
    return [
        run
        for run in found
        if run.state != "running" and run.state == (state or run.state) and run.changed <= limit
    ]


def remove(run: Run) -> bool:
    """Delete a run, unless somebody has begun to make it anew; whether it is gone."""
    if not isinstance(run.folder, Path):
        run.folder.fs.rm(run.folder.path, recursive=True)
        return True
    lock = _lock(run.folder.with_name(run.key))
    lock.parent.mkdir(exist_ok=True)
    with contextlib.suppress(Timeout), FileLock(lock, timeout=0):
        shutil.rmtree(run.folder)  # follows no link
        return True
    return False


def _earlier(study: Path | UPath) -> list[dict]:
    """The provenance of some complete runs of a study."""
    places = study.iterdir() if study.is_dir() else ()
    noted = []
    for place in places:
        if place.name.isalnum() and (place / PROVENANCE).is_file():  # neither . nor -
            with contextlib.suppress(ValueError):  # a damaged one tells nothing
                noted.append(provenance(place))
        if len(noted) == EARLIER:
            break
    return noted


def _stored(notebook: Path) -> float | None:
    """Seconds of a worker that the outputs took which a notebook keeps."""
    return (
        json.loads(notebook.read_text(encoding="utf-8"))["metadata"]
        .get("advlib", {})
        .get("worker_seconds")
    )


def _run(study: str, place: Path | UPath) -> Run:
    name, told, wrong = place.name, {}, ""
    if name.startswith("."):
        key = name[1:].rpartition("-")[0]
        state = "running" if _is_claimed(place.with_name(key)) else "abandoned"
    elif name.endswith("-failed"):
        key, state = name.removesuffix("-failed"), "failed"
    else:
        key, wrong = name, problem(place)
        state = "damaged" if wrong else "complete"
        told = {} if wrong else provenance(place)
    stamps = [getattr(file.stat(), "st_mtime", 0) for file in place.iterdir()]
    if isinstance(place, Path):
        stamps.append(place.stat().st_mtime)
    changed = datetime.fromtimestamp(max(stamps, default=0), UTC)
    seconds, device = told.get("seconds"), told.get("device", "")
    return Run(study, key, state, changed, seconds, device, place, wrong)


def _is_own_folder(place: Path | UPath) -> bool:
    return place.is_dir() and not (isinstance(place, Path) and place.is_symlink())


def _is_marked(study: str, place: Path | UPath) -> bool:
    """The folder is a run's: it bears the mark, or a provenance that tells this study and key."""
    if (place / MARK).is_file():
        return True
    if not (place / PROVENANCE).is_file():
        return False
    with contextlib.suppress(ValueError):
        noted = provenance(place)
        return (noted.get("study"), noted.get("key")) == (study, place.name)
    return False


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
        if place.is_symlink():
            place.unlink()  # what it points to is not ours
        shutil.rmtree(place, ignore_errors=True)
        work.rename(place)
        return
    names = sorted((file.name for file in work.iterdir()), key=lambda name: name == PROVENANCE)
    for name in names:  # the provenance last: without it no run is complete
        (place / name).write_bytes((work / name).read_bytes())
    shutil.rmtree(work)
