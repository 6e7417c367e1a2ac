"""What an eps means in either unit, and the signs of a hidden gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from torch import Tensor

from advlib.audit import zero_gradients
from advlib.data import Split
from advlib.evaluation import Subject
from advlib.predictions import logits
from advlib.protocols import with_shown
from advlib.records import select


def units(rows: pd.DataFrame, eps: float) -> pd.DataFrame:
    """The same number read in either unit: what it is in pixels, in grey levels, what it does."""
    means = rows.groupby(["units", "eps"], sort=False)["value"].mean().reset_index()
    return pd.DataFrame(
        {
            f"ε = {eps:g} in": means["units"],
            "pixel units": means["eps"].map("{:.4f}".format),
            "of 255 grey levels": 255 * means["eps"],
            "accuracy under FGSM, %": 100 * means["value"],
        }
    )


def name(subject: Subject) -> dict[str, Any]:
    """A subject's columns in the records."""
    who = {"model": subject.model, "defense": subject.defense, "seed": subject.seed}
    return who | dict(subject.columns)


def masking(subject: Subject, split: Split) -> Iterator[tuple[str, float | Tensor]]:
    """On which images the float32 gradient is 0, and the median gap between the two best logits."""
    yield "zero gradients", zero_gradients(subject.network, split)
    first, second = logits(subject.network, split.images).topk(2).values.unbind(1)
    yield "margin", (first - second).median().item()


def signs(rows: pd.DataFrame, *, eps: float, widest: float) -> pd.DataFrame:
    """The signs of a hidden gradient, a line each, for every network: percent of the images."""
    rows = with_shown(rows)
    asked: dict[str, dict[str, Any]] = {
        "gradient exactly 0": {"metric": "zero gradients"},
        "right under one step (FGSM)": {"attack": "fgsm", "shown": "float32", "eps": eps},
        "right under many steps (PGD)": {"attack": "pgd", "shown": "float32", "eps": eps},
        "right under noise": {"shown": "noise"},
        "right on another network's images": {"shown": "transfer"},
        f"right under PGD at ε = {widest:g}": {"attack": "pgd", "shown": "float32", "eps": widest},
    }
    lines = {
        sign: select(rows, **wanted).groupby("defense", sort=False)["value"].mean()
        for sign, wanted in asked.items()
    }
    table = 100 * pd.DataFrame(lines).T.rename_axis("share of the images, %")
    return table.rename(columns={"none": "undefended"})
