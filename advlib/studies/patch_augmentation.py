"""Paper 001: fine-tuning on randomly altered patches."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import model_validator

from advlib.attacks.named import check_attack_set
from advlib.checks import check_choice
from advlib.defenses.patch_augmentation import parse
from advlib.studies import settings
from advlib.studies.settings import (
    Count,
    CountOrNone,
    DatasetName,
    Each,
    Eps,
    NetworkName,
    Optimizer,
    Rate,
    Seed,
    Size,
    Some,
    Step,
    Weights,
    Words,
    checked,
)

# Defenses that the study compares.
OTHERS = (
    "FGSM-AT", "IFGSM-AT", "PGD-AT", "Fast AT", "Free AT", "AFT", "mixup", "manifold mixup",
    "random erasing",
)  # fmt: skip
Other = Annotated[str, checked(lambda value: check_choice("others", value, OTHERS))]
AttackSet = Annotated[str, checked(check_attack_set)]
Variant = Annotated[str, checked(parse)]


class Settings(settings.Settings):
    """The parameters; units and quick defaults are in the notebook."""

    study = "patch_augmentation"

    dataset: DatasetName
    label: str
    size: Size
    train_images: CountOrNone
    models: Some[NetworkName]
    weights: Each[Weights]
    epochs: Count
    batch_size: Count
    lr: Rate
    base_seed: Seed
    variants: Some[Variant]
    variant: Variant
    tune_epochs: Count
    tune_lr: Rate
    tune_optimizer: Optimizer
    tune_dropout: bool
    optimizers: Some[Optimizer]
    epochs_curve: Some[Count]
    attack_set: AttackSet
    attack_steps: CountOrNone
    attacked_images: CountOrNone
    eps_curve: Some[Eps]
    step: Step
    steps_curve: Some[Count]
    autoattack_images: Count
    autoattack_eps: Eps
    others: Some[Other]
    autoattack_others: Some[Other]
    compare_epochs: Count
    train_eps: Eps
    train_steps: Count
    sgd_lr: Rate
    mixup_layers: Words
    seeds: Some[Seed]

    @model_validator(mode="after")
    def _one_for_each(self) -> Self:
        settings.check_one_for_each("weights", self.weights, "models", self.models)
        return self
