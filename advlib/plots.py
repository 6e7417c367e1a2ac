"""The book's figures and the look of its tables.

A figure's function takes rows or tensors and returns a matplotlib figure.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler
from torch import Tensor

from advlib.evaluation import wilson

NAMES = {
    "shallow_cnn": "shallow", "base_cnn": "base", "dense_cnn": "dense",
    "fgsm": "FGSM", "ifgsm": "IFGSM", "pgd": "PGD", "jsma": "JSMA",
    "adversarial": "adv. only", "benign+adversarial": "benign + adv.",
}  # fmt: skip
# Colours that differ in lightness too; the same protocol has the same colour everywhere.
PROTOCOL_COLOURS = {
    "clean": "#9aa5b1", "static": "#e3a008", "float32": "#8e6bb0", "clipped": "#4f9d69",
    "white-box": "#1f4e79", "adaptive": "#2a9d9d", "autoattack": "#7a1f3d", "paper": "#c0392b",
}  # fmt: skip


def named(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the names that a reader knows in place of the keys, for tables."""
    rows = rows.copy()
    for column in rows.columns.intersection(["model", "attack", "trained_on", "mix", "defense"]):
        rows[column] = rows[column].map(lambda key: NAMES.get(key, key))
    for column in rows.columns.intersection(["eps", "share"]):
        rows[column] = rows[column].map("{:g}".format, na_action="ignore")
    return rows


def style() -> None:
    """Set the look of all figures: small files, readable on a page of 700 pixels."""
    sns.set_theme(style="whitegrid", context="notebook", font_scale=0.85)
    plt.rcParams.update(
        {"figure.dpi": 100, "savefig.dpi": 100, "figure.constrained_layout.use": True}
    )


def table(frame: pd.DataFrame | Styler, *, small: bool = False) -> Styler:
    """The frame in the look of the pages' tables, which a Styler does not have by itself."""
    styler = frame.style if isinstance(frame, pd.DataFrame) else frame
    size = ' style="font-size: 80%"' if small else ""
    return styler.set_table_attributes(f'class="dataframe"{size}')


def training_curves(curves: pd.DataFrame) -> Figure:
    """Accuracy and loss by epoch, training and validation if there is one (`fit`'s curves)."""
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
    attacks = list(rows["attack"].unique())
    figure, axes = plt.subplots(1, len(attacks), figsize=(7.5, 3.2), sharey=True, squeeze=False)
    models = list(rows["model"].unique())
    colours = dict(zip(models, sns.color_palette("colorblind", len(models)), strict=True))
    for axis, attack in zip(axes[0], attacks, strict=True):
        for model in models:
            here = rows[(rows["attack"] == attack) & (rows["model"] == model)]
            means = here.groupby("eps")["value"].mean() * 100
            axis.plot(means.index, means, "o-", color=colours[model], label=_name(model))
            told = paper[(paper["attack"] == attack) & (paper["model"] == model)]
            axis.plot(told["eps"], told["value"] * 100, "x--", color=colours[model], alpha=0.6)
        axis.set(title=_name(attack), xlabel="eps (pixel units)", ylim=(-3, 103))
    axes[0, 0].set_ylabel("accuracy, %")
    axes[0, 0].plot([], [], "x--", color="grey", label="paper (MNIST)")
    axes[0, 0].legend(title="network")
    return figure


