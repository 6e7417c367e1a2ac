"""Execute jobs on Dask: on workers of this machine, or on a cluster that is there."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dask
import torch
from distributed import Client, Nanny, Scheduler, SpecCluster, as_completed
from distributed.scheduler import KilledWorker
from upath import UPath

from advlib.batch import Job, store
from advlib.batch.job import TOPIC, JobError, task
from advlib.batch.order import ordered
from advlib.batch.progress import Progress
from advlib.checks import check_count

RESENT = 3  # times that a job is sent again which lost its workers before it began
OWN = {  # of a cluster started here
    # A job waits for the first worker that is free, not for one that it was promised to.
    "distributed.scheduler.worker-saturation": 1.0,
    # Dask looks at itself up to a hundred times a second: about a tenth of a core in each of its
    # processes, which the kernels would lack.
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.worker.profile.enabled": False,
}


def run(
    jobs: Sequence[Job],
    *,
    out: str | Path = store.STORE,
    workers: int | None = None,
    scheduler: str = "",
    gpus: Sequence[int] | None = None,
    cell_seconds: int | None = None,
    memory: int | None = None,
) -> list[str]:
    """Execute the jobs that have no complete run in `out`; returns what failed, a line each.

    They start in the order that lets the last end early, by what earlier runs took; jobs of which
    that is not known come first. A job that fails does not keep the others from running; its
    notebook stays in KEY-failed. A worker that dies hands its job to another.

    Args:
        out: folder, or an address that fsspec can write.
        workers: processes on this machine, each with one job at a time; None is one a GPU or,
            where there is none, as many as the cores have room for with the jobs' threads.
        scheduler: address of a Dask scheduler, or its scheduler file, instead of own workers.
        gpus: numbers of the GPUs to use, one for each worker; None is all that there are.
        cell_seconds: limit of a cell; None is none.
        memory: limit of a kernel, in bytes; None is none.
    """
    for name, value in {"workers": workers, "timeout": cell_seconds, "memory": memory}.items():
        if value is not None:
            check_count(name, value)
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
        with _client(workers, scheduler, gpus, room) as client:
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
        task, out=out if "://" in out else str(Path(out).resolve()), folder=str(Path.cwd()),
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


@contextmanager
def _client(
    workers: int | None, scheduler: str, gpus: Sequence[int] | None, room: int
) -> Iterator[Client]:
    if scheduler:
        named = (
            {"scheduler_file": scheduler} if Path(scheduler).is_file() else {"address": scheduler}
        )
        try:
            client = Client(**named, timeout=10)
        except OSError as error:
            raise ValueError(f"scheduler: nobody answers at {scheduler} ({error})") from None
        with client:
            yield client
        return
    gpus = list(range(torch.cuda.device_count())) if gpus is None else list(gpus)
    workers = workers or len(gpus) or room
    spec = {
        number: {
            "cls": Nanny,
            "options": {
                "nthreads": 1,
                "memory_limit": 0,  # the kernel's is watched by the job
                "silence_logs": logging.CRITICAL,
                "env": {"CUDA_VISIBLE_DEVICES": str(gpus[number % len(gpus)])} if gpus else {},
            },
        }
        for number in range(workers)
    }
    front = {"cls": Scheduler, "options": {"host": "127.0.0.1", "dashboard_address": ":0"}}
    with (
        dask.config.set(OWN),
        SpecCluster(workers=spec, scheduler=front, silence_logs=logging.ERROR) as cluster,
        Client(cluster) as client,
    ):
        yield client
