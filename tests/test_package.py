"""What an installation brings, and what importing it does."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "dask", "distributed", "papermill", "nbclient", "nbformat", "jupyter_book", "matplotlib",
    "seaborn", "pydantic", "yaml", "rich", "upath",
)  # fmt: skip
LIGHT = (
    "advlib.attacks", "advlib.attacks.patch", "advlib.attacks.named", "advlib.audit",
    "advlib.augmentation", "advlib.cache", "advlib.cost", "advlib.defenses.adversarial",
    "advlib.defenses.cross_model", "advlib.defenses.distillation", "advlib.defenses.mart",
    "advlib.defenses.dominant_filters", "advlib.defenses.patch_augmentation",
    "advlib.defenses.trades", "advlib.evaluation", "advlib.statistics",
)  # fmt: skip


def run(code, **environment):
    own = {n: v for n, v in os.environ.items() if n not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=own | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_attacks_and_defenses_need_neither_dask_nor_papermill_nor_the_book():
    hidden = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r}))"
    run(f"{hidden}; import {', '.join(LIGHT)}")


def test_idle_threads_do_not_spin_unless_the_user_says_so():
    show = "import os, advlib; print(*map(os.environ.get, ['GOMP_SPINCOUNT', 'OMP_WAIT_POLICY']))"
    assert run(show) == "100000 None"
    assert run(show, GOMP_SPINCOUNT="7") == "7 None"
    assert run(show, OMP_WAIT_POLICY="ACTIVE") == "None ACTIVE"


def test_the_benchmarks_environment_has_what_advlib_needs():
    """It has packages of its own: advlib brings its dependencies, nothing is pinned twice."""
    listed = Path("tests/benchmarks/requirements.txt").read_text(encoding="utf-8").splitlines()
    assert "-e ." in listed
    pinned = {line.partition("==")[0] for line in listed if "==" in line}
    lock = Path("requirements.lock").read_text(encoding="utf-8").splitlines()
    assert not pinned & {line.partition("==")[0] for line in lock}


@pytest.mark.parametrize(
    "script", sorted(Path("tests/benchmarks").glob("*.py")), ids=lambda p: p.stem
)
def test_a_benchmark_imports_names_that_advlib_has(script):
    """CI has none of the peers, so it cannot run `make bench`."""
    taken = [
        (node.module, name.name)
        for node in ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "advlib"
        for name in node.names
    ]
    assert taken
    for module, name in taken:
        if not hasattr(importlib.import_module(module), name):
            importlib.import_module(f"{module}.{name}")


@pytest.mark.parametrize(
    "notebook", sorted(Path("notebooks").glob("*.ipynb")), ids=lambda p: p.stem
)
def test_a_notebook_imports_advlib_before_torch(notebook):
    """However it is started; what torch reads when it is loaded is set by then."""
    cells = json.loads(notebook.read_text())["cells"]
    code = "".join("".join(cell["source"]) + "\n" for cell in cells if cell["cell_type"] == "code")
    first = {
        name: re.search(rf"^(import|from) {name}\b", code, re.M) for name in ("advlib", "torch")
    }
    assert first["advlib"]
    assert first["torch"] is None or first["advlib"].start() < first["torch"].start()


def test_no_module_is_longer_than_a_few_screens():
    long = {
        p.name: n
        for p in Path("advlib").rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 350
    }
    assert not long
