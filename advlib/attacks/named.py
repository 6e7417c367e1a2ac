"""The attacks that paper 001 names, with the settings of its Table 2, by data set.

Those for "digits" are ours: the same names in a few steps, for a quick look.
"""

from __future__ import annotations

import functools

from advlib.attacks.gradient import fgsm, ifgsm, pgd

_IFGSM = functools.partial(ifgsm, step=0.01, steps=100)
_PGD = functools.partial(pgd, step=0.01, steps=100)
# It counts restarts after the first run: 0 of them are one run, 10 are eleven.
NAMED: dict[str, dict[str, functools.partial]] = {
    "digits": {
        "PGD-v1": functools.partial(pgd, eps=0.15, step=0.02, steps=20, restarts=1),
        "PGD-v2": functools.partial(pgd, eps=0.15, step=0.02, steps=20, restarts=3),
        "FGSM": functools.partial(fgsm, eps=0.15),
        "IFGSM": functools.partial(ifgsm, eps=0.15, step=0.02, steps=20),
    },
    "cifar10": {
        "PGD-v1": functools.partial(_PGD, eps=0.1, restarts=11),
        "PGD-v2": functools.partial(_PGD, eps=0.03, restarts=11),
        "FGSM-v1": functools.partial(fgsm, eps=0.1),
        "FGSM-v2": functools.partial(fgsm, eps=0.03),
        "IFGSM-v1": functools.partial(_IFGSM, eps=0.1),
        "IFGSM-v2": functools.partial(_IFGSM, eps=0.03),
    },
    # Table 4 takes those of EMPIR (Sen et al. 2020): step and steps from its code; its eps is not
    # stated, 0.1 is the larger of this paper's two.
    "empir": {
        "FGSM": functools.partial(fgsm, eps=0.1),
        "IFGSM": functools.partial(ifgsm, eps=0.1, step=0.01, steps=40),
        "PGD": functools.partial(pgd, eps=0.1, step=0.01, steps=40),
    },
    "fashion_mnist": {
        "PGD-v1": functools.partial(_PGD, eps=0.3, restarts=1),
        "PGD-v2": functools.partial(_PGD, eps=0.3, restarts=11),
        "FGSM": functools.partial(fgsm, eps=0.3),
        "IFGSM": functools.partial(_IFGSM, eps=0.3),
    },
    "imagenet": {
        "PGD-v11": functools.partial(_PGD, eps=0.1, restarts=1),
        "PGD-v12": functools.partial(_PGD, eps=0.1, restarts=11),
        "PGD-v21": functools.partial(_PGD, eps=0.03, restarts=1),
        "PGD-v22": functools.partial(_PGD, eps=0.03, restarts=11),
        "FGSM-v1": functools.partial(fgsm, eps=0.1),
        "FGSM-v2": functools.partial(fgsm, eps=0.03),
        "IFGSM-v1": functools.partial(_IFGSM, eps=0.1),
        "IFGSM-v2": functools.partial(_IFGSM, eps=0.03),
    },
}


def settings(name: str, steps: int = 0) -> dict[str, functools.partial]:
    """The attacks for a data set of this name; `steps` overrules theirs, 0 leaves them as they are.

    Raises ValueError if there are none for the data set.
    """
    check_attack_set(name)
    return {
        called: functools.partial(attack, steps=steps)
        if steps and "steps" in attack.keywords
        else attack
        for called, attack in NAMED[name].items()
    }


def check_attack_set(name: str) -> None:
    """Raise ValueError unless there are settings for a data set of this name."""
    if name not in NAMED:
        raise ValueError(f"attack_set: must be one of {', '.join(NAMED)}, got {name!r}")
