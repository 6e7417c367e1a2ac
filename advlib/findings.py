"""What a run found, in sentences: a study's `findings.md`, filled with figures from its rows.

`advlib/papers/STUDY/findings.md` is a Jinja template. It knows the run's parameters by name, and

    here(defense="dominant", attack="fgsm")   the mean of the rows with these values
    paper(table="8", attack="fgsm")           the same of the paper's tables
    measured(...), printed(...)               whether there are such rows, here and in the paper
    behind(table="AutoAttack")                "one seed", or how many, such rows here are of

`shown` is a column, too: the one word for protocol and gradient. Filters make a text of a share:
`|percent` gives "91.5 %", `|points` of a difference "+3.2 points".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
from IPython.display import Markdown
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from advlib import claims
from advlib.papers import paper_files, paper_rows
from advlib.protocols import with_shown
from advlib.records import Run, check_columns, select
from advlib.tables import Table, readable, reader_name, table

FILE = "findings.md"
SUMMARY = "summary.md"  # the same in a few sentences, for the README and the front page
SMOKE_TEST = "digits"  # the data set of quick runs


def findings(run: Run, **values: Any) -> Markdown:
    """The study's findings in this run, to be shown as a notebook's output.

    `values` are further names for the template.
    """
    return Markdown(filled(run.study, run.rows, {**run.parameters, **values}))


def verdicts(run: Run, rows: pd.DataFrame | None = None) -> Table | Markdown:
    """The verdicts on the paper's claims in this run, to be shown as a notebook's output.

    `rows` are the run's with the names of claims.toml, where the study has others. A run on the
    small digits is a smoke test and judges no paper.
    """
    rows = run.rows if rows is None else rows
    if run.parameters["dataset"] == SMOKE_TEST:
        return Markdown("This run is a smoke test on small digits. It judges no paper.")
    judged = claims.verdicts(run.study, rows, run.outcomes)
    run.judged = judged[["id", "verdict", "reason"]]
    judged["reason"] = judged["reason"].map(readable)
    return table(judged, small=True, index=False, caption="Claims and verdicts")


def filled(study: str, rows: pd.DataFrame, values: Mapping[str, Any], *, file: str = FILE) -> str:
    """The study's findings, Markdown, with the figures of these rows and of the paper's tables.

    `file`: `FILE`, or `SUMMARY`.

    Raises:
        ValueError: a name, a column or a value that there is none of; the message names it.
    """
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "points": points, "name": reader_name}
    here, paper = with_shown(rows), paper_rows(study)
    environment.globals = {
        "here": lambda **wanted: _mean(here, wanted),
        "paper": lambda **wanted: _mean(paper, wanted),
        "measured": lambda **wanted: _there(here, wanted),
        "printed": lambda **wanted: _there(paper, wanted),
        "behind": lambda **wanted: _seeds(here, wanted),
    }
    try:
        text = environment.from_string(paper_files(study)[file]).render(values)
    except (TemplateError, TypeError) as error:
        raise ValueError(f"{study}/{file}: {error}") from error
    # What a template leaves out leaves its spaces behind; those that begin a line are Markdown.
    return re.sub(r"(?<=\S) +", " ", re.sub(r" +$", "", text, flags=re.M)).strip()


def percent(share: float) -> str:
    """0.9153 as "91.5 %"."""
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """A difference of two shares, -0.031, as "-3.1 points"."""
    return f"{100 * difference:+.1f} points"


def _mean(rows: pd.DataFrame, wanted: Mapping[str, Any]) -> float:
    return float(select(rows, **wanted)["value"].mean())


def _seeds(rows: pd.DataFrame, wanted: Mapping[str, Any]) -> str:
    count = select(rows, **wanted)["seed"].nunique()
    return "one seed" if count == 1 else f"{count} seeds"


def _there(rows: pd.DataFrame, wanted: Mapping[str, Any]) -> bool:
    """Whether any row has these values; a column that there is none of raises ValueError."""
    check_columns(rows, list(wanted), some=False)
    for column, value in wanted.items():
        rows = rows[rows[column].isin(value if isinstance(value, list) else [value])]
    return not rows.empty
