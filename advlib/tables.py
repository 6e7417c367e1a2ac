"""Tables as a reader wants them: in percent, the paper's figures beside ours."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd
from pandas.io.formats.style import Styler

from advlib.checks import check_choice
from advlib.protocols import ORDER, PAPER, with_shown
from advlib.records import check_columns
from advlib.statistics import over_seeds

NAMES = {
    "shallow_cnn": "shallow", "base_cnn": "base", "dense_cnn": "dense",
    "fgsm": "FGSM", "ifgsm": "IFGSM", "pgd": "PGD", "jsma": "JSMA",
    "adversarial": "adv. only", "benign+adversarial": "benign + adv.",
}  # fmt: skip


def reader_name(key: str) -> str:
    """The name that a reader knows, or the key where it is one."""
    return NAMES.get(key, key)


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the names that a reader knows in place of the keys, for tables."""
    rows = rows.copy()
    for column in rows.columns.intersection(["model", "attack", "trained_on", "mix", "defense"]):
        rows[column] = rows[column].map(reader_name)
    for column in rows.columns.intersection(["eps", "share"]):
        rows[column] = rows[column].map("{:g}".format, na_action="ignore")
    return rows


def beside(
    measured: pd.DataFrame, paper: pd.DataFrame, *, index: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """A table in percent, as the paper lays it out: its figure beside the measured means.

    `index` and `columns` name the record columns that span the table. Under each column stand
    "paper" and "here", or the protocols where the measured rows have several.
    """
    check_columns(measured, [*index, *columns])
    check_columns(paper, [*index, *columns], some=False)
    measured = with_shown(measured)
    here = _words(measured) if measured["shown"].nunique() > 1 else "here"
    cells = pd.concat([paper.assign(of=PAPER), measured.assign(of=here)], ignore_index=True)
    keys = [*index, *columns, "of"]
    means = cells.groupby(keys, sort=False, dropna=False)["value"].mean().mul(100)
    table = means.unstack([*columns, "of"])
    spans = dict.fromkeys(measured[list(columns)].itertuples(index=False, name=None))
    order = [(*span, of) for span in spans for of in (PAPER, "here", *ORDER[1:])]
    order = [column if columns else column[0] for column in order]
    return table[[column for column in order if column in table.columns]]


def by_protocol(
    measured: pd.DataFrame,
    paper: pd.DataFrame,
    *,
    index: Sequence[str],
    columns: str,
    paper_only: Sequence[str] = (),
) -> pd.DataFrame:
    """A table in percent, with a line for the paper's figures and one for each protocol.

    `index` and `columns` name the record columns that span the table; the lines come as a last
    level of the index, "shown", in the order of `protocols.ORDER`. A measured cell is two lines of
    HTML: the mean over seeds and its 95 % interval (see `over_seeds`).

    Values of `columns` that were not measured are left out, unless they are among `paper_only`:
    these have the paper's line and no other.
    """
    check_columns(measured, [*index, columns])
    measured = with_shown(measured)
    _words(measured)
    spans = [list(dict.fromkeys(measured[name])) for name in (*index, columns)]
    spans[-1] += [name for name in paper_only if name not in spans[-1]]
    keys = [*index, "shown", columns]
    told = paper.assign(shown=PAPER).groupby(keys, sort=False)["value"].mean().mul(100)
    here = over_seeds(measured).set_index(keys)
    cells = here.apply(lambda row: "<br>".join(_figure(row)), axis=1)
    cells = pd.concat([told.map("{:.1f}".format), cells])
    wide = cells.unstack(columns).reindex(columns=spans[-1])
    order = itertools.product(*spans[:-1], ORDER)
    return wide.reindex([key for key in order if key in wide.index])


def stacked(
    measured: pd.DataFrame, paper: pd.DataFrame, *, index: Sequence[str], columns: str
) -> pd.DataFrame:
    """A table as the paper lays it out, in percent; a cell is three lines of HTML.

    The paper's figure, the mean measured over seeds, and its 95 % interval (see `over_seeds`).
    """
    check_columns(measured, [*index, columns])
    summary = over_seeds(measured)
    keys = [*index, columns]
    told = paper.set_index(keys)["value"].mul(100).map("{:.1f}".format)
    here = summary.set_index(keys)
    cells = [
        "<br>".join([told.get(key, "–"), *_figure(row, bold=True)]) for key, row in here.iterrows()
    ]
    table = pd.Series(cells, here.index).unstack(columns)
    return table.reindex(index=here.index.droplevel(columns).unique())


def _words(rows: pd.DataFrame) -> pd.Series:
    """The column `shown`, each word with a line of its own in a table.

    Raises ValueError for rows that are about no images: they would be left out.
    """
    for word in rows["shown"].unique():
        check_choice("protocol", word, ORDER)
    return rows["shown"]


def _figure(row: pd.Series, *, bold: bool = False) -> tuple[str, str]:
    """A row of `over_seeds` in percent, as HTML: the mean, and its interval (empty if none)."""
    mean = f"{100 * row['mean']:.1f}"
    known = row["low"] == row["low"]
    return (
        f"<b>{mean}</b>" if bold else mean,
        f"<small>{100 * row['low']:.0f}–{100 * row['high']:.0f}</small>" if known else "",
    )


def table(frame: pd.DataFrame | Styler, *, small: bool = False) -> Styler:
    """The frame in the look of the pages' tables, which a Styler does not have by itself."""
    styler = frame.style if isinstance(frame, pd.DataFrame) else frame
    size = ' style="font-size: 80%"' if small else ""
    return styler.set_table_attributes(f'class="dataframe"{size}')
