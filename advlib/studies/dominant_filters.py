"""Paper 002: fine-tuning only the filters that an attack moves most."""

from __future__ import annotations

from collections.abc import Mapping

from advlib.data import Head
from advlib.studies import rules, settings
from advlib.studies.settings import (
    Count,
    CountOrNone,
    DatasetName,
    Eps,
    Fraction,
    NetworkName,
    Seed,
    Share,
    Size,
    Some,
    Step,
)


class Settings(settings.Settings):
    """The parameters; units and quick defaults are in the notebook."""

    study = "dominant_filters"

    dataset: DatasetName
    size: Size
    train_images: CountOrNone
    test_images: CountOrNone
    attacked_images: CountOrNone
    search_images: Count
    validation: Fraction
    models: Some[NetworkName]
    epochs: Count
    patience: Count
    tune_epochs: Count
    control_epochs: Count
    batch_size: Count
    eps: Eps
    eps_curve: Some[Eps]
    step: Step
    steps: Count
    train_steps: Count
    share: Share
    shares: Some[Share]
    seeds: Some[Seed]

    def check_data(self, heads: Mapping[str, Head]) -> None:
        known = heads["dataset"]
        rules.training_images(known, self.train_images, validation=self.validation)
        rules.at_most("test_images", self.test_images, known.test, "all test images")
        tested = self.test_images or known.test
        rules.at_most("attacked_images", self.attacked_images, tested, "all test images")
        rules.takes("models", self.models, known, size=self.size, images=known.train + known.test)
