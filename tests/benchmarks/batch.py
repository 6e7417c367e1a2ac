"""What a batch costs beside its kernels: `make bench-batch` puts a table into book/benchmarks.md.

The quick notebooks, trainings and all (nothing cached): by one worker, by two who know how long
each took where its outputs were stored, and by two who know it from that batch; many empty
notebooks; and planning alone. A batch goes from its planned jobs to its last result, a kernel's own
time from its first cell to the end of its last.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import nbformat

from advlib.batch import Job, store
from advlib.batch.job import LOG
from advlib.files import fill

# A worker imports this file again; torch, which `advlib run` keeps from its workers, comes later.

PAGE = Path(__file__).parents[2] / "book/benchmarks.md"
EMPTY = """import json, os, pathlib
folder = pathlib.Path(os.environ["ADVLIB_RUN"])
(folder / "records.csv").write_text("value\\n")
(folder / "timings.csv").write_text("seconds\\n")
noted = {"parameters": {"seeds": seeds}, "started": "", "seconds": 0}
(folder / "provenance.json").write_text(json.dumps(noted))"""


def main() -> None:
    """Measure, print the table and put it into book/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--empty", type=int, default=1000, help="empty notebooks")
    rows = [
        "| | wall, s | kernels, s | best order, s | wall / best order | wall / (kernels / workers) "
        "| target |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *studies(1, ""),
        *studies(2, "", ", once more"),
        empty(parser.parse_args().empty),
        planning(10_000),
    ]
    report = "\n".join(rows)
    print(report)
    fill(PAGE, "batch", report)


def studies(workers: int, *times: str) -> Iterator[str]:
    """A row each time; from the second on the store tells what the time before took."""
    from advlib.batch import plan

    jobs = plan.plan()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        for again in times:
            os.environ["ADVLIB_CACHE"] = f"{folder}/cache{again}"
            wall, kernels = timed(jobs, runs, workers)
            for job in jobs:  # incomplete, as if the code had changed
                (store.folder(job, runs) / store.NOTEBOOK).unlink()
            best, even = best_order(kernels, workers), sum(kernels) / workers
            what = f"The {len(jobs)} quick notebooks, {workers} worker{'s' * (workers > 1)}{again}"
            yield (
                f"| {what} | {wall:.0f} | {sum(kernels):.0f} | {best:.0f} | {wall / best:.3f} "
                f"| {wall / even:.3f} | ≤ 1.05 |"
            )


def best_order(seconds: Collection[float], workers: int) -> float:
    """The least time that workers need for jobs of so many seconds, whatever their order."""
    ways = itertools.product(range(workers), repeat=len(seconds))
    return min(
        max(sum(s for s, on in zip(seconds, way, strict=True) if on == w) for w in range(workers))
        for way in ways
    )


def empty(count: int) -> str:
    from advlib.batch import plan

    with tempfile.TemporaryDirectory() as folder:
        repository(Path(folder))
        before = Path.cwd()
        os.chdir(folder)
        try:
            jobs = plan.plan(sweep={"seeds": range(count)})
            wall, kernels = timed(jobs, store.STORE, 2)
        finally:
            os.chdir(before)
    each = 2 * wall / count
    what = f"{count:,} empty notebooks, 2 workers: {each:.2f} s of a worker each"
    return f"| {what} | {wall:.0f} | {sum(kernels):.0f} | | | | |"


def planning(count: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        repository(Path(folder))
        main = "import sys; from advlib.cli import main; sys.exit(main())"
        words = ["run", "--dry-run", "--sweep", f"seeds=0..{count - 1}"]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", main, *words], cwd=folder, check=True, stdout=-3)
        wall = time.perf_counter() - began
    what = f"Planning {count:,} jobs (`--dry-run`), imports included"
    return f"| {what} | {wall:.1f} | | | | | < 10 s |"


def timed(jobs: list[Job], out: Path, workers: int) -> tuple[float, list[float]]:
    """Seconds of the batch, and each kernel's own."""
    from advlib.batch import execute

    began = time.perf_counter()
    failures = execute.run(jobs, out=out, workers=workers)
    wall = time.perf_counter() - began
    if failures:
        raise RuntimeError("\n".join(failures))
    texts = [(store.folder(job, out) / LOG).read_text() for job in jobs]
    spans = [[float(s) for s in re.findall(r"^([\d.]+) s: ", text, re.MULTILINE)] for text in texts]
    return wall, [span[-1] - span[0] for span in spans]


def repository(folder: Path) -> None:
    """A folder with one study that does nothing."""
    cells = [nbformat.v4.new_code_cell("seeds = [0]"), nbformat.v4.new_code_cell(EMPTY)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (folder / "notebooks").mkdir()
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(book, folder / "notebooks/empty.ipynb")


if __name__ == "__main__":
    main()
