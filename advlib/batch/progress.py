"""What a batch shows while it runs: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from rich import progress
from rich.console import Console
from rich.text import Text

from advlib.batch import Job


class _Remaining(progress.TimeRemainingColumn):
    """Time to go, from the seconds that a task is known to take or else from its pace."""

    def render(self, task: progress.Task) -> Text:
        if (seconds := task.fields.get("seconds")) is None:
            return super().render(task)
        left = round(seconds - task.elapsed)
        text = str(timedelta(seconds=left)) if left >= 0 else "-:--:--"  # late: nobody knows
        return Text(text, style="progress.remaining")


class Progress:
    """One bar for the batch and one line for each running job: its cell, time gone, time to go.

    A job's time to go is what is left of its seconds in `expected`, by key; without them it is
    estimated by its cells.
    """

    def __init__(self, jobs: Sequence[Job], expected: Mapping[str, float]) -> None:
        self.expected = expected
        self.numbers = {job.key: number for number, job in enumerate(jobs, 1)}
        self.console = Console(file=sys.stderr)
        self.bars = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=20),
            progress.TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[of]}"),
            progress.TimeElapsedColumn(),
            _Remaining(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.whole = self.bars.add_task("batch", total=len(jobs), of="jobs")
        self.lines: dict[str, progress.TaskID] = {}
        self.over: set[str] = set()

    def __enter__(self) -> Progress:
        self.bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.bars.stop()

    def told(self, job: Job, report: Mapping[str, Any]) -> None:
        """A worker began a cell of the job."""
        if job.key in self.over:  # reports may come late
            return
        if job.key not in self.lines:
            seconds = self.expected.get(job.key)
            self._say(job, "running" if seconds is None else f"running, {seconds:.0f} s before")
            self.lines[job.key] = self.bars.add_task(
                f"{job.study} {job.key}", total=report["cells"], of="cells", seconds=seconds
            )
        self.bars.update(self.lines[job.key], completed=report["cell"] - 1)

    def began(self, job: Job) -> bool:
        """Some worker told of the job."""
        return job.key in self.lines

    def ended(self, job: Job, how: str) -> None:
        """The job is over: it was there, it is made, or it failed."""
        self.over.add(job.key)
        if (line := self.lines.pop(job.key, None)) is not None:
            self.bars.remove_task(line)
        self.bars.advance(self.whole)
        self._say(job, how)

    def _say(self, job: Job, what: str) -> None:
        line = f"[{self.numbers[job.key]}/{len(self.numbers)}] {job.study} {job.key}: {what}"
        if self.console.is_terminal:
            self.bars.console.print(line, markup=False, highlight=False)
        else:
            print(line, flush=True)
