"""Defenses: functions from a model and data to a hardened copy of the model."""
