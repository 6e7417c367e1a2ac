"""What an attack sees that is run through clipped probabilities instead of logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from advlib.cache import versioned
from advlib.data import Split
from advlib.predictions import logits

EPSILON = 1e-7  # Keras's


@versioned("clipped probabilities", 1)
class ClippedProbabilities(nn.Module):
    """A model as Keras's cross-entropy sees one that ends in a softmax.

    Maps images [N, C, H, W] to the logarithm [N, K] of the model's probabilities, clipped to
    [1e-7, 1 - 1e-7]. The guesses are the model's own; but where its first guess is surer than that
    the gradient is exactly 0, and a sign-gradient attack takes no step. This is no defense: it
    shows how robust a network seems to an attacker who overlooks it (Carlini and Wagner 2016,
    "Defensive distillation is not robust to adversarial examples", met the same in float32).
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.train(model.training)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).softmax(1).clamp(EPSILON, 1 - EPSILON).log()


def certain(model: nn.Module, split: Split) -> Tensor:
    """Boolean [N]: images on which the model's clipped probabilities leave no gradient."""
    return torch.softmax(logits(model, split.images), 1).amax(1) > torch.tensor(1 - EPSILON)
