"""Can a robust accuracy be trusted? Signs of masked gradients, and of an attack that fell short.

After Athalye, Carlini and Wagner (2018, section 3.1), Carlini et al. (2019, "On evaluating
adversarial robustness", section 5) and the checks of AutoAttack (Croce and Hein 2020).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from advlib.attacks import autoattack, craft, fgsm, pgd, square
from advlib.attacks.attack import Attack, check_inputs, frozen
from advlib.attacks.losses import Loss, cross_entropy, float32_cross_entropy
from advlib.checks import check_count
from advlib.data import Split, at_once, pixels
from advlib.evaluation import CRAFTED_ON, Subject, evaluate, seen
from advlib.predictions import device_of, logits
from advlib.protocols import check_gradient

POINT = 0.01  # of accuracy: nobody's conclusion hangs on less
LEVEL = 0.05  # of the tests
FEW = 5  # images all on one side: the fewest that an exact test at 5 % can tell from chance
CHANGE = 1e-4  # of the logits between two passes, over their size, as AutoAttack has it
RISE = 0.1  # of what the loss rose before

Sign = tuple[str, bool | None]  # what was seen, in words; is it a warning? None: not tried
VERDICTS = {True: "warn", False: "pass", None: "not tried"}


def audit(
    subject: Subject,
    split: Split,
    *,
    eps: float,
    step: float,
    steps: int,
    restarts: int = 3,
    gradient: str = "exact",
    queries: int = 500,
    autoattacked: int = 0,
    seed: int | None = None,
) -> pd.DataFrame:
    """Signs that the accuracy which PGD leaves tells more of the attack than of the network.

    Attacks are compared on the same images, so that noise raises no alarm. One leaves less than
    another where it does by more than a point and an exact one-sided McNemar test, on the images
    that only one of them turns, has p < 5 %. Where it can but gain, run on what the other left, it
    must turn more than a point of all images by an exact binomial test at 5 %. The level is that of
    a line: one warning is a reason to look, and a table without one no proof of robustness.

    Args:
        subject: its network is audited. Images are transferred from its `stranger` and
            `undefended`, always with the exact gradient.
        split: images uint8 [N, C, H, W], or float32 in [0, 1]; their classes int64 [N].
        eps, step, steps, restarts: of PGD, as for `pgd`; eps above 0.
        gradient: how PGD and FGSM take it, a name from `protocols.GRADIENTS`: "float32" audits
            what a naive attacker would report.
        queries: of Square, an image.
        autoattacked: of so many first images AutoAttack gets what PGD leaves; 10,000 passes each.
        seed: of the attacks' random numbers; None is the subject's own (0 if it has none).

    Returns:
        One row a check: check; figure (accuracies in percent of all N images, or why it was not
        tried); rule (what is a warning); verdict ("pass", "warn" or "not tried"). Where the output
        is random, or fewer than 5 images are right without an attack, nothing else is tried.

    Raises:
        ValueError: an argument is outside what is allowed; the message names it.
    """
    check_gradient(gradient)
    check_count("queries", queries)
    if eps == 0 or not (count := len(split.images)):
        raise ValueError(f"{'split' if eps else 'eps'}: leaves nothing to attack")
    if not 0 <= autoattacked <= count:
        raise ValueError(f"autoattacked: must be 0 to {count} images, got {autoattacked}")
    attack = Attack("PGD", pgd, eps=eps, step=step, steps=steps, restarts=restarts)
    network = subject.network
    none = Split(*(part[:0].to(device_of(network)) for part in split))
    attack(network, pixels(none.images), none.labels)  # refuses what it would refuse later
    scores = logits(network, split.images)
    clean = scores.argmax(1) == split.labels.cpu()
    seed = (subject.seed or 0) if seed is None else seed
    case = Case(
        subject, split, attack, gradient, seed, queries, autoattacked, scores, clean,
        seen(network, gradient),
    )  # fmt: skip
    rows, useless = [], ""
    for name, (check, rule) in CHECKS.items():
        figure, warned = (useless, None) if useless else check(case)
        rows.append((name, figure, rule, VERDICTS[warned]))
        if check is _randomised and warned:
            useless = "no two passes agree: attack their mean"
        elif clean.sum() < FEW:
            useless = f"only {clean.sum()} images are right without an attack"
    return pd.DataFrame(rows, columns=["check", "figure", "rule", "verdict"])


def audits(subjects: Mapping[str, Subject], split: Split, **settings: Any) -> pd.DataFrame:
    """`audit` of several networks `beside` each other, by their names."""
    return beside({name: audit(of, split, **settings) for name, of in subjects.items()})


def beside(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables of `audit` as one: a line a check, a column a network with verdict and figure."""
    first = next(iter(tables.values()))
    told = {name: table["verdict"] + ": " + table["figure"] for name, table in tables.items()}
    return pd.DataFrame({"check": first["check"], **told, "a warning if": first["rule"]})


