"""What a network says of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from advlib import cache
from advlib.data import Split, at_once, pixels


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters are, and where it computes."""
    return next(model.parameters()).device


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Logits [N, K] for images [N, C, H, W] (uint8, or float32 in [0, 1]), on the CPU."""
    device = device_of(model)
    with torch.no_grad():
        parts = [
            model(pixels(part.to(device))).float() for part in images.split(at_once(images, 1000))
        ]
    return torch.cat(parts).cpu()


def best_classes(model: nn.Module, images: Tensor, k: int) -> Tensor:
    """int64 [N, min(k, K)]: the `k` likeliest classes of each image, the likeliest first.

    Asked once for the same model and images, then kept on disk (see `cache`): on photos a model
    takes far longer than the key. Of equally likely classes the first is the likeliest.
    """
    told, _ = cache.remember(_best_classes, device_of(model), model=model, images=images, k=k)
    return told["classes"].long()


@cache.versioned("best classes", 1)
def _best_classes(model: nn.Module, images: Tensor, k: int) -> tuple[dict[str, Tensor], dict]:
    scores = logits(model, images)
    ranked = scores.argsort(dim=1, descending=True, stable=True)
    return {"classes": ranked[:, :k].int()}, {}


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
