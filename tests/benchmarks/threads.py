"""How idle threads should wait: a training step on a quiet machine, and beside two busy processes.

`python tests/benchmarks/threads.py` puts a table of medians over rounds, in which the settings take
turns, into book/benchmarks.md.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from advlib.files import fill

ROUNDS = 3
SETTINGS: dict[str, dict[str, str]] = {
    "torch's own": {},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=100000": {"GOMP_SPINCOUNT": "100000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
STEP = """
import statistics, time
import torch
from advlib import networks  # after torch: the setting is this process's own
model = networks.build("base_cnn").train()
descent = torch.optim.Adam(model.parameters())
images, labels = torch.rand(64, 1, 28, 28), torch.randint(10, (64,))
taken = []
for _ in range(60):
    began = time.perf_counter()
    loss = torch.nn.functional.cross_entropy(model(images), labels)
    descent.zero_grad()
    loss.backward()
    descent.step()
    taken.append(1000 * (time.perf_counter() - began))
print(statistics.median(taken[10:]))
"""
BUSY = "while True: sum(range(10**6))"


def step(setting: dict[str, str]) -> float:
    """Milliseconds of a training step in a process with this setting."""
    own = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
    clean = {name: value for name, value in os.environ.items() if name not in own}
    command = [sys.executable, "-c", STEP]
    done = subprocess.run(command, env=clean | setting, capture_output=True, text=True, check=True)
    return float(done.stdout)


def medians() -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(ROUNDS):
        for name, setting in SETTINGS.items():
            taken[name].append(step(setting))
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    quiet = medians()
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(2)]
    try:
        busy = medians()
    finally:
        for other in others:
            other.kill()
    lines = ["| | quiet, ms | busy, ms | quiet / torch's own | busy / quiet |"]
    lines += ["|---|---:|---:|---:|---:|"]
    for name in SETTINGS:
        ratios = quiet[name] / quiet["torch's own"], busy[name] / quiet[name]
        lines.append(
            f"| {name} | {quiet[name]:.1f} | {busy[name]:.1f} | {ratios[0]:.2f} | {ratios[1]:.2f} |"
        )
    print("\n".join(lines))
    fill(Path(__file__).parents[2] / "book/benchmarks.md", "threads", "\n".join(lines))


if __name__ == "__main__":
    main()
