"""Images, and tables of counts as heatmaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from advlib.plots.layout import grid, heatmap, label_outer, legend, title, wrapped
from advlib.plots.look import PALETTE, SMALLEST, WIDTH
from advlib.tables import reader_name

WIDE = 22  # points of a cell with a number in it


def confusions(tables: Mapping[str, Tensor], classes: Sequence[str]) -> Figure:
    """Confusion matrices [K, K] of counts as heatmaps in rows of three, each row in percent."""
    figure, axes = grid(len(tables), 2.5, sharex=True)
    for axis, (name, table) in zip(axes, tables.items(), strict=True):
        mesh = heatmap(axis, _shares(table), classes, classes)
        axis.set_aspect("equal")
        title(axis, name, min(3, len(tables)), taken=110)
    label_outer(axes, "first guess", "true class")
    figure.colorbar(mesh, ax=axes, label="of the true class, %", aspect=40, shrink=0.6)
    return figure


def class_pairs(tables: Mapping[str, pd.DataFrame], classes: Sequence[str]) -> Figure:
    """Heatmaps of a success rate (0 to 1) by source class (rows) and target class (columns)."""
    figure, axes = grid(len(tables), 4.2, sharex=True)
    room = (72 * WIDTH - 120) / min(3, len(tables)) / len(classes)
    for axis, (name, table) in zip(axes, tables.items(), strict=True):
        percent = table.to_numpy(float) * 100
        mesh = heatmap(axis, percent, classes, classes, numbers=room > WIDE)
        axis.set_aspect("equal")
        title(axis, name, min(3, len(tables)), taken=110)
    label_outer(axes, "target class", "source class")
    figure.colorbar(mesh, ax=axes, label="reached the target, %", aspect=30, shrink=0.7)
    return figure


def transfer(tables: Mapping[str, pd.DataFrame], *, label: str = "accuracy, %") -> Figure:
    """Heatmaps of a rate (0 to 1): rows are the networks crafted on, columns those shown to.

    `label` says what the rate is of.
    """
    rows = max(len(table) for table in tables.values())
    figure, axes = grid(len(tables), 1.9 + 0.35 * rows)
    for axis, (name, table) in zip(axes, tables.items(), strict=True):
        crafted, shown = ([reader_name(key) for key in keys] for keys in (table.index, table))
        columns = [wrapped(name, 300 / len(tables) / len(shown)) for name in shown]
        mesh = heatmap(axis, table.to_numpy(float) * 100, crafted, columns, numbers=True)
        title(axis, name, min(3, len(tables)), taken=150)
    label_outer(axes, "shown to", "crafted on")
    figure.colorbar(mesh, ax=axes, label=label)
    return figure


def matrix(table: pd.DataFrame, *, label: str = "accuracy, %") -> Figure:
    """Rates (0 to 1) as a heatmap with numbers: a row a defense, a column an attack."""
    figure, (axis,) = grid(1, 1.6 + 0.3 * len(table))
    rows = [reader_name(key) for key in table.index]
    mesh = heatmap(axis, table.to_numpy(float) * 100, rows, [*table.columns], numbers=True)
    label_outer([axis], "attack, protocol", "defense")
    figure.colorbar(mesh, ax=axis, label=label)
    return figure


def filter_counts(counts: Mapping[str, Tensor], classes: Sequence[str]) -> Figure:
    """How often each filter is among the most moved, by class: a heatmap a convolution.

    `counts` are `top_counts` [classes, filters] by convolution.
    """
    figure, axes = grid(len(counts), 2.5, columns=1, sharey=False)
    for number, (axis, table) in enumerate(zip(axes, counts.values(), strict=True), 1):
        mesh = heatmap(axis, _shares(table), classes, [], most=None)
        step = max(1, table.shape[1] // 16)
        filters = np.arange(0, table.shape[1], step)
        axis.set_xticks(filters + 0.5, map(str, filters))
        axis.set(
            title=f"convolution {number}", xlabel="filter, number", ylabel="class of the image"
        )
        figure.colorbar(mesh, ax=axis, label="of the class's picks, %")
    return figure


def histogram(counts: Tensor, chosen: Tensor, title: str) -> Figure:
    """How often each filter was picked, the finally chosen ones in blue (paper's Fig. 4)."""
    figure, (axis,) = grid(1, 2.6)
    kept = np.isin(np.arange(len(counts)), chosen.cpu().numpy())
    for of, colour, label in ((kept, 1, "dominant"), (~kept, 5, "others")):
        bars = np.flatnonzero(of)
        axis.bar(bars, counts.numpy()[bars], color=PALETTE[colour], label=label)
        none = bars[counts.numpy()[bars] == 0]
        if len(none):
            axis.plot(none, 0 * none, "|", color=PALETTE[colour], markersize=7, clip_on=False)
    axis.set(title=title, xlabel="filter, number", ylabel="times in the top, count")
    axis.set_xlim(-0.7, len(counts) - 0.3)
    axis.grid(axis="x", visible=False)
    legend(figure)
    return figure


def examples(images: Mapping[str, Tensor], captions: Mapping[str, Sequence[str]]) -> Figure:
    """Rows of images [N, C, H, W] in [0, 1], each row under its name, with a caption an image."""
    count = min(len(row) for row in images.values())
    side = min(1.9, (WIDTH - 0.4) / count)
    texts = {
        name: [wrapped(text, 72 * side - 6) for text in captions[name][:count]] for name in images
    }
    lines = [max(text.count("\n") + 1 if text else 0 for text in row) for row in texts.values()]
    heights = [side + 0.05 + 0.16 * most for most in lines]
    figure, axes = plt.subplots(
        len(images), count, figsize=(side * count + 0.4, sum(heights)), squeeze=False,
        gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for line, (name, row) in zip(axes, images.items(), strict=True):
        for axis, image, caption in zip(line, row, texts[name], strict=False):
            axis.imshow(_picture(image), cmap="gray", vmin=0, vmax=1)
            axis.set_title(caption, size=SMALLEST, pad=2)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(wrapped(reader_name(name), 72 * side), size=SMALLEST)
    return figure


def guesses(
    images: Tensor, told: Sequence[Sequence[tuple[str, float]]], titles: Sequence[str]
) -> Figure:
    """Images [N, C, H, W] in [0, 1], two a line, each with its likeliest classes as bars.

    `told` holds the classes' names and probabilities of each image, the likeliest first.
    """
    lines = -(-len(images) // 2)
    figure, axes = plt.subplots(
        lines, 4, figsize=(WIDTH, 1.75 * lines), squeeze=False,
        gridspec_kw={"width_ratios": [1, 1.2, 1, 1.2]},
    )  # fmt: skip
    for axis in axes.flat[2 * len(images) :]:
        axis.remove()
    pairs = zip(axes.reshape(-1, 2), images, told, titles, strict=False)
    for place, ((left, right), image, classes, name) in enumerate(pairs):
        left.imshow(_picture(image), cmap="gray", vmin=0, vmax=1)
        left.set(xticks=[], yticks=[])
        left.set_title(wrapped(name, 110), size=SMALLEST)
        names, shares = zip(*classes, strict=True)
        right.barh(range(len(names)), [100 * share for share in shares], color="#c3d4f5")
        right.set_yticks([])
        for rank, text in enumerate(names):
            right.text(2, rank, text, va="center", size=SMALLEST)
        right.invert_yaxis()
        right.set(xlim=(0, 100), ylabel="guesses")
        if place + 2 < len(images):
            right.tick_params(labelbottom=False)
        else:  # the lowest of its column
            right.set_xlabel("probability, %")
    return figure


def _shares(table: Tensor) -> np.ndarray:
    """Each row of counts [K, L] in percent of the row."""
    return (table.double() / table.sum(1, keepdim=True).clamp(min=1) * 100).numpy()


def _picture(image: Tensor) -> np.ndarray:
    """[C, H, W] as matplotlib wants it."""
    return image.cpu().permute(1, 2, 0).squeeze(-1).numpy()
