"""Training by a recipe: one loop for every study."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from advlib import cache, devices
from advlib.checks import check_count
from advlib.data import Split, at_once, pixels
from advlib.predictions import device_of
from advlib.training.recipe import OPTIMIZERS, SCHEDULES, Context, Recipe


class Hardened(NamedTuple):
    """What a defense returns."""

    network: nn.Module  # a copy of the model it was given, trained
    curves: pd.DataFrame  # of its training, as `fit` returns them


def fit(
    model: nn.Module, train: Split, recipe: Recipe, *, validation: Split | None = None
) -> pd.DataFrame:
    """Train `model` in place on `train` and return its curves; an identical earlier call is reused.

    The model's parameters that require a gradient are trained, on the device that they are on, in
    bfloat16 autocast where that is faster. The model comes back in evaluation mode. With a
    `validation` split the weights of the best validation accuracy are kept.

    Args:
        train: images [N, C, H, W] as uint8, or as float32 in [0, 1]; labels as int64 [N], or as
            soft labels float32 [N, K].

    Returns:
        One row an epoch: epoch, loss, accuracy (running averages over the training batches as
        they were learned), and, with `validation`, validation_loss and validation_accuracy.

    Raises:
        ValueError: the recipe needs a validation split, or there is nothing to train or to learn
            from; the message names the argument.
    """
    if validation is None and (recipe.patience is not None or recipe.plateau is not None):
        which = "patience" if recipe.patience is not None else "plateau"
        raise ValueError(f"{which}: needs a validation split")
    if not len(train.images):
        raise ValueError("train: holds no images")
    state, notes = cache.remember(
        _fit, device_of(model), model=model, train=train, recipe=recipe, validation=validation
    )
    model.load_state_dict(state)
    model.eval()
    return pd.DataFrame(notes["curves"])


def stages(
    model: nn.Module, train: Split, recipe: Recipe, epochs: Sequence[int]
) -> dict[int, Hardened]:
    """Copies of `model`, all of it trained, after each of these numbers of epochs of one training.

    Each is, bit for bit, what `fit` makes of `recipe.but(epochs=...)`, as long as the objective
    does not ask for the share of training that is done.

    Raises:
        ValueError: a number of epochs is none, or the recipe may look ahead; named in the message.
    """
    for count in epochs:
        check_count("epochs", count)
    if recipe.schedule != "constant":
        raise ValueError("schedule: must be constant, or a stage depends on the epochs after it")
    for name in ("prepare", "plateau", "patience"):
        if getattr(recipe, name) is not None:
            raise ValueError(f"{name}: must be left out, or a stage depends on the epochs after it")
    if not epochs:
        return {}
    network = copy.deepcopy(model).requires_grad_(True)
    states, notes = cache.remember(
        _fit,
        device_of(model),
        model=network,
        train=train,
        recipe=recipe.but(epochs=max(epochs)),
        validation=None,
        stages=sorted(set(epochs)),
    )
    made = {}
    for count in epochs:
        network.load_state_dict({n: states[f"{count}/{n}"] for n in network.state_dict()})
        curves = pd.DataFrame(notes["curves"][:count])
        made[count] = Hardened(copy.deepcopy(network).eval(), curves)
    return made


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode inside the block, each part in its own mode after it."""
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


