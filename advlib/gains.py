"""What is left of the gain that a paper reports, as the attacker learns more.

`advlib/papers/STUDY/gain.toml` names one gain of the paper, the page that measured it, and a step
for each attacker: which rows have the defended network's accuracy, and which that without the
defense. Where the paper prints several figures of its defense, `nearest` says which these are.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import pandas as pd

from advlib.papers import paper_files, paper_rows
from advlib.protocols import NONE, PAPER, with_shown
from advlib.records import select
from advlib.statistics import nearest_protocol

FILE = "gain.toml"


def gain_of(study: str) -> dict[str, Any]:
    """gain.toml: what the gain is of (`says`), its `page`, the `reported` gain, each `step`."""
    return tomllib.loads(paper_files(study)[FILE])


def left(study: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The paper's gain, then what these rows have left of it: a row a step.

    Columns: step; gain, in points of accuracy; share, of the paper's gain.

    Raises:
        ValueError: a word of gain.toml that no row has; the message names it.
    """
    told, here = gain_of(study), with_shown(rows)
    reported = _gain(paper_rows(study), told["reported"])
    lines = [{"step": PAPER, "gain": reported}]
    lines += [{"step": step["says"], "gain": _gain(here, step)} for step in told["step"]]
    made = pd.DataFrame(lines)
    return made.assign(share=made["gain"] / reported)


def nearest(study: str, rows: pd.DataFrame) -> tuple[pd.DataFrame, float] | None:
    """`statistics.nearest_protocol` for the figures that the paper prints of its defense under
    attack; None where these are too few to tell."""
    if (told := gain_of(study).get("nearest")) is None:
        return None
    here = pd.concat([select(rows, **wanted) for wanted in told["rows"]])
    paper = pd.concat([select(paper_rows(study), **wanted) for wanted in told["paper"]])
    attacked = here[here["attack"].ne(NONE) & here["metric"].eq("accuracy")]
    paper = paper[paper["attack"].ne(NONE)]
    return nearest_protocol(attacked, paper, keys=told["keys"])


def _gain(rows: pd.DataFrame, of: Mapping[str, Any]) -> float:
    """In points; without `than`, the rows hold the gain itself."""
    without = select(rows, **of["than"])["value"].mean() if "than" in of else 0.0
    return 100 * float(select(rows, **of["rows"])["value"].mean() - without)
