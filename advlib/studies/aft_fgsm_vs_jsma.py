"""Paper 000: fine-tuning on FGSM or JSMA images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import model_validator

from advlib.data import Head
from advlib.studies import rules, settings
from advlib.studies.settings import (
    Count,
    CountOrNone,
    DatasetName,
    DatasetNameOrNone,
    Eps,
    Gamma,
    NetworkName,
    Rate,
    Seed,
    Size,
    Some,
    Step,
    Theta,
    Width,
)


class Settings(settings.Settings):
    """The parameters; units and quick defaults are in the notebook."""

    study = "aft_fgsm_vs_jsma"

    dataset: DatasetName
    label: str
    also_tested: DatasetNameOrNone
    size: Size
    train_images: CountOrNone
    model: NetworkName
    width: Width
    epochs: Count
    batch_size: Count
    lr: Rate
    flip: bool
    shift: CountOrNone
    base_seed: Seed
    tune_images: Count
    tune_batch: Count
    tune_lr: Rate
    eps: Eps
    eps_curve: Some[Eps]
    eps_shown: Some[Eps]
    step: Step
    steps: Count
    theta: Theta
    gamma: Gamma
    gamma_curve: Some[Gamma]
    tune_lrs: Some[Rate]
    counts: Some[Count]
    few: Count
    seeds: Some[Seed]

    @model_validator(mode="after")
    def _fewer(self) -> Self:
        rules.at_most("few", self.few, max(self.counts), "the largest of counts")
        rules.at_most("shift", self.shift, self.size - 1, "less than size")
        return self

    def check_data(self, heads: Mapping[str, Head]) -> None:
        known = heads["dataset"]
        learned = rules.training_images(known, self.train_images)
        rules.at_most("tune_images", self.tune_images, learned, "all training images")
        rules.at_most("counts", max(self.counts), known.test, "all test images")
        images = learned + known.test
        rules.takes("model", [self.model], known, size=self.size, width=self.width, images=images)
        other = heads.get("also_tested", known)
        channels = known.channels or other.channels  # None where only the images tell
        if (other.classes, other.channels or channels) != (known.classes, channels):
            raise ValueError(
                f"also_tested: must have the {known.classes} classes and {channels} channels of "
                f"{self.dataset}; {self.also_tested} has {other.classes} and {other.channels}"
            )
