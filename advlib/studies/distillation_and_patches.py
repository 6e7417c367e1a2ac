"""Paper 004: FGSM and patches on ImageNet networks, distillation."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from advlib.studies import settings
from advlib.studies.settings import (
    Class,
    Count,
    CountOrNone,
    DatasetName,
    Each,
    Eps,
    Fraction,
    NetworkName,
    PatchRotation,
    PatchScale,
    Rate,
    Seed,
    Size,
    Some,
    Step,
    Temperature,
    Weights,
)


class Settings(settings.Settings):
    """The parameters; units and quick defaults are in the notebook."""

    study = "distillation_and_patches"

    dataset: DatasetName
    label: str
    size: Size
    validation: Fraction
    models: Some[NetworkName]
    weights: Each[Weights]
    epochs: Count
    batch_size: Count
    lr: Rate
    attacked_images: CountOrNone
    shown: Some[Class]
    eps: Eps
    eps_curve: Some[Eps]
    targets: Some[Class]
    patch_sizes: Some[Count]
    size_curve: Some[Count]
    patch_steps: Count
    patch_batch: Count
    patch_step: Step
    patch_scale: PatchScale
    patch_rotation: PatchRotation
    distilled_on: DatasetName
    distilled_label: str
    distilled_size: Size
    distilled_images: CountOrNone
    distilled_validation: Fraction
    distilled_model: NetworkName
    distilled_epochs: Count
    distilled_batch: Count
    distilled_lr: Rate
    plateau_factor: Fraction
    plateau_epochs: Count
    temperature: Temperature
    temperatures: Some[Temperature]
    curve_images: Count
    distilled_attacked: CountOrNone
    epss: Some[Eps]
    step: Step
    steps: Count
    seeds: Some[Seed]

    @model_validator(mode="after")
    def _one_for_each(self) -> Self:
        settings.check_one_for_each("weights", self.weights, "models", self.models)
        return self
