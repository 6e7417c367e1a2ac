"""The attacks that paper 001 names, with the settings of its Table 2, by data set.

Those for "digits" are ours: the same names in a few steps, for a quick look.
"""

from __future__ import annotations

from advlib.attacks.attack import Attack
from advlib.attacks.gradient import fgsm, ifgsm, pgd
from advlib.checks import check_choice

_HUNDRED = {"step": 0.01, "steps": 100}
_TWENTY = {"step": 0.02, "steps": 20}
_EMPIR = {"step": 0.01, "steps": 40}
# It counts restarts after the first run: 0 of them are one run, 10 are eleven.
NAMED: dict[str, list[Attack]] = {
    "digits": [
        Attack("PGD-v1", pgd, eps=0.15, **_TWENTY, restarts=1),
        Attack("PGD-v2", pgd, eps=0.15, **_TWENTY, restarts=3),
        Attack("FGSM", fgsm, eps=0.15),
        Attack("IFGSM", ifgsm, eps=0.15, **_TWENTY),
    ],
    "cifar10": [
        Attack("PGD-v1", pgd, **_HUNDRED, eps=0.1, restarts=11),
        Attack("PGD-v2", pgd, **_HUNDRED, eps=0.03, restarts=11),
        Attack("FGSM-v1", fgsm, eps=0.1),
        Attack("FGSM-v2", fgsm, eps=0.03),
        Attack("IFGSM-v1", ifgsm, **_HUNDRED, eps=0.1),
        Attack("IFGSM-v2", ifgsm, **_HUNDRED, eps=0.03),
    ],
    # Table 4 takes those of EMPIR (Sen et al. 2020): step and steps from its code; its eps is not
    # stated, 0.1 is the larger of this paper's two.
    "empir": [
        Attack("FGSM", fgsm, eps=0.1),
        Attack("IFGSM", ifgsm, eps=0.1, **_EMPIR),
        Attack("PGD", pgd, eps=0.1, **_EMPIR),
    ],
    "fashion_mnist": [
        Attack("PGD-v1", pgd, **_HUNDRED, eps=0.3, restarts=1),
        Attack("PGD-v2", pgd, **_HUNDRED, eps=0.3, restarts=11),
        Attack("FGSM", fgsm, eps=0.3),
        Attack("IFGSM", ifgsm, **_HUNDRED, eps=0.3),
    ],
    "imagenet": [
        Attack("PGD-v11", pgd, **_HUNDRED, eps=0.1, restarts=1),
        Attack("PGD-v12", pgd, **_HUNDRED, eps=0.1, restarts=11),
        Attack("PGD-v21", pgd, **_HUNDRED, eps=0.03, restarts=1),
        Attack("PGD-v22", pgd, **_HUNDRED, eps=0.03, restarts=11),
        Attack("FGSM-v1", fgsm, eps=0.1),
        Attack("FGSM-v2", fgsm, eps=0.03),
        Attack("IFGSM-v1", ifgsm, **_HUNDRED, eps=0.1),
        Attack("IFGSM-v2", ifgsm, **_HUNDRED, eps=0.03),
    ],
}


def settings(name: str, steps: int = 0) -> list[Attack]:
    """The attacks for a data set of this name; `steps` overrules theirs, 0 leaves them as they are.

    Raises ValueError if there are none for the data set.
    """
    check_attack_set(name)
    return [
        attack.but(steps=steps) if steps and attack.has("steps") else attack
        for attack in NAMED[name]
    ]


def check_attack_set(name: str) -> None:
    """Raise ValueError unless there are settings for a data set of this name."""
    check_choice("attack_set", name, NAMED)
