"""Training the whole network on adversarial images: made once before it, or fresh each step."""

from __future__ import annotations

import copy
import functools
import inspect
from typing import Any

import torch
from torch import Tensor, nn

from advlib.attacks import pgd
from advlib.attacks.contract import check_eps
from advlib.data import Split, pixels
from advlib.evaluation import Attack
from advlib.training import autocast, fit

# What the three recipes below share.
SGD: dict[str, Any] = {"optimizer": "sgd", "groups": {"": {"weight_decay": 5e-4}}}


def mix(benign: Split, adversarial: Split) -> Split:
    """Benign and adversarial images as one training split (Goodfellow et al. 2015, section 6)."""
    images = torch.cat([pixels(benign.images).to(adversarial.images.device), adversarial.images])
    return Split(images, torch.cat([benign.labels.to(images.device), adversarial.labels]))


def harden(model: nn.Module, train: Split, **options: Any) -> nn.Module:
    """A copy of `model`, all of it fine-tuned on `train`; `options` are those of `training.fit`.

    With images that an attack made against `model` this is one-shot adversarial training, which
    the papers call adversarial training or adversarial fine-tuning.
    """
    hardened = copy.deepcopy(model).requires_grad_(True)
    fit(hardened, train, **options)
    return hardened


def fresh(attack: Attack, *, warmup: float = 0.0) -> functools.partial:
    """A `prepare` step for `training.fit`: attack each batch as the model is now.

    With `pgd` this is the min-max training of Madry et al. (2018), with `fgsm` that of Goodfellow
    et al. (2015), with `ifgsm` that of Kurakin et al. (2017). `attack` is an attack with its
    settings bound by keyword; `eps` and `step` grow from 0 over the first `warmup` share of
    training, without which a small network at a large `eps` never starts to learn.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup: must lie in [0, 1), got {warmup}")
    return functools.partial(_perturb, attack=attack, warmup=warmup)


def fast(
    model: nn.Module, train: Split, *, eps: float, epochs: int = 15, lr: float = 0.2, **options: Any
) -> nn.Module:
    """Fast adversarial training (Wong, Rice and Kolter 2020, algorithm 3), of a copy of `model`.

    One step of 1.25 `eps` from a random start in each batch, SGD with weight decay 5e-4, and a rate
    that rises to `lr` and falls to 0 once. `options`, those of `training.fit`, overrule these.
    """
    attack = functools.partial(pgd, eps=eps, step=min(1.0, 1.25 * eps), steps=1)
    recipe = SGD | {"schedule": "cyclic", "epochs": epochs, "lr": lr, "prepare": fresh(attack)}
    return harden(model, train, **(recipe | options))


def free(
    model: nn.Module,
    train: Split,
    *,
    eps: float,
    replays: int = 8,
    epochs: int = 10,
    lr: float = 0.1,
    **options: Any,
) -> nn.Module:
    """Free adversarial training (Shafahi et al. 2019, algorithm 1), of a copy of `model`.

    Each batch is learned `replays` times in a row; the one backward pass of a step serves both the
    weights and the perturbation, which moves by `eps` and is carried on to the next batch.
    `epochs` are passes over `train`, so the cost is that of `epochs` * `replays` plain ones.
    """
    check_eps(eps)
    recipe = SGD | {"schedule": "linear", "epochs": epochs, "lr": lr, "replays": replays}
    recipe["prepare"] = functools.partial(_carry_on, eps=eps, state={})
    return harden(model, train, **(recipe | options))


def fine_tune(
    model: nn.Module,
    train: Split,
    *,
    eps: float,
    steps: int = 7,
    epochs: int = 10,
    lr: float = 0.01,
    **options: Any,
) -> nn.Module:
    """Adversarial fine-tuning (AFT; Jeddi, Shafiee and Wong 2020) of a copy of a trained `model`.

    PGD images made afresh in each step, and a rate that starts slowly and decays fast.
    """
    attack = functools.partial(pgd, eps=eps, step=min(1.0, 2 * eps / steps), steps=steps)
    recipe = SGD | {"schedule": "slow_fast", "epochs": epochs, "lr": lr, "prepare": fresh(attack)}
    return harden(model, train, **(recipe | options))


def _perturb(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    share: float,
    generator: torch.Generator,
    *,
    attack: functools.partial,
    warmup: float,
) -> tuple[Tensor, Tensor]:
    # The first batches keep a thousandth of eps: a step of 0 is no step.
    strength = max(1e-3, min(1.0, share / warmup)) if warmup else 1.0
    settings = {n: v * strength for n, v in attack.keywords.items() if n in ("eps", "step")}
    if "generator" in inspect.signature(attack).parameters:
        settings["generator"] = generator
    with autocast(images.device):
        return attack(model, images, labels, **settings), labels


def _carry_on(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    share: float,
    generator: torch.Generator,
    *,
    eps: float,
    state: dict[str, Tensor],
) -> tuple[Tensor, Tensor]:
    """The images with the perturbation of the step before, moved by the gradient found there."""
    perturbation = torch.zeros_like(images)
    if "perturbation" in state:
        before = state["perturbation"]
        perturbation = (before.detach() + eps * before.grad.sign()).clamp_(-eps, eps)
    state["perturbation"] = perturbation.requires_grad_()
    return (images + perturbation[: len(images)]).clamp(0, 1), labels
