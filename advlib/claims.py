"""What the papers claim, as data, and what a run's rows say of it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from advlib.cache import digest
from advlib.checks import check_choice
from advlib.papers import paper_files, paper_rows
from advlib.protocols import NONE, ORDER, with_shown
from advlib.statistics import images_behind, interval

HOLDS = "holds"
ONLY = "holds only under the paper's protocol"
FAILS = "does not hold"
UNTESTED = "not tested here"
VERDICTS = (HOLDS, ONLY, FAILS, UNTESTED)
NOISE = ", within the noise"  # of a verdict that other seeds or images could turn


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
    rows = with_shown(rows)
    _check_words(study, known, rows)
    for claim in known["claim"]:
        protocols = dict.fromkeys(("static", known["protocol"], "white-box"))
        outcomes = {p: _outcome(claim["condition"], rows, p) for p in protocols}
        deciding = outcomes[known["protocol"]] or outcomes["white-box"]
        against = [o for o in deciding if not o.ok]
        overruling = [o for o in outcomes["white-box"] if not o.ok]
        if not deciding:
            verdict, sure = UNTESTED, True
        elif against:
            verdict, sure = FAILS, any(o.sure for o in against)
        elif overruling:
            verdict = ONLY
            sure = all(o.sure for o in deciding) and any(o.sure for o in overruling)
        else:
            verdict, sure = HOLDS, all(o.sure for o in [*deciding, *outcomes["white-box"]])
        said = {p: "; ".join(o.text for o in found) or "–" for p, found in outcomes.items()}
        verdict += "" if sure else NOISE
        table.append({"claim": claim["says"], "where": claim["where"], **said, "verdict": verdict})
    return pd.DataFrame(table)


def facts(study: str, rows: pd.DataFrame) -> str:
    """A study's facts.toml put to a run's rows, as text that is the same on every machine.

    A fact is a claim about the code: orders and bounds so wide that no other processor turns them.
    A line a fact begins with "yes", "no" or, where no row decides it, "open". The first line counts
    the rows and digests what they are about.
    """
    named = rows.drop(columns=["value", "n"]).map(
        lambda value: f"{value:g}" if isinstance(value, float) else value
    )
    lines = [f"{len(rows)} rows, about {digest(sorted(map(str, named.to_dict('records'))))[:8]}"]
    rows = with_shown(rows)
    for fact in tomllib.loads(paper_files(study)["facts.toml"])["fact"]:
        found = []
        for condition in fact["condition"]:
            _check_keys(condition)
            found.append(_decided(condition, rows))
        told = "open" if None in found else "yes" if all(o.ok for o in found if o) else "no"
        lines.append(f"{told:<4} {fact['says']}")
    return "\n".join(lines)


class _Outcome(NamedTuple):
    ok: bool
    sure: bool  # the interval of the difference leaves the condition's bound out
    text: str


def _outcome(
    conditions: Sequence[Mapping[str, Any]], rows: pd.DataFrame, protocol: str
) -> list[_Outcome]:
    """What becomes of each condition under a protocol; [] if one has no rows.

    A condition that names a `protocol`, one of `protocols.ORDER`, is tested under that one only.
    The interval of a difference of two means is Newcombe's, from the intervals of both.
    """
    found = []
    for condition in conditions:
        if condition.get("protocol", protocol) != protocol:
            continue
        outcome = _decided(condition, _of_protocol(rows, protocol))
        if outcome is None:
            return []
        found.append(outcome)
    return found


def _decided(condition: Mapping[str, Any], rows: pd.DataFrame) -> _Outcome | None:
    """What becomes of a condition among these rows; None if it has none."""
    seen = _select(rows, condition["rows"])
    other = _select(rows, condition["than"]) if "than" in condition else None
    if seen.empty or (other is not None and other.empty):
        return None
    margin = condition.get("margin", 0.0)
    value, low, high = _pooled(seen)
    if other is None:
        bound = least = most = float(condition["number"])
    else:
        bound, least, most = _pooled(other)
    gap = value - bound - margin
    below, above = (
        math.hypot(value - low, most - bound),
        math.hypot(high - value, bound - least),
    )
    spread = "" if low != low else f" ({low:.1%} to {high:.1%})"
    slack = f" {100 * margin:+.0f} points" if margin else ""
    return _Outcome(
        ok=bool(gap >= 0 if condition["is"] == "at least" else gap <= 0),
        sure=not gap - below < 0 < gap + above,
        text=f"{value:.1%}{spread}, must be {condition['is']} {bound:.1%}{slack}",
    )


def _pooled(rows: pd.DataFrame) -> tuple[float, float, float]:
    """The mean of rows of several figures, and its interval as low and high.

    Rows of one seed rest on the same images (see `images_behind`). The seed with the fewest says
    how many: a network that was measured once on 10,000 lends them to no other figure.
    """
    seeds = rows.groupby("seed", dropna=False)
    counts = [images_behind(seed["n"].dropna()) for _, seed in seeds if seed["n"].notna().any()]
    means = seeds["value"].mean().to_list()
    return float(rows["value"].mean()), *interval(means, min(counts, default=math.nan))


def _select(rows: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.DataFrame:
    """The rows with these values. A mean over no images is no figure: its row is left out."""
    for column, value in wanted.items():
        if column not in rows:
            return rows.iloc[:0]
        rows = rows[rows[column].isin(value if isinstance(value, list) else [value])]
    return rows[rows["value"].notna()]


def _of_protocol(rows: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The rows taken under the protocol, or under one where there is none."""
    return rows[rows["shown"].isin([protocol, "clean", NONE])]


def _check_words(study: str, known: Mapping[str, Any], rows: pd.DataFrame) -> None:
    """Raise ValueError for a word in the claims that neither the rows nor the paper's tables have.

    What a run need not measure, and the paper does not print, stands under `words`, by column.
    """
    paper, own = paper_rows(study), known.get("words", {})
    check_choice("protocol", known["protocol"], ORDER)
    for claim in known["claim"]:
        for condition in claim["condition"]:
            _check_keys(condition)
            check_choice("protocol", condition.get("protocol", ORDER[0]), ORDER)
            for column, value in (condition["rows"] | condition.get("than", {})).items():
                check_choice("column", column, [*rows.columns, *paper.columns, *own])
                words = set(own.get(column, ()))
                for table in (rows, paper):
                    words |= set(table[column].dropna()) if column in table else set()
                for word in value if isinstance(value, list) else [value]:
                    if isinstance(word, str):
                        check_choice(column, word, sorted(w for w in words if isinstance(w, str)))
                    elif word not in words:
                        raise ValueError(f"{column}: must be one of {words}, got {word!r}")


def _check_keys(condition: Mapping[str, Any]) -> None:
    """Raise ValueError for a condition that says too little, too much or in other words."""
    for key in condition:
        check_choice("condition", key, ("rows", "is", "number", "than", "margin", "protocol"))
    check_choice("condition", "rows", condition)
    check_choice("is", condition.get("is"), ("at least", "at most"))
    if ("number" in condition) == ("than" in condition):
        raise ValueError(f"condition: must have either number or than, got {dict(condition)}")
