"""What a run measured: tidy rows, the outcomes behind them, and where they came from.

Rows are the only source of the numbers in a page. A paper's own tables are rows of the same form
(`advlib.papers`), so a measured and a published figure meet by their columns.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torchvision
from matplotlib.figure import Figure
from safetensors.numpy import save_file
from torch import Tensor, nn

from advlib import cache, devices
from advlib.attacks.attack import Attack
from advlib.checks import check_choice
from advlib.data import Dataset, Split
from advlib.evaluation import Subject, evaluate, questions
from advlib.files import write_whole
from advlib.networks import keeping
from advlib.protocols import GRADIENTS, NONE, PROTOCOLS
from advlib.saved import OUTCOMES, PROVENANCE, RECORDS, VERDICTS, joined, parts, read
from advlib.source import source_digest

COLUMNS = (
    "study", "table", "dataset", "model", "defense", "attack", "eps", "protocol", "gradient",
    "metric", "seed", "n", "value",
)  # fmt: skip
# The environment's variable with the folders of saved runs of the same study whose other seeds
# count, too; `advlib run --join` sets it.
JOIN = "ADVLIB_JOIN"


class Run:
    """One execution of a study: its parameters, its rows and its provenance."""

    def __init__(self, study: str, settings: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """`settings` are the run's parameters and their values, as a study's settings hold them.

        Runs that $ADVLIB_JOIN names lend their rows: the run is then one of all their seeds. Raises
        ValueError where `joined` does.
        """
        self.study, self.parameters = study, dict(settings)
        self.data: dict[str, str] = {}
        self._rows: list[dict[str, Any]] = []
        self._outcomes: dict[str, np.ndarray] = {}
        self._timings: list[dict[str, Any]] = []
        self._headline: tuple[pd.DataFrame, Figure] | None = None
        self._networks: tuple[dict[str, nn.Module], dict[str, Any]] | None = None
        self.judged: pd.DataFrame | None = None  # what the page says of the claims (`findings`)
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter() + cache.spared()
        folders = [Path(name) for name in os.environ.get(JOIN, "").split(os.pathsep) if name]
        self._joined = joined(folders, study, self.parameters)
        self._lent: list[int] = []  # seeds whose rows were taken over
        for folder, made in zip(folders, self._joined, strict=True):
            self._take_over(folder, made["parameters"]["seeds"])
        self._own = len(self._rows)  # the number of the first row that this run measures
        if folders:
            self.parameters["seeds"] = self._lent + self.parameters["seeds"]

    def _take_over(self, folder: Path, seeds: Sequence[int]) -> None:
        """The saved rows of these seeds; all others this run measures itself."""
        self._lent += seeds
        rows, outcomes = read(folder)
        for number, row in rows[rows["seed"].isin(seeds)].iterrows():
            if number in outcomes:
                self._outcomes[str(len(self._rows))] = np.packbits(outcomes[number])
            whole = {name: int(row[name]) for name in ("seed", "n") if pd.notna(row[name])}
            self._rows.append(row.dropna().to_dict() | whole)

    def uses(self, dataset: Dataset) -> Dataset:
        """Note a data set's fingerprint in the provenance; returns the data set.

        One set in two versions, say of two sizes, has both its fingerprints there.

        Raises ValueError if a joined run had other data of that name.
        """
        name, mark = dataset.name, dataset.fingerprint
        for made in self._joined:
            if mark not in _marks(had := made["data"].get(name, "")):
                raise ValueError(
                    f"join: must be runs on the same data; {name} is {mark} here and was "
                    f"{had or 'not used'} there"
                )
        self.data[name] = ", ".join(dict.fromkeys([*_marks(self.data.get(name, "")), mark]))
        return dataset

    def add(self, table: str, metric: str, value: float | Tensor, **columns: Any) -> float:
        """Add one row and return its value; a boolean tensor [N] counts as n = N and its mean.

        A boolean tensor is kept, too, image by image. The data set is the run's, the
        `test_dataset` where it has one; `defense` and `attack` are "none" unless they are given,
        the gradient "exact" where there is an attack. A row of a seed that a joined run has, such
        as that of the undefended networks, is there already.

        Raises:
            ValueError: a protocol or a gradient that the registry lacks.
        """
        judged = self.parameters.get("test_dataset") or self.parameters["dataset"]
        row = {"study": self.study, "table": table, "dataset": judged}
        row |= {"defense": "none", "attack": "none", "metric": metric, "protocol": NONE} | columns
        attacked = row["attack"] != "none" and row["protocol"] not in (NONE, "noise")
        row.setdefault("gradient", "exact" if attacked else NONE)
        check_choice("protocol", row["protocol"], [*PROTOCOLS, NONE])
        check_choice("gradient", row["gradient"], [*GRADIENTS, NONE])
        kept = None
        if isinstance(value, Tensor):
            row["n"] = len(value)
            kept = np.packbits(value.cpu().numpy()) if value.dtype == torch.bool else None
            value = value.double().mean().item()
        if row.get("seed") not in self._lent:
            if kept is not None:
                self._outcomes[str(len(self._rows))] = kept
            self._rows.append(row | {"value": float(value)})
        return float(value)

    def measure(
        self,
        table: str,
        subjects: Sequence[Subject],
        split: Split,
        attacks: Sequence[Attack] = (),
        protocols: Sequence[str] = ("clean", "static", "white-box"),
        *,
        gradient: str = "exact",
        seed: int | None = None,
        **columns: Any,
    ) -> pd.DataFrame:
        """`evaluate` the subjects, and keep what comes of it as rows of the table; returns these,
        and what joined runs have of the same. Subjects of their seeds are not evaluated again.

        `columns` are further ones of all rows; the others as for `evaluation.evaluate`.
        """
        before, columns = len(self._rows), {"split": of_labels(split)} | columns
        asked = questions(subjects, attacks, protocols, gradient=gradient)
        told = [_description(question.columns | columns) for question in asked]
        new = [subject for subject in subjects if subject.seed not in self._lent]
        for outcome in evaluate(new, split, attacks, protocols, gradient=gradient, seed=seed):
            self.add(table, "accuracy", outcome.right, **(outcome.columns | columns))
        lent = [
            row for row in self._rows[: self._own]
            if row["table"] == table and row["metric"] == "accuracy" and _description(row) in told
        ]  # fmt: skip
        return ordered(pd.DataFrame(lent + self._rows[before:]))

    def time(self, what: str, seconds: float, **columns: Any) -> None:
        """Add one measured duration; kept apart, since no two runs take the same time."""
        self._timings.append({"study": self.study, "what": what, "seconds": seconds} | columns)

    def headline(self, table: pd.DataFrame, figure: Figure) -> None:
        """Set the one table and the one picture that stand for the study on the front page.

        The picture is not shown in the notebook.
        """
        self._headline = table, figure
        plt.close(figure)

    def keep(self, networks: Mapping[str, nn.Module], **built: Any) -> list[str]:
        """Keep these networks with the run, by name, so that they can be attacked without being
        trained; returns the names of those that are small enough (`keeping.LARGEST`).

        `built` are the arguments of `networks.build` for all of them. A published page's are found
        by `networks.published`.
        """
        small = {name: net for name, net in networks.items() if keeping.small(net)}
        self._networks = (small, built) if small else None
        return list(small)

    @property
    def rows(self) -> pd.DataFrame:
        """The rows so far: `COLUMNS` first, then the study's own."""
        return ordered(pd.DataFrame(self._rows))

    def table(self, *names: str) -> pd.DataFrame:
        """The rows of these tables; raises ValueError, naming those there are, for another one."""
        return select(self.rows, table=names)

    @property
    def outcomes(self) -> dict[int, np.ndarray]:
        """What is kept image by image: boolean [n] by the row's number."""
        return {
            int(row): np.unpackbits(bits, count=self._rows[int(row)]["n"]).astype(bool)
            for row, bits in self._outcomes.items()
        }

    @property
    def timings(self) -> pd.DataFrame:
        return pd.DataFrame(self._timings)

    def save(self, folder: str | Path | None = None) -> Path:
        """Write records, outcomes and all else that the run holds; returns the folder.

        It is `$ADVLIB_RUN` where a batch set it, else results/STUDY below the working directory.
        """
        default = os.environ.get("ADVLIB_RUN") or Path("results") / self.study
        folder = Path(folder or default)
        provenance = self.provenance()
        tables = {RECORDS: self.rows, "timings.csv": self.timings}
        if self.judged is not None:
            tables[VERDICTS] = self.judged
        write_whole(folder / OUTCOMES, lambda part: save_file(self._outcomes, part))
        for name, rows in tables.items():
            write_whole(folder / name, functools.partial(rows.to_csv, index=False))
        write_whole(
            folder / PROVENANCE,
            lambda part: part.write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8"),
        )
        if self._networks is not None:
            networks, built = self._networks
            for name, network in networks.items():
                write = functools.partial(keeping.write, name, network, built)
                write_whole(folder / keeping.file_name(name), write)
        if self._headline is not None:
            table, figure = self._headline
            shown = table.astype(object).where(table.notna(), None)
            text = shown.to_markdown(index=False, floatfmt=".1f", missingval="–") + "\n"
            write_whole(
                folder / "headline.md", lambda part: part.write_text(text, encoding="utf-8")
            )
            write_whole(
                folder / "headline.png", lambda part: figure.savefig(part, format="png", dpi=150)
            )
        return folder

    def provenance(self) -> dict[str, Any]:
        """What the rows depend on: parameters, data, code, versions, machine, time taken.

        The time is that of the joined runs, too, each of which is told under `joined`.
        """
        cuda = torch.cuda.is_available()
        own = time.perf_counter() + cache.spared() - self._clock
        noted = {
            "study": self.study,
            "parameters": self.parameters,
            "data": self.data,
            "source": source_digest(),
            "commit": _commit(),
            "versions": {
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
                "python": platform.python_version(),
            },
            "device": torch.cuda.get_device_name() if cuda else _processor(),
            "numbers": devices.number_type(devices.default()),  # of trainings
            "threads": torch.get_num_threads(),
            "started": self._started.isoformat(timespec="seconds"),
            # What was found in the cache counts with the seconds that it had taken.
            "seconds": round(own + sum(made["seconds"] for made in self._joined), 1),
        }
        if self._joined:
            noted["joined"] = [part for made in self._joined for part in parts(made)]
        return noted


