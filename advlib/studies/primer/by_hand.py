"""The linear network, of which all can be said by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from advlib.attacks import Attack, craft, fgsm
from advlib.data import Dataset, Split, pixels
from advlib.evaluation import noisy
from advlib.tables import reader_name


def two_classes(images: Dataset, pair: Sequence[int], eps: float) -> tuple[Split, Split]:
    """The training and the test images of two classes, labelled 0 and 1, made paler.

    Pixels are moved into [eps, 1 - eps], so that the box leaves room for the whole ball.
    """
    return _pale(images.train, pair, eps), _pale(images.test, pair, eps)


def _pale(split: Split, pair: Sequence[int], eps: float) -> Split:
    rows = torch.cat([(split.labels == number).nonzero()[:, 0] for number in pair])
    if not len(rows):
        raise ValueError(f"pair: there is no image of the classes {pair}")
    labels = (split.labels[rows] == pair[1]).long()
    return Split(eps + (1 - 2 * eps) * pixels(split.images[rows]), labels)


def linear_network(split: Split) -> nn.Module:
    """A network of one layer and two logits for these images, on their device, all weights 0."""
    layer = nn.Linear(split.images[0].numel(), 2)
    for part in (layer.weight, layer.bias):
        nn.init.zeros_(part)
    return nn.Sequential(nn.Flatten(), layer).to(split.images.device).eval()


def line(network: nn.Module) -> tuple[Tensor, Tensor]:
    """w [d] and b of a linear network, which guesses 1 where w·x + b > 0: float64, on the CPU."""
    (layer,) = (part for part in network.modules() if isinstance(part, nn.Linear))
    (w0, w1), (b0, b1) = (p.detach().cpu().double() for p in (layer.weight, layer.bias))
    return w1 - w0, b1 - b0


def margins(network: nn.Module, split: Split) -> Tensor:
    """y (w·x + b) for each image of a linear network, y = ±1: above 0 where the guess is right."""
    w, b = line(network)
    signs = 2 * split.labels.cpu() - 1
    return signs * (pixels(split.images).cpu().flatten(1).double() @ w + b)


def weight_pictures(
    network: nn.Module, image: Split, crafted: Split
) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """The weights, their signs, an image and what the attack made of it, for `plots.examples`."""
    w, _ = line(network)
    before = pixels(image.images).cpu()
    shown = [(w / w.abs().max()).float().view_as(before), w.sign().float().view_as(before)]
    shown = [before, *(0.5 + 0.5 * picture for picture in shown), crafted.images.cpu()]
    return {"": torch.cat(shown)}, {"": ["image", "w", "sign of w", "adversarial image"]}


def worst_cases(rows: pd.DataFrame) -> pd.DataFrame:
    """What was computed by hand beside what the attacks did, a line each."""
    lines = []
    names = {"clean": "no attack", "none": "worst case, by hand"}
    for (attack, protocol), part in rows.groupby(["attack", "protocol"], sort=False):
        of = part.set_index("metric")["value"]
        cells = {"": names.get(protocol, reader_name(attack))}
        cells |= {"fall of the margin": f"{of['fall']:.5f}", "accuracy, %": 100 * of["accuracy"]}
        off = f"{of['off']:.0e}" if "off" in of else "–"
        lines.append(cells | {"largest relative difference": off})
    return pd.DataFrame(lines)


def reach(
    network: nn.Module, split: Split, eps: float, *, draws: int = 20
) -> Iterator[tuple[str, float]]:
    """How much further the attack moves the margin of a linear network than noise of its size.

    By hand, |w|₁ / |w|₂, and measured: FGSM's mean fall, and the root mean square over `draws`.
    """
    w, _ = line(network)
    before = margins(network, split)
    fall = before - margins(network, craft(network, split, Attack("fgsm", fgsm, eps=eps)))
    noise = [before - margins(network, noisy(split, eps, seed)) for seed in range(draws)]
    yield "pixels", len(w)
    yield "square root", len(w) ** 0.5
    yield "by hand", (w.abs().sum() / w.norm()).item()
    yield "measured", (fall.mean() / torch.stack(noise).square().mean().sqrt()).item()


def by_side(rows: pd.DataFrame) -> pd.DataFrame:
    """What `reach` gives, a line a side of the images."""
    wide = rows.pivot_table("value", "side", "metric", sort=False).reset_index()
    wide[["side", "pixels"]] = wide[["side", "pixels"]].astype(int)
    heads = {"side": "side, pixels", "pixels": "d", "square root": "√d"}
    heads |= {name: f"attack / noise, {name}" for name in ("by hand", "measured")}
    return wide.rename(columns=heads)
