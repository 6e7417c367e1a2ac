"""What a run's rows say of a condition: the figure, the bound, and how sure the difference is.

A condition compares the mean of some rows with a number, or with the mean of other rows and a
margin. Differences are taken image by image where the outcomes are there (`statistics.crossed`),
or else from the intervals of both means.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from advlib.protocols import NONE, with_shown
from advlib.statistics import crossed, images_behind, interval

FEWEST_SEEDS = 3
EDGE = 0.02  # two figures as near as this to 0, or to 1, show no difference between networks
MET, MISSED, OPEN = "met", "missed", "open"
FREE = ("seed", "n", "value", "shown", "study")  # columns that tell no two networks apart


class Decision(NamedTuple):
    """What becomes of a condition."""

    state: str  # MET, MISSED or OPEN
    text: str  # what was measured, and what was needed
    reason: str = ""  # why it is open


@dataclass(frozen=True, eq=False)
class Evidence:
    """Rows, and the outcomes behind some of them, boolean [n] by the rows' index."""

    rows: pd.DataFrame
    outcomes: Mapping[int, np.ndarray]

    @classmethod
    def of(cls, rows: pd.DataFrame, outcomes: Mapping[int, np.ndarray] | None = None) -> Evidence:
        """Of a run's rows. Raises ValueError for a protocol that the registry lacks."""
        return cls(with_shown(rows), outcomes or {})

    def under(self, protocol: str) -> Evidence:
        """What was taken under the protocol, or under one where there is none."""
        shown = self.rows["shown"].isin([protocol, "clean", NONE])
        return Evidence(self.rows[shown], self.outcomes)

    def select(self, wanted: Mapping[str, Any]) -> pd.DataFrame:
        """The rows with these values. A mean over no images is no figure: its row is left out."""
        rows = self.rows
        if not wanted.keys() <= set(rows.columns):
            return rows.iloc[:0]
        wished = rows["value"].notna().to_numpy()
        for column, value in wanted.items():
            values = value if isinstance(value, list) else [value]
            wished = wished & rows[column].isin(values).to_numpy()
        return rows[wished]

    def decide(self, condition: Mapping[str, Any]) -> Decision | None:
        """What becomes of a condition among these rows; None where it has none."""
        seen = self.select(condition["rows"])
        other = self.select(condition["than"]) if "than" in condition else None
        if seen.empty or (other is not None and other.empty):
            return None
        at_least, margin = condition["is"] == "at least", condition.get("margin", 0.0)
        if other is None:
            bound = float(condition["number"])
            low, value, high = self._share(seen)
            gap = (low - bound, high - bound)
        else:
            low, value, high = self._share(seen)
            bound = float(other["value"].mean())
            gap = self._difference(seen, other)
            gap = (gap[0] - margin, gap[1] - margin)
        slack = f" {100 * margin:+.0f} points" if margin else ""
        spread = "" if low != low else f" ({low:.1%} to {high:.1%})"
        text = f"{value:.1%}{spread}, must be {condition['is']} {bound:.1%}{slack}"
        for reason in (
            _too_few(seen, other),
            _no_room(value, bound, margin, at_least, other is not None),
        ):
            if reason:
                return Decision(OPEN, text, reason)
        below, above = gap if at_least else (-gap[1], -gap[0])
        if below != below:  # no interval: the figure itself
            below = above = (value - bound - margin) * (1 if at_least else -1)
        if below >= 0:
            return Decision(MET, text)
        if above < 0:
            return Decision(MISSED, text)
        return Decision(OPEN, text, "other seeds or images could turn it")

    def meets(self, condition: Mapping[str, Any]) -> bool | None:
        """Whether the means meet a condition, however sure they are; None where it has no rows."""
        seen = self.select(condition["rows"])
        other = self.select(condition["than"]) if "than" in condition else None
        if seen.empty or (other is not None and other.empty):
            return None
        bound = float(condition["number"] if other is None else other["value"].mean())
        gap = float(seen["value"].mean()) - bound - condition.get("margin", 0.0)
        return gap >= 0 if condition["is"] == "at least" else gap <= 0

    def _share(self, rows: pd.DataFrame) -> tuple[float, float, float]:
        """Mean of the rows' figures with its interval: low, mean, high."""
        seeds = rows.groupby("seed", dropna=False)
        counts = [images_behind(of["n"].dropna()) for _, of in seeds if of["n"].notna().any()]
        low, high = interval(seeds["value"].mean().to_list(), min(counts, default=math.nan))
        return low, float(rows["value"].mean()), high

    def _difference(self, seen: pd.DataFrame, other: pd.DataFrame) -> tuple[float, float]:
        """The interval of the mean difference of two groups of rows."""
        paired = self._paired(seen, other)
        if paired is not None:
            low, _, high = crossed(paired)
            return low, high
        (low, value, high), (least, bound, most) = self._share(seen), self._share(other)
        gap = value - bound  # Newcombe's, from the intervals of both
        return gap - math.hypot(value - low, most - bound), gap + math.hypot(
            high - value, bound - least
        )

    def _paired(self, seen: pd.DataFrame, other: pd.DataFrame) -> np.ndarray | None:
        """Differences [S, n] on the same images, a line a seed; None where outcomes are missing, or
        where not all rows are of the same images.

        In a seed each group is the mean of its rows, image by image.
        """
        if "split" not in seen or seen["split"].isna().any() or other["split"].isna().any():
            return None
        if pd.concat([seen["split"], other["split"]]).nunique() > 1:
            return None
        lines = []
        for seed, of_seed in seen.groupby("seed", dropna=False):
            beside = other[other["seed"].isin([seed])] if seed == seed else other
            mine, theirs = self._images(of_seed), self._images(beside)
            if mine is None or theirs is None:
                return None
            lines.append(mine - theirs)
        if len({len(line) for line in lines}) > 1:
            return None
        return np.stack(lines)

    def _images(self, rows: pd.DataFrame) -> np.ndarray | None:
        """Share of the rows that are right on each image, [n]; None where an outcome is missing."""
        found = [self.outcomes.get(row) for row in rows.index]
        if not found or any(outcome is None for outcome in found):
            return None
        return np.mean([np.asarray(outcome, float) for outcome in found], axis=0)


def _too_few(seen: pd.DataFrame, other: pd.DataFrame | None) -> str:
    """Why the rows' seeds bear no verdict; "" if they do, or if nothing was drawn."""
    seeds = [rows["seed"].dropna().nunique() for rows in (seen, other) if rows is not None]
    drawn = [count for count in seeds if count]
    if not drawn or max(drawn) >= FEWEST_SEEDS:
        return ""
    return f"{'one seed' if max(drawn) == 1 else 'two seeds'}; {FEWEST_SEEDS} are needed"


def _no_room(value: float, bound: float, margin: float, at_least: bool, compared: bool) -> str:
    """Why the rule could not have come out otherwise; "" if it could."""
    if not compared:
        return ""
    if at_least and bound + margin > 1:
        return f"a ceiling: more than 100 % would be needed, beside {bound:.1%}"
    if not at_least and bound + margin < 0:
        return f"a floor: less than 0 % would be needed, beside {bound:.1%}"
    asks_no_change = margin <= 0 if at_least else margin >= 0
    if asks_no_change and max(value, bound) <= EDGE:
        return f"a floor: both are at {value:.1%} and {bound:.1%}, where nothing can differ"
    if asks_no_change and min(value, bound) >= 1 - EDGE:
        return f"a ceiling: both are at {value:.1%} and {bound:.1%}, where nothing can differ"
    return ""
