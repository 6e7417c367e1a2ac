"""Paper 003: one ResNet's images harden the others."""

from __future__ import annotations

from typing import Annotated

from advlib.checks import check_choice
from advlib.studies import settings
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

PAPER_SETS = ("mnist", "cifar10", "cats_vs_dogs")
PaperSet = Annotated[str, checked(lambda value: check_choice("paper_set", value, PAPER_SETS))]


class Settings(settings.Settings):
    """The parameters; units and quick defaults are in the notebook."""

    study = "cross_resnet"

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
    seeds: Some[Seed]
