"""Attacks: functions from a model, images and labels to adversarial images."""

from advlib.attacks.attack import Attack
from advlib.attacks.autoattack import autoattack
from advlib.attacks.bpda import bpda
from advlib.attacks.crafting import craft
from advlib.attacks.gradient import fgsm, ifgsm, pgd
from advlib.attacks.jsma import jsma
from advlib.attacks.square import square

__all__ = ["Attack", "autoattack", "bpda", "craft", "fgsm", "ifgsm", "jsma", "pgd", "square"]
