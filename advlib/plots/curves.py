"""Figures against a setting: of an attack, a defense, or the epochs of a training."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from advlib.protocols import COLOURS, PAPER, with_shown
from advlib.records import check_columns
from advlib.statistics import wilson
from advlib.tables import reader_name


def training_curves(curves: pd.DataFrame) -> Figure:
    """Accuracy and loss by epoch, training and validation if there is one (`fit`'s curves)."""
    check_columns(curves, ["epoch", "accuracy", "loss"])
    figure, axes = plt.subplots(1, 2, figsize=(7.5, 2.8))
    for axis, what in zip(axes, ("accuracy", "loss"), strict=True):
        axis.plot(curves["epoch"], curves[what], "o-", label="training, while learning")
        if f"validation_{what}" in curves:
            axis.plot(curves["epoch"], curves[f"validation_{what}"], "s--", label="validation")
        axis.set(xlabel="epoch", ylabel=what)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.legend()
    return figure


def accuracy_against_eps(rows: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Accuracy under attack against eps, a panel an attack; the paper's figures as crosses."""
    for part in (rows, paper):
        check_columns(part, ["attack", "model", "eps", "value"], some=part is rows)
    attacks = list(rows["attack"].unique())
    figure, axes = plt.subplots(1, len(attacks), figsize=(7.5, 3.2), sharey=True, squeeze=False)
    models = list(rows["model"].unique())
    colours = dict(zip(models, sns.color_palette("colorblind", len(models)), strict=True))
    for axis, attack in zip(axes[0], attacks, strict=True):
        for model in models:
            here = rows[(rows["attack"] == attack) & (rows["model"] == model)]
            means = here.groupby("eps")["value"].mean() * 100
            axis.plot(means.index, means, "o-", color=colours[model], label=reader_name(model))
            told = paper[(paper["attack"] == attack) & (paper["model"] == model)]
            axis.plot(told["eps"], told["value"] * 100, "x--", color=colours[model], alpha=0.6)
        axis.set(title=reader_name(attack), xlabel="eps (pixel units)", ylim=(-3, 103))
    axes[0, 0].set_ylabel("accuracy, %")
    axes[0, 0].plot([], [], "x--", color="grey", label="paper (MNIST)")
    axes[0, 0].legend(title="network")
    return figure


def accuracy_against(panels: Mapping[str, pd.DataFrame], *, label: str = "accuracy, %") -> Figure:
    """Accuracy against a setting of an attack, a panel a setting, a line a defense.

    `panels` are rows by the name of the column that varies; bands span the seeds.
    """
    for x, rows in panels.items():
        check_columns(rows, [x, "defense", "attack", "value"])
    figure, axes = plt.subplots(1, len(panels), figsize=(7.5, 3.2), sharey=True, squeeze=False)
    for axis, (x, rows) in zip(axes[0], panels.items(), strict=True):
        sns.lineplot(
            rows.assign(percent=rows["value"] * 100), x=x, y="percent", hue="defense",
            style="defense", markers=True, dashes=False, errorbar=("pi", 100), ax=axis,
            palette="colorblind", legend=bool(axis is axes[0, 0]),
        )  # fmt: skip
        axis.set(title=", ".join(map(reader_name, rows["attack"].unique())), ylabel=label)
        axis.set_ylim(-3, 103)
        axis.xaxis.get_major_locator().set_params(nbins=5)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    axes[0, 0].get_legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def accuracy_by_count(rows: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Accuracy under attack against the number of images judged; a dot a seed, a panel an attack.

    Bars are Wilson intervals of each seed's images; the paper's figures are crosses.
    """
    check_columns(rows, ["attack", "images", "n", "value"])
    check_columns(paper, ["attack", "images", "value"], some=False)
    attacks = list(rows["attack"].unique())
    figure, axes = plt.subplots(1, len(attacks), figsize=(7.5, 3), sharey=True, squeeze=False)
    for axis, attack in zip(axes[0], attacks, strict=True):
        here = rows[rows["attack"] == attack]
        for place, (count, group) in enumerate(here.groupby("images")):
            for offset, row in enumerate(group.itertuples()):
                low, high = (100 * bound for bound in wilson(round(row.value * row.n), int(row.n)))
                x = place + 0.12 * (offset - (len(group) - 1) / 2)
                axis.plot([x, x], [low, high], color="#1f4e79", linewidth=1)
                axis.plot([x], [100 * row.value], "o", color="#1f4e79", markersize=4)
            told = paper[(paper["attack"] == attack) & (paper["images"] == count)]["value"]
            axis.plot([place] * len(told), told * 100, "x", color="#d1495b", markersize=7)
        counts = sorted(here["images"].unique())
        axis.set(title=reader_name(attack), xlabel="images judged", ylim=(-3, 103))
        axis.set_xticks(range(len(counts)), [f"{count:,.0f}" for count in counts])
    axes[0, 0].set_ylabel("accuracy, %")
    axes[0, 0].plot([], [], "x", color="#d1495b", label="paper (CIFAR-10)")
    axes[0, 0].plot([], [], "o", color="#1f4e79", label="here, one seed")
    axes[0, 0].legend(loc="best")
    return figure


def errors_against_eps(rows: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Error against eps: a panel a metric, a line a network and unit, the paper's in grey."""
    check_columns(rows, ["metric", "model", "units", "eps", "value"])
    check_columns(paper, ["metric", "model", "eps", "value"], some=False)
    metrics = list(rows["metric"].unique())
    figure, axes = plt.subplots(1, len(metrics), figsize=(7.5, 3.6), sharey=True, squeeze=False)
    models = list(dict.fromkeys(rows["model"]))
    colours = dict(zip(models, sns.color_palette("colorblind", len(models)), strict=True))
    for axis, metric in zip(axes[0], metrics, strict=True):
        for (model, units), part in rows[rows["metric"] == metric].groupby(
            ["model", "units"], sort=False
        ):
            dash = "o-" if units == "normalised" else "s:"
            means = part.groupby("eps")["value"].mean() * 100
            axis.plot(
                means.index, means, dash, color=colours[model], markersize=4,
                label=f"{reader_name(model)}, {units} units",
            )  # fmt: skip
        for (model, part), mark in zip(
            paper[paper["metric"] == metric].groupby("model", sort=False), "x+", strict=False
        ):
            axis.plot(
                part["eps"], part["value"] * 100, f"{mark}--", color="grey",
                label=f"{reader_name(model)}, paper",
            )  # fmt: skip
        axis.set(title=metric, xlabel="eps", ylim=(-3, 103))
    axes[0, 0].set_ylabel("error, %")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def masking(rows: pd.DataFrame) -> Figure:
    """What grows with the temperature: accuracy by protocol, vanished gradients, and the margin.

    `rows` have a `temperature`; metrics accuracy, zero gradients and margin.
    """
    check_columns(rows, ["temperature", "metric", "value"])
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3.2))
    accuracy = with_shown(rows[rows["metric"] == "accuracy"])
    for word, part in accuracy.groupby("shown", sort=False):
        means = part.groupby("temperature")["value"].mean() * 100
        left.plot(means.index, means, "o-", color=COLOURS[word], label=word)
    vanished = rows[rows["metric"] == "zero gradients"].groupby("temperature")["value"].mean()
    left.plot(vanished.index, vanished * 100, "k:", label="gradients that are 0")
    left.set(xlabel="temperature", ylabel="% of the images", ylim=(-3, 103))
    margin = rows[rows["metric"] == "margin"].groupby("temperature")["value"].mean()
    right.plot(margin.index, margin, "o-", color="#1f4e79")
    right.axhline(103, color="black", linewidth=1, linestyle=":")
    right.set(xlabel="temperature", ylabel="median margin of the logits", yscale="log")
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_xticks(margin.index, [f"{t:g}" for t in margin.index])
        axis.minorticks_off()
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def share_curves(rows: pd.DataFrame) -> Figure:
    """Accuracy against the share of filters trained, a panel an attack, a line a protocol."""
    check_columns(rows, ["share"])
    shown = rows.assign(percent=rows["share"] * 100)
    return protocol_curves(shown, "trained_on", "percent", label="filters trained, %")


def protocol_curves(
    rows: pd.DataFrame, by: str, x: str, *, label: str, log: bool = False
) -> Figure:
    """Mean accuracy over seeds against column `x`, a panel a value of `by`, a line a protocol."""
    check_columns(rows, [by, x, "value"])
    rows = with_shown(rows)
    panels = list(rows[by].unique())
    figure, axes = plt.subplots(1, len(panels), figsize=(7.5, 3), sharey=True, squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        for word, part in rows[rows[by] == panel].groupby("shown", sort=False):
            means = part.groupby(x)["value"].mean() * 100
            # Drawn above the others, which they may lie on.
            dash, layer = ("x--", 3) if word in (PAPER, "adaptive") else ("o-", 2)
            axis.plot(means.index, means, dash, label=word, color=COLOURS[word], zorder=layer)
        axis.set(title=reader_name(panel), xlabel=label, ylim=(-3, 103))
        if log:
            axis.set_xscale("log")
            axis.set_xticks(means.index, [f"{tick:g}" for tick in means.index], minor=False)
            axis.minorticks_off()
    axes[0, 0].set_ylabel("accuracy, %")
    lines = {line.get_label(): line for axis in axes[0] for line in axis.lines}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=4)
    return figure


def loss_curves(panels: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean loss over seeds against a setting of an attack, a panel a setting, a line a defense.

    `panels` are rows by the name of the column that varies.
    """
    for x, rows in panels.items():
        check_columns(rows, [x, "defense", "value"])
    figure, axes = plt.subplots(1, len(panels), figsize=(7.5, 3), sharey=True, squeeze=False)
    for axis, (x, rows) in zip(axes[0], panels.items(), strict=True):
        for (name, part), mark in zip(rows.groupby("defense", sort=False), "osD^", strict=False):
            means = part.groupby(x)["value"].mean()
            axis.plot(means.index, means, f"{mark}-", label=name)
        axis.set(xlabel=x, yscale="symlog")
    axes[0, 0].set_ylabel("cross-entropy under attack")
    axes[0, 0].legend()
    return figure
