"""The parameters of the studies: one word per idea, and what each may be.

A notebook's `parameters` cell holds literals: their names and types are the schema, `RULES` says
which values are possible. The same rules are asked before a batch starts (`resolve`) and at the
head of every notebook (`check`), so an impossible value never costs a run.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat

from advlib import data, networks
from advlib.attacks.jsma import check_gamma, check_theta
from advlib.attacks.named import check_attack_set
from advlib.attacks.patch import check_rotation, check_scale
from advlib.checks import check_count, check_eps, check_step
from advlib.defenses import patch_augmentation
from advlib.defenses.distillation import check_temperature
from advlib.training import check_optimizer

# Defenses that the study of altered patches compares.
OTHERS = (
    "FGSM-AT", "IFGSM-AT", "PGD-AT", "Fast AT", "Free AT", "AFT", "mixup", "manifold mixup",
    "random erasing",
)  # fmt: skip
# Parameters that name the data of a run.
DATASETS = ("dataset", "also_tested", "distilled_on")
# Data sets of paper 003.
PAPER_SETS = ("mnist", "cifar10", "cats_vs_dogs")


def check(given: Mapping[str, Any]) -> None:
    """Raise ValueError for the first parameter whose value is impossible, naming it."""
    for name, value in given.items():
        if name not in RULES:
            raise ValueError(f"{name}: is no parameter of the studies; add it to RULES")
        try:
            RULES[name](name, value)
        except (ValueError, data.DataError) as error:
            message = str(error)
            raise ValueError(
                message if message.startswith(name) else f"{name}: {message}"
            ) from error


def listed(value: Any) -> Any:
    """The list that a text like "[0, 1]" stands for, anything else as it is.

    `papermill -p NAME '[0, 1]'` hands a list over as text (its -y does not).
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value  # `check` refuses it by name
    return value


