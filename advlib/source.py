"""What code a result rests on, by its meaning: comments, docstrings and layout do not count."""

from __future__ import annotations

import ast
import functools
import sys
from pathlib import Path
from types import ModuleType

from advlib.cache import digest


@functools.cache
def source_digest(module: str = "") -> str:
    """Digest of the source of an advlib module and all that it uses; without a name, of advlib."""
    package = Path(__file__).parent
    if module:
        files = sorted(Path(str(sys.modules[name].__file__)) for name in _used_by(module))
    else:
        files = sorted(package.rglob("*.py"))
    return digest(
        [(str(f.relative_to(package)), _meaning(f.read_text(encoding="utf-8"))) for f in files]
    )


def _used_by(module: str) -> set[str]:
    """The advlib modules that a module's names come from, itself included, this one left out.

    A package does not use a module of its own just because somebody has imported it.
    """
    found: set[str] = set()
    todo = {module}
    while todo:
        found |= todo
        names = {
            value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            for name in todo
            for value in vars(sys.modules[name]).values()
            if not (isinstance(value, ModuleType) and value.__name__.startswith(f"{name}."))
        }
        ours = {n for n in names if isinstance(n, str) and n.startswith("advlib.")}
        todo = {n for n in ours if n in sys.modules} - found - {__name__}
    return found


@functools.cache
def _meaning(source: str) -> str:
    """The syntax tree without docstrings, dumped: what is left when only the code counts."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            first = body[0].value
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                del body[0]
    return ast.dump(tree)
