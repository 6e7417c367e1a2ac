"""Panels, legends, labels with units, and heatmaps, as all figures have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter

from advlib.plots import interactive
from advlib.plots.interactive import Span
from advlib.plots.look import SCALE, SMALLEST, WIDTH, ZERO, Look
from advlib.protocols import ORDER
from advlib.statistics import wilson

ACCURACY = "accuracy, %"
QUANTITIES = {  # of columns: what stands at their axis
    "eps": "ε, pixel units",
    "gamma": "gamma, share of the pixels",
    "theta": "theta, change of a pixel",
    "steps": "steps of the attack, count",
    "epoch": "epochs, count",
    "epochs": "epochs, count",
    "images": "images judged, count",
    "temperature": "temperature, no unit",
}
CROWDED = 400  # cells of a heatmap; more become a picture inside the SVG


def quantity(column: str) -> str:
    """What stands at the axis of a column: the quantity and its unit."""
    return QUANTITIES.get(column, column)


def grid(
    count: int, height: float, *, columns: int = 3, sharex: bool = False, sharey: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, `height` inches each, in as few lines as `columns` allow."""
    lines = -(-count // columns)
    across = -(-count // lines)
    figure, axes = plt.subplots(
        lines, across, figsize=(WIDTH, height * lines), sharex=sharex, sharey=sharey, squeeze=False
    )
    panels = list(axes.flat)
    for axis in panels[count:]:
        axis.remove()
    for axis in panels[max(count - across, 0) : count]:  # the last of their columns
        axis.xaxis.set_tick_params(labelbottom=True)
    return figure, panels[:count]


def columns_of(axes: Sequence[Axes]) -> int:
    """How many panels of a grid stand in a line."""
    places = [axis.get_subplotspec() for axis in axes]
    return max(place.colspan.stop for place in places if place is not None)


def label_outer(axes: Sequence[Axes], x: str | None, y: str | None) -> None:
    """Label the x and y axes that show their ticks: of a shared one the lowest, the leftmost."""
    for axis in axes:
        if x is not None and axis.xaxis.get_tick_params()["labelbottom"]:
            axis.set_xlabel(x)
        if y is not None and axis.yaxis.get_tick_params()["labelleft"]:
            axis.set_ylabel(y)


def percent_axis(axes: Sequence[Axes]) -> None:
    """From 0 to 100 %, with room for the markers at both ends and a line at 0."""
    for axis in axes:
        axis.set_ylim(-5, 105)
        axis.set_yticks(range(0, 101, 25))
        axis.axhline(0, color=ZERO, linewidth=0.8, zorder=1)


def plain_numbers(axis: Axes, *names: str) -> None:
    """Write the ticks of these axes ("x", "y") as plain numbers: no powers in small letters."""
    for name in names:
        part = axis.xaxis if name == "x" else axis.yaxis
        part.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.minorticks_off()


def logarithmic(axis: Axes, values: npt.ArrayLike, width: float) -> None:
    """A logarithmic x axis `width` points wide, with a tick a value, labelled where there is room.

    Values must be above 0.
    """
    axis.set_xscale("log")
    places = np.sort(np.asarray(values, float))
    span = np.log(places[-1] / places[0]) or 1
    labels, free = [], -np.inf
    for place, text in zip(places, [f"{place:g}" for place in places], strict=True):
        middle = np.log(place / places[0]) / span * 0.9 * width
        half = text_width(text) / 2
        labels.append(text if middle - half > free + 3 else "")
        free = middle + half if labels[-1] else free
    axis.set_xticks(places, labels)
    axis.minorticks_off()


def mean_line(axis: Axes, part: pd.DataFrame, x: str, look: Look, label: str, **kw: Any) -> None:
    """The mean of `value` in percent against column `x`; a band spans several seeds.

    The page tells its values, with the seeds' span, or one seed's 95 % interval over its images.
    """
    groups = part.groupby(x)["value"]
    means = groups.mean() * 100
    (line,) = axis.plot(means.index, means, label=label, **(look.line() | kw))
    span = None
    if "seed" in part and part["seed"].nunique() > 1:
        low, high = groups.min() * 100, groups.max() * 100
        axis.fill_between(means.index, low, high, color=look.colour, alpha=0.15, linewidth=0)
        span = Span(low, high, "seeds from", band=True)
    elif (groups.size() == 1).all() and "n" in part:
        span = _over_images(part.set_index(x).loc[means.index])
    interactive.answers(line, span)


def _over_images(rows: pd.DataFrame) -> Span | None:
    """The 95 % interval of each row's share of its `n` images; None if one is no such share."""
    hits = rows["value"] * rows["n"]
    if rows.empty or not np.allclose(hits, hits.round(), atol=1e-6):
        return None
    bounds = [wilson(int(h), int(n)) for h, n in zip(hits.round(), rows["n"], strict=True)]
    low, high = np.array(bounds).T * 100
    return Span(low, high, "95 % interval over images")


def text_width(text: str, size: float = SMALLEST) -> float:
    """Points that a line of text takes."""
    if not text:
        return 0.0
    font = FontProperties(size=size)
    return text_to_path.get_text_width_height_descent(text, font, False)[0]


def wrapped(text: str, width: float, size: float = SMALLEST) -> str:
    """The text in lines of at most `width` points; a longer word is broken."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size) <= width:
            lines[-1] = longer
            continue
        lines += [""] if lines[-1] else []
        for letter in word:
            if lines[-1] and text_width(lines[-1] + letter, size) > width:
                lines.append("")
            lines[-1] += letter
    return "\n".join(lines)


def title(axis: Axes, text: str, columns: int, *, taken: float = 60) -> None:
    """A panel's title, in lines no wider than one of `columns` panels; `taken` points are not."""
    axis.set_title(wrapped(text, (72 * WIDTH - taken) / columns - 8, 10), size=10)


def legend(figure: Figure, handles: Mapping[str, Any] | None = None, title: str = "") -> None:
    """One legend for all panels, under them, in as many columns as fit.

    `handles` by label; without them, each label that the panels draw once. Protocols stand in their
    order, the paper first.
    """
    if handles is None:
        drawn = [axis.get_legend_handles_labels() for axis in figure.axes]
        handles = {label: handle for pair in drawn for handle, label in zip(*pair, strict=True)}
    places = {label: ORDER.index(label) if label in ORDER else len(ORDER) for label in handles}
    handles = {label: handles[label] for label in sorted(handles, key=places.__getitem__)}
    widest = max(text_width(label) for label in handles) + 48
    figure.legend(
        list(handles.values()), list(handles), loc="outside lower center", title=title or None,
        ncols=max(1, min(len(handles), int((72 * WIDTH - 20) / widest))),
    )  # fmt: skip


def heatmap(
    axis: Axes, table: np.ndarray, rows: Sequence[str], columns: Sequence[str], *,
    most: float | None = 100, numbers: bool = False,
) -> QuadMesh:  # fmt: skip
    """A table as cells, dark where there is more; what is missing stays grey.

    `numbers` are written into the cells.
    """
    small = table.size <= CROWDED
    mesh = axis.pcolormesh(
        table, cmap=SCALE, vmin=0, vmax=most, rasterized=not small,
        edgecolors="white" if small else "none", linewidth=0.5 if small else 0,
    )  # fmt: skip
    axis.set_facecolor("#e4e4e4")
    axis.grid(False)
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.set_xticks(np.arange(len(columns)) + 0.5, columns)
    if sum(map(text_width, columns)) > 150:
        axis.tick_params(axis="x", rotation=90)
    if not axis.yaxis_inverted():
        axis.invert_yaxis()
    top = mesh.get_clim()[1]
    for (y, x), value in np.ndenumerate(table):
        if numbers and not np.isnan(value):
            colour = "white" if value > 0.5 * top else "black"
            axis.text(
                x + 0.5, y + 0.5, f"{value:.0f}", ha="center", va="center", color=colour,
                size=SMALLEST,
            )  # fmt: skip
    return mesh
