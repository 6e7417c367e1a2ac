"""AutoAttack, the standard ensemble, by its authors' package."""

from __future__ import annotations

import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

from advlib.attacks.attack import check_inputs, declare, frozen
from advlib.checks import check_eps

FEWEST_CLASSES = 4  # that its DLR loss needs


@declare("AutoAttack", 1, norm="Linf")
def autoattack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """AutoAttack in its standard version (Croce and Hein 2020), in the L-inf ball.

    APGD on the cross-entropy, targeted APGD on the DLR loss, targeted FAB and Square, one after the
    other, each on the images that withstood those before it. It has no settings but `eps`. The
    targeted ones try nine classes, or all others where there are fewer.

    Args:
        model, images, labels: as for `pgd`; the model knows at least four classes.
        eps: radius of the ball in pixel units, in [0, 1].
        generator: source of the seed, on any device.

    Returns:
        A new float32 tensor [N, C, H, W]; an image that withstood everything is unchanged.

    Raises:
        ValueError: an argument is outside what is allowed; the message names it.
    """
    check_inputs(model, images, labels)
    if isinstance(eps, Tensor):
        raise ValueError("eps: must be one number for all images")
    check_eps(eps)
    if eps == 0 or not len(images):
        return images.clone()
    with torch.no_grad():
        classes = model(images[:1]).shape[1]
    if classes < FEWEST_CLASSES:
        raise ValueError(
            f"model: its DLR loss needs at least {FEWEST_CLASSES} classes, this one has {classes}"
        )
    source = images.device if generator is None else generator.device
    seed = int(torch.randint(2**31, (), generator=generator, device=source))
    with frozen(model), torch.random.fork_rng():
        ensemble = AutoAttack(model, norm="Linf", eps=eps, seed=seed, device=images.device)
        targets = min(9, classes - 1)
        ensemble.apgd_targeted.n_target_classes = ensemble.fab.n_target_classes = targets
        found, _ = ensemble.run_standard_evaluation(images, labels, batch_size=len(images))
    return (images + (found - images).clamp(-eps, eps)).clamp(0, 1)
