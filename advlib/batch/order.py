"""The order in which the jobs of a batch start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter

from advlib.batch import Job

HALVINGS = 20  # of the span in which the least limit is looked for


def ordered(jobs: Sequence[Job], seconds: Mapping[str, float], workers: int) -> list[Job]:
    """Jobs as they should start, each on the first worker that is free, for the last to end early.

    `seconds` are what they may take, by key. Jobs that it does not have come first: they may be
    long, and the longest last would run alone, the other workers idle. The others are packed by
    MULTIFIT (Coffman, Garey & Johnson, SIAM J. Comput. 7, 1978), which is much nearer to the best
    order of a few jobs than longest first is, and no further from that of many.
    """
    unknown = [job for job in jobs if job.key not in seconds]
    known = sorted((job for job in jobs if job.key in seconds), key=lambda j: -seconds[j.key])
    starts = _starts([seconds[job.key] for job in known], workers)
    in_turn = sorted(zip(starts, known, strict=True), key=itemgetter(0))
    return unknown + [job for _, job in in_turn]


def _starts(seconds: Sequence[float], workers: int) -> list[float]:
    """When each job starts, of the longest first, so that all are done within a low limit."""
    low = max(sum(seconds) / workers, max(seconds, default=0))
    high = 2 * low  # under which all fit for certain
    starts = _fit(seconds, workers, high)
    for _ in range(HALVINGS):
        limit = (low + high) / 2
        if found := _fit(seconds, workers, limit):
            starts, high = found, limit
        else:
            low = limit
    return starts


def _fit(seconds: Sequence[float], workers: int, limit: float) -> list[float]:
    """When each job starts if it goes to the first worker that is done by the limit, or []."""
    ends = [0.0] * workers
    starts = []
    for needed in seconds:
        worker = next((w for w, end in enumerate(ends) if end + needed <= limit), None)
        if worker is None:
            return []
        starts.append(ends[worker])
        ends[worker] += needed
    return starts
