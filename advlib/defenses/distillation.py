"""Defensive distillation (Papernot et al. 2016), as paper 004 uses it.

A teacher learns through a softmax at a high temperature T, that is softmax(logits / T). A student
learns the teacher's probabilities at T through the same softmax, and is used at temperature 1: its
logits are then about T times as large as those of a network trained without one.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from advlib.cache import versioned
from advlib.data import Split
from advlib.predictions import logits
from advlib.training import Hardened, Recipe, fit


@versioned("tempered", 1)
class Tempered(nn.Module):
    """A model whose logits are divided by a temperature; the guesses are the model's own.

    Around a network under training it is the softmax at T. Around a distilled student it is what
    an attacker attacks who knows T.
    """

    def __init__(self, model: nn.Module, temperature: float) -> None:
        super().__init__()
        check_temperature(temperature)
        self.model, self.temperature = model, float(temperature)
        self.train(model.training)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images) / self.temperature

    def extra_repr(self) -> str:
        return f"temperature={self.temperature:g}"


def harden(
    model: nn.Module,
    train: Split,
    recipe: Recipe,
    *,
    teacher: nn.Module,
    temperature: float,
    validation: Split | None = None,
) -> Hardened:
    """A copy of `model`, the student, trained at `temperature` on the teacher's soft labels.

    Args:
        model: for the paper's defense an untrained network of the teacher's kind.
        train: images uint8 [N, C, H, W], or float32 in [0, 1]; its labels are not looked at.
        teacher: a network trained with `at_temperature` at the same temperature.
        temperature: T, above 0; the student comes back as it is used, at 1.
        recipe, validation: as for `training.fit`.
    """
    soft = soft_labels(teacher, train.images, temperature=temperature)
    lesson = Split(train.images, soft.to(train.images.device))
    return at_temperature(model, lesson, recipe, temperature=temperature, validation=validation)


def at_temperature(
    model: nn.Module,
    train: Split,
    recipe: Recipe,
    *,
    temperature: float,
    validation: Split | None = None,
) -> Hardened:
    """A copy of `model` trained on `train` through the softmax at `temperature`: the teacher.

    It comes back without the temperature. `recipe` and `validation` are as for `training.fit`.
    """
    tempered = Tempered(copy.deepcopy(model).requires_grad_(True), temperature)
    curves = fit(tempered, train, recipe, validation=validation)
    return Hardened(tempered.model, curves)


def soft_labels(model: nn.Module, images: Tensor, *, temperature: float) -> Tensor:
    """The model's probabilities at `temperature`: float32 [N, K], on the CPU."""
    check_temperature(temperature)
    return torch.softmax(logits(model, images) / temperature, 1)


def check_temperature(temperature: float) -> None:
    """Raise ValueError unless `temperature` is a number above 0."""
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature: must be a number above 0, got {temperature}")