def zero_gradients(model: nn.Module, split: Split, *, loss: Loss = float32_cross_entropy) -> Tensor:
    """Boolean [N]: the gradient of `loss` at the image is exactly 0 in every pixel.

    A sign-gradient attack that climbs this loss from the image never moves it.
    """
    device = device_of(model)
    parts = []
    for images, labels in zip(*(t.split(at_once(split.images, 250)) for t in split), strict=True):
        images, labels = pixels(images.to(device)).clone(), labels.to(device)
        check_inputs(model, images, labels)
        with frozen(model):
            logits = model(images.requires_grad_()).float()
            (gradient,) = torch.autograd.grad(logits, images, loss(logits.detach(), labels))
        parts.append(~gradient.flatten(1).any(1))
    return torch.cat(parts).cpu()


@dataclass(frozen=True)
class Case:
    """Whose figure is in question, and under which attack. Every mask is boolean [N]."""

    subject: Subject
    split: Split
    pgd: Attack
    gradient: str
    seed: int
    queries: int
    autoattacked: int
    scores: Tensor  # logits float32 [N, K] without an attack
    clean: Tensor  # right without an attack
    seen: nn.Module  # the network as PGD sees it

    @functools.cached_property
    def left(self) -> Tensor:
        """Right under PGD."""
        return self.right(self.pgd)

    def some(self, among: Tensor) -> Split:
        """Those of the images."""
        return Split(*(part[among.to(part.device)] for part in self.split))

    def right(
        self, attack: Attack, protocol: str = "white-box", among: Tensor | None = None
    ) -> Tensor:
        """Right under an attack on all images, or on those `among` them with other dice."""
        if among is not None and not among.any():
            return among
        split = self.split if among is None else self.some(among)
        how = self.gradient if protocol == "white-box" and attack.has("loss") else "exact"
        seed = self.seed + (among is not None)
        (outcome,) = evaluate([self.subject], split, [attack], [protocol], gradient=how, seed=seed)
        if among is None:
            return outcome.right & self.clean  # who attacks may leave an image as it is
        return among.masked_scatter(among, outcome.right)


def _percent(right: Tensor) -> str:
    return f"{100 * right.float().mean():.1f} %"


def _chance(before: Tensor, after: Tensor) -> float:
    """p of the exact one-sided McNemar test that fewer are right after than before."""
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    return float(binomtest(lost, lost + won, 0.5, "greater").pvalue) if lost + won else 1.0


def _less(before: Tensor, after: Tensor) -> bool:
    """Fewer are right after than before: by more than a point, and not by chance."""
    fall = int(before.sum() - after.sum())
    return fall > POINT * len(before) and _chance(before, after) < LEVEL


def _more_than(share: float, hits: Tensor) -> bool:
    """Exact one-sided binomial test that an image is a hit more often than `share`."""
    return bool(binomtest(int(hits.sum()), len(hits), share, "greater").pvalue < LEVEL)


def _randomised(case: Case) -> Sign:
    with torch.random.fork_rng():
        first, *others = (logits(case.subject.network, case.split.images) for _ in range(3))
    size = first.norm(dim=1).clamp(min=1e-10)
    change = torch.stack([(other - first).norm(dim=1) / size for other in others]).max().item()
    return f"{change:.2g} of the logits' size", not change <= CHANGE  # nan is no answer, either


def _probabilities(case: Case) -> Sign:
    scores, sums = case.scores, case.scores.sum(1)
    within = bool(((scores >= -CHANGE) & (scores <= 1 + CHANGE)).all())
    figure = f"{scores.min():.3g} to {scores.max():.3g}, sums {sums.min():.3g} to {sums.max():.3g}"
    return figure, within and bool(((sums - 1).abs() <= CHANGE).all())


def _zero_gradients(case: Case) -> Sign:
    some = case.some(case.clean)
    naive = zero_gradients(case.seen, some)
    exact = zero_gradients(case.subject.network, some, loss=cross_entropy)
    name = "clipped" if case.gradient == "clipped" else "float32"
    figure = f"{name} {_percent(naive)}, exact {_percent(exact)} of the images that are right"
    return figure, naive.float().mean().item() > POINT


def _one_step(case: Case) -> Sign:
    one = case.right(Attack("FGSM", fgsm, eps=case.pgd.eps))
    return f"FGSM {_percent(one)}, PGD {_percent(case.left)}", _less(case.left, one)


def _square(case: Case) -> Sign:
    asked = case.right(Attack("Square", square, eps=case.pgd.eps, steps=case.queries))
    return f"Square {_percent(asked)}, PGD {_percent(case.left)}", _less(case.left, asked)


