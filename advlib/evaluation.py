"""How often a model is right: on clean images, and under an attack and a named protocol."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from advlib import cache
from advlib.attacks.contract import check_count
from advlib.data import Split, at_once, pixels
from advlib.training import autocast

# static: images made once against the undefended model are shown to the model under test.
# white-box: the attack runs against the model under test itself.
PROTOCOLS = ("static", "white-box")

Attack = Callable[..., Tensor]  # (model, images, labels) -> images; its settings bound by partial


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Logits [N, K] for images [N, C, H, W] (uint8, or float32 in [0, 1]), on the CPU."""
    device = next(model.parameters()).device
    with torch.no_grad():
        parts = [
            model(pixels(part.to(device))).float() for part in images.split(at_once(images, 1000))
        ]
    return torch.cat(parts).cpu()


def correct(model: nn.Module, split: Split) -> Tensor:
    """Boolean [N]: the model's first guess is the label."""
    return logits(model, split.images).argmax(1) == split.labels.cpu()


def top_k(model: nn.Module, split: Split, k: int) -> Tensor:
    """Boolean [N]: the label is among the model's `k` first guesses."""
    scores = logits(model, split.images)
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k: must lie in 1 to {scores.shape[1]} (classes), got {k}")
    return (scores.topk(k).indices == split.labels.cpu()[:, None]).any(1)


def confusion(model: nn.Module, split: Split) -> Tensor:
    """Counts int64 [K, K]: row = true class, column = the model's first guess."""
    scores = logits(model, split.images)
    classes = scores.shape[1]
    pairs = split.labels.cpu() * classes + scores.argmax(1)
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def craft(
    model: nn.Module,
    split: Split,
    attack: Attack,
    *,
    seed: int = 0,
    bfloat16: bool = False,
    batch_size: int = 250,
) -> Split:
    """The attack's images for a whole split: float32 [N, C, H, W] with the split's labels.

    Made once for the same model, images, attack and seed, then kept on disk (see `cache`).
    `attack` is an attack with its settings bound, as in `partial(pgd, eps=0.3, ...)`; its labels
    are the split's (for a targeted attack, pass a split that carries the targets). `bfloat16`
    computes in it where that is faster: good enough for images to train on, not to judge by.
    `batch_size` images are attacked at once, at most (see `data.at_once`).
    """
    check_count("batch_size", batch_size)
    batch_size = at_once(split.images, batch_size)
    made, _ = cache.remember(
        _craft, model, *split, attack, seed=seed, bfloat16=bfloat16, batch_size=batch_size
    )
    return Split(made["images"], split.labels)


def under_attack(
    model: nn.Module,
    split: Split,
    attack: Attack,
    *,
    protocol: str,
    undefended: nn.Module | None = None,
    seed: int = 0,
) -> Tensor:
    """Boolean [N]: the model is right in spite of the attack, under the named protocol.

    `static` needs `undefended`, the model that the images are made against. Under `white-box` an
    image that is already wrong is attacked no further, and counts as wrong.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol: must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    if protocol == "static":
        if undefended is None:
            raise ValueError("undefended: the static protocol needs the model to attack")
        return correct(model, craft(undefended, split, attack, seed=seed))
    if "stop_when_wrong" in inspect.signature(attack).parameters:
        attack = functools.partial(attack, stop_when_wrong=True)
    return correct(model, craft(model, split, attack, seed=seed))


def wilson(hits: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval for a share of `hits` among `count` (Wilson 1927)."""
    interval = scipy.stats.binomtest(int(hits), int(count)).proportion_ci(confidence, "wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Student's t interval for a mean share over seeds, cut to [0, 1]; (nan, nan) for one seed."""
    if len(values) < 2:
        return float("nan"), float("nan")
    error = scipy.stats.sem(values)
    if error == 0:
        return float(np.mean(values)), float(np.mean(values))
    low, high = scipy.stats.t.interval(confidence, len(values) - 1, np.mean(values), error)
    return max(float(low), 0.0), min(float(high), 1.0)


def _craft(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    attack: Attack,
    *,
    seed: int,
    bfloat16: bool,
    batch_size: int,
) -> tuple[dict[str, Tensor], dict]:
    device = next(model.parameters()).device
    if "generator" in inspect.signature(attack).parameters:
        attack = functools.partial(attack, generator=torch.Generator().manual_seed(seed))
    batches = list(zip(images.split(batch_size), labels.split(batch_size), strict=True))
    with autocast(device) if bfloat16 else contextlib.nullcontext():
        made = [
            attack(model, pixels(part.to(device)), goal.to(device)).cpu()
            for part, goal in tqdm(batches, desc="attack", unit="batch", leave=False)
        ]
    return {"images": torch.cat(made)}, {}
