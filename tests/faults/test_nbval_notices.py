"""Would nbval notice? Faults are put into a copy of advlib, and a notebook has to fail on each.

Not in the default run: `make faults` (a few minutes). The last cell of a notebook prints facts of
its figures, which nbval compares with those that are stored; each fault has to change one of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# What is wrong: the file of advlib, what stands there, what stands there instead, who must notice.
FAULTS = {
    "PGD without its projection": (
        "attacks/gradient.py", ".add_(images).clamp_(lower, upper)", ".add_(images).clamp_(0, 1)",
        "primer",
    ),
    "FGSM with the wrong sign": (
        "attacks/gradient.py",
        "restarts=1, random_start=False,\n        targeted=targeted, stop_when_wrong=False",
        "restarts=1, random_start=False,\n        targeted=not targeted, stop_when_wrong=False",
        "primer",
    ),
    "a defense that returns its input": (
        "defenses/adversarial.py", "return Hardened(network, fit(network, train",
        "return Hardened(copy.deepcopy(network), fit(network, train", "dominant_filters",
    ),
    "the test's labels shifted by one": (
        "data/__init__.py", "    return Dataset(name, source.classes, *splits)",
        "    splits[2] = Split(splits[2].images, splits[2].labels.roll(1))\n"
        "    return Dataset(name, source.classes, *splits)", "primer",
    ),
    "static images shown as white-box": (
        "evaluation.py", '"white-box": "network"', '"white-box": "undefended"', "primer",
    ),
}  # fmt: skip


def nbval(study: str, source: Path) -> subprocess.CompletedProcess:
    """Compare a notebook's stored outputs with those of another advlib, nothing being cached."""
    paths = {"PYTHONPATH": str(source), "ADVLIB_CACHE": str(source / "cache")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax"]
    return subprocess.run(
        [*command, f"notebooks/{study}.ipynb"], cwd=REPOSITORY, capture_output=True, text=True,
        env=os.environ | paths | {"ADVLIB_RUN": str(source / "run"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(REPOSITORY / "advlib", tmp_path / "advlib")
    return tmp_path


@pytest.mark.parametrize("study", dict.fromkeys(study for *_, study in FAULTS.values()))
def test_without_a_fault_it_passes(study, copied):
    done = nbval(study, copied)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("fault", FAULTS)
def test_it_notices(fault, copied):
    file, right, wrong, study = FAULTS[fault]
    source = (copied / "advlib" / file).read_text(encoding="utf-8")
    assert source.count(right) == 1
    (copied / "advlib" / file).write_text(source.replace(right, wrong), encoding="utf-8")
    done = nbval(study, copied)
    assert done.returncode == 1, done.stdout[-3000:]
    assert "claims.facts(" in done.stdout  # the cell that differs, not one that stops
