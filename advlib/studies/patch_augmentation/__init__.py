"""Paper 001: fine-tuning on randomly altered patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import model_validator

from advlib import networks
from advlib.attacks.named import check_attack_set
from advlib.checks import check_choice
from advlib.data import Head
from advlib.defenses.patch_augmentation import parse
from advlib.studies import rules, settings
from advlib.studies.patch_augmentation.findings import for_summary, values
from advlib.studies.patch_augmentation.paper import (
    beside,
    disorder,
    minutes,
    printed_twice,
)
from advlib.studies.patch_augmentation.rows import (
    against_cost,
    by_attack,
    by_protocol,
    compared,
    curve,
    for_claims,
    front,
    held,
    nearest,
    on_strong,
    tuned_longer,
)
from advlib.studies.patch_augmentation.steps import (
    attack_settings,
    each_operation,
    gradients_at,
    mean_loss,
    passes,
    strongest,
    trained_elsewhere,
    twice,
    variants_of,
)
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
    Width,
    Words,
    checked,
)

__all__ = [
    "OTHERS", "Settings", "against_cost", "attack_settings", "beside", "by_attack", "by_protocol",
    "compared", "curve", "disorder", "each_operation", "for_claims", "for_summary", "front",
    "gradients_at", "held", "mean_loss", "minutes", "nearest", "on_strong", "passes",
    "printed_twice", "strongest", "trained_elsewhere", "tuned_longer", "twice", "values",
    "variants_of",
]  # fmt: skip

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
    scale = (
        "dataset", "train_images", "models", "weights", "width", "epochs", "tune_epochs",
        "attack_steps", "attacked_images", "autoattack_images", "compare_epochs", "train_steps",
        "seeds",
    )  # fmt: skip

    dataset: DatasetName
    label: str
    size: Size
    train_images: CountOrNone
    models: Some[NetworkName]
    weights: Each[Weights]
    width: Width
    epochs: Count
    batch_size: Count
    lr: Rate
    flip: bool
    shift: CountOrNone
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
    reference_epss: Some[Eps]
    reference_epochs: Count
    sgd_lr: Rate
    mixup_layers: Words
    seeds: Some[Seed]

    @model_validator(mode="after")
    def _together(self) -> Self:
        rules.one_for_each("weights", self.weights, "models", self.models)
        rules.among("variant", [self.variant], "variants", self.variants)
        rules.among("autoattack_others", self.autoattack_others, "others", self.others)
        largest = max(parse(variant)["patch"] for variant in self.variants)
        rules.at_most("variants", largest, self.size, "the images' size")
        rules.at_most("shift", self.shift, self.size - 1, "less than size")
        return self

    def check_data(self, heads: Mapping[str, Head]) -> None:
        known = heads["dataset"]
        learned = rules.training_images(known, self.train_images)
        for name in ("attacked_images", "autoattack_images"):
            rules.at_most(name, getattr(self, name), known.test, "all test images")
        rules.autoattackable("dataset", known, "take another one")
        images = learned + known.test
        rules.takes("models", self.models, known, size=self.size, images=images, width=self.width)
        channels = known.channels or 3
        first = networks.sketch(
            self.models[0],
            classes=known.classes,
            channels=channels,
            size=self.size,
            width=self.width,
        )
        layers = [name for name, _ in first.named_modules()]
        rules.among("mixup_layers", self.mixup_layers, f"{self.models[0]}'s", layers)