def _description(row: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured, whatever came of it, with whichever seed."""
    rest = ("study", "table", "dataset", "metric", "seed", "split", "n", "value")
    return {name: v for name, v in row.items() if name not in rest and v is not None}


def _marks(fingerprints: str) -> list[str]:
    """The fingerprints that a provenance has for a data set of one name."""
    return [mark for mark in fingerprints.split(", ") if mark]


def of_labels(split: Split) -> str:
    """8 hex digits of a split's labels: rows that share them are about the same images, whatever
    an attack made of these."""
    return cache.digest(split.labels.cpu())[:8]


def select(rows: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """The rows that have these values in these columns; a list means any of its values.

        select(run.rows, table="protocols", attack=["fgsm", "pgd"])

    Raises:
        ValueError: a column or a value that no row has; the message names those there are.
    """
    for column, values in wanted.items():
        check_columns(rows, [column], some=False)
        values = list(values) if pd.api.types.is_list_like(values) else [values]
        for value in values:
            check_choice(column, value, rows[column].dropna().unique())
        rows = rows[rows[column].isin(values)]
    return rows


def check_columns(rows: pd.DataFrame, columns: Sequence[str], *, some: bool = True) -> None:
    """Raise ValueError, naming what there is, for a column that the rows lack.

    Raises it, too, where there is no row, unless `some` is False.
    """
    for column in columns:
        check_choice("column", column, rows.columns)
    if some and rows.empty:
        raise ValueError("rows: must be at least one, got none")


def ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with `COLUMNS` first, then their own."""
    own = [c for c in rows.columns if c not in COLUMNS]
    return rows.reindex(columns=[*COLUMNS, *own])


def _commit() -> str | None:
    """The commit that advlib's source is at, with "+" if it was changed since; None outside git."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = "+" if git("status", "--porcelain", ".") else ""
        return git("rev-parse", "--short=12", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]