def accuracy_against(panels: Mapping[str, pd.DataFrame], *, label: str = "accuracy, %") -> Figure:
    """Accuracy against a setting of an attack, a panel a setting, a line a defense.

    `panels` are rows by the name of the column that varies; bands span the seeds.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(7.5, 3.2), sharey=True, squeeze=False)
    for axis, (x, rows) in zip(axes[0], panels.items(), strict=True):
        sns.lineplot(
            rows.assign(percent=rows["value"] * 100), x=x, y="percent", hue="defense",
            style="defense", markers=True, dashes=False, errorbar=("pi", 100), ax=axis,
            palette="colorblind", legend=bool(axis is axes[0, 0]),
        )  # fmt: skip
        axis.set(title=", ".join(map(_name, rows["attack"].unique())), ylabel=label)
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
        axis.set(title=_name(attack), xlabel="images judged", ylim=(-3, 103))
        axis.set_xticks(range(len(counts)), [f"{count:,.0f}" for count in counts])
    axes[0, 0].set_ylabel("accuracy, %")
    axes[0, 0].plot([], [], "x", color="#d1495b", label="paper (CIFAR-10)")
    axes[0, 0].plot([], [], "o", color="#1f4e79", label="here, one seed")
    axes[0, 0].legend(loc="best")
    return figure


def confusions(tables: Mapping[str, Tensor], classes: Sequence[str]) -> Figure:
    """Confusion matrices [K, K] of counts as heatmaps in rows of three, each row in percent."""
    lines = -(-len(tables) // 3)
    figure, axes = plt.subplots(lines, 3, figsize=(7.5, 2.9 * lines), squeeze=False, sharey=True)
    for axis in axes.flat[len(tables) :]:
        axis.set_axis_off()
    for axis, (title, table) in zip(axes.flat, tables.items(), strict=False):
        shares = (table.double() / table.sum(1, keepdim=True).clamp(min=1) * 100).numpy()
        said = [[f"{share:.0f}" if share >= 0.5 else "" for share in row] for row in shares]
        sns.heatmap(
            shares, ax=axis, annot=said, fmt="", vmin=0, vmax=100, cmap="rocket_r",
            cbar=False, square=True, annot_kws={"size": 5}, xticklabels=classes,
            yticklabels=classes,
        )  # fmt: skip
        axis.set_title(title, size=8)
        axis.tick_params(labelsize=6)
        axis.tick_params(axis="y", rotation=0)
    for axis in axes[:, 0]:
        axis.set_ylabel("true class", size=7)
    for axis in axes[-1]:
        axis.set_xlabel("first guess", size=7)
    return figure


def class_pairs(tables: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> Figure:
    """Heatmaps of a success rate (0 to 1) by source class (rows) and target class (columns)."""
    figure, axes = plt.subplots(1, len(tables), figsize=(7.5, 3.9), squeeze=False, sharey=True)
    for axis, (title, table) in zip(axes[0], tables.items(), strict=True):
        sns.heatmap(
            table * 100, ax=axis, annot=True, fmt=".0f", vmin=0, vmax=100, cmap="rocket_r",
            cbar=False, square=True, annot_kws={"size": 7},
            xticklabels=classes, yticklabels=classes,
        )  # fmt: skip
        axis.set(title=title, xlabel="target class", ylabel="")
        axis.tick_params(axis="y", rotation=0)
    axes[0, 0].set_ylabel("source class")
    return figure


def transfer(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Heatmaps of an accuracy (0 to 1): rows are where images were made, columns who is shown."""
    figure, axes = plt.subplots(1, len(tables), figsize=(7.5, 3.2), squeeze=False, sharey=True)
    for axis, (title, table) in zip(axes[0], tables.items(), strict=True):
        sns.heatmap(
            table * 100, ax=axis, annot=True, fmt=".0f", vmin=0, vmax=100, cmap="rocket",
            cbar=False, annot_kws={"size": 9},
        )  # fmt: skip
        axis.set(title=title, xlabel="shown to", ylabel="")
        axis.tick_params(axis="y", rotation=0)
    axes[0, 0].set_ylabel("made against")
    return figure


def filter_counts(counts: Mapping[str, Tensor], classes: Sequence[str]) -> Figure:
    """How often each filter is among the most moved, by class: a heatmap a convolution.

    `counts` are `top_counts` [classes, filters] by convolution.
    """
    figure, axes = plt.subplots(len(counts), 1, figsize=(7.5, 2.3 * len(counts)), squeeze=False)
    for number, (axis, table) in enumerate(zip(axes[:, 0], counts.values(), strict=True), 1):
        shares = table.double() / table.sum(1, keepdim=True).clamp(min=1) * 100
        sns.heatmap(
            shares.numpy(), ax=axis, cmap="rocket_r", vmin=0, yticklabels=classes,
            cbar_kws={"label": "% of the class's picks"},
        )  # fmt: skip
        axis.set(title=f"convolution {number}", xlabel="filter", ylabel="class of the image")
        axis.tick_params(axis="y", rotation=0)
    return figure


def histogram(counts: Tensor, chosen: Tensor, title: str) -> Figure:
    """How often each filter was picked, the finally chosen ones in colour (paper's Fig. 4)."""
    figure, axis = plt.subplots(figsize=(7.5, 2.4))
    colours = ["#1f4e79" if f in set(chosen.tolist()) else "#c3ccd6" for f in range(len(counts))]
    axis.bar(range(len(counts)), counts.numpy(), color=colours)
    axis.set(title=title, xlabel="filter", ylabel="times in the top")
    axis.set_xlim(-0.7, len(counts) - 0.3)
    return figure


