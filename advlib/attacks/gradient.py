"""Sign-gradient attacks in the L-infinity ball: FGSM, its iterated form, and PGD.

All three are one loop. They differ in where it starts, how far it steps and how often.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from advlib.attacks import losses
from advlib.attacks.attack import check_inputs, declare, frozen
from advlib.checks import check_count, check_eps, check_step

CIRCLE = 8  # steps of the longest circle that is noticed


@declare("FGSM", 1, norm="Linf")
def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float | Tensor,
    targeted: bool = False,
    loss: losses.Loss = losses.cross_entropy,
) -> Tensor:
    """Fast gradient sign method (Goodfellow, Shlens and Szegedy 2015): one step of size `eps`.

    Arguments as for `pgd`.
    """
    return _attack(
        model, images, labels, eps=eps, step=eps, steps=1, restarts=1, random_start=False,
        targeted=targeted, stop_when_wrong=False, loss=loss, generator=None,
    )  # fmt: skip


@declare("IFGSM", 1, norm="Linf")
def ifgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float | Tensor,
    step: float,
    steps: int,
    targeted: bool = False,
    stop_when_wrong: bool = False,
    loss: losses.Loss = losses.cross_entropy,
) -> Tensor:
    """Iterated FGSM, the basic iterative method (Kurakin, Goodfellow and Bengio 2017).

    Arguments as for `pgd`; it starts at the image itself.
    """
    check_step(step)
    return _attack(
        model, images, labels, eps=eps, step=step, steps=steps, restarts=1, random_start=False,
        targeted=targeted, stop_when_wrong=stop_when_wrong, loss=loss, generator=None,
    )  # fmt: skip


@declare("PGD", 1, norm="Linf")
def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float | Tensor,
    step: float,
    steps: int,
    restarts: int = 1,
    random_start: bool = True,
    targeted: bool = False,
    stop_when_wrong: bool = False,
    loss: losses.Loss = losses.cross_entropy,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Projected gradient descent (Madry et al. 2018) in the L-inf ball.

    Args:
        model: maps float32 images [N, C, H, W] in [0, 1] to logits [N, K]; in evaluation mode.
            Its mode, parameters and their gradients are left as they were.
        images: float32 [N, C, H, W] in [0, 1].
        labels: int64 [N]; the true classes, or the classes to reach if `targeted`.
        eps: radius of the ball in pixel units, in [0, 1]; one number, or one value an image [N].
        step: length of a step in pixel units.
        steps: gradient steps of one run.
        restarts: runs from fresh starting points. Each attacks only the images that the runs
            before it did not turn; an image that none turns keeps the last run's result.
        random_start: start uniformly in the ball rather than at the image.
        targeted: descend towards `labels` rather than away from them.
        stop_when_wrong: leave an image as soon as the model gets it wrong (or, if `targeted`,
            reaches the target), or a step does not move it. For a success rate this is the same
            attack, many times faster; the images that it returns lie no deeper in the wrong class
            than needed.
        loss: what to climb, one of `attacks.losses` or a function like them.
        generator: source of the random starts, on the images' device (one on the CPU costs a
            GPU a copy in each run); None is torch's own.

    Returns:
        A new float32 tensor [N, C, H, W] in the box [0, 1] and in the ball around `images`.

    Raises:
        ValueError: an argument is outside what is allowed; the message names it.
    """
    check_step(step)
    return _attack(
        model, images, labels, eps=eps, step=step, steps=steps, restarts=restarts,
        random_start=random_start, targeted=targeted, stop_when_wrong=stop_when_wrong, loss=loss,
        generator=generator,
    )  # fmt: skip


def _attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float | Tensor,
    step: float | Tensor,
    steps: int,
    restarts: int,
    random_start: bool,
    targeted: bool,
    stop_when_wrong: bool,
    loss: losses.Loss,
    generator: torch.Generator | None,
) -> Tensor:
    check_inputs(model, images, labels)
    check_eps(eps, len(images))
    check_count("steps", steps)
    check_count("restarts", restarts)
    eps, step = column(eps, images), column(step, images)
    lower, upper = (images - eps).clamp_(min=0), (images + eps).clamp_(max=1)
    ascent = -step if targeted else step  # towards a target the loss must fall

    adversarial = images.clone()
    todo = torch.arange(len(images), device=images.device)
    with frozen(model):
        for run in range(restarts):
            if not len(todo):
                break
            goal = labels[todo]
            start, low, high = images[todo], lower[todo], upper[todo]
            if random_start:
                noise = _uniform(start.shape, generator, start.device)
                start = (start + noise * eps[todo]).clamp_(low, high)
            found = climb(
                model, start, goal, low, high, ascent[todo], steps, loss=loss, targeted=targeted,
                stop_when_wrong=stop_when_wrong,
            )  # fmt: skip
            adversarial[todo] = found
            if run + 1 < restarts:
                todo = todo[_resists(_logits(model, found), goal, targeted)]
    return adversarial


