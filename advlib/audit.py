"""Checks for masked gradients: signs that a network only looks robust (Athalye et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from advlib.attacks.attack import check_inputs, frozen
from advlib.attacks.losses import Loss, float32_cross_entropy
from advlib.data import Split, at_once, pixels
from advlib.predictions import device_of


def zero_gradients(
    model: nn.Module,
    split: Split,
    *,
    loss: Loss = float32_cross_entropy,
) -> Tensor:
    """Boolean [N]: the gradient of `loss` at the image is exactly 0 in every pixel.

    A sign-gradient attack that climbs this loss from the image never moves it.
    """
    device = device_of(model)
    parts = []
    count = at_once(split.images, 250)
    for images, labels in zip(*(t.split(count) for t in split), strict=True):
        images, labels = pixels(images.to(device)).clone(), labels.to(device)
        check_inputs(model, images, labels)
        with frozen(model):
            logits = model(images.requires_grad_()).float()
            (gradient,) = torch.autograd.grad(logits, images, loss(logits.detach(), labels))
        parts.append(~gradient.flatten(1).any(1))
    return torch.cat(parts).cpu()
