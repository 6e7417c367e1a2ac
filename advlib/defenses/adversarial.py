"""Training the whole network on adversarial images: made once before it, or fresh each step."""

from __future__ import annotations

import copy
import functools
from types import MappingProxyType

import torch
from torch import Tensor, nn

from advlib import devices
from advlib.attacks import pgd
from advlib.attacks.attack import Attack, trusting
from advlib.augmentation import chain
from advlib.cache import versioned
from advlib.checks import check_eps
from advlib.data import Split, pixels
from advlib.training import Context, Hardened, Recipe, fit

_DECAY = MappingProxyType({"": MappingProxyType({"weight_decay": 5e-4})})
# The papers' own recipes; `dataclasses.replace` changes one.
FAST = Recipe(epochs=15, optimizer="sgd", lr=0.2, schedule="cyclic", groups=_DECAY)
FREE = Recipe(epochs=10, optimizer="sgd", lr=0.1, schedule="linear", groups=_DECAY, replays=8)
AFT = Recipe(epochs=10, optimizer="sgd", lr=0.01, schedule="slow_fast", groups=_DECAY)


def mix(benign: Split, adversarial: Split) -> Split:
    """Benign and adversarial images as one training split (Goodfellow et al. 2015, section 6).

    It is on the benign images' device, as float32.
    """
    device = benign.images.device
    images = torch.cat([pixels(benign.images), adversarial.images.to(device)])
    return Split(images, torch.cat([part.labels.to(device) for part in (benign, adversarial)]))


def harden(
    model: nn.Module, train: Split, recipe: Recipe, *, validation: Split | None = None
) -> Hardened:
    """A copy of `model`, all of it trained on `train`.

    With images that an attack made against `model` this is one-shot adversarial training, which
    the papers call adversarial training or adversarial fine-tuning.
    """
    network = copy.deepcopy(model).requires_grad_(True)
    return Hardened(network, fit(network, train, recipe, validation=validation))


def fresh(attack: Attack, *, warmup: float = 0.0) -> functools.partial:
    """A `prepare` step of a recipe: attack each batch as the model is now.

    With `pgd` this is the min-max training of Madry et al. (2018), with `fgsm` that of Goodfellow
    et al. (2015), with `ifgsm` that of Kurakin et al. (2017). The attack's `eps` and `step` grow
    from 0 over the first `warmup` share of training, without which a small network at a large
    `eps` never starts to learn.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup: must lie in [0, 1), got {warmup}")
    return functools.partial(_perturb, attack=attack, warmup=warmup)


def fast(model: nn.Module, train: Split, recipe: Recipe = FAST, *, eps: float) -> Hardened:
    """Fast adversarial training (Wong, Rice and Kolter 2020, algorithm 3), of a copy of `model`.

    One step of 1.25 `eps` from a random start in each batch, SGD with weight decay 5e-4, and a rate
    that rises to its peak and falls to 0 once. A `prepare` of the recipe's own comes before it.
    """
    attack = Attack("PGD", pgd, eps=eps, step=min(1.0, 1.25 * eps), steps=1)
    return harden(model, train, _after(recipe, fresh(attack)))


def free(model: nn.Module, train: Split, recipe: Recipe = FREE, *, eps: float) -> Hardened:
    """Free adversarial training (Shafahi et al. 2019, algorithm 1), of a copy of `model`.

    Each batch is learned `recipe.replays` times in a row; the one backward pass of a step serves
    both the weights and the perturbation, which moves by `eps` and is carried on to the next batch.
    The recipe's epochs are passes over `train`, so the cost is that of epochs * replays plain ones.

    Raises:
        ValueError: `eps` is none, or the recipe has a `prepare` of its own: a batch that it alters
            anew for each replay is not the one that the perturbation was found on.
    """
    check_eps(eps)
    if recipe.prepare is not None:
        raise ValueError("prepare: is the defense's own here; leave it out of the recipe")
    return harden(model, train, _after(recipe, functools.partial(_carry_on, eps=eps)))


def fine_tune(
    model: nn.Module, train: Split, recipe: Recipe = AFT, *, eps: float, steps: int = 7
) -> Hardened:
    """Adversarial fine-tuning (AFT; Jeddi, Shafiee and Wong 2020) of a copy of a trained `model`.

    PGD images made afresh in each step, and a rate that starts slowly and decays fast. A `prepare`
    of the recipe's own comes before it.
    """
    attack = Attack("PGD", pgd, eps=eps, step=min(1.0, 2 * eps / steps), steps=steps)
    return harden(model, train, _after(recipe, fresh(attack)))


def _after(recipe: Recipe, step: functools.partial) -> Recipe:
    """The recipe with a defense's step behind its own, if it has one."""
    return recipe.but(prepare=chain(recipe.prepare, step) if recipe.prepare else step)


@versioned("fresh adversarial images", 1)
def _perturb(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    context: Context,
    *,
    attack: Attack,
    warmup: float,
) -> tuple[Tensor, Tensor]:
    if warmup:
        # The first batches keep a thousandth of eps: a step of 0 is no step.
        strength = max(1e-3, min(1.0, context.share / warmup))
        grown = {name: attack.settings[name] for name in ("eps", "step") if attack.has(name)}
        attack = attack.but(**{name: value * strength for name, value in grown.items()})
    with devices.autocast(images.device), trusting():
        return attack(model, images, labels, generator=context.generator), labels


@versioned("free adversarial images", 1)
def _carry_on(
    model: nn.Module, images: Tensor, labels: Tensor, context: Context, *, eps: float
) -> tuple[Tensor, Tensor]:
    """The images with the perturbation of the step before, moved by the gradient found there."""
    perturbation = torch.zeros_like(images)
    if (before := context.memory.get("perturbation")) is not None:
        perturbation = (before.detach() + eps * before.grad.sign()).clamp_(-eps, eps)
    context.memory["perturbation"] = perturbation.requires_grad_()
    return (images + perturbation[: len(images)]).clamp(0, 1), labels
