"""An image and what becomes of it: pictures, guesses, the loss around it, how far pixels went."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advlib.attacks import fgsm
from advlib.data import Split, pixels
from advlib.evaluation import noisy
from advlib.predictions import device_of, logits


def statistics(split: Split) -> dict[str, list[float]]:
    """Mean and standard deviation of the pixels, a number a channel, as `networks.build` takes
    them; to four digits, as they are published for other data."""
    channels = pixels(split.images).transpose(0, 1).flatten(1)
    moments = {"mean": channels.mean(1), "std": channels.std(1)}
    return {name: [round(value, 4) for value in of.tolist()] for name, of in moments.items()}


def only(split: Split, number: int) -> Split:
    """The image of this number, alone."""
    return Split(*(part[number : number + 1] for part in split))


def most_fooled(network: nn.Module, split: Split, crafted: Split) -> int:
    """The number of the image that the network is sure of, and most wrong about when it is crafted.

    Sure is a probability of at least 90 % for the label; if no image has that, it is the first.
    """
    sure = _losses(network, split) <= -math.log(0.9)
    return int((_losses(network, crafted) * sure).argmax())


def guesses(network: nn.Module, images: Tensor, classes: Sequence[str]) -> list[str]:
    """The network's first guess for each image, and how sure it is: "3 (98 %)"."""
    sure, first = logits(network, images).softmax(1).max(1)
    pairs = zip(first.tolist(), sure.tolist(), strict=True)
    return [f"{classes[guess]} ({100 * share:.0f}\N{NO-BREAK SPACE}%)" for guess, share in pairs]


def before_and_after(
    network: nn.Module,
    image: Split,
    crafted: Split,
    *,
    eps: float,
    classes: Sequence[str],
    seed: int,
) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """One image, its change, their sum, and as much noise, with the guesses: for `plots.examples`.

    The change is shown on grey: white is a pixel that gained eps, black one that lost it.
    """
    before, after = (pixels(split.images).cpu() for split in (image, crafted))
    noise = noisy(image, eps, seed).images.cpu()
    shown = [before, 0.5 + (after - before) / (2 * eps), after, noise]
    clean, _, fooled, other = (guesses(network, picture, classes)[0] for picture in shown)
    told = ["image: " + clean, "change", "adversarial: " + fooled, "noise: " + other]
    return {"": torch.cat(shown)}, {"": told}


def each_target(image: Split, classes: int) -> Split:
    """One image, once for each class, with the class as its target in place of the label."""
    count = min(classes, 10)  # as many as stand in a line
    targets = torch.arange(count, device=image.labels.device)
    return Split(image.images.expand(count, -1, -1, -1), targets)


def asked(network: nn.Module, pushed: Split, classes: Sequence[str]) -> list[str]:
    """For each image the class that was asked for, its label, and the network's guess."""
    guessed = logits(network, pushed.images).argmax(1).tolist()
    pairs = zip(pushed.labels.tolist(), guessed, strict=True)
    return [f"asked {classes[target]}: guess {classes[guess]}" for target, guess in pairs]


def mean_loss(network: nn.Module, split: Split) -> float:
    """The cross-entropy at the label, in nats, averaged over the images."""
    return _losses(network, split).mean().item()


def _losses(network: nn.Module, split: Split) -> Tensor:
    """The cross-entropy of each image at its label, in nats: float64 [N], on the CPU."""
    scores = logits(network, split.images).double()
    return F.cross_entropy(scores, split.labels.cpu(), reduction="none")


def landscape(
    network: nn.Module, image: Split, *, eps: float, seed: int, points: int = 41
) -> tuple[Tensor, Tensor]:
    """The loss around one image, and its label's lead: two tensors [points, points].

    The lead is the label's logit minus the best other one: above 0 where the guess is right.
    Columns go from the image along FGSM's change, rows along random signs, from -1 to 1 of either.
    """
    x, device = pixels(image.images), device_of(network)
    along = fgsm(network, x.to(device), image.labels.to(device), eps=eps).to(x.device) - x
    across = noisy(image, eps, seed).images - x
    scale = torch.linspace(-1, 1, points, device=x.device).view(-1, 1, 1, 1, 1)
    plane = (x + scale * across[None] + scale.transpose(0, 1) * along[None]).clamp(0, 1)
    around = Split(plane.flatten(0, 1), image.labels.expand(points**2))
    scores, label = logits(network, around.images), around.labels.cpu()[:, None]
    lead = scores.gather(1, label) - scores.scatter(1, label, -torch.inf).amax(1, keepdim=True)
    return _losses(network, around).view(points, points), lead.view(points, points)


def strayed(split: Split, crafted: Split) -> Iterator[tuple[str, float]]:
    """How far the crafted pixels went: the largest change, and the furthest outside of [0, 1]."""
    after = crafted.images.cpu()
    yield "largest change", (after - pixels(split.images).cpu()).abs().max().item()
    yield "outside the box", max(0.0, -after.min().item(), after.max().item() - 1)
