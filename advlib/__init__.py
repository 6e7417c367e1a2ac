"""Attacks, defenses and protocols behind the robustness study book."""
