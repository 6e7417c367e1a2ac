"""Figures against a setting: of an attack, a defense, or the epochs of a training."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from advlib.plots import look
from advlib.plots.layout import (
    ACCURACY,
    columns_of,
    grid,
    label_outer,
    legend,
    logarithmic,
    mean_line,
    percent_axis,
    plain_numbers,
    quantity,
    title,
)
from advlib.plots.look import EDGE, HERE, PALETTE, WIDTH, Look
from advlib.protocols import ORDER, PAPER, with_shown
from advlib.records import check_columns
from advlib.statistics import wilson
from advlib.tables import reader_name

LEVELS = (0, 1, *(base * 10**power for power in range(6) for base in (3, 10)))  # of a loss, nats


def training_curves(curves: pd.DataFrame) -> Figure:
    """Accuracy and loss by epoch, training and validation if there is one (`fit`'s curves)."""
    check_columns(curves, ["epoch", "accuracy", "loss"])
    figure, (left, right) = grid(2, 2.9, sharey=False)
    every = max(1, len(curves) // 15)
    lines = {
        "": ("training, while learning", HERE),
        "validation_": ("validation", Look(PALETTE[6], "s", "--")),
    }
    for (prefix, (label, line)), (axis, of, scale) in itertools.product(
        lines.items(), ((left, "accuracy", 100), (right, "loss", 1))
    ):
        if prefix + of in curves:
            values = curves[prefix + of] * scale
            axis.plot(curves["epoch"], values, label=label, markevery=every, **line.line())
    left.set(xlabel=quantity("epoch"), ylabel=ACCURACY)
    right.set(xlabel=quantity("epoch"), ylabel="loss (cross-entropy), nats")
    for axis in (left, right):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(figure)
    return figure


def accuracy_against_eps(rows: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Accuracy under attack against eps and what the paper reports, a panel an attack and network.

    Bands span the seeds.
    """
    for part in (rows, paper):
        check_columns(part, ["attack", "model", "eps", "value"], some=part is rows)
    panels = list(itertools.product(rows["attack"].unique(), rows["model"].unique()))
    looks = look.palette(rows["model"])
    networks = len(looks)
    figure, axes = grid(
        len(panels), 2.4, columns=networks if networks in (2, 3) else 3, sharex=True
    )
    for axis, (attack, model) in zip(axes, panels, strict=True):
        for part, line, label in (
            (paper, look.protocol(PAPER), PAPER),
            (rows, looks[model], reader_name(model)),
        ):
            here = part[part["attack"].eq(attack) & part["model"].eq(model)]
            if len(here):
                mean_line(axis, here, "eps", line, label)
        axis.locator_params(axis="x", nbins=5)
        title(axis, f"{reader_name(attack)}, {reader_name(model)}", columns_of(axes))
    percent_axis(axes)
    label_outer(axes, quantity("eps"), ACCURACY)
    legend(figure)
    return figure


def accuracy_against(panels: Mapping[str, pd.DataFrame], *, label: str = ACCURACY) -> Figure:
    """Accuracy against a setting of an attack, a panel a setting, a line a defense.

    `panels` are rows by the name of the column that varies; bands span the seeds.
    """
    for x, rows in panels.items():
        check_columns(rows, [x, "defense", "attack", "value"])
    figure, axes = grid(len(panels), 3)
    looks = look.palette(name for rows in panels.values() for name in rows["defense"])
    for axis, (x, rows) in zip(axes, panels.items(), strict=True):
        for defense, part in rows.groupby("defense", sort=False):
            mean_line(axis, part, x, looks[defense], reader_name(defense))
        axis.locator_params(axis="x", nbins=5)
        axis.set_xlabel(quantity(x))
        title(axis, ", ".join(map(reader_name, rows["attack"].unique())), len(panels))
    percent_axis(axes)
    label_outer(axes, None, label)
    legend(figure)
    return figure


def accuracy_by_count(rows: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Accuracy under attack against the number of images judged; a dot a seed, a panel an attack.

    Lines are Wilson intervals of each seed's images.
    """
    check_columns(rows, ["attack", "images", "n", "value"])
    check_columns(paper, ["attack", "images", "value"], some=False)
    attacks = list(rows["attack"].unique())
    figure, axes = grid(len(attacks), 3)
    for axis, attack in zip(axes, attacks, strict=True):
        here = rows[rows["attack"] == attack]
        counts = sorted(here["images"].unique())
        for place, (_, group) in enumerate(here.groupby("images")):
            for offset, row in enumerate(group.itertuples()):
                low, high = (100 * bound for bound in wilson(round(row.value * row.n), int(row.n)))
                x = place + 0.12 * (offset - (len(group) - 1) / 2)
                axis.plot([x, x], [low, high], color=HERE.colour, linewidth=1)
                axis.plot(
                    [x], [100 * row.value], linestyle="", label="here, one seed",
                    **(HERE.points() | {"markersize": 4.5}),
                )  # fmt: skip
        told = paper[paper["attack"].eq(attack) & paper["images"].isin(counts)]
        axis.plot(
            told["images"].map(counts.index), told["value"] * 100, linestyle="",
            label=PAPER if len(told) else "", **(look.protocol(PAPER).points() | {"markersize": 7}),
        )  # fmt: skip
        axis.set_xticks(range(len(counts)), [f"{count:,.0f}" for count in counts])
        axis.set_xlim(-0.5, len(counts) - 0.5)
        title(axis, reader_name(attack), len(attacks))
    percent_axis(axes)
    label_outer(axes, quantity("images"), ACCURACY)
    legend(figure)
    return figure


def errors_against_eps(rows: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Error against eps: a panel a metric, a line a network and unit, and the paper's networks."""
    check_columns(rows, ["metric", "model", "units", "eps", "value"])
    check_columns(paper, ["metric", "model", "eps", "value"], some=False)
    metrics = list(rows["metric"].unique())
    figure, axes = grid(len(metrics), 3.6)
    looks = look.palette(rows["model"])
    dashes = dict(zip(dict.fromkeys(paper["model"]), itertools.cycle(["--", ":"]), strict=False))
    for axis, metric in zip(axes, metrics, strict=True):
        lines = rows[rows["metric"] == metric].groupby(["model", "units"], sort=False)
        for (model, units), part in lines:
            line, hollow = looks[model], {}
            if units != "normalised":
                line, hollow = line._replace(dash=":"), {"markerfacecolor": "white"}
            mean_line(axis, part, "eps", line, f"{reader_name(model)}, {units} units", **hollow)
        for model, part in paper[paper["metric"] == metric].groupby("model", sort=False):
            line = look.protocol(PAPER)._replace(dash=dashes[model])
            mean_line(axis, part, "eps", line, f"{PAPER}, {reader_name(model)}")
        axis.locator_params(axis="x", nbins=5)
        title(axis, metric, len(metrics))
    percent_axis(axes)
    label_outer(axes, "ε, in the units of the line", "error, %")
    legend(figure)
    return figure


def masking(rows: pd.DataFrame) -> Figure:
    """What grows with the temperature: accuracy by protocol, vanished gradients, and the margin.

    `rows` have a `temperature`; metrics accuracy, zero gradients and margin.
    """
    check_columns(rows, ["temperature", "metric", "value"])
    figure, (left, right) = grid(2, 3.5, sharey=False)
    accuracy = with_shown(rows[rows["metric"] == "accuracy"])
    for word, part in accuracy.groupby("shown", sort=False):
        mean_line(left, part, "temperature", look.protocol(word), f"accuracy, {word}")
    vanished = rows[rows["metric"] == "zero gradients"]
    mean_line(left, vanished, "temperature", Look(EDGE, "p", ":"), "gradients that are 0")
    percent_axis([left])
    left.set(xlabel=quantity("temperature"), ylabel="share of the images, %")
    margin = rows[rows["metric"] == "margin"].groupby("temperature")["value"].mean()
    right.plot(margin.index, margin, label="margin", **HERE.line())
    right.axhline(
        103,
        color=EDGE,
        linewidth=1,
        linestyle="--",
        label="float32's limit, 103",
    )
    right.set(xlabel=quantity("temperature"), ylabel="median margin of logits, nats", yscale="log")
    for axis in (left, right):
        plain_numbers(axis, "y")
        logarithmic(axis, rows["temperature"].unique(), 72 * WIDTH / 2 - 60)
    legend(figure)
    return figure


def share_curves(rows: pd.DataFrame) -> Figure:
    """Accuracy against the share of filters trained, a panel an attack, a line a protocol."""
    check_columns(rows, ["share"])
    shown = rows.assign(percent=rows["share"] * 100)
    return protocol_curves(shown, "trained_on", "percent", label="filters trained, %")


def protocol_curves(
    rows: pd.DataFrame, by: str, x: str, *, label: str, log: bool = False
) -> Figure:
    """Mean accuracy over seeds against column `x`, a panel a value of `by`, a line a protocol.

    Bands span the seeds. Three panels stand in a line.
    """
    check_columns(rows, [by, x, "value"])
    rows = with_shown(rows)
    panels = list(rows[by].unique())
    figure, axes = grid(len(panels), 2.7, sharex=not log)
    across = columns_of(axes)
    for axis, panel in zip(axes, panels, strict=True):
        here = rows[rows[by] == panel]
        for word in (word for word in ORDER if word in set(here["shown"])):
            # Drawn above the others, which they may lie on.
            layer = {"zorder": 3 if word in (PAPER, "adaptive") else 2}
            part = here[here["shown"] == word]
            mean_line(axis, part, x, look.protocol(word), word, **layer)
        if log:
            logarithmic(axis, np.unique(here[x]), 72 * WIDTH / across - 30)
        else:
            axis.locator_params(axis="x", nbins=5)
        title(axis, reader_name(panel), across)
    percent_axis(axes)
    label_outer(axes, quantity(label), ACCURACY)
    legend(figure)
    return figure


def loss_curves(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean loss over seeds against a setting of an attack, a panel a setting, a line a defense.

    `panels` are rows by the name of the column that varies.
    """
    for x, rows in panels.items():
        check_columns(rows, [x, "defense", "value"])
    figure, axes = grid(len(panels), 3)
    looks = look.palette(name for rows in panels.values() for name in rows["defense"])
    for axis, (x, rows) in zip(axes, panels.items(), strict=True):
        for name, part in rows.groupby("defense", sort=False):
            means = part.groupby(x)["value"].mean()
            axis.plot(means.index, means, label=reader_name(name), **looks[name].line())
        axis.set(xlabel=quantity(x), yscale="symlog")
        axis.set_yticks([level for level in LEVELS if level <= axis.dataLim.y1])
        plain_numbers(axis, "y")
        axis.locator_params(axis="x", nbins=5)
    label_outer(axes, None, "cross-entropy under attack, nats")
    legend(figure)
    return figure