def schema(notebook: Path) -> dict[str, Any]:
    """The notebook's parameters and their defaults, from its cell tagged `parameters`."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if "parameters" in cell.metadata.get("tags", ()):
            return {
                statement.targets[0].id: ast.literal_eval(statement.value)
                for statement in ast.parse(cell.source).body
            }
    raise ValueError(f"{notebook}: has no cell tagged 'parameters'")


def resolve(
    study: str, defaults: Mapping[str, Any], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """All parameters of a run: a study's defaults with the overrides put in, checked.

    Raises ValueError naming the parameter if it is unknown, of the wrong type, or impossible.
    """
    for name in overrides:
        if name not in defaults:
            close = difflib.get_close_matches(name, defaults, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            known = ", ".join(defaults)
            raise ValueError(f"{name}: {study} has no such parameter{hint} (it has {known})")
    merged = {n: _typed(n, overrides.get(n, d), d) for n, d in defaults.items()}
    check(merged)
    return merged


def _typed(name: str, value: Any, default: Any) -> Any:
    """The value in the type of the default; whole numbers pass for fractional ones."""
    if isinstance(default, list):
        if not isinstance(value, list):
            raise ValueError(f"{name}: must be a list like {default}, got {value!r}")
        return [_typed(name, v, default[0]) for v in value] if default else value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        kind = type(default).__name__
        raise ValueError(f"{name}: must be a {kind} like {default!r}, got {value!r}")
    return value


def _dataset(name: str, value: str) -> None:
    data.check(value)


def _dataset_or_none(name: str, value: str) -> None:
    if value:
        data.check(value)


def _models(name: str, values: list[str]) -> None:
    _some(name, values)
    for value in values:
        networks.check(value)


def _patch_scale(name: str, values: list[float]) -> None:
    check_scale(values)


def _patch_rotation(name: str, value: float) -> None:
    check_rotation(value)


def _temperature(name: str, value: float) -> None:
    check_temperature(value)


def _eps(name: str, value: float) -> None:
    check_eps(value)
    if value == 0:
        raise ValueError(f"{name}: must be above 0, got 0")


def _theta(name: str, value: float) -> None:
    check_theta(value)


def _gamma(name: str, value: float) -> None:
    check_gamma(value)


def _step(name: str, value: float) -> None:
    check_step(value)


def _model(name: str, value: str) -> None:
    networks.check(value)


def _weights(name: str, value: str) -> None:
    networks.check_weights("torchvision:any", value)


def _other(name: str, value: str) -> None:
    if value not in OTHERS:
        raise ValueError(f"{name}: must be among {', '.join(OTHERS)}, got {value!r}")


def _paper_set(name: str, value: str) -> None:
    if value not in PAPER_SETS:
        raise ValueError(f"{name}: must be one of {', '.join(PAPER_SETS)}, got {value!r}")


def _rate(name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{name}: must be above 0, got {value}")


def _any(name: str, value: object) -> None:
    """Every value of the right type will do."""


def _attack_set(name: str, value: str) -> None:
    check_attack_set(value)


def _optimizer(name: str, value: str) -> None:
    check_optimizer(value)


def _variant(name: str, value: str) -> None:
    patch_augmentation.parse(value)


def _share(name: str, value: float) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{name}: must lie in (0, 1], got {value}")


def _fraction(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name}: must lie in (0, 1), got {value}")


def _distinct(name: str, values: list[int]) -> None:
    _some(name, values)
    if any(not isinstance(v, int) or v < 0 for v in values) or len(set(values)) < len(values):
        raise ValueError(f"{name}: must be distinct whole numbers from 0 on, got {values}")


def _count_or_zero(name: str, value: int) -> None:
    if value != 0:
        check_count(name, value)


def _some(name: str, values: list) -> None:
    if not values:
        raise ValueError(f"{name}: must not be empty")


def _each(rule: Callable[[str, Any], None]) -> Callable[[str, Any], None]:
    def rule_of_list(name: str, values: list) -> None:
        _some(name, values)
        for value in values:
            rule(name, value)

    return rule_of_list


RULES: dict[str, Callable[[str, Any], None]] = {
    "dataset": _dataset,
    "also_tested": _dataset_or_none,
    "label": _any,
    "size": check_count,
    "train_images": _count_or_zero,
    "test_images": _count_or_zero,
    "attacked_images": _count_or_zero,
    "search_images": check_count,
    "validation": _fraction,
    "model": _model,
    "weights": _each(_weights),
    "others": _each(_other),
    "autoattack_others": _each(_other),
    "models": _models,
    "width": check_count,
    "flip": _any,
    "shift": _count_or_zero,
    "lr": _rate,
    "base_seed": _count_or_zero,
    "epochs": check_count,
    "tune_epochs": check_count,
    "tune_images": check_count,
    "tune_batch": check_count,
    "tune_lr": _rate,
    "other_lr": _rate,
    "tune_lrs": _each(_rate),
    "control_epochs": check_count,
    "counts": _each(check_count),
    "few": check_count,
    "variant": _variant,
    "variants": _each(_variant),
    "tune_optimizer": _optimizer,
    "tune_dropout": _any,
    "optimizers": _each(_optimizer),
    "epochs_curve": _each(check_count),
    "steps_curve": _each(check_count),
    "compare_epochs": check_count,
    "train_eps": _eps,
    "sgd_lr": _rate,
    "attack_set": _attack_set,
    "attack_steps": _count_or_zero,
    "autoattack_images": check_count,
    "autoattack_eps": _eps,
    "mixup_layers": _any,
    "patience": check_count,
    "epss": _each(_eps),
    "other_source": _model,
    "paper_set": _paper_set,
    "batch_size": check_count,
    "eps": _eps,
    "eps_curve": _each(_eps),
    "eps_shown": _each(_eps),
    "theta": _theta,
    "gamma": _gamma,
    "gamma_curve": _each(_gamma),
    "step": _step,
    "steps": check_count,
    "shown": _distinct,
    "targets": _distinct,
    "patch_sizes": _each(check_count),
    "size_curve": _each(check_count),
    "patch_steps": check_count,
    "patch_batch": check_count,
    "patch_step": _step,
    "patch_scale": _patch_scale,
    "patch_rotation": _patch_rotation,
    "distilled_on": _dataset,
    "distilled_label": _any,
    "distilled_size": check_count,
    "distilled_images": _count_or_zero,
    "distilled_validation": _fraction,
    "distilled_model": _model,
    "distilled_epochs": check_count,
    "distilled_batch": check_count,
    "distilled_lr": _rate,
    "distilled_attacked": _count_or_zero,
    "plateau_factor": _fraction,
    "plateau_epochs": check_count,
    "temperature": _temperature,
    "temperatures": _each(_temperature),
    "curve_images": check_count,
    "train_steps": check_count,
    "share": _share,
    "shares": _each(_share),
    "seeds": _distinct,
}
