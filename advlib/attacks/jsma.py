"""JSMA, the Jacobian-based saliency map attack: a few pixels, changed a lot, two at a time.

The whole batch moves together. A step costs one forward and two backward passes, however many
classes there are, and its pair search is exact without ever looking at all N x N pairs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from advlib.attacks.attack import check_inputs, declare, frozen
from advlib.checks import check_choice

MODES = ("untargeted", "targeted", "random_target")
OUTPUTS = ("logits", "softmax")
# Less room than this counts as none: a stroke of MNIST is often 253/255, and to move it on would
# spend a step on nothing.
EDGE = 0.01


@declare("JSMA", 1, norm="L0")
def jsma(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    theta: float = 1.0,
    gamma: float = 0.1,
    mode: str = "untargeted",
    output: str = "logits",
    pairs: bool = True,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Jacobian-based saliency map attack (Papernot et al. 2016, algorithms 2 and 3).

    Each step looks for the pair of features p, q (pixels of one channel) with the largest
    -(a_p + a_q)(b_p + b_q) among those with a_p + a_q > 0 and b_p + b_q < 0, where a is the
    gradient of the target class's output and b that of the sum of all others, and adds `theta` to
    both. With a negative `theta` both signs turn round. A feature within `EDGE` of the side of the
    box that it moves towards leaves the search; an image leaves once it is where it should be, or
    no pair is left.

    Args:
        model: maps float32 images [N, C, H, W] in [0, 1] to logits [N, K]; in evaluation mode.
        images: float32 [N, C, H, W] in [0, 1].
        labels: int64 [N]; the true classes, or in mode "targeted" the classes to reach.
        theta: change of a feature in a step, pixel units, in [-1, 1] but not 0.
        gamma: share of an image's C * H * W features that may change, in [0, 1]; a step changes
            two, so there are at most floor(gamma * C * H * W / 2) steps.
        mode: "targeted"; "random_target", towards a class drawn from those other than the label;
            or "untargeted", away from the label whichever class results: a is then the gradient of
            all others' sum and b that of the label's own output (Wiyatno and Xu 2018).
        output: "logits", as Papernot et al. chose: the softmax of a confident network is flat, and
            since its outputs sum to 1 its b is -a, which makes the pair the two largest of a.
            "softmax" is for comparison with implementations that use it.
        pairs: False changes one feature a step, the largest -a b with a > 0 and b < 0 (eq. 8).
        generator: source of the random targets, on the CPU or on the images' device.

    Returns:
        A new float32 tensor [N, C, H, W] in the box [0, 1].

    Raises:
        ValueError: an argument is outside what is allowed; the message names it.
    """
    check_inputs(model, images, labels)
    check_theta(theta)
    check_gamma(gamma)
    check_choice("mode", mode, MODES)
    check_choice("output", output, OUTPUTS)
    result = images.clone()
    if not len(images):
        return result
    classes = _classes(model, images, labels)
    goals = labels
    if mode == "random_target":
        source = labels.device if generator is None else generator.device
        hops = torch.randint(1, classes, labels.shape, generator=generator, device=source)
        goals = (labels + hops.to(labels.device)) % classes
    away = mode == "untargeted"
    steps = int(gamma * images[0].numel() / (2 if pairs else 1) + 1e-9)

    rows = torch.arange(len(images), device=images.device)  # of `result`, still being attacked
    going = torch.ones_like(rows, dtype=torch.bool)
    images = result
    with frozen(model):
        for _ in range(steps):
            gain, loss, reached = saliency(model, images, goals, output, away)
            movable = (images < 1 - EDGE if theta > 0 else images > EDGE).flatten(1)
            movable &= (going & ~reached)[:, None]
            if theta < 0:
                gain, loss = -gain, -loss
            kept = undominated(gain, -loss, movable) if pairs else usable(gain, loss, movable)
            alive, width = _alive(kept)
            if not len(alive):
                break
            rows, images, goals, gain, loss, kept = (
                t.index_select(0, alive) for t in (rows, images, goals, gain, loss, kept)
            )
            search = _pair_among if pairs else _single_among
            chosen, going = search(gain, loss, kept, width)
            features = images.flatten(1)
            moved = features.gather(1, chosen).add_(theta).clamp_(0, 1)
            moved = features.scatter(1, chosen, moved).view_as(images)
            images = moved.where(going[:, None, None, None], images)
            result[rows] = images
    return result


def check_theta(theta: float) -> None:
    """Raise ValueError unless `theta` is in [-1, 1] and not 0."""
    if not 0 < abs(theta) <= 1:
        raise ValueError(f"theta: must lie in [-1, 1] and not be 0 (pixel units), got {theta}")


def check_gamma(gamma: float) -> None:
    """Raise ValueError unless `gamma` is in [0, 1]."""
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma: must lie in [0, 1] (share of the features), got {gamma}")


