"""Paper 002: fine-tuning only the filters that an attack moves most."""

from __future__ import annotations

from advlib.studies import settings
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
