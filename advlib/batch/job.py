"""One job in a worker: its notebook in a kernel of its own, then its folder in the store.

A worker imports this module: it must not take torch, which the kernel imports for itself.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import nbformat
import papermill
import psutil
from distributed import get_worker
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from advlib.batch import Job, store

TOPIC = "advlib"  # of the workers' reports
LOG = "log.txt"  # when each cell began, and what the kernel wrote to its terminal
# What torch and NumPy ask for their threads.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# glibc's, in bytes: a kernel keeps what a batch of images took for the next one. Handed back and
# faulted in again, as anything above 32 MiB is otherwise, it took a quarter of PGD's time.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
OUTPUT = 50_000_000  # letters that a cell may write
OUTPUT_SECONDS = 600  # that they may take to arrive after the cell's end
SOCKETS = "ADVLIB_SOCKETS"  # names the folder for the kernels' sockets, of a batch's own workers
LONG = 70  # letters of a folder's name that leave none for a socket's
Tell = Callable[[Mapping[str, Any]], None]


class JobError(RuntimeError):
    """A job failed; the message says of what."""


@dataclass(frozen=True)
class Limits:
    """What a job may take."""

    cell_seconds: int | None = None
    memory: int | None = None  # bytes of the kernel


def execute(job: Job, out: str, *, folder: str, limits: Limits, tell: Tell) -> str:
    """Make the job's run in the store `out` unless it is complete; returns the run's address.

    Only one process at a time makes a run; the others wait for it. `folder` is where the kernel
    runs, `tell` gets what is reported on the way. Raises JobError if the notebook fails.
    """
    place = store.folder(job, store.at(out))
    with store.claimed(place):
        if store.is_complete(place):
            return str(place)
        with store.workspace(place) as work:
            began = time.monotonic()
            _run(job, work, folder, limits, tell)
            if missing := [name for name in store.RESULTS if not (work / name).is_file()]:
                raise JobError(f"the notebook wrote no {', '.join(missing)}; it must save its Run")
            clean(work / store.NOTEBOOK)
            noted = store.provenance(work) | {"key": job.key}
            noted["worker_seconds"] = round(time.monotonic() - began, 1)  # with the kernel's start
            (work / store.PROVENANCE).write_text(
                json.dumps(noted, indent=2) + "\n", encoding="utf-8"
            )
    return str(place)


def task(job: Job, *, out: str, folder: str, cell_seconds: int | None, memory: int | None) -> str:
    """`execute` on a Dask worker."""
    worker = get_worker()
    limits = Limits(cell_seconds, memory)

    def tell(report: Mapping[str, Any]) -> None:
        worker.log_event(TOPIC, {"job": job.key, **report})

    return execute(job, out, folder=folder, limits=limits, tell=tell)


def _run(job: Job, work: Path, folder: str, limits: Limits, tell: Tell) -> None:
    # A Dask worker gives itself one thread and a malloc that hands memory back at once, under which
    # a training takes half as long again.
    own = dask.config.get("distributed.nanny.pre-spawn-environ")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    environment |= {"ADVLIB_RUN": str(work.resolve()), "ADVLIB_JOIN": os.pathsep.join(job.joined)}
    environment.setdefault("TQDM_MININTERVAL", "10")  # seconds; a log is not a terminal
    environment |= dict.fromkeys(THREADS, str(job.threads))  # before the kernel imports torch
    environment |= ALLOCATOR
    log = work / LOG
    with _watched(limits.memory) as outgrown, log.open("w", buffering=1, encoding="utf-8") as lines:
        try:
            papermill.execute_notebook(
                str(job.notebook),
                str(work / store.NOTEBOOK),
                parameters=job.changed,
                kernel_name="python3",
                engine_name="advlib",
                progress_bar=False,
                cwd=folder,
                execution_timeout=limits.cell_seconds,
                environment=environment,
                tell=functools.partial(_note, tell, lines, time.monotonic()),
                stderr_file=lines,
            )
        except PapermillExecutionError as error:
            raise JobError(
                f"cell {error.exec_count} raised {error.ename}: {error.evalue}"
            ) from None
        except CellTimeoutError:
            raise JobError(f"a cell took more than {limits.cell_seconds} s") from None
        except _KernelDiedError as died:
            if outgrown and limits.memory:
                why = f"it took more than {limits.memory / 2**30:.3g} GiB of memory"
                raise JobError(f"the kernel died: {why}") from None
            raise JobError(f"the kernel died: {died}") from None


class _KernelDiedError(RuntimeError):
    """A kernel that was there is gone; the message says how it ended."""

    def __init__(self, status: int | None) -> None:
        if status is None or status >= 0:
            super().__init__(f"it ended with exit status {status}")
        elif -status == signal.SIGKILL:
            super().__init__("it was killed, as the system does when memory runs out")
        else:
            name, says = signal.Signals(-status).name, signal.strsignal(-status)
            super().__init__(f"{name} ({says}) ended it")


class _Client(PapermillNotebookClient):
    """papermill's client, which also tells how a kernel ended, and bounds what a cell writes."""

    written = 0  # letters by the present cell

    def papermill_execute_cells(self) -> None:
        try:
            super().papermill_execute_cells()
        except DeadKernelError:
            process = self.km.provisioner.process
            raise _KernelDiedError(process and process.poll()) from None

    def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        self.written = 0
        done = super().execute_cell(cell, cell_index, **options)
        if self.written > OUTPUT:
            raise JobError(
                f"cell {cell_index + 1} wrote more than {OUTPUT / 1e6:.0f} MB of output; files are "
                "the place for it"
            )
        return done

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        content = msg["content"]
        texts = [content.get("text"), *content.get("data", {}).values()]
        self.written += sum(len(text) for text in texts if isinstance(text, str))
        if self.written > OUTPUT and msg["msg_type"] in ("stream", "display_data"):
            return None  # the cell will fail
        return super().process_message(msg, cell, cell_index)


