"""Images, and tables of counts as heatmaps."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from torch import Tensor


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


def _picture(image: Tensor) -> np.ndarray:
    """[C, H, W] as matplotlib wants it."""
    return image.cpu().permute(1, 2, 0).squeeze(-1).numpy()
