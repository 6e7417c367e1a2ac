"""A recipe of training: the optimizer and its rate, how a batch is prepared, what is learned."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advlib import cache, devices
from advlib.checks import check_choice, check_count

# Keras's RMSprop differs from torch's in both numbers; papers that name RMSprop used Keras.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "rmsprop": lambda groups, lr: torch.optim.RMSprop(groups, lr, alpha=0.9, eps=1e-7),
    "adam": lambda groups, lr: torch.optim.Adam(groups, lr),
    "adamw": lambda groups, lr: torch.optim.AdamW(groups, lr),
    "sgd": lambda groups, lr: torch.optim.SGD(groups, lr, momentum=0.9, nesterov=True),
}
# Factor on the learning rate at a given share of all steps.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "linear": lambda share: 1.0 - share,
    "cosine": lambda share: 0.5 * (1.0 + math.cos(math.pi * share)),
    # Wong et al. 2020: up to the peak in the first two fifths, then down to 0.
    "cyclic": lambda share: min(share / 0.4, (1.0 - share) / 0.6),
    # Jeddi et al. 2020, "slow start, fast decay": up to the peak, then down to a hundredth of it.
    "slow_fast": lambda share: min(share / 0.5, 10.0 ** (2.0 - 4.0 * share)),
}


@dataclass
class Context:
    """What a step of training knows beside its batch."""

    share: float  # of the training that is done, in [0, 1)
    generator: torch.Generator  # of random numbers on the device
    host: torch.Generator  # of those that Python asks for: the device is not waited for
    memory: dict[str, Any] = field(default_factory=dict)  # kept from step to step of one training

    @staticmethod
    def forward(model: nn.Module, images: Tensor) -> Tensor:
        """Logits float32 [N, K], computed in bfloat16 where that is faster."""
        with devices.autocast(images.device):
            return model(images).float()


# Changes a batch before it is learned: (model, images, labels, context) -> (images, labels). Data
# augmentation and adversarial training both are such a step. The model is in evaluation mode.
Prepare = Callable[[nn.Module, Tensor, Tensor, Context], tuple[Tensor, Tensor]]
# What is learned from a batch: (model, images, labels, context) -> (loss, logits). The loss is a
# mean over the batch; the logits [N, K] are those that the training accuracy counts.
Objective = Callable[[nn.Module, Tensor, Tensor, Context], tuple[Tensor, Tensor]]


@cache.versioned("cross-entropy", 1)
def cross_entropy(
    model: nn.Module, images: Tensor, labels: Tensor, context: Context
) -> tuple[Tensor, Tensor]:
    """The objective of plain training: the cross-entropy, of hard or soft labels."""
    logits = context.forward(model, images)
    return F.cross_entropy(logits, labels), logits


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Checked when it is made; `but` gives another one.

    Args:
        epochs: passes over the training images, at most.
        optimizer, schedule: names, keys of `OPTIMIZERS` and `SCHEDULES`.
        groups: options (lr, weight_decay) for the parameters whose names start with a prefix.
        plateau: (factor, epochs): multiply the rate by the factor when the validation loss has not
            fallen for more than that many epochs; needs the constant schedule.
        patience: stop after this many epochs without a better validation accuracy; None = never.
        prepare: changes each batch's images and labels before they are learned.
        objective: what is learned from a batch.
        replays: times that each batch is prepared and learned in a row (Shafahi et al. 2019).
        dropout: False leaves dropout and batch statistics off while learning.
        seed: of the order of the images, of dropout, of `prepare` and of `objective`.

    Raises:
        ValueError: an argument is outside what is allowed; the message names it.
    """

    epochs: int
    batch_size: int = 128
    optimizer: str = "rmsprop"
    lr: float = 1e-3
    groups: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: MappingProxyType({}))
    schedule: str = "constant"
    plateau: tuple[float, int] | None = None
    patience: int | None = None
    prepare: Prepare | None = None
    objective: Objective = cross_entropy
    replays: int = 1
    dropout: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "replays"):
            check_count(name, getattr(self, name))
        check_optimizer(self.optimizer)
        check_choice("schedule", self.schedule, SCHEDULES)
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr: must be a number above 0, got {self.lr}")
        if self.plateau is not None:
            check_plateau(*self.plateau)
            if self.schedule != "constant":
                raise ValueError("plateau: needs the constant schedule")
        if self.patience is not None:
            check_count("patience", self.patience)

    def but(self, **changed: Any) -> Recipe:
        """The same recipe with other settings."""
        return dataclasses.replace(self, **changed)

    def __cache_key__(self) -> dict[str, Any]:
        """Its fields by their names, whatever the class is called."""
        return dict(vars(self))


def check_optimizer(name: str) -> None:
    """Raise ValueError if no optimizer goes by this name."""
    check_choice("optimizer", name, OPTIMIZERS)


def check_plateau(factor: float, epochs: int) -> None:
    """Raise ValueError unless a plateau of so many epochs can multiply the rate by `factor`."""
    if not 0 < factor < 1:
        raise ValueError(f"plateau: the factor must lie in (0, 1), got {factor}")
    check_count("plateau", epochs)
