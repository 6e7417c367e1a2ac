"""Jobs: a study's notebook with all its parameters, and the key that names the result."""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from advlib import cache, data, saved
from advlib import studies as known_studies
from advlib.batch import Job
from advlib.checks import check_count
from advlib.papers import paper_files
from advlib.source import source_digest
from advlib.studies.settings import Settings

MOST = 100_000  # jobs of a sweep


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
    sweep: Mapping[str, Sequence[Any]] | None = None,
    threads: int = 1,
    join: Sequence[Path] = (),
) -> list[Job]:
    """A job for each named study and each combination of the swept values; unless any is named,
    for all studies that have the profile.

    The `quick` profile is a notebook's defaults; another one is read from the YAML file
    PROFILE/STUDY.yaml beside the notebook, before `overrides` and `sweep`. A file of several
    documents is a job for each, with what it does not say taken from the first; where `dataset` is
    given, only the document of that data set counts, or else the first. A value swept over a
    parameter that is a list becomes a list of one. Jobs that would give equal records are one.
    Each computes with so many `threads`, however many jobs run at a time. A text for a parameter
    that is no text is read as its settings read it. `join` are folders of saved runs, or published
    pages, with other seeds that each job's records will have, too.

    Raises ValueError, before anything runs, for an unknown study, a named one without the profile,
    an unknown or impossible parameter, one that is both set and swept, a run that cannot be joined
    (`saved.joined`), or more than `MOST` combinations.
    """
    check_count("threads", threads)
    known = studies()
    for name in names:
        if name not in known:
            raise ValueError(f"study: unknown {name!r}; known are {', '.join(known)}")
    overrides, sweep = dict(overrides or {}), dict(sweep or {})
    if twice := overrides.keys() & sweep.keys():
        raise ValueError(f"sweep: {', '.join(sorted(twice))} is set by -p, too")
    if (count := math.prod(map(len, sweep.values()))) > MOST:
        raise ValueError(f"sweep: must be at most {MOST:,} combinations, got {count:,}")
    jobs = {}
    for name in names or with_profile(known, profile):
        study = _read(known[name])
        settings = profile_of(known[name], profile)
        for values in itertools.product(*sweep.values()):
            given = overrides | study.listed(dict(zip(sweep, values, strict=True)))
            own = [s for s in settings if given.get("dataset") in (None, s.get("dataset"))]
            for chosen in own or settings[:1]:
                job = study.job(chosen | given, threads, join)
                jobs[job.study, job.key] = job
    return list(jobs.values())


def parse_sweep(text: str) -> dict[str, list[Any]]:
    """'seed=0..2,dataset=mnist,cifar10' as {"seed": [0, 1, 2], "dataset": ["mnist", "cifar10"]}.

    Values are the texts between the commas that stand outside [...]; FIRST..LAST stands for the
    whole numbers from FIRST to LAST.
    """
    swept: dict[str, list[Any]] = {}
    name = ""
    for part in re.split(r",(?![^\[]*\])", text):  # commas inside [...] belong to a value
        if found := re.match(r"\s*(\w+)=", part):
            name, part = found[1], part[found.end() :]
            if name in swept:
                raise ValueError(f"sweep: {name} is there twice")
            swept[name] = []
        if not name or not part.strip():
            raise ValueError(f"sweep: must be NAME=VALUE,VALUE,..., got {text!r}")
        if whole := re.fullmatch(r"\s*(\d{1,18})\.\.(\d{1,18})\s*", part):
            first, last = map(int, whole.groups())
            if first > last:
                raise ValueError(f"sweep: {name} goes from {first} to {last}, which is none")
            if last - first >= MOST:
                raise ValueError(f"sweep: {name} must be at most {MOST:,} values, got {part}")
            swept[name] += range(first, last + 1)
        else:
            swept[name].append(part.strip())
    return swept


def with_profile(known: Mapping[str, Path], profile: str) -> list[str]:
    """The studies that have the profile; raises ValueError if none has."""
    found = [
        name for name in known if profile == "quick" or _profile(known[name], profile).is_file()
    ]
    if not found:
        raise ValueError(f"profile: no study has one called {profile!r}")
    return found


