"""What an attack is: a function, declared here with its norm, and its settings bound to a name.

The function takes `(model, images, labels, *, settings...)` and returns new images; it checks its
input and leaves the model as it was, with the help of what follows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from advlib import cache
from advlib.checks import check_choice

Function = TypeVar("Function", bound=Callable[..., Tensor])
THREE = ("model", "images", "labels")  # the positional arguments of every attack
OURS = ("generator", "stop_when_wrong")  # given by whoever runs an attack, no settings of it


class Kind(NamedTuple):
    """What is known of an attack's function."""

    norm: str
    defaults: Mapping[str, Any]  # of its settings; those without a default are missing here
    settings: tuple[str, ...]
    takes: frozenset[str]  # which of `OURS`


_kinds: dict[Callable[..., Tensor], Kind] = {}
_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


def declare(name: str, version: int, *, norm: str) -> Callable[[Function], Function]:
    """Declare an attack's function: `name` and `version` as for `cache.versioned`.

    Args:
        norm: in which its changes are bounded: "Linf", "L0" or "none".

    Raises:
        TypeError: its positional arguments are not model, images and labels, or it takes settings
            that it does not name (`**options`), which nobody could check.
    """

    def declared(function: Function) -> Function:
        parameters = inspect.signature(function).parameters
        three = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        named = [p for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
        if tuple(three) != THREE or len(named) + len(THREE) < len(parameters):
            raise TypeError(f"{name}: an attack takes ({', '.join(THREE)}, *, settings by name)")
        own = [p for p in named if p.name not in OURS]
        _kinds[function] = Kind(
            norm,
            {p.name: p.default for p in own if p.default is not p.empty},
            tuple(p.name for p in own),
            frozenset(p.name for p in named) & frozenset(OURS),
        )
        return cache.versioned(f"attack {name}", version)(function)

    return declared


@dataclass(frozen=True, eq=False, init=False)
class Attack:
    """An attack ready to run: a name for tables, a declared function, and all its settings.

    >>> Attack("PGD", pgd, eps=0.3, step=0.01, steps=40)(network, images, labels)

    Raises:
        ValueError: a setting that the function does not have, or one that it lacks.
        TypeError: a function that `declare` does not know.
    """

    name: str
    function: Callable[..., Tensor]
    settings: Mapping[str, Any]

    def __init__(self, name: str, function: Callable[..., Tensor], **settings: Any) -> None:
        if function not in _kinds:
            raise TypeError(f"{name}: declare its function, @declare('a name', 1, norm='Linf')")
        kind = _kinds[function]
        for setting in settings:
            check_choice(f"{name}, setting", setting, kind.settings)
        given = {**kind.defaults, **settings}
        if missing := [setting for setting in kind.settings if setting not in given]:
            raise ValueError(f"{missing[0]}: {name} needs it")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "settings", MappingProxyType(given))

    @property
    def norm(self) -> str:
        """In which its changes are bounded: "Linf", "L0" or "none"."""
        return _kinds[self.function].norm

    @property
    def eps(self) -> float | None:
        """Its radius in pixel units; None for an attack without one."""
        return self.settings.get("eps")

    @property
    def random(self) -> bool:
        """It draws random numbers."""
        return "generator" in _kinds[self.function].takes

    def but(self, name: str = "", **settings: Any) -> Attack:
        """The same attack with other settings, and another name if one is given."""
        return Attack(name or self.name, self.function, **{**self.settings, **settings})

    def has(self, setting: str) -> bool:
        """Its function has a setting of this name."""
        return setting in _kinds[self.function].settings

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        stop_when_wrong: bool = False,
    ) -> Tensor:
        """Adversarial images float32 [N, C, H, W] for images float32 [N, C, H, W] in [0, 1].

        `stop_when_wrong`: an image that the model gets wrong need not be moved on. For an attack
        that cannot stop early it changes nothing.
        """
        ours = {"generator": generator, "stop_when_wrong": stop_when_wrong}
        takes = _kinds[self.function].takes
        given = {name: value for name, value in ours.items() if name in takes}
        return self.function(model, images, labels, **self.settings, **given)

    def __cache_key__(self) -> list[Any]:
        """What it does, by any name."""
        return [self.function, self.settings]


def check_inputs(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Raise ValueError unless the three arguments of every attack are fit for it.

    Inside `trusting` the values of images and labels are not looked at.
    """
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
    if len(images) and not _trusted.get():
        low, high = (bound.item() for bound in images.aminmax())
        if not 0 <= low <= high <= 1:
            raise ValueError(f"images: pixels must lie in [0, 1], found {low:.4g} to {high:.4g}")
        if labels.min() < 0:  # torch's cross-entropy would silently leave out an image with -100
            raise ValueError(f"labels: must be class numbers from 0 on, found {labels.min()}")


@contextmanager
def trusting() -> Iterator[None]:
    """Attack inside the block without a look at the pixels, for which a GPU would have to wait.

    For training loops, whose images were checked before.
    """
    token = _trusted.set(True)
    try:
        yield
    finally:
        _trusted.reset(token)


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
