"""Training: how a network is taught, and the one loop that does it for every study."""

from advlib.training.fitting import Hardened, evaluating, fit, stages
from advlib.training.recipe import (
    OPTIMIZERS,
    SCHEDULES,
    Context,
    Objective,
    Prepare,
    Recipe,
    check_optimizer,
    cross_entropy,
)

__all__ = [
    "OPTIMIZERS", "SCHEDULES", "Context", "Hardened", "Objective", "Prepare", "Recipe",
    "check_optimizer", "cross_entropy", "evaluating", "fit", "stages",
]  # fmt: skip