def _profile(notebook: Path, profile: str) -> Path:
    return notebook.parent / profile / f"{notebook.stem}.yaml"


def profile_of(notebook: Path, profile: str) -> list[dict[str, Any]]:
    """What a profile changes of the notebook's defaults, for each of its runs."""
    if profile == "quick":
        return [{}]
    file = _profile(notebook, profile)
    if not file.is_file():
        raise ValueError(
            f"profile: {notebook.stem} has none called {profile!r} ({file} is missing)"
        )
    first, *others = yaml.safe_load_all(file.read_text(encoding="utf-8"))
    return [first, *(first | other for other in others)]


@dataclass(frozen=True)
class _Study:
    """What all jobs of a notebook share: read and hashed once, however many there are."""

    notebook: Path
    defaults: dict[str, Any]
    settings: type[Settings]
    fixed: str  # digest of the cells, the code that they use, and the paper's tables
    stamps: dict[str, str]  # of data sets, by name, as they are asked for
    head: Callable[[str], data.Head]

    def listed(self, swept: Mapping[str, Any]) -> dict[str, Any]:
        """One value of a parameter that is a list stands for a list of it."""

        def is_list(value: Any) -> bool:
            return isinstance(value, list) or str(value).startswith("[")

        return {
            name: [value] if is_list(self.defaults.get(name)) and not is_list(value) else value
            for name, value in swept.items()
        }

    def job(self, overrides: Mapping[str, Any], threads: int, join: Sequence[Path]) -> Job:
        settings = self.settings.of({**self.defaults, **overrides}, head=self.head)
        given = settings.model_dump()
        named = [given[name] for name in self.settings.datasets() if given[name]]
        for dataset in set(named) - self.stamps.keys():
            self.stamps[dataset] = data.stamp(dataset)
        stamps = [self.stamps[name] for name in named]
        saved.joined(join, self.notebook.stem, given)
        lent = [(folder / saved.RECORDS).read_text(encoding="utf-8") for folder in join]
        key = cache.digest([self.fixed, given, stamps, threads, *lent])
        changed = {name: v for name, v in given.items() if v != self.defaults[name]}
        folders = tuple(str(folder.resolve()) for folder in join)
        return Job(self.notebook.stem, self.notebook, given, changed, key[:12], threads, folders)


def _read(notebook: Path) -> _Study:
    cells = source(notebook)
    code = [source_digest(module) for module in _imported(cells)]
    fixed = cache.digest([cells, code, paper_files(notebook.stem)])
    defaults = schema(notebook)
    settings = known_studies.settings_of(notebook.stem, defaults)
    return _Study(notebook, defaults, settings, fixed, {}, functools.cache(data.head))


def schema(notebook: Path) -> dict[str, Any]:
    """The notebook's parameters and their defaults, from its cell tagged `parameters`."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        if "parameters" in cell.metadata.get("tags", ()):
            return {
                statement.targets[0].id: ast.literal_eval(statement.value)
                for statement in ast.parse(cell.source).body
            }
    raise ValueError(f"{notebook}: has no cell tagged 'parameters'")


def _imported(cells: Sequence[tuple[str, str]]) -> list[str]:
    """The advlib modules that a notebook imports, by name."""
    names = set()
    for node in (n for kind, text in cells if kind == "code" for n in ast.walk(ast.parse(text))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = []
    for name in sorted(name for name in names if name.startswith("advlib.")):
        try:
            importlib.import_module(name)  # its source digest needs it
        except ModuleNotFoundError:
            continue  # a function or a class
        found.append(name)
    return found


def source(notebook: Path) -> list[tuple[str, str]]:
    """A notebook's cells without outputs: (kind, text).

    The parameters' own cells stay out: a key holds their values, whichever are defaults.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    ours = {"parameters", "injected-parameters"}
    return [(c.cell_type, c.source) for c in cells if ours.isdisjoint(c.metadata.get("tags", ()))]
