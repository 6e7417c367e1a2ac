"""A figure of lines once more, for a page that answers to the reader's hand.

A notebook keeps it beside the picture, in Plotly's format, which JupyterLab and VS Code may show
themselves. The book's pages draw it with the Plotly that the site brings along
(`book/_static/interactive.js`); the picture remains for print and without scripts.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

MIME = "application/vnd.plotly.v1+json"
HEIGHT = 330  # pixels of a line of panels
SYMBOLS = {
    "o": "circle", "s": "square", "D": "diamond", "^": "triangle-up", "v": "triangle-down",
    "P": "cross", "<": "triangle-left", ">": "triangle-right", "*": "star", "p": "pentagon",
    "X": "x", "d": "diamond-tall", "h": "hexagon",
}  # fmt: skip
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot", "None": "solid"}


class Span(NamedTuple):
    """What a value may as well be, in the axis's units; `of` says where that is from."""

    low: Sequence[float]
    high: Sequence[float]
    of: str
    band: bool = False  # drawn, as in the picture


_spans: WeakKeyDictionary[Line2D, Span] = WeakKeyDictionary()


def answers(line: Line2D, span: Span | None = None) -> None:
    """Let the page tell this line's values, and the span of each if there is one."""
    _spans[line] = span or Span((), (), "")


def plotly(figure: Figure) -> dict[str, Any] | None:
    """The figure's lines in Plotly's format; None if no line of it was to answer."""
    panels = [axis for axis in figure.axes if any(line in _spans for line in axis.lines)]
    if not panels:
        return None
    places = [axis.get_subplotspec() for axis in panels]
    across = max(place.colspan.stop for place in places if place is not None)
    down = -(-len(panels) // across)
    layout: dict[str, Any] = {
        "grid": {"rows": down, "columns": across, "pattern": "independent"},
        "height": HEIGHT * down,
        "hovermode": "closest",
        "annotations": [_title(axis, number) for number, axis in enumerate(panels, 1)],
    }
    traces: list[dict[str, Any]] = []
    named: set[str] = set()
    for number, axis in enumerate(panels, 1):
        layout[f"xaxis{number}"] = _axis(axis, "x")
        layout[f"yaxis{number}"] = _axis(axis, "y")
        for line in axis.lines:
            if line in _spans:
                traces += _traces(
                    line, number, _text(axis.get_title()), new=line.get_label() not in named
                )
                named.add(str(line.get_label()))
    return {"data": traces, "layout": layout}


def bundle(figure: Figure, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a notebook keeps of the figure beside its picture."""
    drawn = plotly(figure)
    return ({MIME: drawn} if drawn else {}), {}


def _title(axis: Axes, number: int) -> dict[str, Any]:
    """A panel's title, above it wherever the page puts it."""
    return {
        "text": _text(axis.get_title()), "showarrow": False, "x": 0.5, "y": 1.02,
        "xref": f"x{number} domain", "yref": f"y{number} domain", "yanchor": "bottom",
    }  # fmt: skip


def _axis(axis: Axes, which: str) -> dict[str, Any]:
    part = axis.xaxis if which == "x" else axis.yaxis
    low, high = (float(bound) for bound in part.get_view_interval())
    log = part.get_scale() == "log"
    shown = np.log10([low, high]) if log else (low, high)
    drawn: dict[str, Any] = {
        "title": {"text": _text(part.get_label_text())},
        "type": "log" if log else "linear",
        "range": [float(f"{bound:.6g}") for bound in shown],
    }
    if log and which == "x":
        ticks = [float(tick) for tick in part.get_majorticklocs()]
        drawn |= {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    return drawn


def _traces(line: Line2D, number: int, panel: str, *, new: bool) -> list[dict[str, Any]]:
    """The line, and the band of its spans."""
    span, name = _spans[line], _text(str(line.get_label()))
    colour = to_hex(line.get_color())
    where = {"xaxis": f"x{number}", "yaxis": f"y{number}", "legendgroup": name, "name": name}
    x, y = _numbers(line.get_xdata()), _numbers(line.get_ydata())
    points = line.get_linestyle() == "None"
    told = f"<b>{name}</b><br>{panel}<br>%{{xaxis.title.text}} %{{x}}<br>%{{y:.1f}} %"
    trace: dict[str, Any] = where | {
        "type": "scatter", "x": x, "y": y, "showlegend": new,
        "mode": "markers" if points else "lines+markers",
        "line": {"color": colour, "dash": DASHES[str(line.get_linestyle())], "width": 2},
        "marker": {
            "symbol": SYMBOLS.get(str(line.get_marker()), "circle"), "size": 10 if points else 7,
            "color": to_hex(line.get_markerfacecolor()),
            "line": {"color": to_hex(line.get_markeredgecolor()), "width": 0.6},
        },
    }  # fmt: skip
    if not len(span.low):
        return [trace | {"hovertemplate": f"{told}<extra></extra>"}]
    low, high = _numbers(span.low), _numbers(span.high)
    told += f"<br>{span.of} %{{customdata[0]:.1f}} to %{{customdata[1]:.1f}} %<extra></extra>"
    trace |= {"customdata": list(zip(low, high, strict=True)), "hovertemplate": told}
    if not span.band:
        return [trace]
    band = where | {
        "type": "scatter", "mode": "lines", "x": x + x[::-1], "y": low + high[::-1],
        "fill": "toself", "fillcolor": colour, "opacity": 0.15, "line": {"width": 0},
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip
    return [band, trace]


def _text(text: str) -> str:
    """The text as Plotly takes it, which knows some tags."""
    return html.escape(text, quote=False).replace("\n", "<br>")


def _numbers(values: Any) -> list[float]:
    """Six digits of each: a page needs no more."""
    return [float(f"{value:.6g}") for value in np.asarray(values, float)]
