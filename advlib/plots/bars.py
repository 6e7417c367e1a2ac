"""Figures side by side: protocols, defenses, costs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from advlib.plots import interactive, look
from advlib.plots.layout import (
    ACCURACY,
    columns_of,
    grid,
    label_outer,
    legend,
    percent_axis,
    plain_numbers,
    quantity,
    title,
    wrapped,
)
from advlib.plots.look import EDGE, PALETTE, SMALLEST, ZERO, Look
from advlib.protocols import ORDER, with_shown
from advlib.records import check_columns
from advlib.tables import reader_name

NAMES = 110  # points for the names at the left


def protocols(
    rows: pd.DataFrame, by: str, *, order: Sequence[str] | None = None, label: str = "defense"
) -> Figure:
    """Accuracy of each defense as bars, one colour and marker a protocol, a panel a network.

    `by` is the column with the bars' names, `label` what these are; whiskers span the seeds. A
    marker ends each bar: it is all of a bar of 0 %. Three panels stand in a line.
    """
    check_columns(rows, [by, "model", "value"])
    drawn = with_shown(rows)
    words = [word for word in ORDER if word in set(drawn["shown"])]
    bars = list(order if order is not None else dict.fromkeys(rows[by]))
    models = list(dict.fromkeys(rows["model"]))
    height = max(2.2, 0.9 + len(bars) * (0.11 * len(words) + 0.09))
    figure, axes = grid(len(models), height, sharex=True)
    looks = {word: look.protocol(word) for word in words}
    for axis, model in zip(axes, models, strict=True):
        groups = drawn[drawn["model"] == model].groupby([by, "shown"], sort=False)["value"]
        for (bar, word), values in groups:
            if bar in bars:
                thick = 0.84 / len(words)
                place = bars.index(bar) + thick * (words.index(word) - (len(words) - 1) / 2)
                _bar(axis, place, thick, values * 100, looks[word])
        axis.axvline(0, color=ZERO, linewidth=0.8)
        axis.set(xlim=(-5, 105), ylim=(len(bars) - 0.5, -0.5), xticks=range(0, 101, 25))
        axis.set_yticks(range(len(bars)), [wrapped(reader_name(bar), NAMES) for bar in bars])
        axis.grid(axis="y", visible=False)
        title(axis, reader_name(model), columns_of(axes), taken=NAMES)
    label_outer(axes, ACCURACY, label)
    handles = {
        word: (Patch(color=of.colour), Line2D([], [], linestyle="", **of.points()))
        for word, of in looks.items()
    }
    legend(figure, handles, title="images shown")
    return figure


def _bar(axis: Axes, place: float, thick: float, percent: pd.Series, look: Look) -> None:
    """The mean as a bar that ends in a marker, with a whisker over the seeds."""
    mean = percent.mean()
    axis.barh(place, mean, thick, color=look.colour, linewidth=0)
    axis.plot([percent.min(), percent.max()], [place, place], color=EDGE, linewidth=1)
    axis.plot([mean], [place], **(look.points() | {"markersize": 4.5}), zorder=3)


def accuracy_against_cost(rows: pd.DataFrame, *, x: str, label: str) -> Figure:
    """Accuracy against what a defense costs (column `x`), a mark a defense.

    A panel is an attack under a protocol.
    """
    check_columns(rows, [x, "defense", "attack", "value"])
    rows = with_shown(rows)
    pairs = dict.fromkeys(rows[["attack", "shown"]].itertuples(index=False, name=None))
    panels = sorted(pairs, key=lambda pair: ORDER.index(pair[1]))
    looks = look.palette(rows["defense"])
    figure, axes = grid(len(panels), 3, sharex=True)
    for axis, (attack, word) in zip(axes, panels, strict=True):
        here = rows[rows["attack"].eq(attack) & rows["shown"].eq(word)]
        means = here.groupby(["defense", x], sort=False)["value"].mean() * 100
        for defense, part in means.groupby(level=0, sort=False):
            (points,) = axis.plot(
                part.index.get_level_values(x), part, linestyle="", label=reader_name(defense),
                **(looks[defense].points() | {"markersize": 7}),
            )  # fmt: skip
            interactive.answers(points)
        axis.margins(x=0.08)
        axis.locator_params(axis="x", nbins=4)
        title(axis, f"{reader_name(attack)}, {word}", columns_of(axes))
    percent_axis(axes)
    label_outer(axes, quantity(label), ACCURACY)
    legend(figure)
    return figure


def gains(rows: pd.DataFrame, by: str) -> Figure:
    """What is left of a gain, step by step: bars in points, a panel a value of column `by`.

    `rows` have the columns `step`, a word of the registry or one that begins with it, and `gain`,
    in points; steps that a panel lacks are left out of it.
    """
    check_columns(rows, [by, "step", "gain"])
    panels = list(dict.fromkeys(rows[by]))
    steps = list(dict.fromkeys(rows["step"]))
    figure, axes = grid(len(panels), 0.9 + 0.24 * len(steps), sharex=True)
    low, high = min(0.0, rows["gain"].min()), max(0.0, rows["gain"].max())
    room = 0.36 * (high - low or 1.0)  # for the numbers
    for axis, panel in zip(axes, panels, strict=True):
        own = rows[rows[by] == panel].groupby("step")["gain"].mean()
        for step, gain in own.items():
            place = steps.index(str(step))
            axis.barh(place, gain, 0.7, color=_of_step(str(step)), linewidth=0)
            right = gain >= 0
            axis.annotate(
                f"{gain:+.1f}", (gain, place), (3 if right else -3, 0), size=SMALLEST,
                textcoords="offset points", ha="left" if right else "right", va="center",
            )  # fmt: skip
        axis.axvline(0, color=ZERO, linewidth=0.8)
        axis.set(xlim=(low - (room if low < 0 else 0), high + room), ylim=(len(steps) - 0.5, -0.5))
        axis.set_yticks(range(len(steps)), [wrapped(step, NAMES) for step in steps])
        axis.grid(axis="y", visible=False)
        title(axis, reader_name(panel), columns_of(axes), taken=NAMES)
    label_outer(axes, "gain in accuracy, points", "attacker")
    return figure


def _of_step(step: str) -> str:
    word = next((word for word in ORDER if step.startswith(word)), "")
    return look.protocol(word).colour if word else EDGE


def costs(timings: pd.DataFrame) -> Figure:
    """Time of a training step relative to the whole network's, beside the parameters trained."""
    check_columns(timings, ["model", "step time", "parameters trained"])
    figure, (axis,) = grid(1, max(2.2, 1.3 + 0.5 * len(timings)))
    for nth, what in enumerate(("step time", "parameters trained")):
        places = [place + 0.4 * (nth - 0.5) for place in range(len(timings))]
        bars = axis.barh(places, timings[what], 0.4, color=PALETTE[(1, 5)[nth]], label=what)
        axis.bar_label(bars, fmt="%.0f", padding=3, size=SMALLEST)
    axis.axvline(100, color=EDGE, linewidth=1, label="the whole network")
    axis.axvline(0, color=ZERO, linewidth=0.8)
    axis.set_yticks(range(len(timings)), [reader_name(model) for model in timings["model"]])
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    most = max(100.0, timings[["step time", "parameters trained"]].max().max())
    axis.set(xlabel="of training the whole network, %", ylabel="network", xlim=(0, 1.12 * most))
    plain_numbers(axis, "x")
    legend(figure)
    return figure
