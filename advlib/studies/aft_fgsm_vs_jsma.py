"""Paper 000: fine-tuning on FGSM or JSMA images."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from advlib.studies import settings
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
        if self.few > max(self.counts):
            raise ValueError(
                f"few: must be at most the largest of counts, {max(self.counts)}, got {self.few}"
            )
        return self