def best_pair(gain: Tensor, loss: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """For each row the pair p < q of allowed features that JSMA changes.

    Maximizes -(gain_p + gain_q)(loss_p + loss_q) where the first sum is above 0 and the second
    below; of equally good pairs the lexicographically first is taken. Exact: the objective grows
    in gain and falls in loss, so a feature that two others match in both is in no better pair
    than they are. Those left after that are few (the second layer of the Pareto front counts, too).

    Args:
        gain, loss: float32 [N, features].
        allowed: boolean [N, features].

    Returns:
        The features int64 [N, 2], and boolean [N]: there is such a pair (else they are 0, 0).
    """
    kept = undominated(gain, -loss, allowed)
    return _pair_among(gain, loss, kept, int(kept.sum(1).max()))


def best_single(gain: Tensor, loss: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """As `best_pair`, for one feature: int64 [N, 1], and boolean [N]."""
    return _single_among(gain, loss, usable(gain, loss, allowed), 1)


def undominated(up: Tensor, down: Tensor, allowed: Tensor) -> Tensor:
    """Boolean [N, features]: allowed, and at most one other feature matches it in both numbers.

    A feature with the same two numbers matches those that come after it.
    """
    lowest = -torch.inf
    up, down = up.where(allowed, lowest), down.where(allowed, lowest)
    # By `up`, then by `down`, then by number: whoever matches a feature stands before it.
    down, order = down.sort(dim=1, descending=True, stable=True)
    up, by_up = up.gather(1, order).sort(dim=1, descending=True, stable=True)
    down, order = down.gather(1, by_up), order.gather(1, by_up)
    ahead = F.pad(down.cummax(1).values[:, :-1], (1, 0), value=lowest)
    second = torch.minimum(down, ahead).cummax(1).values  # second largest up to here
    ahead_second = F.pad(second[:, :-1], (1, 0), value=lowest)
    return torch.zeros_like(allowed).scatter_(1, order, down > ahead_second) & allowed


def usable(gain: Tensor, loss: Tensor, allowed: Tensor) -> Tensor:
    """Boolean [N, features]: allowed, and a change of it alone raises one and lowers the other."""
    return allowed & (gain > 0) & (loss < 0)


def _alive(kept: Tensor) -> tuple[Tensor, int]:
    """The rows with a feature left, int64 [n], and the most features that any row has.

    A step's one wait for the device is here: both numbers come over in one copy.
    """
    counts = kept.sum(1)
    having = counts > 0
    count, width = torch.stack([having.sum(), counts.max()]).tolist()
    return having.to(torch.uint8).argsort(descending=True, stable=True)[:count], width


def _pair_among(gain: Tensor, loss: Tensor, kept: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """`best_pair` among the features kept, of which no row has more than `width`."""
    candidates, valid = _listed(kept, max(1, width))
    # In float64 sums and products of float32 numbers are exact but for extreme exponents, so a tie
    # here is a tie in fact.
    up, down = (t.gather(1, candidates).double() for t in (gain, -loss))
    width = candidates.shape[1]
    best = up.new_zeros(len(up))
    slots = candidates.new_zeros(len(up), 2)
    # A few rows of the pair matrix at a time: never more numbers than gain and loss have.
    stride = max(1, gain.shape[1] // width)
    for first in range(0, width, stride):
        part = slice(first, first + stride)
        rise, fall = (t[:, part, None] + t[:, None, :] for t in (up, down))
        fit = valid[:, part, None] & valid[:, None, :] & (rise > 0) & (fall > 0)
        fit &= torch.ones_like(fit[0]).triu(first + 1)
        value, place = (rise * fall).where(fit, 0).flatten(1).max(1)
        better = value > best
        best = torch.where(better, value, best)
        pair = torch.stack([place // width + first, place % width], 1)
        slots = torch.where(better[:, None], pair, slots)
    found = best > 0
    return candidates.gather(1, slots).where(found[:, None], 0), found


def _single_among(gain: Tensor, loss: Tensor, kept: Tensor, _width: int) -> tuple[Tensor, Tensor]:
    value, feature = (gain.double() * -loss.double()).where(kept, 0).max(1)
    return feature[:, None], value > 0


def _listed(kept: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The numbers of the features kept, in ascending order: int64 [N, width], and boolean
    [N, width]: the place holds one."""
    counts = kept.cumsum(1)
    places = (counts - 1).where(kept, width)  # a column to throw away
    numbers = torch.arange(kept.shape[1], device=kept.device).expand_as(kept)
    listed = numbers.new_zeros(len(kept), width + 1).scatter_(1, places, numbers)
    return listed[:, :width], torch.arange(width, device=kept.device) < counts[:, -1:]


def saliency(
    model: nn.Module, images: Tensor, goals: Tensor, output: str, away: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """What a step of JSMA looks at: gradients float32 [N, features] of the output that should rise
    and of the one that should fall, and boolean [N]: the image is already where it should be.

    `goals` are the classes to reach or, if `away`, to leave; `output` is that of `jsma`.
    """
    images = images.detach().requires_grad_()
    logits = model(images).float()
    reached = (logits.argmax(1) == goals) != away
    outputs = logits.softmax(1) if output == "softmax" else logits
    own = outputs.gather(1, goals[:, None]).sum()
    if output == "softmax":  # the outputs sum to 1
        (gradient,) = torch.autograd.grad(own, images)
        others = -gradient
    else:
        (gradient,) = torch.autograd.grad(own, images, retain_graph=True)
        (everything,) = torch.autograd.grad(outputs.sum(), images)
        others = everything - gradient
    pair = (others, gradient) if away else (gradient, others)
    return *(t.flatten(1) for t in pair), reached


@torch.no_grad()
def _classes(model: nn.Module, images: Tensor, labels: Tensor) -> int:
    """How many classes the model knows; raises ValueError for a label beyond them."""
    classes = model(images[:1]).shape[1]
    if labels.max() >= classes:
        raise ValueError(f"labels: must lie below {classes} (classes), found {labels.max()}")
    return classes
