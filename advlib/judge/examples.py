"""Three networks for the small digits, 16 pixels a side: to try `judge` on, and for its notebook.

Each is trained in seconds, once; another size or data set is not theirs.
"""

from __future__ import annotations

from torch import nn

from advlib import data, networks
from advlib.attacks import Attack, pgd
from advlib.defenses import adversarial
from advlib.defenses.distillation import Tempered
from advlib.training import Recipe, fit

SIZE = 16
EPS = 0.1  # of the robust one's training
FACTOR = 1000.0  # of the masked one's logits
EPOCHS = 8


def undefended() -> nn.Module:
    """A small CNN that learned clean images."""
    network = networks.build("shallow_cnn", size=SIZE, dropout=0.0)
    fit(network, _images(), Recipe(EPOCHS, batch_size=32, optimizer="adam"))
    return network


def masked() -> nn.Module:
    """The undefended network with its logits a thousand times as large: its guesses are the same,
    and float32's gradient vanishes."""
    return Tempered(undefended(), 1 / FACTOR)


def robust() -> nn.Module:
    """A small CNN that learned PGD images, crafted anew in each step."""
    attack = Attack("PGD", pgd, eps=EPS, step=0.4 * EPS, steps=4)
    fresh = adversarial.fresh(attack, warmup=0.5)
    recipe = Recipe(EPOCHS, batch_size=32, optimizer="adam", lr=3e-3, prepare=fresh)
    network = networks.build("shallow_cnn", size=SIZE, dropout=0.0)
    return adversarial.harden(network, _images(), recipe).network


def _images() -> data.Split:
    return data.load("digits", size=SIZE, train=600, device="cpu").train
