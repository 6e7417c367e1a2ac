"""What the papers claim, as data, and what a run says of it.

`advlib/papers/STUDY/claims.toml` numbers the claims as our reading of the papers does. Verdicts:

    holds            under the paper's own protocol and, if it is about robustness, `white-box`
    holds only under the paper's protocol
    does not hold    not under the paper's own
    undecided        noise, too few seeds, a ceiling or floor, a reference that did not learn, a
                     figure that a parameter was fitted to, no attack on the defended network
    not tested here

The last two always have their reason.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from advlib.cache import digest
from advlib.checks import check_choice
from advlib.evidence import MISSED, OPEN, Decision, Evidence
from advlib.papers import paper_files, paper_rows
from advlib.protocols import ORDER

HOLDS = "holds"
ONLY = "holds only under the paper's protocol"
FAILS = "does not hold"
UNDECIDED = "undecided"
UNTESTED = "not tested here"
VERDICTS = (HOLDS, ONLY, FAILS, UNDECIDED, UNTESTED)
KEYS = (  # of a claim
    "id", "says", "where", "about", "condition", "each", "learned", "fitted", "not_tested",
    "reported",
)  # fmt: skip
ABOUT = ("robustness", "attack", "accuracy", "cost", "network", "other")


def claims(study: str) -> dict[str, Any]:
    """claims.toml: the paper's own `protocol`, and each `claim`: what it says, where, what it is
    about, and the conditions that decide it or why it is not tested."""
    return tomllib.loads(paper_files(study)["claims.toml"])


def verdicts(
    study: str, rows: pd.DataFrame, outcomes: Mapping[int, np.ndarray] | None = None
) -> pd.DataFrame:
    """One row a claim: what is claimed, what was measured under each protocol, verdict and reason.

    Where the paper itself measured under another protocol, `white-box` overrules its own. A claim
    with `each` is judged for each value of that column, and holds where it holds for all; a
    reference that has to have learned may be another one's.

    Args:
        rows: of a run, indexed by their number.
        outcomes: which images were right, boolean [n] by the rows' number; differences are then
            taken image by image.

    Raises:
        ValueError: a word in claims.toml that there is none of; the message names it.
    """
    known, evidence = claims(study), Evidence.of(rows, outcomes)
    _check_words(study, known, evidence.rows)
    own = known["protocol"]
    protocols = list(dict.fromkeys(("static", own, "white-box")))
    table = []
    for claim in known["claim"]:
        cases = _cases(claim, evidence)
        decisions = {
            case: {protocol: _decisions(claim, of_case, protocol) for protocol in protocols}
            for case, of_case in cases.items()
        }
        judged = {
            case: _judged(claim, (cases[case], evidence), of_case[own], of_case["white-box"])
            for case, of_case in decisions.items()
        }
        verdict, reason = _over_cases(judged)
        shown = {
            protocol: "; ".join(
                decision.text for of_case in decisions.values() for decision in of_case[protocol]
            ) or "–"
            for protocol in protocols
        }  # fmt: skip
        line = {"id": claim["id"], "claim": claim["says"], "where": claim["where"]}
        table.append(line | shown | {"verdict": verdict, "reason": reason or "–"})
    return pd.DataFrame(table)


def reported(study: str) -> dict[str, list[float]]:
    """What the paper's own tables have for each claim, by its number: shares, a mean for each
    group of rows.

    The groups are the claim's `reported`, where it has that, or else the rows of its conditions; an
    own control of ours has none, nor has a claim with a condition that the paper prints nothing of.

    Raises:
        ValueError: `reported` names rows that the paper's tables lack.
    """
    paper, found = paper_rows(study), {}
    for claim in claims(study)["claim"]:
        own = [condition["rows"] for condition in claim.get("condition", ())]
        means = [_printed(paper, rows) for rows in claim.get("reported", own)]
        if "reported" in claim and None in means:
            raise ValueError(f"reported: {claim['id']} names rows that the paper's tables lack")
        known = "-K" not in claim["id"] and None not in means
        found[claim["id"]] = [mean for mean in means if mean is not None] if known else []
    return found


def _printed(paper: pd.DataFrame, wanted: Mapping[str, Any]) -> float | None:
    """The mean of the paper's rows with these values; None where it has none. A table of the run's
    that the paper does not have says nothing."""
    rows = paper
    for column, value in wanted.items():
        values = value if isinstance(value, list) else [value]
        if column == "table" and not paper["table"].isin(values).any():
            continue
        rows = rows[rows[column].isin(values)] if column in rows else rows.iloc[:0]
    return None if rows.empty else float(rows["value"].mean())


class Judged(NamedTuple):
    """A verdict, one of `VERDICTS`, and why, where it needs saying."""

    verdict: str
    reason: str = ""


def _cases(claim: Mapping[str, Any], evidence: Evidence) -> dict[str, Evidence]:
    """The evidence by each value of the column that the claim is judged for one by one."""
    column = claim.get("each")
    if column is None or column not in evidence.rows:
        return {"": evidence}
    found: dict[str, Evidence] = {}
    for condition in claim.get("condition", ()):
        for value in evidence.select(condition["rows"])[column].dropna().unique():
            own = evidence.rows[column].isin([value])
            found[str(value)] = Evidence(evidence.rows[own], evidence.outcomes)
    return found or {"": evidence}


def _over_cases(judged: Mapping[str, Judged]) -> tuple[str, str]:
    """One verdict of several cases: what all have, or else what fails, with the names of all."""
    verdicts = {case.verdict for case in judged.values()}
    reasons = "; ".join(
        f"{name}: {case.verdict}{f' ({case.reason})' if case.reason else ''}"
        if name
        else case.reason
        for name, case in judged.items()
        if len(verdicts) > 1 or case.reason
    )
    if len(verdicts) == 1:
        return verdicts.pop(), reasons
    for verdict in (FAILS, ONLY, UNDECIDED, UNTESTED):
        if verdict in verdicts:
            return verdict, reasons
    raise AssertionError(verdicts)


def judge(claim: Mapping[str, Any], evidence: Evidence, own: str) -> Judged:
    """The verdict on one claim; `own` is the protocol of whoever claims it."""
    return _judged(
        claim,
        [evidence],
        _decisions(claim, evidence, own),
        _decisions(claim, evidence, "white-box"),
    )


def _judged(
    claim: Mapping[str, Any],
    evidence: Sequence[Evidence],
    own: list[Decision],
    white: list[Decision],
) -> Judged:
    """The verdict, from what becomes of the conditions under the claim's own protocol and under
    `white-box`. A reference is looked for in each `evidence` in turn: the case's, then all."""
    if "not_tested" in claim:
        return Judged(UNTESTED, claim["not_tested"])
    for reference in claim.get("learned", ()):
        found = (of.select(reference["rows"]) for of in evidence)
        rows = next((rows for rows in found if not rows.empty), None)
        if rows is not None and rows["value"].mean() < reference["number"]:
            reached = f"{rows['value'].mean():.1%}"
            return Judged(UNDECIDED, f"a reference did not learn: it is at {reached}")
    decided = own or white
    if not decided:
        return Judged(UNTESTED, "this run measured nothing that decides it")
    if any(decision.state == MISSED for decision in decided):
        return Judged(FAILS)
    open_ = [decision.reason for decision in decided if decision.state == OPEN]
    if claim["about"] == "robustness":
        if not white:
            return Judged(UNDECIDED, "no attack on the defended network was measured")
        if not open_ and any(decision.state == MISSED for decision in white):
            return Judged(ONLY)
        for decision in white:
            if decision.state == OPEN and decision.reason not in open_:
                open_.append(f"white-box: {decision.reason}")
    if open_:
        return Judged(UNDECIDED, "; ".join(dict.fromkeys(open_)))
    if "fitted" in claim:
        return Judged(UNDECIDED, claim["fitted"])
    return Judged(HOLDS)