def climb(
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    goals: Tensor,
    lower: Tensor,
    upper: Tensor,
    ascent: Tensor,
    steps: int,
    *,
    loss: losses.Loss,
    targeted: bool = False,
    stop_when_wrong: bool = False,
) -> Tensor:
    """Take `steps` sign-gradient steps from `images`, each clamped to [lower, upper].

    The step that all attacks here share, and the objectives of training that look for images of
    their own. The model is in evaluation mode and asks for no parameter's gradient (see `frozen`).

    Args:
        goals: what the loss takes: labels int64 [N], or probabilities float32 [N, K].
        ascent: length of a step in pixel units, negative to descend: float32 [N, 1, 1, 1].
        targeted, stop_when_wrong: as for `pgd`; the goals are labels then.
    """
    result = images.clone()
    rows = torch.arange(len(images), device=images.device)  # of `result`, still being attacked
    stride = _stride(images.device)
    corner, at = images, 0  # where the paths were after so many steps
    period = torch.zeros_like(rows)  # of a path that came back there: it goes on in a circle
    for done in range(1, steps + 1):
        if not len(rows):
            break
        images = images.detach().requires_grad_()
        logits = model(images).float()  # autocast may have made it bfloat16
        (gradient,) = torch.autograd.grad(logits, images, loss(logits.detach(), goals))
        images = images.detach()
        moved = gradient.sign_().mul_(ascent).add_(images).clamp_(lower, upper)
        if stop_when_wrong:
            resists = _resists(logits.detach(), goals, targeted)
            moved = torch.where(resists.view(-1, 1, 1, 1), moved, images)
            if done % stride == 0:
                result[rows] = moved
                # An image that did not move is wrong, or at rest: its next gradient is the same.
                # One that goes in a circle has been seen to resist all along it, and leaves where
                # the last step would leave it.
                period = torch.where(_same(moved, corner), done - at, period)
                ends = period.gt(0) & ((steps - done) % period.clamp(min=1)).eq(0)
                goes_on = ~(_same(moved, images) | ends)
                (left,) = goes_on.nonzero(as_tuple=True)  # how many: the device is waited for
                rows, moved, goals, lower, upper, ascent, corner, period = (
                    part.index_select(0, left)
                    for part in (rows, moved, goals, lower, upper, ascent, corner, period)
                )
                if done % (CIRCLE * stride) == 0:
                    corner, at = moved, done
        images = moved
    result[rows] = images
    return result


def _same(one: Tensor, other: Tensor) -> Tensor:
    """Boolean [N]: the image is the same in both."""
    return one.eq(other).flatten(1).all(1)


def _stride(device: torch.device) -> int:
    """How often turned images leave the batch: leaving makes a GPU wait, so there more rarely."""
    return 1 if device.type == "cpu" else 5


def _resists(logits: Tensor, labels: Tensor, targeted: bool) -> Tensor:
    """Boolean [N]: the attack has not reached its goal on this image."""
    return (logits.argmax(1) == labels) != targeted


@torch.no_grad()
def _logits(model: nn.Module, images: Tensor) -> Tensor:
    return model(images)


def column(value: float | Tensor, images: Tensor) -> Tensor:
    """One number, or one an image, as float32 [N, 1, 1, 1]."""
    if not isinstance(value, Tensor):  # filled in on the device, where nothing waits for a copy
        return torch.full((len(images), 1, 1, 1), value, dtype=images.dtype, device=images.device)
    return value.to(images).expand(len(images)).view(-1, 1, 1, 1)


def _uniform(shape: torch.Size, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Uniform on [-1, 1), drawn where the generator lives."""
    source = device if generator is None else generator.device
    return torch.rand(shape, generator=generator, device=source).mul_(2).sub_(1).to(device)
