"""The Dask cluster of a batch: workers of this machine that nobody else reaches, or one that is
there."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import psutil
import torch
from distributed import Client, Nanny, Scheduler, SpecCluster
from distributed.security import Security

from advlib.batch.job import LONG, SOCKETS

LOOPBACK = "127.0.0.1"
OWN = {  # of a cluster started here
    # A job waits for the first worker that is free, not for one that it was promised to.
    "distributed.scheduler.worker-saturation": 1.0,
    # Dask looks at itself up to a hundred times a second: about a tenth of a core in each of its
    # processes, which the kernels would lack.
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.worker.profile.enabled": False,
}
NO_PAGES: dict[str, Any] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


@contextmanager
def own(workers: int, gpus: Sequence[int], *, dashboard: int | None = None) -> Iterator[Client]:
    """Workers on this machine, each with one job at a time and one of the GPUs.

    They listen on loopback only, and speak TLS with certificates that live as long as the batch:
    whoever may send a worker a task runs code as the user. With `dashboard`, a port, Dask's own
    page is on loopback, too, for every user of the machine to read.
    """
    security, sockets = Security.temporary(), _sockets()
    local: dict[str, Any] = {
        "host": LOOPBACK, "protocol": "tls", "security": security,
        "dashboard": False, "dashboard_address": f"{LOOPBACK}:0",  # a server without pages
    }  # fmt: skip
    spec = {
        number: {
            "cls": Nanny,
            "options": local
            | {
                "nthreads": 1,
                "memory_limit": 0,  # the kernel's is watched by the job
                "silence_logs": logging.CRITICAL,
                "env": {SOCKETS: sockets.name}
                | ({"CUDA_VISIBLE_DEVICES": str(gpus[number % len(gpus)])} if gpus else {}),
            },
        }
        for number in range(workers)
    }
    page = {"dashboard": True, "dashboard_address": f"{LOOPBACK}:{dashboard}"} if dashboard else {}
    front = {"cls": Scheduler, "options": local | page}
    with (
        sockets,
        dask.config.set(OWN if dashboard else OWN | NO_PAGES),
        SpecCluster(
            workers=spec, scheduler=front, security=security, silence_logs=logging.ERROR
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _sockets() -> tempfile.TemporaryDirectory[str]:
    """A folder for the kernels' sockets that goes with this process, even if a worker is killed.

    Those of batches that were killed themselves go now.
    """
    place = Path(tempfile.gettempdir() if len(tempfile.gettempdir()) < LONG else "/tmp")
    for left in place.glob("advlib-*-*"):
        owner = left.name.split("-")[1]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)) and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)  # another user's stays
    return tempfile.TemporaryDirectory(prefix=f"advlib-{os.getpid()}-", dir=place)


@contextmanager
def there(scheduler: str) -> Iterator[Client]:
    """The cluster of a scheduler that is running, by its address or its scheduler file.

    Certificates for an address that begins with tls:// come from Dask's own configuration.

    Raises:
        ValueError: nobody answers there, or the address or the file is none.
    """
    file = Path(scheduler).expanduser()
    named = {"scheduler_file": str(file)} if file.is_file() else {"address": scheduler}
    try:
        client = Client(**named, timeout=10)
    except (OSError, ValueError, AssertionError, TypeError) as error:
        why = f" ({error})" if str(error) else ""
        raise ValueError(f"scheduler: nobody answers at {scheduler}{why}") from None
    with client:
        yield client


def chosen(gpus: Sequence[int] | None) -> list[int]:
    """The numbers of the GPUs to use; None is all that there are.

    Raises ValueError for one that is not there.
    """
    known = list(range(torch.cuda.device_count()))
    for gpu in gpus or ():
        if gpu not in known:
            there = f"be among {', '.join(map(str, known))}" if known else "be none: there is none"
            raise ValueError(f"gpus: must {there}, got {gpu}")
    return known if gpus is None else list(gpus)
