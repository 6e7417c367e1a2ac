"""Jobs: a study's notebook with all its parameters, and the key that names the result."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from advlib import cache, data, parameters, records


@dataclass(frozen=True)
class Job:
    """One run to be made. Two jobs with equal keys would give equal records."""

    study: str
    notebook: Path
    parameters: dict[str, Any]
    key: str


def studies(notebooks: Path = Path("notebooks")) -> dict[str, Path]:
    """The studies' notebooks by name."""
    found = {path.stem: path for path in sorted(notebooks.glob("*.ipynb"))}
    if not found:
        raise ValueError(f"{notebooks.resolve()}: holds no notebooks; start in the repository")
    return found


def plan(
    names: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    *,
    profile: str = "quick",
) -> list[Job]:
    """A job for each named study (all by default) with these parameters changed.

    The `quick` profile is a notebook's defaults; another one is read from the YAML file
    PROFILE/STUDY.yaml beside the notebook, before `overrides`. Raises ValueError, before anything
    runs, for an unknown study or an unknown or impossible parameter.
    """
    known = studies()
    for name in names:
        if name not in known:
            raise ValueError(f"study: unknown {name!r}; known are {', '.join(known)}")
    return [
        _job(known[name], _profile(known[name], profile) | dict(overrides or {}))
        for name in names or known
    ]


def _profile(notebook: Path, profile: str) -> dict[str, Any]:
    if profile == "quick":
        return {}
    file = notebook.parent / profile / f"{notebook.stem}.yaml"
    if not file.is_file():
        raise ValueError(
            f"profile: {notebook.stem} has none called {profile!r} ({file} is missing)"
        )
    return yaml.safe_load(file.read_text())


def _job(notebook: Path, overrides: Mapping[str, Any]) -> Job:
    given = parameters.resolve(notebook, overrides)
    cells = source(notebook)
    code = [cache.source_digest(module) for module in _imported(cells)]
    told = records.paper_files(notebook.stem)
    stamps = [data.stamp(given[name]) for name in ("dataset", "also_tested") if given.get(name)]
    key = cache.digest([cells, given, code, told, stamps])
    return Job(notebook.stem, notebook, given, key[:12])


def _imported(cells: Sequence[tuple[str, str]]) -> list[str]:
    """The advlib modules that a notebook imports, by name."""
    names = set()
    for node in (n for kind, text in cells if kind == "code" for n in ast.walk(ast.parse(text))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = []
    for name in sorted(name for name in names if name.startswith("advlib.")):
        try:
            importlib.import_module(name)  # its source digest needs it
        except ModuleNotFoundError:
            continue  # a function or a class
        found.append(name)
    return found


def source(notebook: Path) -> list[tuple[str, str]]:
    """A notebook's cells without outputs or what papermill adds: (kind, text)."""
    cells = nbformat.read(notebook, as_version=4).cells
    return [
        (cell.cell_type, cell.source)
        for cell in cells
        if "injected-parameters" not in cell.metadata.get("tags", ())
    ]
