"""What a run measured: tidy rows, where they came from, and what they say of a paper's claims.

Rows are the only source of the numbers in a page. A paper's own tables are rows of the same form
(package data in `advlib/papers`), so a measured and a published figure meet by their columns.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import os
import platform
import subprocess
import time
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.stats
import torch
import torchvision
from matplotlib.figure import Figure
from torch import Tensor, nn

from advlib import cache, parameters
from advlib.data import Dataset, Split
from advlib.evaluation import PROTOCOLS, correct, mean_interval, under_attack, wilson

COLUMNS = (
    "study", "table", "dataset", "model", "defense", "attack", "eps", "protocol", "metric",
    "seed", "n", "value",
)  # fmt: skip

# The lines of a table that shows several protocols, in this order.
LINES = (
    "clean", "noise", "transfer", "static", "float32", "clipped", "white-box", "adaptive",
    "autoattack",
)  # fmt: skip

VERDICTS = (
    "holds",
    "holds only under the paper's protocol",
    "does not hold",
    "not tested here",
)
NOISE = ", within the noise"  # of a verdict that other seeds or images could turn


class Run:
    """One execution of a study: its checked parameters, its rows and its provenance."""

    def __init__(self, study: str, given: Mapping[str, Any]) -> None:
        """Check the parameters; raises ValueError naming the first that cannot be."""
        parameters.check(given)
        self.study, self.parameters = study, dict(given)
        self.data: dict[str, str] = {}
        self._rows: list[dict[str, Any]] = []
        self._timings: list[dict[str, Any]] = []
        self._headline: tuple[pd.DataFrame, Figure] | None = None
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    def uses(self, dataset: Dataset) -> Dataset:
        """Note a data set's fingerprint in the provenance; returns the data set."""
        self.data[dataset.name] = dataset.fingerprint
        return dataset

    def add(self, table: str, metric: str, value: float | Tensor, **columns: Any) -> float:
        """Add one row and return its value; a boolean tensor [N] counts as n = N and its mean.

        The data set is the run's; `defense` and `attack` are "none" unless they are given.
        """
        row = {"study": self.study, "table": table, "dataset": self.parameters["dataset"]}
        row |= {"defense": "none", "attack": "none", "metric": metric} | columns
        if isinstance(value, Tensor):
            row["n"], value = len(value), value.double().mean().item()
        self._rows.append(row | {"value": float(value)})
        return float(value)

    def judge(
        self,
        table: str,
        network: nn.Module,
        split: Split,
        attacks: Mapping[str, functools.partial],
        *,
        undefended: nn.Module,
        protocols: Sequence[str] = PROTOCOLS,
        seed: int,
        attack_seed: int | None = None,
        **columns: Any,
    ) -> None:
        """Add the accuracy on clean images, and under each attack (by name) and protocol.

        `seed` is the row's, and that of the attacks' random starts unless `attack_seed` is given:
        networks that share one undefended network are then shown the same static images.
        """
        starts = seed if attack_seed is None else attack_seed
        columns["seed"] = seed
        self.add(table, "accuracy", correct(network, split), protocol="clean", **columns)
        for (name, attack), protocol in itertools.product(attacks.items(), protocols):
            right = under_attack(
                network, split, attack, protocol=protocol, undefended=undefended, seed=starts
            )
            how = {"attack": name, "protocol": protocol, "eps": attack.keywords["eps"]}
            self.add(table, "accuracy", right, **how, **columns)

    def time(self, what: str, seconds: float, **columns: Any) -> None:
        """Add one measured duration; kept apart, since no two runs take the same time."""
        self._timings.append({"study": self.study, "what": what, "seconds": seconds} | columns)

    def headline(self, table: pd.DataFrame, figure: Figure) -> None:
        """Set the one table and the one picture that stand for the study on the front page."""
        self._headline = table, figure

    @property
    def rows(self) -> pd.DataFrame:
        """The rows so far: `COLUMNS` first, then the study's own."""
        return _ordered(pd.DataFrame(self._rows))

    @property
    def timings(self) -> pd.DataFrame:
        return pd.DataFrame(self._timings)

    def save(self, folder: str | Path | None = None) -> Path:
        """Write records.csv, timings.csv, provenance.json and the headline; returns the folder.

        It is `$ADVLIB_RUN` where a batch set it, else results/STUDY below the working directory.
        """
        default = os.environ.get("ADVLIB_RUN") or Path("results") / self.study
        folder = Path(folder or default)
        provenance = self.provenance()
        tables = {"records.csv": self.rows, "timings.csv": self.timings}
        for name, table in tables.items():
            cache.write_whole(folder / name, lambda part, t=table: t.to_csv(part, index=False))
        cache.write_whole(
            folder / "provenance.json",
            lambda part: part.write_text(json.dumps(provenance, indent=2) + "\n"),
        )
        if self._headline is not None:
            table, figure = self._headline
            shown = table.astype(object).where(table.notna(), None)
            text = shown.to_markdown(index=False, floatfmt=".1f", missingval="–") + "\n"
            cache.write_whole(folder / "headline.md", lambda part: part.write_text(text))
            cache.write_whole(
                folder / "headline.png", lambda part: figure.savefig(part, format="png", dpi=150)
            )
        return folder

    def provenance(self) -> dict[str, Any]:
        """What the rows depend on: parameters, data, code, versions, machine, time taken."""
        cuda = torch.cuda.is_available()
        return {
            "study": self.study,
            "parameters": self.parameters,
            "data": self.data,
            "source": cache.source_digest(),
            "commit": _commit(),
            "versions": {
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
                "python": platform.python_version(),
            },
            "device": torch.cuda.get_device_name() if cuda else _processor(),
            "threads": torch.get_num_threads(),
            "started": self._started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self._clock, 1),
        }


