"""The parameters of the study of paper 004, each with its type and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import model_validator

from advlib.attacks.patch import check_room
from advlib.data import Head, held_out
from advlib.studies import rules, settings
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
    scale = (
        "dataset", "models", "epochs", "attacked_images", "patch_steps", "patch_batch",
        "distilled_on", "distilled_images", "distilled_epochs", "curve_images", "robust_epochs",
        "distilled_attacked", "autoattack_images", "steps", "seeds",
    )  # fmt: skip

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
    patch_steps_curve: Some[Count]
    patch_batch: Count
    patch_step: Step
    patch_scale: PatchScale
    patch_rotation: PatchRotation
    patch_seed: Seed
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
    robust_epochs: Count
    robust_eps: Eps
    train_steps: Count
    distilled_attacked: CountOrNone
    autoattack_images: CountOrNone
    epss: Some[Eps]
    step: Step
    steps: Count
    seeds: Some[Seed]

    @model_validator(mode="after")
    def _together(self) -> Self:
        rules.one_for_each("weights", self.weights, "models", self.models)
        rules.among("robust_eps", [self.robust_eps], "epss", self.epss)
        for name in ("patch_sizes", "size_curve"):
            for side in getattr(self, name):
                try:
                    check_room(side, self.patch_scale, self.patch_rotation, self.size)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        return self

    def check_data(self, heads: Mapping[str, Head]) -> None:
        known = heads["dataset"]
        rules.training_images(known, 0, validation=self.validation)
        for name in ("targets", "shown"):
            rules.at_most(name, max(getattr(self, name)), known.classes - 1, "the last class")
        unlearned = held_out(known.train, self.validation) + known.test
        rules.at_most(
            "attacked_images",
            self.attacked_images,
            unlearned,
            "all images that no patch learns from",
        )
        images = known.train + known.test
        rules.takes("models", self.models, known, size=self.size, images=images)
        known = heads["distilled_on"]
        learned = rules.training_images(
            known, self.distilled_images, validation=self.distilled_validation,
            names=("distilled_images", "distilled_validation"),
        )  # fmt: skip
        rules.at_most("curve_images", self.curve_images, learned, "all training images")
        rules.attacked_images(
            self.distilled_attacked, self.autoattack_images, known, known.test,
            name="distilled_attacked",
        )  # fmt: skip
        rules.takes(
            "distilled_model", [self.distilled_model], known, size=self.distilled_size,
            images=known.train + known.test,
        )  # fmt: skip
