"""The parameters of the primer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from advlib.data import Head
from advlib.studies import rules, settings
from advlib.studies.settings import (
    Class,
    Count,
    CountOrNone,
    DatasetName,
    Eps,
    NetworkName,
    Seed,
    Size,
    Some,
    Step,
    Temperature,
)

Pair = Annotated[list[Class], Field(min_length=2, max_length=2)]
MOST_EPS = 0.45  # beyond it the pale images of `two_classes` have no contrast left


class Settings(settings.Settings):
    """The parameters; units and quick defaults are in the notebook."""

    study = "primer"
    paper = False
    scale = (
        "dataset", "train_images", "attacked_images", "model", "epochs", "tune_epochs",
        "control_epochs", "steps", "seeds",
    )  # fmt: skip

    dataset: DatasetName
    size: Size
    train_images: CountOrNone
    test_images: CountOrNone
    attacked_images: CountOrNone
    model: NetworkName
    epochs: Count
    tune_epochs: Count
    control_epochs: Count
    batch_size: Count
    pair: Pair
    linear_epochs: Count
    sizes: Some[Size]
    eps: Eps
    eps_curve: Some[Eps]
    step: Step
    steps: Count
    steps_curve: Some[Count]
    train_steps: Count
    temperatures: Some[Temperature]
    seeds: Some[Seed]

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.pair[0] == self.pair[1]:
            raise ValueError(f"pair: must be two different classes, got {self.pair}")
        if self.eps > MOST_EPS:
            raise ValueError(f"eps: must be at most {MOST_EPS}, got {self.eps}")
        return self

    def check_data(self, heads: Mapping[str, Head]) -> None:
        known = heads["dataset"]
        rules.training_images(known, self.train_images)
        rules.at_most("test_images", self.test_images, known.test, "all test images")
        tested = self.test_images or known.test
        rules.at_most("attacked_images", self.attacked_images, tested, "all test images")
        rules.at_most("pair", max(self.pair), known.classes - 1, "the last class")
        images = known.train + known.test
        rules.takes("model", [self.model], known, size=self.size, images=images)
