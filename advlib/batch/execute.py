"""Execute jobs on Dask: on workers of this machine, or on a cluster that is there."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from distributed import Client, as_completed
from distributed.scheduler import KilledWorker
from upath import UPath

from advlib.batch import Job, cluster, store
from advlib.batch.job import TOPIC, JobError, task
from advlib.batch.order import ordered
from advlib.batch.progress import Progress
from advlib.checks import check_count

RESENT = 3  # times that a job is sent again which lost its workers before it began


def run(
    jobs: Sequence[Job],
    *,
    out: str | Path = store.STORE,
    workers: int | None = None,
    scheduler: str = "",
    gpus: Sequence[int] | None = None,
    cell_seconds: int | None = None,
    memory: int | None = None,
    dashboard: int | None = None,
) -> list[str]:
    """Execute the jobs that have no complete run in `out`; returns what failed, a line each.

    They start in the order that lets the last end early, by what earlier runs took; jobs of which
    that is not known come first. A job that fails does not keep the others from running; its
    notebook stays in KEY-failed. A worker that dies hands its job to another.

    Args:
        out: folder, or an address that fsspec can write.
        workers: processes on this machine, each with one job at a time; None is one a GPU or,
            where there is none, as many as the cores have room for with the jobs' threads. More
            than there are jobs are not started.
        scheduler: address of a Dask scheduler, or its scheduler file, instead of own workers.
        gpus: numbers of the GPUs to use, one for each worker; None is all that there are.
        cell_seconds: limit of a cell; None is none.
        memory: limit of a kernel, in bytes; None is none.
        dashboard: port on loopback of Dask's page on the own workers; None is no page.

    Raises:
        ValueError: before anything runs, for an impossible argument; the message names it.
    """
    limits = {"workers": workers, "timeout": cell_seconds, "memory": memory, "dashboard": dashboard}
    for name, value in limits.items():
        if value is not None:
            check_count(name, value)
    if scheduler and (gpus or workers or dashboard):
        raise ValueError("scheduler: has its own workers, GPUs and dashboard; leave these out")
    devices = [] if scheduler else cluster.chosen(gpus)
    places = {job.key: store.folder(job, store.at(out)) for job in jobs}
    seconds = store.expected(jobs, store.at(out))
    with Progress(jobs, seconds) as progress:
        todo = []
        for job in jobs:
            if store.is_complete(places[job.key]):
                progress.ended(job, f"already complete in {places[job.key]}")
            else:
                todo.append(job)
        if not todo:
            return []
        room = max(1, (os.cpu_count() or 1) // max(job.threads for job in todo))
        workers = min(workers or len(devices) or room, len(todo))
        with (
            cluster.there(scheduler)
            if scheduler
            else cluster.own(workers, devices, dashboard=dashboard)
        ) as client:
            known = len(client.scheduler_info(n_workers=-1)["workers"])
            todo = ordered(todo, seconds, max(1, known))
            return _submit(client, todo, str(out), progress, cell_seconds, memory)


def _submit(
    client: Client,
    jobs: Sequence[Job],
    out: str,
    progress: Progress,
    cell_seconds: int | None,
    memory: int | None,
) -> list[str]:
    by_key = {job.key: job for job in jobs}
    client.subscribe_topic(TOPIC, lambda event: progress.told(by_key[event[1]["job"]], event[1]))
    execute = functools.partial(
        task, out=out if "://" in out else str(store.at(out).resolve()), folder=str(Path.cwd()),
        cell_seconds=cell_seconds, memory=memory,
    )  # fmt: skip
    sent = {
        key: dataclasses.replace(job, notebook=job.notebook.resolve())
        for key, job in by_key.items()
    }
    # Keys that begin alike are one group to Dask, whose order it keeps.
    names = [("run", key) for key in sent]
    futures = as_completed(client.map(execute, sent.values(), key=names, pure=False))
    again: Counter[str] = Counter()
    failures = []
    for future in futures:
        job = by_key[future.key[1]]
        if future.status == "finished":
            seconds = store.provenance(store.at(future.result()))["seconds"]
            progress.ended(job, f"{seconds} s, in {future.result()}")
            continue
        error = None if future.cancelled() else future.exception()
        if isinstance(error, KilledWorker) and not progress.began(job) and again[job.key] < RESENT:
            # It only stood in line behind a job that killed the workers.
            again[job.key] += 1
            name = ("run", job.key, again[job.key])
            futures.add(client.submit(execute, sent[job.key], key=name, pure=False))
            continue
        failures.append(f"{job.study} {job.key}: {_why(error, store.folder(job, store.at(out)))}")
        progress.ended(job, "failed")
    return failures


def _why(error: BaseException | None, run: Path | UPath) -> str:
    if error is None:
        return "the scheduler went away before it finished"
    if isinstance(error, KilledWorker):
        return f"{error.allowed_failures + 1} workers died while they had it"
    if isinstance(error, JobError):
        return f"{error} (see {run.with_name(f'{run.name}-failed') / store.NOTEBOOK})"
    return f"{type(error).__name__}: {error}"
