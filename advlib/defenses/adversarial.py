"""Training the whole network on adversarial images: made once before it, or fresh each step."""

from __future__ import annotations

import copy
import functools

import torch
from torch import Tensor, nn

from advlib.data import Split, pixels
from advlib.evaluation import Attack
from advlib.training import autocast, fit


def mix(benign: Split, adversarial: Split) -> Split:
    """Benign and adversarial images as one training split (Goodfellow et al. 2015, section 6)."""
    images = torch.cat([pixels(benign.images).to(adversarial.images.device), adversarial.images])
    return Split(images, torch.cat([benign.labels.to(images.device), adversarial.labels]))


def harden(model: nn.Module, train: Split, **options: object) -> nn.Module:
    """A copy of `model`, all of it fine-tuned on `train`; `options` are those of `training.fit`.

    With images that an attack made against `model` this is one-shot adversarial training, which
    the papers call adversarial training or adversarial fine-tuning.
    """
    hardened = copy.deepcopy(model).requires_grad_(True)
    fit(hardened, train, **options)
    return hardened


def fresh(attack: Attack, *, warmup: float = 0.0) -> functools.partial:
    """A `prepare` step for `training.fit`: attack each batch as the model is now.

    This is the min-max training of Madry et al. (2018). `attack` is an attack with `eps` and
    `step` bound; both grow from 0 over the first `warmup` share of training, without which a
    small network at a large `eps` never starts to learn.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup: must lie in [0, 1), got {warmup}")
    return functools.partial(_perturb, attack=attack, warmup=warmup)


def _perturb(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    share: float,
    generator: torch.Generator,
    *,
    attack: functools.partial,
    warmup: float,
) -> Tensor:
    # The first batches keep a thousandth of eps: a step of 0 is no step.
    strength = max(1e-3, min(1.0, share / warmup)) if warmup else 1.0
    scaled = {name: attack.keywords[name] * strength for name in ("eps", "step")}
    with autocast(images.device):
        return attack(model, images, labels, generator=generator, **scaled)
