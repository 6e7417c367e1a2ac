"""Paper 003: one ResNet's images harden the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from advlib.checks import check_choice
from advlib.data import Head
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

    def check_data(self, heads: Mapping[str, Head]) -> None:
        known = heads["dataset"]
        rules.training_images(known, self.train_images, validation=self.validation)
        rules.at_most("attacked_images", self.attacked_images, known.test, "all test images")
        size, images = self.size, known.train + known.test
        rules.takes("models", self.models, known, size=size, width=self.width, images=images)
        rules.takes("other_source", [self.other_source], known, size=size, images=images)
