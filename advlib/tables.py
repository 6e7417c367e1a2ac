"""Tables as a reader wants them: in percent, the paper's figures beside ours."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from advlib.cache import digest
from advlib.checks import check_choice
from advlib.protocols import ORDER, PAPER, with_shown
from advlib.records import check_columns
from advlib.statistics import over_seeds

# Keys of records as people write them: values, and names of columns.
NAMES = {
    "shallow_cnn": "shallow", "base_cnn": "base", "dense_cnn": "dense", "mnist_conv": "MNIST CNN",
    "cifar_conv": "CIFAR CNN", "resnet18": "ResNet-18", "resnet50": "ResNet-50",
    "resnet101": "ResNet-101", "vgg16": "VGG-16", "torchvision:resnet101": "ResNet-101",
    "torchvision:alexnet": "AlexNet", "torchvision:regnet_y_400mf": "RegNetY-400MF",
    "torchvision:mobilenet_v2": "MobileNetV2", "torchvision:squeezenet1_0": "SqueezeNet 1.0",
    "fgsm on the margin": "FGSM on the margin", "fgsm on the teacher": "FGSM on the teacher",
    "fgsm": "FGSM", "ifgsm": "IFGSM", "pgd": "PGD", "jsma": "JSMA",
    "adversarial": "adversarial only", "benign+adversarial": "benign and adversarial",
    "mnist": "MNIST", "cifar10": "CIFAR-10", "cats_vs_dogs": "cats against dogs",
    "fashion_mnist": "Fashion-MNIST", "imagenet": "ImageNet", "fmnist_conv": "Fashion-MNIST CNN",
    "resnet": "ResNet", "wide_resnet": "Wide ResNet", "wide_resnet28_10": "Wide ResNet-28-10",
}  # fmt: skip
HEADS = {
    "trained_on": "fine-tuned on", "mix": "images learned", "made_on": "crafted on",
    "model": "network", "eps": "ε", "low": "from", "high": "to", "shown": "protocol",
    "of": "", "dataset": "data",
}  # fmt: skip
UNFOLDED = 20  # rows; a longer table is folded


def reader_name(key: str) -> str:
    """The name that a reader knows, or the key where it is one."""
    return NAMES.get(key, key)


def readable(text: str) -> str:
    """A text in which keys that stand before a colon, "resnet18: undecided", are written out."""
    keys = "|".join(map(re.escape, sorted(NAMES, key=len, reverse=True)))
    return re.sub(rf"(?<![\w:])({keys})(?=: )", lambda found: NAMES[found[1]], text)


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the names that a reader knows in place of the keys, for tables."""
    rows = rows.copy()
    keys = ["model", "attack", "trained_on", "mix", "defense", "dataset", "made_on"]
    for column in rows.columns.intersection(keys):
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


class Table:
    """A frame in the look of the pages' tables: numbers to the right, folded if it is long."""

    def __init__(self, styler: Styler, caption: str, rows: int) -> None:
        self._styler, self._caption, self._rows = styler, caption, rows

    def _repr_html_(self) -> str:
        html = self._styler.to_html()
        if self._rows <= UNFOLDED:
            return html
        summary = f"{self._caption or 'The whole table'} ({self._rows} rows)"
        return f"<details><summary>{summary}</summary>{html}</details>"

    def __repr__(self) -> str:
        return f"{self._caption}\n{self._styler.data.to_string()}".strip()  # type: ignore[attr-defined]


