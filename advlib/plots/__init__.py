"""The book's figures: a function takes rows or tensors and returns a matplotlib figure."""

from __future__ import annotations

import matplotlib.pyplot as plt

from advlib.plots.bars import accuracy_against_cost, costs, gains, protocols
from advlib.plots.curves import (
    accuracy_against,
    accuracy_against_eps,
    accuracy_by_count,
    errors_against_eps,
    loss_curves,
    masking,
    protocol_curves,
    share_curves,
    training_curves,
)
from advlib.plots.lessons import along_steps, landscape
from advlib.plots.look import palette, style
from advlib.plots.pictures import (
    class_pairs,
    confusions,
    examples,
    filter_counts,
    guesses,
    histogram,
    matrix,
    transfer,
)

__all__ = [
    "accuracy_against", "accuracy_against_cost", "accuracy_against_eps", "accuracy_by_count",
    "along_steps", "class_pairs", "confusions", "costs", "errors_against_eps", "examples",
    "filter_counts", "gains", "guesses", "histogram", "landscape", "loss_curves", "masking",
    "matrix", "palette", "plt", "protocol_curves", "protocols", "share_curves", "style",
    "training_curves", "transfer",
]  # fmt: skip
