"""The studies: a module each, with the settings of its notebook."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pandas as pd
from pydantic import create_model

from advlib.studies.settings import Settings

SHARED = ("rules", "settings")  # modules that are no study


def names() -> list[str]:
    """The studies that have a module here."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return [name for name in found if name not in SHARED]


def settings_of(study: str, defaults: Mapping[str, Any]) -> type[Settings]:
    """The settings of a study.

    A notebook without a module here, such as a reader's own, has those of its parameters cell:
    `defaults` tell their names and types, and a name that another study has keeps its rule.
    """
    if study in names():
        return importlib.import_module(f"advlib.studies.{study}").Settings
    known = {}
    for name in names():
        for parameter, field in settings_of(name, {}).model_fields.items():
            known[parameter] = (field.rebuild_annotation(), ...)
    fields: dict[str, Any] = {
        name: known.get(name, (_kind(value), ...)) for name, value in defaults.items()
    }
    made = create_model(study, __base__=Settings, **fields)
    made.study = study
    return made


def for_claims(study: str, rows: pd.DataFrame, parameters: Mapping[str, Any]) -> pd.DataFrame:
    """A run's rows under the names of the study's claims.toml, where the study has others."""
    rename = _own(study, "for_claims")
    return rename(rows, SimpleNamespace(**parameters)) if rename else rows


def for_summary(study: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The names that the study's summary.md uses beside the rows: the parameters, and its own."""
    more = _own(study, "for_summary")
    return dict(parameters) | (more(SimpleNamespace(**parameters)) if more else {})


def _own(study: str, function: str) -> Callable[..., Any] | None:
    """A function that a study may have."""
    if study not in names():
        return None
    return getattr(importlib.import_module(f"advlib.studies.{study}"), function, None)


def _kind(default: Any) -> Any:
    """The type that a parameter has by its default: a list is one of values like its first."""
    return list[type(default[0])] if isinstance(default, list) and default else type(default)  # type: ignore[misc]
