"""What every attack asks of its input, and leaves as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def check_inputs(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Raise ValueError unless the three arguments of every attack are fit for it."""
    if model.training:
        raise ValueError("model: is in training mode; call model.eval() before attacking it")
    if images.ndim != 4 or images.dtype != torch.float32:
        found = f"{images.dtype} {tuple(images.shape)}"
        raise ValueError(f"images: must be float32 [N, C, H, W], got {found}")
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        found = f"{labels.dtype} {tuple(labels.shape)}"
        raise ValueError(f"labels: must be int64 [N] with N = {len(images)}, got {found}")
    if labels.device != images.device:
        raise ValueError(f"labels: are on {labels.device}, but images on {images.device}")
    if len(images):
        low, high = (bound.item() for bound in images.aminmax())
        if not 0 <= low <= high <= 1:
            raise ValueError(f"images: pixels must lie in [0, 1], found {low:.4g} to {high:.4g}")
        if labels.min() < 0:  # torch's cross-entropy would silently leave out an image with -100
            raise ValueError(f"labels: must be class numbers from 0 on, found {labels.min()}")


def check_eps(eps: float | Tensor, count: int | None = None) -> None:
    """Raise ValueError unless `eps` is in [0, 1], as one number or one value for `count` images."""
    if isinstance(eps, Tensor) and eps.ndim > 0 and eps.shape != (count,):
        raise ValueError(f"eps: must be a number or have shape [{count}], got {tuple(eps.shape)}")
    values = torch.as_tensor(eps, dtype=torch.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"eps: must lie in [0, 1] (pixel units), got {eps}")


def check_step(step: float) -> None:
    """Raise ValueError unless `step` is in (0, 1]."""
    if not 0 < step <= 1:
        raise ValueError(f"step: must lie in (0, 1] (pixel units), got {step}")


def check_count(name: str, value: int) -> None:
    """Raise ValueError unless `value` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: must be a whole number of at least 1, got {value!r}")


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Ask for no parameter's gradient inside the block, and put every flag back after it."""
    asked = [p for p in model.parameters() if p.requires_grad]
    for parameter in asked:
        parameter.requires_grad_(False)
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter in asked:
            parameter.requires_grad_(True)