def examples(images: Mapping[str, Tensor], captions: Mapping[str, Sequence[str]]) -> Figure:
    """Rows of images [N, C, H, W] in [0, 1], each row under its name, with a caption an image."""
    count = min(len(row) for row in images.values())
    width = min(7.5, 1.9 * count)
    height = width / count * (1.3 if any(itertools.chain(*captions.values())) else 1.03)
    figure, axes = plt.subplots(
        len(images), count, figsize=(width, height * len(images)), squeeze=False
    )
    for line, (name, row) in zip(axes, images.items(), strict=True):
        for axis, image, caption in zip(line, row, captions[name], strict=False):
            axis.imshow(_picture(image), cmap="gray", vmin=0, vmax=1)
            axis.set_title(caption, size=7, pad=2)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, size=8)
    return figure


def guesses(
    images: Tensor, told: Sequence[Sequence[tuple[str, float]]], titles: Sequence[str]
) -> Figure:
    """Images [N, C, H, W] in [0, 1], two a line, each with its likeliest classes as bars.

    `told` holds the classes' names and probabilities of each image, the likeliest first.
    """
    lines = -(-len(images) // 2)
    figure, axes = plt.subplots(
        lines, 4, figsize=(7.5, 1.75 * lines), squeeze=False,
        gridspec_kw={"width_ratios": [1, 1.1, 1, 1.1]},
    )  # fmt: skip
    for axis in axes.flat[2 * len(images) :]:
        axis.set_axis_off()
    pairs = axes.reshape(-1, 2)
    for (left, right), image, classes, title in zip(pairs, images, told, titles, strict=False):
        left.imshow(_picture(image), cmap="gray", vmin=0, vmax=1)
        left.set(xticks=[], yticks=[])
        left.set_title(title, size=8)
        names, shares = zip(*classes, strict=True)
        right.barh(range(len(names)), [100 * share for share in shares], color="#a9c7e4")
        right.set_yticks([])
        for place, name in enumerate(names):
            right.text(2, place, name, va="center", size=7)
        right.invert_yaxis()
        right.set_xlim(0, 100)
        right.tick_params(labelsize=6)
    for axis in axes[-1, 1::2]:
        axis.set_xlabel("probability, %", size=7)
    return figure


def errors_against_eps(rows: pd.DataFrame, paper: pd.DataFrame) -> Figure:
    """Error against eps: a panel a metric, a line a network and unit, the paper's in grey."""
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
                label=f"{_name(model)}, {units} units",
            )  # fmt: skip
        for (model, part), mark in zip(
            paper[paper["metric"] == metric].groupby("model", sort=False), "x+", strict=False
        ):
            axis.plot(
                part["eps"], part["value"] * 100, f"{mark}--", color="grey",
                label=f"{_name(model)}, paper",
            )  # fmt: skip
        axis.set(title=metric, xlabel="eps", ylim=(-3, 103))
    axes[0, 0].set_ylabel("error, %")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def masking(rows: pd.DataFrame) -> Figure:
    """What grows with the temperature: accuracy by protocol, vanished gradients, and the margin.

    `rows` have a `temperature`; metrics accuracy, zero gradients and margin.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3.2))
    for protocol, part in rows[rows["metric"] == "accuracy"].groupby("protocol", sort=False):
        means = part.groupby("temperature")["value"].mean() * 100
        left.plot(means.index, means, "o-", color=PROTOCOL_COLOURS[protocol], label=protocol)
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


def protocols(rows: pd.DataFrame, by: str, *, order: Sequence[str] | None = None) -> Figure:
    """Accuracy of each defense as bars, one colour a protocol, a panel a network.

    `by` is the column with the defense's label; whiskers span the seeds. More than four panels
    stand in two lines.
    """
    models = list(rows["model"].unique())
    lines = 1 if len(models) <= 4 else 2
    height = lines * max(3.4, 1.2 + 0.22 * rows[by].nunique())
    figure, axes = plt.subplots(
        lines, -(-len(models) // lines), figsize=(7.5, height), sharey=True, squeeze=False
    )
    for axis in axes.flat[len(models) :]:
        axis.set_axis_off()
    shown = rows.assign(percent=rows["value"] * 100)
    for axis, model in zip(axes.flat, models, strict=False):
        sns.barplot(
            shown[shown["model"] == model], y=by, x="percent", hue="protocol", ax=axis,
            order=order, hue_order=[p for p in PROTOCOL_COLOURS if p in set(rows["protocol"])],
            palette=PROTOCOL_COLOURS, errorbar=("pi", 100), err_kws={"linewidth": 1},
            legend=bool(model == models[0]), linewidth=1.5,
        )  # fmt: skip
        for bar in axis.patches:
            bar.set_edgecolor(bar.get_facecolor())  # a line where nothing is left
        axis.set(title=_name(model), xlabel="accuracy, %", ylabel="", xlim=(-1, 103))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    axes[0, 0].get_legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, title="shown")
    return figure


def share_curves(rows: pd.DataFrame) -> Figure:
    """Accuracy against the share of filters trained, a panel an attack, a line a protocol."""
    shown = rows.assign(percent=rows["share"] * 100)
    return protocol_curves(shown, "trained_on", "percent", label="filters trained, %")


def protocol_curves(
    rows: pd.DataFrame, by: str, x: str, *, label: str, log: bool = False
) -> Figure:
    """Mean accuracy over seeds against column `x`, a panel a value of `by`, a line a protocol."""
    panels = list(rows[by].unique())
    figure, axes = plt.subplots(1, len(panels), figsize=(7.5, 3), sharey=True, squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        for protocol, part in rows[rows[by] == panel].groupby("protocol", sort=False):
            means = part.groupby(x)["value"].mean() * 100
            # Drawn above the others, which they may lie on.
            dash, layer = ("x--", 3) if protocol in ("paper", "adaptive") else ("o-", 2)
            colour = PROTOCOL_COLOURS[protocol]
            axis.plot(means.index, means, dash, label=protocol, color=colour, zorder=layer)
        axis.set(title=_name(panel), xlabel=label, ylim=(-3, 103))
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
    figure, axes = plt.subplots(1, len(panels), figsize=(7.5, 3), sharey=True, squeeze=False)
    for axis, (x, rows) in zip(axes[0], panels.items(), strict=True):
        for (name, part), mark in zip(rows.groupby("defense", sort=False), "osD^", strict=False):
            means = part.groupby(x)["value"].mean()
            axis.plot(means.index, means, f"{mark}-", label=name)
        axis.set(xlabel=x, yscale="symlog")
    axes[0, 0].set_ylabel("cross-entropy under attack")
    axes[0, 0].legend()
    return figure


def accuracy_against_cost(rows: pd.DataFrame, *, x: str, label: str) -> Figure:
    """Accuracy against what a defense costs (column `x`), a panel a protocol, a mark a defense."""
    panels = [p for p in PROTOCOL_COLOURS if p in set(rows["protocol"])]
    defenses = list(dict.fromkeys(rows["defense"]))
    marks = dict(zip(defenses, itertools.cycle("oXsPD^v<>"), strict=False))
    figure, axes = plt.subplots(
        1, len(panels), figsize=(7.5, 3.9), sharex=True, sharey=True, squeeze=False
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        means = rows[rows["protocol"] == panel].assign(percent=rows["value"] * 100)
        means = means.groupby(["defense", x], sort=False)["percent"].mean().reset_index()
        sns.scatterplot(
            means, x=x, y="percent", hue="defense", style="defense", hue_order=defenses,
            style_order=defenses, markers=marks, palette=sns.color_palette("husl", len(defenses)),
            s=70, ax=axis, legend="full", edgecolor="#333333", alpha=0.9,
        )  # fmt: skip
        axis.set(title=panel, xlabel=label, ylabel="accuracy, %", ylim=(-4, 104))
        handles, labels = axis.get_legend_handles_labels()
        axis.get_legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def costs(timings: pd.DataFrame) -> Figure:
    """Time of a training step relative to the whole network's, beside the parameters trained."""
    figure, axis = plt.subplots(figsize=(7.5, 2.6))
    table = timings.melt("model", ["step time", "parameters trained"], value_name="percent")
    table["model"] = table["model"].map(_name)
    sns.barplot(
        table, y="model", x="percent", hue="variable", ax=axis, palette=["#1f4e79", "#c3ccd6"]
    )
    axis.axvline(100, color="black", linewidth=1)
    axis.set(xlabel="% of training the whole network", ylabel="", xlim=(0, 118))
    for bars in axis.containers:
        axis.bar_label(bars, fmt="%.0f", padding=2, size=8)
    axis.legend(title="", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _picture(image: Tensor) -> np.ndarray:
    """[C, H, W] as matplotlib wants it."""
    return image.cpu().permute(1, 2, 0).squeeze(-1).numpy()


def _name(key: str) -> str:
    return NAMES.get(key, key)
