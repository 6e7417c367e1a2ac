"""What findings.md uses beside a run's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from advlib.attacks import Attack, named
from advlib.statistics import at_chance
from advlib.studies.patch_augmentation.paper import Paper, beside, minutes
from advlib.studies.patch_augmentation.rows import nearest
from advlib.studies.patch_augmentation.steps import strongest
from advlib.tables import reader_name

if TYPE_CHECKING:
    from advlib.data import Dataset
    from advlib.studies.patch_augmentation import Settings


def values(
    rows: pd.DataFrame,
    settings: Settings,
    paper: Paper,
    strong: Attack,
    *,
    images: Dataset,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The names that findings.md uses beside the parameters and the rows.

    Args:
        strong: the PGD that the sentences are about.
        images: the data; whether it trains on the classes that are attacked is among the values.
        seconds: of a training step, "plain" and "PGD-AT".
    """
    first = settings.models[0]
    guessing = guessing_defenses(rows, len(images.classes))
    summary, chance = nearest(rows[rows["table"] == paper.table], paper, settings.variants)
    reported = paper.main[paper.main["model"].eq(first) & paper.main["attack"].eq(strong.name)]
    learned, shown = (
        set(labels.tolist())
        for labels in (images.train.labels, images.test.first(settings.attacked_images).labels)
    )
    dearer = seconds["PGD-AT"] / seconds["plain"]
    both = settings.epochs + 2 * settings.tune_epochs
    data = reader_name(paper.main["dataset"].iloc[0])
    return {
        "first": first,
        "table": paper.table,
        "data": data,
        "strong": strong.name,
        "radius": strong.eps,
        "reported": dict(zip(reported["defense"], reported["value"], strict=True)),
        "guessing": guessing,
        "classes": len(images.classes),
        "trained": [
            name
            for name in settings.others
            if (name.endswith("AT") or name == "AFT") and name not in guessing
        ],
        "apart": not learned & shown,
        "near": list(summary.index),
        "figures": int(summary["figures"].iloc[0]),
        "off": float(summary["root mean square"].iloc[0]),
        "chance": chance,
        "dearer": dearer,
        "times": None if settings.weights[0] else dearer * settings.epochs / both,
        "reported_times": minutes(paper.all).loc[data]["ratio"].to_dict(),
    }


def guessing_defenses(rows: pd.DataFrame, classes: int) -> list[str]:
    """The compared defenses whose network may as well be guessing on clean images."""
    return at_chance(rows[rows["table"] == "5"], classes)


def for_summary(settings: Settings) -> dict[str, Any]:
    """The names that summary.md uses beside the parameters and the rows."""
    paper = beside(settings)
    attacks = named.settings(settings.attack_set, settings.attack_steps)
    strong = strongest(attacks, settings.autoattack_eps)
    first = settings.models[0]
    reported = paper.main[
        paper.main["model"].eq(first)
        & paper.main["attack"].eq(strong.name)
        & paper.main["defense"].eq(settings.variant)
    ]["value"]
    return {
        "first": first,
        "table": paper.table,
        "strong": strong.name,
        "radius": strong.eps,
        "reported": None if reported.empty else float(reported.iloc[0]),
    }