def paper_files(study: str) -> dict[str, str]:
    """The texts in advlib/papers/STUDY by file name: the paper's tables and its claims."""
    folder = resources.files("advlib.papers").joinpath(study)
    return {f.name: f.read_text() for f in folder.iterdir()} if folder.is_dir() else {}


def paper_rows(study: str) -> pd.DataFrame:
    """The figures that the paper prints, as rows (`value` as a share, not in percent)."""
    with resources.files("advlib.papers").joinpath(study, "tables.csv").open() as file:
        return _ordered(
            pd.read_csv(file, dtype={"table": str}, keep_default_na=False, na_values=[""])
        )


def over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each figure: mean over seeds with a 95 % interval (see `interval`), as low,
    mean and high."""
    columns = [c for c in rows.columns if c not in ("seed", "n", "value")]
    summary = []
    for values, group in rows.groupby(columns, sort=False, dropna=False):
        low, high = interval(group["value"].to_list(), group["n"].iloc[0])
        named = dict(zip(columns, values, strict=True))
        mean = group["value"].mean()
        summary.append(named | {"seeds": len(group), "low": low, "mean": mean, "high": high})
    return pd.DataFrame(summary)


def interval(values: Sequence[float], n: float) -> tuple[float, float]:
    """The 95 % interval of a mean over seeds, of shares among the same `n` images.

    It covers what another draw of the seeds would change (Student's t) and what another draw of
    the images would (Wilson's): seeds that agree to the digit on 40 images are no proof for
    others. Without a count (`n` nan) it is Student's alone, and (nan, nan) for one seed.
    """
    low, high = mean_interval(values)
    if n > 0:
        bounds = wilson(round(float(np.mean(values)) * n), int(n))
        low, high = np.fmin(low, bounds[0]), np.fmax(high, bounds[1])
    return float(low), float(high)


def at_chance(rows: pd.DataFrame, classes: int) -> list[str]:
    """Defenses whose network may as well be guessing among `classes`: the interval of its clean
    accuracy reaches down to that. What is left of such a network under attack is no robustness."""
    clean = over_seeds(rows[rows["attack"].eq("none") & rows["metric"].eq("accuracy")])
    return list(dict.fromkeys(clean[clean["low"] <= 1 / classes]["defense"]))


def beside(
    measured: pd.DataFrame, paper: pd.DataFrame, *, index: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """A table in percent, as the paper lays it out: its figure beside the measured means.

    `index` and `columns` name the record columns that span the table. Under each column stand
    "paper" and "here", or the protocols where the measured rows have several.
    """
    here = measured["protocol"] if measured["protocol"].nunique() > 1 else "here"
    cells = pd.concat([paper.assign(of="paper"), measured.assign(of=here)], ignore_index=True)
    keys = [*index, *columns, "of"]
    means = cells.groupby(keys, sort=False, dropna=False)["value"].mean().mul(100)
    table = means.unstack([*columns, "of"])
    spans = dict.fromkeys(measured[list(columns)].itertuples(index=False, name=None))
    order = [(*span, of) for span in spans for of in ("paper", "here", *LINES)]
    order = [column if columns else column[0] for column in order]
    return table[[column for column in order if column in table.columns]]


def by_protocol(
    measured: pd.DataFrame, paper: pd.DataFrame, *, index: Sequence[str], columns: str
) -> pd.DataFrame:
    """A table in percent, with a line for the paper's figures and one for each protocol.

    `index` and `columns` name the record columns that span the table; the lines come as a last
    level of the index, "shown": "paper", then the protocols. A measured cell is two lines of HTML:
    the mean over seeds and its 95 % interval (see `over_seeds`).
    """
    spans = [list(dict.fromkeys(measured[name])) for name in (*index, columns)]
    keys = [*index, "shown", columns]
    told = paper.assign(shown="paper").groupby(keys, sort=False)["value"].mean().mul(100)
    here = over_seeds(measured.assign(shown=measured["protocol"])).set_index(keys)
    cells = told.map("{:.1f}".format)
    if not here.empty:
        cells = pd.concat([cells, here.apply(lambda row: "<br>".join(_figure(row)), axis=1)])
    wide = cells.unstack(columns).reindex(columns=spans[-1])
    order = itertools.product(*spans[:-1], ["paper", *LINES])
    return wide.reindex([key for key in order if key in wide.index])


def nearest_protocol(
    measured: pd.DataFrame, paper: pd.DataFrame, *, keys: Sequence[str]
) -> tuple[pd.DataFrame, float]:
    """Under which protocol the paper's figures could have been taken.

    Returns, by protocol and the nearest first, over the figures that all have (`keys` tell them
    apart): how many, the mean of measured minus paper and the root mean square of it, in points.
    Also the p-value of Wilcoxon's signed-rank test that the two nearest protocols miss the paper's
    figures equally far.
    """
    told = paper.groupby(list(keys))["value"].mean().mul(100)
    means = measured.groupby([*keys, "protocol"])["value"].mean().mul(100)
    off = means.unstack("protocol").sub(told, axis=0).dropna()
    summary = pd.DataFrame(
        {
            "figures": off.count(),
            "mean difference": off.mean(),
            "root mean square": off.pow(2).mean().pow(0.5),
        }
    ).sort_values("root mean square")
    first, second = (off[protocol].abs() for protocol in summary.index[:2])
    test = scipy.stats.wilcoxon(second - first) if (first != second).any() else None
    return summary, 1.0 if test is None else float(test.pvalue)


def stacked(
    measured: pd.DataFrame, paper: pd.DataFrame, *, index: Sequence[str], columns: str
) -> pd.DataFrame:
    """A table as the paper lays it out, in percent; a cell is three lines of HTML.

    The paper's figure, the mean measured over seeds, and its 95 % interval (see `over_seeds`).
    """
    summary = over_seeds(measured)
    keys = [*index, columns]
    told = paper.set_index(keys)["value"].mul(100).map("{:.1f}".format)
    here = summary.set_index(keys)
    cells = [
        "<br>".join([told.get(key, "–"), *_figure(row, bold=True)]) for key, row in here.iterrows()
    ]
    table = pd.Series(cells, here.index).unstack(columns)
    return table.reindex(index=here.index.droplevel(columns).unique())


def _figure(row: pd.Series, *, bold: bool = False) -> tuple[str, str]:
    """A row of `over_seeds` in percent, as HTML: the mean, and its interval (empty if none)."""
    mean = f"{100 * row['mean']:.1f}"
    known = row["low"] == row["low"]
    return (
        f"<b>{mean}</b>" if bold else mean,
        f"<small>{100 * row['low']:.0f}–{100 * row['high']:.0f}</small>" if known else "",
    )


def claims(study: str) -> dict[str, Any]:
    """claims.toml: the paper's own `protocol`, and each `claim`: what it says, where, and the
    conditions that decide it."""
    return tomllib.loads(paper_files(study)["claims.toml"])


def verdicts(study: str, rows: pd.DataFrame) -> pd.DataFrame:
    """One row a claim: what is claimed, what was measured under each protocol, the verdict.

    A claim holds where each of its conditions does. A condition compares the mean of the rows
    that it selects with a number, or with the mean of other rows plus a margin. Where the paper
    itself measured under another protocol, `white-box` rows overrule its own: a claim that they do
    not bear out "holds only under the paper's protocol". Where the 95 % interval of what decides
    it includes the bound, the verdict ends in NOISE.
    """
    table, known = [], claims(study)
    for claim in known["claim"]:
        protocols = dict.fromkeys(("static", known["protocol"], "white-box"))
        outcomes = {p: _outcome(claim["condition"], rows, p) for p in protocols}
        deciding = outcomes[known["protocol"]] or outcomes["white-box"]
        against = [o for o in deciding if not o.ok]
        overruling = [o for o in outcomes["white-box"] if not o.ok]
        if not deciding:
            verdict, sure = "not tested here", True
        elif against:
            verdict, sure = "does not hold", any(o.sure for o in against)
        elif overruling:
            verdict = "holds only under the paper's protocol"
            sure = all(o.sure for o in deciding) and any(o.sure for o in overruling)
        else:
            verdict, sure = "holds", all(o.sure for o in [*deciding, *outcomes["white-box"]])
        said = {p: "; ".join(o.text for o in found) or "–" for p, found in outcomes.items()}
        verdict += "" if sure else NOISE
        table.append({"claim": claim["says"], "where": claim["where"], **said, "verdict": verdict})
    return pd.DataFrame(table)


class _Outcome(NamedTuple):
    ok: bool
    sure: bool  # the interval of the difference leaves the condition's bound out
    text: str


def _outcome(
    conditions: Sequence[Mapping[str, Any]], rows: pd.DataFrame, protocol: str
) -> list[_Outcome]:
    """What becomes of each condition under a protocol; [] if one has no rows.

    A condition that names a `protocol` is tested under that one only.
    The interval of a difference of two means is Newcombe's, from the intervals of both.
    """
    found = []
    for condition in conditions:
        if condition.get("protocol", protocol) != protocol:
            continue
        seen = _select(rows, condition["rows"], protocol)
        other = _select(rows, condition["than"], protocol) if "than" in condition else None
        if seen.empty or (other is not None and other.empty):
            return []
        margin = condition.get("margin", 0.0)
        value, low, high = _pooled(seen)
        number = condition.get("number")
        bound, least, most = (number,) * 3 if other is None else _pooled(other)
        gap = value - bound - margin
        below, above = (
            math.hypot(value - low, most - bound),
            math.hypot(high - value, bound - least),
        )
        spread = "" if low != low else f" ({low:.1%} to {high:.1%})"
        slack = f" {100 * margin:+.0f} points" if margin else ""
        found.append(
            _Outcome(
                ok=bool(gap >= 0 if condition["is"] == "at least" else gap <= 0),
                sure=not gap - below < 0 < gap + above,
                text=f"{value:.1%}{spread}, must be {condition['is']} {bound:.1%}{slack}",
            )
        )
    return found


def _pooled(rows: pd.DataFrame) -> tuple[float, float, float]:
    """The mean of rows of several figures, and its interval as low and high."""
    by_seed = rows.groupby("seed", dropna=False)["value"].mean()
    return float(rows["value"].mean()), *interval(by_seed.to_list(), rows["n"].min())


def _select(rows: pd.DataFrame, wanted: Mapping[str, Any], protocol: str) -> pd.DataFrame:
    """The rows with these values; taken under the protocol, or under one where there is none.

    AutoAttack attacks the defended model itself: its rows are `white-box` ones, too.
    """
    for column, value in wanted.items():
        if column not in rows:
            return rows.iloc[:0]
        rows = rows[rows[column].isin(value if isinstance(value, list) else [value])]
    knowing = ["autoattack"] if protocol == "white-box" else []
    return rows[rows["protocol"].isin([protocol, "clean", "none", *knowing])]


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
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
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]
