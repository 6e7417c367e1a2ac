"""What an argument may be. Each check raises a ValueError that begins with the argument's name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import torch
from torch import Tensor


def check_choice(name: str, value: object, known: Iterable[object]) -> None:
    """Raise ValueError unless `value` is one of those `known`; names them, and the nearest."""
    known = list(known)
    if value not in known:
        words = [str(word) for word in known]
        near = difflib.get_close_matches(str(value), words, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{name}: must be one of {', '.join(words)}, got {value!r}{hint}")


def check_count(name: str, value: int) -> None:
    """Raise ValueError unless `value` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: must be a whole number of at least 1, got {value!r}")


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