@cache.versioned("fit", 1)
def _fit(
    model: nn.Module,
    train: Split,
    recipe: Recipe,
    validation: Split | None,
    stages: Sequence[int] | None = None,
) -> tuple[dict[str, Tensor], dict]:
    """The trained weights, of each of `stages` (epochs) if there are any, and the curves."""
    device = device_of(model)
    train = Split(*(t.to(device) for t in train))
    context = _context(recipe.seed, device)
    count = len(train.images)
    batches = math.ceil(count / recipe.batch_size) * recipe.replays
    steps = recipe.epochs * batches
    descent = OPTIMIZERS[recipe.optimizer](_parameter_groups(model, recipe.groups), recipe.lr)
    pace = _pace(descent, recipe, steps)
    curves: list[dict[str, float]] = []
    best, best_state, waited = -1.0, None, 0
    states: dict[str, Tensor] = {}  # of the stages
    progress = tqdm(total=steps, desc="fit", unit="batch", leave=False)
    with torch.random.fork_rng(), progress:
        torch.manual_seed(recipe.seed)
        for epoch in range(1, recipe.epochs + 1):
            order = torch.randperm(count, generator=context.generator, device=device)
            totals = torch.zeros(2, device=device)  # loss, hits; read once an epoch
            for batch in range(batches):
                first = batch // recipe.replays * recipe.batch_size
                rows = order[first : first + recipe.batch_size]
                images, labels = pixels(train.images[rows]), train.labels[rows]
                context.share = ((epoch - 1) * batches + batch) / steps
                if recipe.prepare is not None:
                    model.eval()
                    images, labels = recipe.prepare(model, images, labels, context)
                model.train(recipe.dropout)
                loss, logits = recipe.objective(model, images, labels, context)
                descent.zero_grad()
                loss.backward()
                descent.step()
                if recipe.plateau is None:
                    pace.step()
                hits = (logits.argmax(1) == _classes(labels)).sum()
                totals += torch.stack([loss.detach() * len(rows), hits])
                progress.update()
            loss, accuracy = (totals / (count * recipe.replays)).tolist()
            row = {"epoch": epoch, "loss": loss, "accuracy": accuracy}
            if validation is not None:
                row["validation_loss"], row["validation_accuracy"] = _score(model, validation)
            if recipe.plateau is not None:
                pace.step(row["validation_loss"])
            curves.append(row)
            progress.set_postfix({k: f"{v:.4f}" for k, v in row.items() if k != "epoch"})
            if stages and epoch in stages:
                states |= {f"{epoch}/{n}": t.clone() for n, t in model.state_dict().items()}
            if validation is None:
                continue
            waited += 1
            if row["validation_accuracy"] > best:
                best, waited = row["validation_accuracy"], 0
                best_state = copy.deepcopy(model.state_dict())
            if recipe.patience is not None and waited >= recipe.patience:
                break
    return states or best_state or model.state_dict(), {"curves": curves}


def _context(seed: int, device: torch.device) -> Context:
    generator = devices.generator(seed, device)
    host = generator if device.type == "cpu" else torch.Generator().manual_seed(seed)
    return Context(share=0.0, generator=generator, host=host)


def _pace(descent: torch.optim.Optimizer, recipe: Recipe, steps: int) -> Any:
    """What sets the rate: stepped after each batch or, at a plateau, after each epoch."""
    if recipe.plateau is None:
        schedule = SCHEDULES[recipe.schedule]
        return torch.optim.lr_scheduler.LambdaLR(descent, lambda step: schedule(step / steps))
    factor, epochs = recipe.plateau
    return torch.optim.lr_scheduler.ReduceLROnPlateau(descent, factor=factor, patience=epochs)


def _parameter_groups(
    model: nn.Module, groups: Mapping[str, Mapping[str, float]]
) -> list[dict[str, object]]:
    """The parameters to train; each goes with the first prefix that its name starts with."""
    members: dict[str, list[nn.Parameter]] = {prefix: [] for prefix in (*groups, "")}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            members[next(p for p in members if name.startswith(p))].append(parameter)
    for prefix, parameters in members.items():
        if prefix and not parameters:
            raise ValueError(f"groups: no parameter to train has a name starting with {prefix!r}")
    if not any(members.values()):
        raise ValueError("model: has no parameter that requires a gradient")
    return [{"params": p, **groups.get(prefix, {})} for prefix, p in members.items() if p]


@torch.no_grad()
def _score(model: nn.Module, split: Split) -> tuple[float, float]:
    """Mean loss and accuracy of the model as it is used: without dropout, in float32."""
    model.eval()
    device = device_of(model)
    loss, hits = torch.zeros(2, device=device)
    size = at_once(split.images, 1000)
    for images, labels in zip(*(t.split(size) for t in split), strict=True):
        logits, labels = model(pixels(images.to(device))), labels.to(device)
        loss += F.cross_entropy(logits, labels, reduction="sum")
        hits += (logits.argmax(1) == _classes(labels)).sum()
    count = len(split.images)
    return loss.item() / count, hits.item() / count


def _classes(labels: Tensor) -> Tensor:
    return labels if labels.ndim == 1 else labels.argmax(1)
