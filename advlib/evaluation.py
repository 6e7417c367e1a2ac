"""From networks and attacks to outcomes: was the network still right, image by image?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from advlib import cache, devices
from advlib.attacks.attack import Attack
from advlib.attacks.clipped import ClippedProbabilities
from advlib.attacks.crafting import craft, together
from advlib.attacks.losses import float32_cross_entropy
from advlib.data import Split, pixels
from advlib.predictions import best_classes, device_of, logits
from advlib.protocols import check_gradient, check_protocol


@dataclass(frozen=True, eq=False)
class Subject:
    """A network under test, and what it descends from.

    Args:
        network: in evaluation mode, on the device to compute on.
        model, defense, seed: what records call it.
        undefended: the network that it was made from, for `static`.
        stranger: another one, trained apart, for `transfer`.
        untricked: the same network with its trick undone, for `adaptive`.
        columns: further columns of its records, such as the share of filters trained.
    """

    network: nn.Module
    model: str
    defense: str = "none"
    seed: int | None = None
    undefended: nn.Module | None = None
    stranger: nn.Module | None = None
    untricked: nn.Module | None = None
    columns: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def defended(self, network: nn.Module, defense: str, **more: Any) -> Subject:
        """A network that a defense made of this one; `more` are further fields."""
        return Subject(network, self.model, defense, self.seed, undefended=self.network, **more)


@dataclass(frozen=True, eq=False)
class Question:
    """What does one attack under one protocol leave of one network?"""

    subject: Subject
    attack: Attack | None  # None on clean images
    protocol: str
    gradient: str  # "none" where nothing was attacked

    @property
    def columns(self) -> dict[str, Any]:
        """What a record says of it, beside its value."""
        subject, attack = self.subject, self.attack
        return {
            "model": subject.model,
            "defense": subject.defense,
            "seed": subject.seed,
            "attack": attack.name if attack else "none",
            "eps": attack.eps if attack else None,
            "protocol": self.protocol,
            "gradient": self.gradient,
            **subject.columns,
        }


@dataclass(frozen=True, eq=False)
class Outcome(Question):
    """The question with its answer."""

    right: Tensor  # boolean [N], on the CPU: the network's first guess is still the label


# Whom a protocol's images are crafted on, by the name of a Subject's field.
CRAFTED_ON = {
    "transfer": "stranger",
    "static": "undefended",
    "white-box": "network",
    "adaptive": "untricked",
}


def evaluate(
    subjects: Sequence[Subject],
    split: Split,
    attacks: Sequence[Attack] = (),
    protocols: Sequence[str] = ("clean", "static", "white-box"),
    *,
    gradient: str = "exact",
    seed: int | None = None,
) -> list[Outcome]:
    """Run every subject against every attack under every protocol.

    An image that the network gets wrong by itself is not attacked on under `white-box`, and counts
    as wrong. What networks say is kept on disk (see `cache`), and so are the images that more than
    one of them may be shown.

    Args:
        split: images uint8 [N, C, H, W], or float32 in [0, 1]; their classes int64 [N].
        protocols: names from `protocols.PROTOCOLS`. `clean` is told once a subject, before the
            others; `noise` is random signs of each attack's eps.
        gradient: how the attacker takes it, a name from `protocols.GRADIENTS`.
        seed: of the attacks' random numbers; None is each subject's own (0 if it has none).

    Raises:
        ValueError: before anything is computed, for a protocol or gradient that is not known, or
            one that a subject or an attack has nothing for; the message names it.
        TypeError: a network cannot be told by its values (see `cache.remember`).
    """
    return [
        Outcome(q.subject, q.attack, q.protocol, q.gradient, _answer(q, split, seed))
        for q in questions(subjects, attacks, protocols, gradient=gradient)
    ]


def questions(
    subjects: Sequence[Subject],
    attacks: Sequence[Attack] = (),
    protocols: Sequence[str] = ("clean", "static", "white-box"),
    *,
    gradient: str = "exact",
) -> list[Question]:
    """What `evaluate` asks with these arguments, in its order; raises its ValueError."""
    for protocol in protocols:
        check_protocol(protocol)
    check_gradient(gradient)
    attacked = [protocol for protocol in protocols if protocol != "clean"]
    for subject in subjects:
        for protocol in attacked:
            source = CRAFTED_ON.get(protocol)
            if source and getattr(subject, source) is None:
                raise ValueError(f"{source}: {protocol} needs it, and {subject.model} has none")
    if "noise" in attacked and (without := [a.name for a in attacks if a.eps is None]):
        raise ValueError(f"attacks: noise takes their eps, and {without[0]} has none")
    for attack in attacks:
        _taking(gradient, attack)
    met: list[tuple[Attack | None, str, str]] = []
    met += [(None, "clean", "none")] if "clean" in protocols else []
    met += [(a, p, "none" if p == "noise" else gradient) for a in attacks for p in attacked]
    return [Question(subject, *how) for subject in subjects for how in met]


def _answer(asked: Question, split: Split, seed: int | None) -> Tensor:
    """Boolean [N]: the network's first guess is still the label."""
    subject, attack, gradient = asked.subject, asked.attack, asked.gradient
    seed = (subject.seed if seed is None else seed) or 0
    if attack is None:
        return _right(subject.network, split)
    if asked.protocol == "noise":
        return _right(subject.network, noisy(split, attack.eps or 0.0, seed))
    taken = _taking(gradient, attack)
    if asked.protocol == "white-box":
        return _right_itself(subject.network, split, taken, gradient, seed)
    source = seen(getattr(subject, CRAFTED_ON[asked.protocol]), gradient)
    return _right(subject.network, craft(source, split, taken, seed=seed))


