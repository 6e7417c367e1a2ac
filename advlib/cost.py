"""What a training step costs, measured."""

from __future__ import annotations

import contextlib
import copy
import statistics
import time
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advlib import devices
from advlib.training import OPTIMIZERS, Context, Prepare

STEPS = 10  # of a model's turn
LONG = 120  # seconds after which three turns are enough


def step_seconds(
    models: Mapping[str, nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    rounds: int = 10,
    bfloat16: bool = True,
    prepare: Mapping[str, Prepare] | None = None,
) -> dict[str, float]:
    """Median seconds of one RMSprop training step for each model, on one batch.

    The models take turns of ten steps, so that a machine whose speed drifts is fair to all and
    each works in caches of its own, as it does in training; the first turn is not counted. Where
    steps are slow, three turns that took two minutes are enough. The models are not changed.
    `bfloat16`: autocast where that is faster, else float32. `prepare`: what changes the batch
    before a named model learns it, as in a `training.Recipe`; it is timed, too.
    """
    prepare = prepare or {}
    dice = devices.generator(0, images.device)
    context = Context(share=1.0, generator=dice, host=torch.Generator().manual_seed(0))
    models = {name: copy.deepcopy(model).train() for name, model in models.items()}
    descents = {
        name: OPTIMIZERS["rmsprop"]([p for p in model.parameters() if p.requires_grad], 1e-3)
        for name, model in models.items()
    }
    numbers = devices.autocast(images.device) if bfloat16 else contextlib.nullcontext()
    seconds: dict[str, list[float]] = {name: [] for name in models}
    began = time.perf_counter()
    for turn in range(rounds + 1):
        if turn > 3 and time.perf_counter() - began > LONG:
            break
        for name, model in models.items():
            _wait(images.device)
            start = time.perf_counter()
            for _ in range(STEPS):
                shown, goals = images, labels
                if name in prepare:
                    model.eval()
                    shown, goals = prepare[name](model, images, labels, context)
                    model.train()
                with numbers:
                    logits = model(shown).float()
                descents[name].zero_grad()
                F.cross_entropy(logits, goals).backward()
                descents[name].step()
            _wait(images.device)
            seconds[name].append((time.perf_counter() - start) / STEPS)
    return {name: statistics.median(taken[1:]) for name, taken in seconds.items()}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
