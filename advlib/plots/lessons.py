"""Figures of the primer: the loss around an image, and along an attack's steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from advlib.plots import look
from advlib.plots.layout import ACCURACY, grid, legend, percent_axis, quantity
from advlib.plots.look import EDGE, SCALE
from advlib.records import check_columns
from advlib.tables import reader_name

LOSS = "loss (cross-entropy), nats"


def landscape(losses: Tensor, lead: Tensor, eps: float) -> Figure:
    """The loss around an image [P, P]: to the right FGSM's change, upwards random signs.

    `lead` [P, P] is above 0 where the guess is right; a line parts these places from the others.
    """
    figure, (axis,) = grid(1, 3.6)
    places = np.linspace(-eps, eps, len(losses))
    filled = axis.contourf(places, places, losses.numpy(), levels=12, cmap=SCALE)
    figure.colorbar(filled, ax=axis, label=LOSS)
    if lead.min() < 0 < lead.max():
        for colour, width in (("white", 4), (EDGE, 1.8)):
            axis.contour(places, places, lead.numpy(), [0], colors=colour, linewidths=width)
    handles: dict[str, Line2D] = {}
    for label, x, marker in (("the image", 0, "o"), ("FGSM's image", eps, "D")):
        (handles[label],) = axis.plot(
            x, 0, linestyle="", marker=marker, markersize=8, markerfacecolor="white",
            markeredgecolor=EDGE, clip_on=False,
        )  # fmt: skip
    handles["beyond this line the guess is wrong"] = Line2D([], [], color=EDGE, linewidth=1.8)
    axis.grid(False)
    axis.set(
        xlabel="along the gradient's signs, pixel units", ylabel="along random signs, pixel units"
    )
    legend(figure, handles)
    return figure


def along_steps(rows: pd.DataFrame) -> Figure:
    """Loss and accuracy by the steps of an attack; a level line each for one step and for none.

    `rows` have the metrics loss and accuracy, by attack, and `steps` where it takes several.
    """
    check_columns(rows, ["attack", "metric", "steps", "value"])
    figure, axes = grid(2, 2.9, sharey=False)
    looks = look.palette(["none", *rows["attack"]])
    labels = {"none": "no attack", "fgsm": "FGSM, one step of ε"}
    for axis, metric, scale in zip(axes, ("loss", "accuracy"), (1, 100), strict=True):
        here = rows[rows["metric"] == metric]
        for attack, part in here.groupby("attack", sort=False):
            label = labels.get(attack, f"{reader_name(attack)}, so many steps")
            if part["steps"].isna().all():
                level, line = scale * part["value"].mean(), looks[attack]
                dash = {"none": ":", "fgsm": "--"}.get(attack, "-")
                axis.axhline(level, color=line.colour, linestyle=dash, label=label)
            else:
                means = scale * part.groupby("steps")["value"].mean()
                axis.plot(means.index, means, label=label, **looks[attack].line())
        axis.set_xlabel(quantity("steps"))
    axes[0].set_ylabel(LOSS)
    axes[1].set_ylabel(ACCURACY)
    percent_axis(axes[1:])
    legend(figure)
    return figure