def _right(network: nn.Module, split: Split) -> Tensor:
    """Boolean [N]: the network's first guess is the label. Kept on disk, like the images: a run
    that is made again, or with more seeds, asks nothing twice."""
    return best_classes(network, split.images, 1)[:, 0] == split.labels.cpu()


def _right_itself(
    network: nn.Module, split: Split, attack: Attack, gradient: str, seed: int
) -> Tensor:
    """Boolean [N]: the first guess on images that were crafted on the network itself is the label.

    Nobody else is shown these images: what the network says of them is kept, they are not.
    """
    told, _ = cache.remember(
        _guesses, device_of(network), network=network, split=split, attack=attack,
        gradient=gradient, seed=seed, batch_size=together(split.images),
    )  # fmt: skip
    return told["classes"].long() == split.labels.cpu()


@cache.versioned("white-box guesses", 1)
def _guesses(
    network: nn.Module, split: Split, attack: Attack, gradient: str, seed: int, batch_size: int
) -> tuple[dict[str, Tensor], dict]:
    shown = craft(
        seen(network, gradient), split, attack, seed=seed, stop_when_wrong=True,
        batch_size=batch_size, keep=False,
    )  # fmt: skip
    return {"classes": logits(network, shown.images).argmax(1).int()}, {}


def seen(network: nn.Module, gradient: str) -> nn.Module:
    """The network as an attacker with this gradient sees it."""
    return ClippedProbabilities(network) if gradient == "clipped" else network


def _taking(gradient: str, attack: Attack) -> Attack:
    """The attack with the gradient taken in this way."""
    if gradient != "float32":
        return attack
    if not attack.has("loss"):
        raise ValueError(f"gradient: {attack.name} climbs no loss whose gradient could be float32")
    return attack.but(loss=float32_cross_entropy)


def noisy(split: Split, eps: float, seed: int) -> Split:
    """Each pixel moved by `eps` up or down, at random."""
    images = pixels(split.images)
    dice = devices.generator(seed, images.device)
    signs = torch.randint(2, images.shape, generator=dice, device=images.device) * 2 - 1
    return Split((images + eps * signs).clamp(0, 1), split.labels)
