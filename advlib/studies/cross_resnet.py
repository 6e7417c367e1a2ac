"""Paper 003: one ResNet's images harden the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from advlib import networks
from advlib.attacks import Attack, craft
from advlib.checks import check_choice
from advlib.data import Dataset, Head, Split, pixels
from advlib.evaluation import Subject, evaluate
from advlib.predictions import logits
from advlib.records import select
from advlib.studies import rules, settings
from advlib.studies.settings import (
    Count,
    CountOrNone,
    DatasetName,
    Eps,
    Fraction,
    NetworkName,
    Rate,
    Seed,
    Size,
    Some,
    Width,
    checked,
)
from advlib.tables import reader_name

PAPER_SETS = ("mnist", "cifar10", "cats_vs_dogs")
PaperSet = Annotated[str, checked(lambda value: check_choice("paper_set", value, PAPER_SETS))]
# Whom the images are crafted on: the three readings of the paper, as the column `made_on` has them.
READINGS = ("the source", "its own base", "itself")


class Settings(settings.Settings):
    """The parameters; units and quick defaults are in the notebook."""

    study = "cross_resnet"
    scale = (
        "dataset", "size", "train_images", "attacked_images", "autoattack_images", "models",
        "width", "epochs", "epss", "seeds",
    )  # fmt: skip

    dataset: DatasetName
    label: str
    paper_set: PaperSet
    size: Size
    train_images: CountOrNone
    validation: Fraction
    models: Some[NetworkName]
    width: Width
    other_source: NetworkName
    other_lr: Rate
    epochs: Count
    patience: Count
    batch_size: Count
    lr: Rate
    epss: Some[Eps]
    eps_curve: Some[Eps]
    steps: Count
    flip: bool
    attacked_images: CountOrNone
    autoattack_images: CountOrNone
    seeds: Some[Seed]

    def check_data(self, heads: Mapping[str, Head]) -> None:
        known = heads["dataset"]
        rules.training_images(known, self.train_images, validation=self.validation)
        rules.attacked_images(self.attacked_images, self.autoattack_images, known, known.test)
        size, images = self.size, known.train + known.test
        rules.takes("models", self.models, known, size=size, width=self.width, images=images)
        rules.takes("other_source", [self.other_source], known, size=size, images=images)


def clean_gains(paper: pd.DataFrame) -> pd.DataFrame:
    """What retraining changes in the paper's Table 1, in points: a line a data set."""
    clean = select(paper, table="1")
    means = clean.groupby(["dataset", "model", "defense"], sort=False)["value"].mean()
    gains = means.mul(100).unstack("defense").eval("proposed - none").unstack("model")
    gains = gains.loc[list(clean["dataset"].unique()), list(clean["model"].unique())]
    gains["mean"] = gains.mean(axis=1)
    return gains.rename(index=reader_name, columns=reader_name)


def parameter_counts(images: Dataset, models: Sequence[str], *, width: int) -> pd.DataFrame:
    """How many parameters each network for these images has: a line a network."""
    counts = [
        sum(p.numel() for p in networks.build_for(images, name, width=width).parameters())
        for name in models
    ]
    return pd.DataFrame(
        {"network": map(reader_name, models), "parameters": map("{:,}".format, counts)}
    )


