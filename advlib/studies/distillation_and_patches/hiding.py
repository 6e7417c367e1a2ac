"""Steps of the second half: what a distilled network hides, and from whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from torch import Tensor, nn

from advlib.data import Split
from advlib.evaluation import Subject
from advlib.predictions import logits
from advlib.protocols import with_shown
from advlib.records import select
from advlib.tables import beside, named


def columns_of(subject: Subject) -> dict[str, Any]:
    """What records call the network, where nothing attacks it."""
    names = {"model": subject.model, "defense": subject.defense, "seed": subject.seed}
    return names | dict(subject.columns)


def margins(network: nn.Module, split: Split) -> Tensor:
    """How far the best logit is above the second, float32 [N]."""
    best = logits(network, split.images).topk(2).values
    return best[:, 0] - best[:, 1]


def gradient_table(margins: Tensor, gradients: Mapping[str, Tensor]) -> pd.DataFrame:
    """Gradients [N, 2] at the label's and the other logit, in digits, a line for each margin."""
    cells = {
        (name, at): [f"{value:.1e}" if value else "0" for value in column.tolist()]
        for name, gradient in gradients.items()
        for at, column in zip(("label", "other"), gradient.T, strict=True)
    }
    return pd.DataFrame(cells, index=pd.Index(margins.int().tolist(), name="margin"))


def state(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy on clean images, vanished gradients (percent) and the margin, by defense."""
    clean = rows[rows["eps"].isna()]
    wide = clean.pivot_table("value", "defense", "metric", sort=False)
    shares = 100 * wide[["accuracy", "zero gradients"]]
    return shares.set_axis(["clean accuracy, %", "gradients that are 0, %"], axis=1).assign(
        **{"median margin": wide["margin"]}
    )


def first_guess_of(network: nn.Module, views: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """The network's first guesses as captions, for each row of images."""
    return {
        name: [f"guess {guess}" for guess in logits(network, images).argmax(1).tolist()]
        for name, images in views.items()
    }


def at_radius(rows: pd.DataFrame, defenses: Sequence[str], *, eps: float) -> pd.DataFrame:
    """Accuracies of these networks under attack at one radius."""
    rows = with_shown(select(rows, table="distillation", metric="accuracy", eps=eps))
    return select(rows, defense=defenses)


def beside_autoattack(rows: pd.DataFrame, defenses: Sequence[str], *, eps: float) -> pd.DataFrame:
    """White-box PGD of these networks at one radius, and AutoAttack where it was tried, with the
    seeds that all of them have."""
    pgd = select(at_radius(rows, defenses, eps=eps), attack="pgd", shown="white-box")
    shared = set.intersection(*(set(part["seed"]) for _, part in pgd.groupby("defense")))
    return pd.concat([select(pgd, seed=sorted(shared)), rows[rows["table"].eq("AutoAttack")]])


def printed(paper: pd.DataFrame, eps: Iterable[float]) -> pd.DataFrame:
    """The paper's Tables XIII and XIV at these radii."""
    rows = select(paper, table=["XIII", "XIV"])
    return rows[rows["eps"].isin(list(eps))]


def curves(rows: pd.DataFrame, printed: pd.DataFrame) -> pd.DataFrame:
    """Accuracy under FGSM of the plain and the distilled network, the paper's rows first."""
    both = pd.concat([printed.assign(protocol="paper"), select(rows, attack="fgsm")])
    both["defense"] = both["defense"].replace({"none": "plain network"})
    return both.sort_values("defense", ascending=False, kind="stable")


def under_attack(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracies of the plain and the distilled network under attack, without the control."""
    rows = select(rows, table="distillation", metric="accuracy", defense=["none", "distilled"])
    return rows[rows["eps"].notna()]


def front(rows: pd.DataFrame, paper: pd.DataFrame, *, eps: float) -> pd.DataFrame:
    """The table of the front page: FGSM and PGD at one radius, the paper's figures beside ours."""
    here = select(under_attack(rows), attack=["fgsm", "pgd"], eps=eps)
    there = named(printed(paper, [eps]))
    return beside(named(here), there, index=["attack", "defense"], columns=[]).reset_index()
