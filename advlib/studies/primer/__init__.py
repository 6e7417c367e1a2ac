"""The primer, which re-runs no paper: what an adversarial image is, and what its attacker knows."""

from advlib.studies.primer.by_hand import (
    by_side,
    line,
    linear_network,
    margins,
    reach,
    two_classes,
    weight_pictures,
    worst_cases,
)
from advlib.studies.primer.hiding import masking, name, signs, units
from advlib.studies.primer.pictures import (
    asked,
    before_and_after,
    each_target,
    guesses,
    landscape,
    mean_loss,
    most_fooled,
    only,
    statistics,
    strayed,
)
from advlib.studies.primer.settings import Settings

__all__ = [
    "Settings",
    "asked",
    "before_and_after",
    "by_side",
    "each_target",
    "guesses",
    "landscape",
    "line",
    "linear_network",
    "margins",
    "masking",
    "mean_loss",
    "most_fooled",
    "name",
    "only",
    "reach",
    "signs",
    "statistics",
    "strayed",
    "two_classes",
    "units",
    "weight_pictures",
    "worst_cases",
]  # fmt: skip
