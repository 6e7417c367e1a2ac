"""Attacks: functions from a model, images and labels to adversarial images."""

from advlib.attacks.autoattack import autoattack
from advlib.attacks.bpda import bpda
from advlib.attacks.gradient import fgsm, ifgsm, pgd
from advlib.attacks.jsma import jsma

__all__ = ["autoattack", "bpda", "fgsm", "ifgsm", "jsma", "pgd"]
