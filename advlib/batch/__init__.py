"""Batches of runs: plan the jobs, execute those that are missing, store what they made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """One run to be made. Two jobs with equal keys would give equal records."""

    study: str
    notebook: Path
    parameters: dict[str, Any]
    changed: dict[str, Any]  # those of them that are not the notebook's defaults
    key: str
    threads: int = 1  # of torch and OpenMP; they decide a sum's last bits, so the key names them
    joined: tuple[str, ...] = ()  # folders of runs whose other seeds count, too
