"""The worst case: an image counts as right where no attack in the ball turned it."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from advlib.attacks import Attack, autoattack, craft
from advlib.attacks.autoattack import FEWEST_CLASSES
from advlib.data import Split
from advlib.evaluation import Subject
from advlib.predictions import correct, logits
from advlib.records import Run

WORST = "worst case"  # the attack's name in records


def of_subject(run: Run, subject: Subject) -> pd.DataFrame:
    """The subject's rows in the run: those of its model, defense and seed."""
    rows = run.rows
    own = rows["model"].eq(subject.model) & rows["defense"].eq(subject.defense)
    if "seed" in rows:
        seed = rows["seed"]
        own &= seed.isna() if subject.seed is None else seed.eq(subject.seed)
    return rows[own]


def worst_cases(
    run: Run, table: str, subject: Subject, split: Split, *, eps: float, autoattacked: bool = True
) -> str:
    """Add a row `WORST` for each protocol under which the table has the subject at this radius.

    An image is right where it is so without an attack and under each one of the protocol; under
    `white-box` no image of another protocol may turn it, either, and AutoAttack gets what is left.
    An attack with another radius, or without one, has no part in it.

    Args:
        run: holds the outcomes of the attacks on `split`, and of no attack.
        eps: radius of the L-inf ball in pixel units.
        autoattacked: whether AutoAttack, up to 10,000 passes an image, is run.

    Returns:
        Why AutoAttack was not run, or "" if it was.
    """
    rows, outcomes = of_subject(run, subject), run.outcomes
    rows = rows[rows["table"].eq(table) & rows["metric"].eq("accuracy")]
    unharmed = rows[rows["protocol"].eq("clean")]
    clean = torch.from_numpy(outcomes[unharmed.index[0]])
    own = rows[rows["eps"].eq(eps)]
    missing = ""
    for protocol in own["protocol"].drop_duplicates():
        tried = own if protocol == "white-box" else own[own["protocol"].eq(protocol)]
        right = clean
        for row in tried.index:
            right = right & torch.from_numpy(outcomes[row])
        if protocol == "white-box":
            missing = _without(subject, split, autoattacked)
            if not missing and right.any():
                right = _autoattacked(subject, split, right, eps)
        run.add(
            table, "accuracy", right, model=subject.model, defense=subject.defense,
            seed=subject.seed, attack=WORST, eps=eps, protocol=protocol,
            split=own["split"].iloc[0], **subject.columns,
        )  # fmt: skip
    return missing


def _without(subject: Subject, split: Split, autoattacked: bool) -> str:
    """Why AutoAttack cannot be run, or is not to be."""
    if not autoattacked:
        return "AutoAttack was not run"
    classes = logits(subject.network, split.images[:1]).shape[1]
    if classes < FEWEST_CLASSES:
        return f"AutoAttack needs {FEWEST_CLASSES} classes, the network has {classes}"
    return ""


def _autoattacked(subject: Subject, split: Split, right: Tensor, eps: float) -> Tensor:
    """Which images that were right are so after AutoAttack, too."""
    some = Split(*(part[right.to(part.device)] for part in split))
    attack = Attack("AutoAttack", autoattack, eps=eps)
    shown = craft(subject.network, some, attack, seed=subject.seed or 0)
    return right.masked_scatter(right, correct(subject.network, shown))