def _noise(case: Case) -> Sign:
    # One run: of several starts the best would beat one draw of noise without any gradient.
    noisy, one = case.right(case.pgd, "noise"), case.right(case.pgd.but(restarts=1))
    figure = f"noise {_percent(noisy)}, one run of PGD {_percent(one)}"
    chance = _chance(noisy, one)
    if chance >= LEVEL and (case.clean & ~noisy).sum() < FEW:
        return f"{figure}: too few are turned to tell", None
    return figure, chance >= LEVEL


def _growth(case: Case) -> Sign:
    eps, step = (case.pgd.settings[name] for name in ("eps", "step"))
    # Within 0.5 every image can be made the same grey, which has one answer (Carlini et al. 2019).
    radii = sorted({eps, min(2 * eps, 0.5), 0.5} if eps < 0.5 else {eps, 1.0})
    left = [case.clean, case.left]
    for radius in radii[1:]:
        left.append(case.right(case.pgd.but(eps=radius, step=min(1.0, step * radius / eps))))
    largest = case.split.labels.bincount().max().item() / len(case.clean)
    falls = ", ".join(f"{_percent(r)} at {e:.3g}" for e, r in zip([0, *radii], left, strict=True))
    rises = any(_less(after, before) for before, after in itertools.pairwise(left))
    return f"{falls}; largest class {100 * largest:.1f} %", rises or _more_than(largest, left[-1])


def _transfer(case: Case) -> Sign:
    attack = case.pgd.but(restarts=1)
    others = [p for p in ("transfer", "static") if getattr(case.subject, CRAFTED_ON[p]) is not None]
    found = {protocol: case.right(attack, protocol) for protocol in others}
    if not found:
        return "there is no other network to transfer from", None
    told = "".join(f"{protocol} {_percent(right)}, " for protocol, right in found.items())
    warned = any(_less(case.left, right) for right in found.values())
    return f"{told}white-box {_percent(case.left)}", warned


def _rising(case: Case) -> Sign:
    if (count := int(case.left.sum())) < FEW:
        return f"PGD leaves {count} images", False
    some, network, attack = case.some(case.left), case.subject.network, case.pgd.but(restarts=1)
    if case.gradient == "float32":
        attack = attack.but(loss=float32_cross_entropy)
    attacks = [attack.but(steps=times * attack.settings["steps"]) for times in (1, 2)]
    shown = [some, *(craft(case.seen, some, attack, seed=case.seed) for attack in attacks)]
    start, half, end = (_margin(network, images) for images in shown)
    figure = f"margin {start:.3g}, after PGD {half:.3g}, after as many steps again {end:.3g}"
    return figure, half - end > RISE * max(start - half, POINT * start)


def _margin(model: nn.Module, split: Split) -> float:
    """Mean of the label's logit minus the best other one."""
    scores, label = logits(model, split.images).double(), split.labels.cpu()[:, None]
    best = scores.scatter(1, label, -torch.inf).amax(1)
    return (scores.gather(1, label)[:, 0] - best).mean().item()


def _restarts(case: Case) -> Sign:
    still, count = case.right(case.pgd, among=case.left), case.pgd.settings["restarts"]
    figure = f"{count} runs {_percent(case.left)}, {2 * count} runs {_percent(still)}"
    return figure, _more_than(POINT, case.left & ~still)


def _autoattack(case: Case) -> Sign:
    if (classes := case.scores.shape[1]) < 4:
        return f"it needs 4 classes, the network has {classes}", None
    if not (count := case.autoattacked):
        return "no images were chosen for it", None
    among = case.left & (torch.arange(len(case.left)) < count)
    still = case.right(Attack("AutoAttack", autoattack, eps=case.pgd.eps), among=among)[:count]
    figure = f"PGD {_percent(among[:count])}, AutoAttack {_percent(still)} of {count} images"
    return figure, _more_than(POINT, among[:count] & ~still)


CHECKS: dict[str, tuple[Callable[[Case], Sign], str]] = {  # each with what would be a warning
    "randomised output": (_randomised, "logits of three passes differ by more than 0.0001"),
    "probabilities for logits": (_probabilities, "outputs lie in [0, 1] and sum to 1"),
    "zero gradients": (_zero_gradients, "a naive attacker's is exactly 0 on more than 1 %"),
    "one step stronger than many": (_one_step, "FGSM leaves less than PGD"),
    "noise as strong as the attack": (_noise, "noise turns 5 images or more, PGD no more than it"),
    "accuracy left as eps grows": (_growth, "it rises, or tops the largest class's share at 0.5"),
    "transfer stronger than white-box": (_transfer, "another network's images leave less"),
    "Square stronger than PGD": (_square, "Square leaves less than PGD"),
    "loss still rising": (_rising, "as many steps again add a tenth of the margin's fall"),
    "restarts still helping": (_restarts, "as many runs again turn more than 1 %"),
    "AutoAttack stronger than PGD": (_autoattack, "AutoAttack turns more than 1 % that PGD leaves"),
}
