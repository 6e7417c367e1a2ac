"""Figures side by side: protocols, defenses, costs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from advlib.protocols import COLOURS, ORDER, with_shown
from advlib.records import check_columns
from advlib.tables import reader_name


def protocols(rows: pd.DataFrame, by: str, *, order: Sequence[str] | None = None) -> Figure:
    """Accuracy of each defense as bars, one colour a protocol, a panel a network.

    `by` is the column with the defense's label; whiskers span the seeds. More than four panels
    stand in two lines.
    """
    check_columns(rows, [by, "model", "value"])
    models = list(rows["model"].unique())
    lines = 1 if len(models) <= 4 else 2
    height = lines * max(3.4, 1.2 + 0.22 * rows[by].nunique())
    figure, axes = plt.subplots(
        lines, -(-len(models) // lines), figsize=(7.5, height), sharey=True, squeeze=False
    )
    for axis in axes.flat[len(models) :]:
        axis.set_axis_off()
    drawn = with_shown(rows)
    drawn = drawn.assign(percent=drawn["value"] * 100)
    for axis, model in zip(axes.flat, models, strict=False):
        sns.barplot(
            drawn[drawn["model"] == model], y=by, x="percent", hue="shown", ax=axis,
            order=order, hue_order=[word for word in ORDER if word in set(drawn["shown"])],
            palette=COLOURS, errorbar=("pi", 100), err_kws={"linewidth": 1},
            legend=bool(model == models[0]), linewidth=1.5,
        )  # fmt: skip
        for bar in axis.patches:
            bar.set_edgecolor(bar.get_facecolor())  # a line where nothing is left
        axis.set(title=reader_name(model), xlabel="accuracy, %", ylabel="", xlim=(-1, 103))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    axes[0, 0].get_legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, title="shown")
    return figure


def accuracy_against_cost(rows: pd.DataFrame, *, x: str, label: str) -> Figure:
    """Accuracy against what a defense costs (column `x`), a mark a defense.

    A panel is an attack under a protocol.
    """
    check_columns(rows, [x, "defense", "attack", "value"])
    rows = with_shown(rows)
    pairs = dict.fromkeys(rows[["attack", "shown"]].itertuples(index=False, name=None))
    panels = sorted(pairs, key=lambda pair: ORDER.index(pair[1]))
    defenses = list(dict.fromkeys(rows["defense"]))
    marks = dict(zip(defenses, itertools.cycle("oXsPD^v<>"), strict=False))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(7.5, 3.9), sharex=True, sharey=True, squeeze=False
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        attack, word = panel
        of_panel = rows["attack"].eq(attack) & rows["shown"].eq(word)
        means = rows[of_panel].assign(percent=rows["value"] * 100)
        means = means.groupby(["defense", x], sort=False)["percent"].mean().reset_index()
        sns.scatterplot(
            means, x=x, y="percent", hue="defense", style="defense", hue_order=defenses,
            style_order=defenses, markers=marks, palette=sns.color_palette("husl", len(defenses)),
            s=70, ax=axis, legend="full", edgecolor="#333333", alpha=0.9,
        )  # fmt: skip
        axis.set(
            title=f"{reader_name(attack)}, {word}",
            xlabel=label,
            ylabel="accuracy, %",
            ylim=(-4, 104),
        )
        handles, labels = axis.get_legend_handles_labels()
        axis.get_legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def costs(timings: pd.DataFrame) -> Figure:
    """Time of a training step relative to the whole network's, beside the parameters trained."""
    check_columns(timings, ["model", "step time", "parameters trained"])
    figure, axis = plt.subplots(figsize=(7.5, 2.6))
    table = timings.melt("model", ["step time", "parameters trained"], value_name="percent")
    table["model"] = table["model"].map(reader_name)
    sns.barplot(
        table, y="model", x="percent", hue="variable", ax=axis, palette=["#1f4e79", "#c3ccd6"]
    )
    axis.axvline(100, color="black", linewidth=1)
    axis.set(xlabel="% of training the whole network", ylabel="", xlim=(0, 118))
    for bars in axis.containers:
        assert isinstance(bars, BarContainer)
        axis.bar_label(bars, fmt="%.0f", padding=2, size=8)
    axis.legend(title="", loc="upper left", bbox_to_anchor=(1, 1))
    return figure
