"""What tests of batches share: a notebook whose label says what goes wrong, and processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from advlib.batch import plan

WORK = """
import json, os, pathlib, signal, time
here = pathlib.Path.cwd()
threads = "/".join(os.environ.get(f"{name}_NUM_THREADS", "") for name in ("OMP", "MKL"))
with open(here / "tally", "a", encoding="utf-8") as tally:
    print(label, seeds[0], os.getppid(), threads, sep="|", file=tally)
again = (here / "again").exists()
(here / "started").touch()
if label == "dies" and not again:
    os.kill(os.getpid(), signal.SIGKILL)
if label == "crashes":
    os.kill(os.getpid(), signal.SIGSEGV)
if label == "exits":
    os._exit(3)
if label == "writes much":
    for _ in range(300):
        print("x" * 1_000_000)
if label == "writes some":
    print(40 * 1_000_000 * "x")
if label == "takes its worker along" and not again:
    (here / "again").touch()
    os.kill(os.getppid(), signal.SIGKILL)
if label == "always takes its worker along":
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
if label == "tells how it is reached":
    from ipykernel.connect import get_connection_info
    (here / "reached").write_text(get_connection_info())
if label == "hangs" and not again:
    time.sleep(600)
if label == "slow":
    time.sleep(3)
if label == "takes and frees":
    import resource
    faults = []
    for _ in range(8):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        len(b"x" * (48 * 2**20))
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    (here / "faults").write_text(json.dumps(faults))
if label == "grows":
    much = bytearray(800 * 2**20)
    much[::4096] = bytes(len(much[::4096]))
    time.sleep(60)
folder = pathlib.Path(os.environ["ADVLIB_RUN"])
if label == "fills the disk":
    (folder / "records.csv").write_bytes(bytes(64 * 2**20))
(folder / "records.csv").write_text("value\\n1\\n")
(folder / "timings.csv").write_text("seconds\\n1\\n")
noted = {"parameters": {"label": label, "seeds": seeds}, "started": "2026-01-01", "seconds": 0.1}
(folder / "provenance.json").write_text(json.dumps(noted))
"""


def jobs(*labels, seed=0):
    return [
        job for label in labels for job in plan.plan(overrides={"label": label, "seeds": [seed]})
    ]


def tally():
    return [line.split("|") for line in Path("tally").read_text(encoding="utf-8").splitlines()]


@contextmanager
def command(*words: str) -> Iterator[subprocess.Popen]:
    """`advlib run` in a process that Ctrl-C reaches even where the tests are run without it."""
    main = (
        "import signal, sys; from advlib.cli import main;"
        "signal.signal(signal.SIGINT, signal.default_int_handler); sys.exit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", main, "run", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def until(happened, seconds=90) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.1)


@contextmanager
def running_cluster(
    folder: Path, workers: int, *tls: str
) -> Iterator[tuple[str, subprocess.Popen]]:
    """A scheduler and workers as `dask` starts them: the scheduler's file and its process."""
    dask = str(Path(sys.executable).with_name("dask"))
    file = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    front = [dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", ":0"]
    scheduler = subprocess.Popen([*front, "--scheduler-file", str(file), *tls], **quiet)
    started = [scheduler]
    try:
        until(file.exists)
        started += [
            subprocess.Popen(
                [dask, "worker", "--scheduler-file", str(file), "--nthreads", "1",
                 "--local-directory", str(folder / f"worker{number}"),
                 "--dashboard-address", ":0", "--death-timeout", "20", *tls],
                **quiet,
            )
            for number in range(workers)
        ]  # fmt: skip
        yield str(file), scheduler
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
