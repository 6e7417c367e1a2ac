"""Attacks: functions from a model, images and labels to adversarial images."""

from advlib.attacks.gradient import fgsm, ifgsm, pgd

__all__ = ["fgsm", "ifgsm", "pgd"]
