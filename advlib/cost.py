"""What a training step costs, measured."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advlib.training import OPTIMIZERS, autocast


def step_seconds(
    models: Mapping[str, nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    repeats: int = 30,
    bfloat16: bool = True,
) -> dict[str, float]:
    """Median seconds of one RMSprop training step for each model, on one batch.

    The models take turns, so that a machine whose speed drifts is fair to all; the first steps
    are not counted. The models are not changed. `bfloat16`: autocast where that is faster.
    """
    models = {name: copy.deepcopy(model).train() for name, model in models.items()}
    descents = {
        name: OPTIMIZERS["rmsprop"]([p for p in model.parameters() if p.requires_grad], 1e-3)
        for name, model in models.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(repeats + 5):
        for name, model in models.items():
            _wait(images.device)
            start = time.perf_counter()
            with (
                torch.autocast(images.device.type, enabled=False)
                if not bfloat16
                else autocast(images.device)
            ):
                logits = model(images).float()
            loss = F.cross_entropy(logits, labels)
            descents[name].zero_grad()
            loss.backward()
            descents[name].step()
            _wait(images.device)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken[5:]) for name, taken in seconds.items()}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
