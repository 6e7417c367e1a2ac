"""BPDA: an attack that passes gradients straight through what has none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from advlib.attacks import losses
from advlib.attacks.attack import declare
from advlib.attacks.gradient import pgd


@declare("BPDA", 1, norm="Linf")
def bpda(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    through: Sequence[str],
    eps: float | Tensor,
    step: float,
    steps: int,
    restarts: int = 1,
    random_start: bool = True,
    targeted: bool = False,
    stop_when_wrong: bool = False,
    loss: losses.Loss = losses.cross_entropy,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Backward pass differentiable approximation (Athalye, Carlini and Wagner 2018, section 4.1).

    PGD, but for the gradient the modules named in `through` are taken to be the identity: a defense
    that rounds, compresses or denoises its input computes as ever and hides nothing. A model
    without such a part has nothing to name, and the attack is PGD.

    Args:
        through: names of modules of `model` (see `nn.Module.named_modules`) whose output has the
            shape of their input.
        eps, step, ...: all others as for `pgd`.

    Raises:
        ValueError: a module that the model does not have, or one that changes the shape; and
            what `pgd` raises.
    """
    modules = dict(model.named_modules())
    for name in through:
        if name not in modules:
            raise ValueError(f"through: the model has no module called {name!r}")
    with ExitStack() as hooks:
        for name in through:
            hooks.enter_context(modules[name].register_forward_hook(_straight))
        return pgd(
            model, images, labels, eps=eps, step=step, steps=steps, restarts=restarts,
            random_start=random_start, targeted=targeted, stop_when_wrong=stop_when_wrong,
            loss=loss, generator=generator,
        )  # fmt: skip


def _straight(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """The value of `output`, the gradient of the input."""
    (given,) = inputs
    if output.shape != given.shape:
        raise ValueError(
            f"through: {type(module).__name__} turns {tuple(given.shape)} into "
            f"{tuple(output.shape)}; only what keeps the shape can be passed straight through"
        )
    return given + (output - given).detach()