def _decisions(claim: Mapping[str, Any], evidence: Evidence, protocol: str) -> list[Decision]:
    """What becomes of the claim's conditions under a protocol; [] if one has no rows.

    A condition that names a `protocol`, one of `protocols.ORDER`, is tested under that one only.
    """
    found, of_protocol = [], evidence.under(protocol)
    for condition in claim.get("condition", ()):
        if condition.get("protocol", protocol) != protocol:
            continue
        decision = of_protocol.decide(condition)
        if decision is None:
            return []
        found.append(decision)
    return found


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
    evidence = Evidence.of(rows)
    for fact in tomllib.loads(paper_files(study)["facts.toml"])["fact"]:
        for condition in fact["condition"]:
            _check_keys(condition)
        met = [evidence.meets(condition) for condition in fact["condition"]]
        told = "open" if None in met else "yes" if all(met) else "no"
        lines.append(f"{told:<4} {fact['says']}")
    return "\n".join(lines)


def _check_words(study: str, known: Mapping[str, Any], rows: pd.DataFrame) -> None:
    """Raise ValueError for a word in the claims that neither the rows nor the paper's tables have.

    What a run need not measure, and the paper does not print, stands under `words`, by column.
    """
    paper, own = paper_rows(study), known.get("words", {})
    columns, words = {*rows.columns, *paper.columns, *own}, _words((rows, paper), own)
    check_choice("protocol", known["protocol"], ORDER)
    for claim in known["claim"]:
        _check_claim(claim)
        asked = [reference["rows"] for reference in claim.get("learned", ())]
        for condition in claim.get("condition", ()):
            _check_keys(condition)
            check_choice("protocol", condition.get("protocol", ORDER[0]), ORDER)
            asked += [condition["rows"], condition.get("than", {})]
        for column, value in itertools.chain.from_iterable(map(dict.items, asked)):
            check_choice("column", column, sorted(columns))
            for word in value if isinstance(value, list) else [value]:
                if isinstance(word, str):
                    known_words = (w for w in words.get(column, ()) if isinstance(w, str))
                    check_choice(column, word, sorted(known_words))
                elif word not in words.get(column, ()):
                    raise ValueError(f"{column}: must be one of {words[column]}, got {word!r}")


def _words(
    tables: Sequence[pd.DataFrame], more: Mapping[str, Sequence[Any]]
) -> dict[str, set[Any]]:
    """The values of each column in the tables, and those that are named besides."""
    words = {column: set(values) for column, values in more.items()}
    for table in tables:
        for column in table.columns.difference(["value", "n"]):
            words.setdefault(column, set()).update(table[column].dropna().unique())
    return words


def _check_claim(claim: Mapping[str, Any]) -> None:
    """Raise ValueError for a claim that says too little, too much or in other words."""
    for key in claim:
        check_choice("claim", key, KEYS)
    for key in ("id", "says", "where", "about"):
        check_choice("claim", key, claim)
    check_choice("about", claim["about"], ABOUT)
    if ("condition" in claim) == ("not_tested" in claim):
        raise ValueError(f"claim: {claim['id']} must have either condition or not_tested")


def _check_keys(condition: Mapping[str, Any]) -> None:
    """Raise ValueError for a condition that says too little, too much or in other words."""
    for key in condition:
        check_choice("condition", key, ("rows", "is", "number", "than", "margin", "protocol"))
    check_choice("condition", "rows", condition)
    check_choice("is", condition.get("is"), ("at least", "at most"))
    if ("number" in condition) == ("than" in condition):
        raise ValueError(f"condition: must have either number or than, got {dict(condition)}")