def table(
    frame: pd.DataFrame,
    *,
    caption: str = "",
    digits: int = 1,
    small: bool = False,
    index: bool = True,
) -> Table:
    """The frame as a page shows it; what is missing is a dash.

    Columns of numbers (or of numbers with their intervals, as HTML) are set to the right, texts to
    the left. Names of records' columns are written out (`HEADS`).

    Args:
        digits: after the point, of floats.
        small: in small letters.
        index: whether the index is shown.
    """
    named = frame.rename_axis(
        index=_head, columns=None if isinstance(frame.columns, pd.RangeIndex) else _head
    )
    named = named.rename(columns=_head)
    name = digest(named.to_csv())[:8]  # the same table, the same HTML
    styler = Styler(named, cell_ids=False, uuid=name).format(precision=digits, na_rep="–")
    of_text = [not named.iloc[:, place].map(_is_number).all() for place in range(named.shape[1])]
    classes = np.tile(np.where(of_text, "text", "number"), (len(named), 1))
    if named.index.is_unique and named.columns.is_unique:
        styler.set_td_classes(pd.DataFrame(classes, named.index, named.columns))
    if caption and len(named) <= UNFOLDED:
        styler.set_caption(caption)
    if not index:
        styler.hide(axis="index")
    size = ' style="font-size: 80%"' if small else ""
    styler.set_table_attributes(f'class="dataframe"{size}')
    return Table(styler, caption, len(named))


def compared(
    measured: pd.DataFrame,
    paper: pd.DataFrame,
    *,
    index: Sequence[str],
    columns: Sequence[str] = (),
    caption: str = "",
) -> Table:
    """`beside` under the names that a reader knows, as a page shows it."""
    cells = beside(named(measured), named(paper), index=index, columns=columns)
    return table(cells, caption=caption, small=cells.shape[1] > 6)


def reported(
    paper: pd.DataFrame,
    *,
    index: Sequence[str],
    columns: Sequence[str],
    caption: str = "",
    digits: int = 1,
) -> Table:
    """The paper's own figures in percent, a line for each value of `index`; or ours alone.

    What shares a cell is averaged; `digits` stand after the point.
    """
    check_columns(paper, [*index, *columns, "value"])
    means = named(paper).groupby([*index, *columns], sort=False)["value"].mean().mul(100)
    return table(means.unstack(list(columns)), caption=caption, digits=digits)


def means(rows: pd.DataFrame, *, by: Sequence[str], caption: str = "") -> Table:
    """A line for each mean over seeds, in percent, with its 95 % interval (see `over_seeds`)."""
    check_columns(rows, [*by, "value"])
    summary = named(over_seeds(rows[[*by, "seed", "n", "value"]]))
    lines = summary[list(by)].assign(seeds=summary["seeds"])
    for head, column in (("%", "mean"), ("from", "low"), ("to", "high")):
        lines[head] = 100 * summary[column]
    return table(lines, caption=caption, index=False)


def spread(
    rows: pd.DataFrame, *, index: Sequence[str], columns: Sequence[str], caption: str = ""
) -> Table:
    """Means over seeds in percent, each above its 95 % interval."""
    check_columns(rows, [*index, *columns, "value"])
    keys = [*index, *columns]
    summary = named(over_seeds(rows[[*keys, "seed", "n", "value"]]))
    cells = summary.set_index(keys).apply(lambda row: "<br>".join(_figure(row)), axis=1)
    order = list(dict.fromkeys(summary[list(columns)].itertuples(index=False, name=None)))
    wide = cells.unstack(list(columns))
    wide = wide[order if len(columns) > 1 else [name for (name,) in order]]
    lines = list(dict.fromkeys(summary[list(index)].itertuples(index=False, name=None)))
    return table(
        wide.loc[lines if len(index) > 1 else [name for (name,) in lines]],
        caption=caption,
        small=wide.shape[1] > 6,
    )


def _head(name: Any) -> Any:
    """A heading as people write it; 10.0 is "10"."""
    if isinstance(name, float):
        return f"{name:g}"
    return HEADS.get(name, name) if isinstance(name, str) else name


def _is_number(cell: Any) -> bool:
    """A number, or a text that is one, with its interval, sign or unit; or a dash."""
    if not isinstance(cell, str):
        return True
    return not re.search(r"[A-Za-z]{2}|^[A-Za-z]", re.sub(r"<[^>]*>", " ", cell))