def _note(tell: Tell, lines: Any, began: float, report: Mapping[str, Any]) -> None:
    cell, cells = report["cell"], report["cells"]
    what = "done" if cell > cells else f"cell {cell} of {cells}"
    print(f"{time.monotonic() - began:.1f} s: {what}", file=lines)
    tell(report)


class _Engine(NBClientEngine):
    """papermill's engine, which also sets the kernel's environment and tells of each cell."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man, kernel_name, *, environment, tell, execution_timeout=None, start_timeout=60,
        stderr_file=None, **_options,
    ):  # fmt: skip
        begin, count = nb_man.cell_start, len(nb_man.nb.cells)

        def begin_and_tell(cell, index, **options):
            begin(cell, index, **options)
            tell({"cell": index + 1, "cells": count})

        nb_man.cell_start = begin_and_tell
        # Through sockets in files: of two kernels that start at once on ports, one may get the
        # other's, and its messages. A socket's name may have some hundred letters.
        short = None if len(tempfile.gettempdir()) < LONG else "/tmp"
        place = os.environ.get(SOCKETS, short)
        with tempfile.TemporaryDirectory(prefix="advlib-", dir=place) as sockets:
            files = {"transport": "ipc", "ip": f"{sockets}/kernel"}
            client = _Client(
                nb_man, timeout=execution_timeout, startup_timeout=start_timeout,
                iopub_timeout=OUTPUT_SECONDS,
                kernel_name=kernel_name, stderr_file=stderr_file,
                shutdown_kernel="immediate",  # all is written, and to ask may take it three seconds
                config=Config({"KernelManager": files if os.name == "posix" else {}}),
            )  # fmt: skip
            done = client.execute(env=environment, stderr=stderr_file)
        tell({"cell": count + 1, "cells": count})
        return done


papermill_engines.register("advlib", _Engine)


@contextmanager
def _watched(memory: int | None) -> Iterator[list[int]]:
    """Kill this process's kernel when it outgrows `memory` bytes; yields the kernels killed."""
    killed: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            for child in psutil.Process().children():
                try:
                    family = [child, *child.children(recursive=True)]
                    if sum(p.memory_info().rss for p in family) > memory:
                        killed.append(child.pid)
                        child.kill()
                except psutil.NoSuchProcess:
                    continue

    watcher = threading.Thread(target=watch, daemon=True)
    if memory:
        watcher.start()
    try:
        yield killed
    finally:
        done.set()


def clean(notebook: Path) -> None:
    """Take out what papermill and the kernel note of this machine, its paths and its clock.

    What `advlib store` noted of an earlier run goes, too.
    """
    book = nbformat.read(notebook, as_version=4)
    for name in ("advlib", "papermill", "language_info"):
        book.metadata.pop(name, None)
    for cell in book.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]  # progress bars
    nbformat.write(book, notebook)