def pictures(
    network: nn.Module, splits: Mapping[str, Split], classes: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """The images of each split on the CPU, and under each what the network takes it for."""
    images = {name: pixels(split.images).cpu() for name, split in splits.items()}
    guesses = {name: logits(network, split.images).argmax(1) for name, split in splits.items()}
    return images, {name: [classes[g] for g in found] for name, found in guesses.items()}


def crafted_on(bases: Mapping[int, nn.Module], subjects: Iterable[Subject]) -> list[Subject]:
    """The subjects with another network to craft `static` images on: that of their seed."""
    return [dataclasses.replace(s, undefended=bases[s.seed]) for s in subjects]  # type: ignore[index]


def right_by_all(subjects: Sequence[Subject], split: Split) -> Tensor:
    """Boolean [N], on the CPU: every one of these networks gets the image right."""
    clean = evaluate(subjects, split, protocols=["clean"])
    return torch.stack([outcome.right for outcome in clean]).all(0)


def largest_change(network: nn.Module, split: Split, attack: Attack, *, seed: int) -> float:
    """How far the attack moves any pixel of the split, in pixel units."""
    moved = craft(network, split, attack, seed=seed).images
    return (moved.cpu() - pixels(split.images).cpu()).abs().max().item()


def readings(rows: pd.DataFrame, source: str) -> pd.DataFrame:
    """The rows with a protocol for each reading, for figures and for tables by protocol.

    Images crafted on the source are `transfer` to all other networks. To the source itself they
    are `static`, the same as those crafted on its own base, and stand there once.
    """
    from_source = rows["made_on"].eq("the source")
    others = rows["model"].ne(source)
    rows = rows.assign(protocol=rows["protocol"].mask(from_source & others, "transfer"))
    rows = rows[others | ~from_source]
    return pd.concat([rows[rows["model"].eq(source)], rows[rows["model"].ne(source)]])


def others(rows: pd.DataFrame, source: str) -> pd.DataFrame:
    """The rows of all networks but the source; those of the source if there is no other."""
    rest = rows[rows["model"].ne(source)]
    return rows if rest.empty else rest


def averages(rows: pd.DataFrame, stated: pd.DataFrame) -> pd.DataFrame:
    """The averages of the paper's text in percent, beside those of the rows, by reading.

    A line for each of them, over networks, radii and seeds; a gain is that of `proposed` over
    `none`. `rows` are a run's; `stated` what the paper's text has for its data set. A figure that
    it does not give is missing.
    """
    attacked = select(rows, table="4")
    means = attacked.groupby(["defense", "made_on", "model", "eps"])["value"].mean()
    before, gained = means["none"], means["proposed"] - means["none"]
    clean = select(rows, table="1", defense="none")["value"].mean()
    left = before.groupby("made_on").mean()
    table = pd.DataFrame(
        {
            ("mean accuracy", "none"): clean,
            ("mean accuracy", "fgsm"): left,
            ("mean drop", "fgsm"): clean - left,
            ("mean gain", "fgsm"): gained.groupby("made_on").mean(),
            ("largest gain", "fgsm"): gained.groupby("made_on").max(),
        }
    ).T[list(READINGS)]
    of_text = stated.set_index(["metric", "attack"])["value"]
    table.insert(0, "paper", of_text.reindex(table.index))
    table = table.rename(index=reader_name, level=1).mul(100)
    return table.rename_axis(index=["percent or points", "attack"], columns="made_on")


def for_claims(rows: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """The rows as claims.toml has them: with the paper's data whose figures they meet."""
    return rows.assign(dataset=settings.paper_set)


def needed_eps(rows: pd.DataFrame, stated: pd.DataFrame) -> float | None:
    """The radius at which undefended networks fall to the accuracy that the paper states for FGSM.

    Between the radii measured it is interpolated. None where the paper states no accuracy, or one
    that no radius measured reaches.
    """
    of_text = stated[stated["metric"].eq("mean accuracy") & stated["attack"].eq("fgsm")]
    if of_text.empty:
        return None
    bare = select(rows, table=[t for t in ("4", "curve") if t in set(rows["table"])])
    bare = select(bare, defense="none", made_on="itself")
    falling = bare.groupby("eps")["value"].mean().cummin()[::-1]  # from the widest radius on
    accuracy = float(of_text["value"].iloc[0])
    if not falling.min() <= accuracy <= falling.max():
        return None
    return float(np.interp(accuracy, falling, falling.index))


def who_fools_whom(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Accuracy before and after retraining: a line a network crafted on, a column one shown to."""
    attacked = select(rows, table="transfer", attack="fgsm")
    means = attacked.groupby(["defense", "made_on", "model"])["value"].mean()
    lines, columns = attacked["made_on"].unique(), attacked["model"].unique()
    titles = {"none": "before", "proposed": "after retraining"}
    return {
        title: means[defense].unstack("model").loc[lines, columns]
        for defense, title in titles.items()
        if defense in means.index
    }


def front(rows: pd.DataFrame, *, source: str, eps: float) -> pd.DataFrame:
    """The rows of the front page: FGSM and PGD at this radius, under every reading."""
    return readings(select(rows, table=["4", "pgd"], eps=eps), source)


def by_network(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the network where figures look for the defense: a line a network."""
    return rows.assign(defense=rows["model"])
