"""Results on disk, keyed by everything that determines them.

`remember(function, ...)` runs a function once for each set of arguments. Tensors and models among
the arguments count by content, functions by name and by advlib's own source (comments, docstrings
and layout left out), and so do torch's version and the kind of device. Entries are safetensors,
written whole; two processes that want the same one make it once.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import platformdirs
import safetensors
import torch
from filelock import FileLock
from safetensors.torch import save_file
from torch import Tensor, nn

# The modules that decide what a model learns and what an attack finds.
DECISIVE = ("models.py", "training.py", "evaluation.py", "attacks", "defenses")


def root() -> Path:
    """$ADVLIB_CACHE, or the user's cache directory."""
    named = os.environ.get("ADVLIB_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("advlib") / "results"


def remember(
    function: Callable[..., tuple[dict[str, Tensor], dict]], *args: Any, **kwargs: Any
) -> tuple[dict[str, Tensor], dict]:
    """`function(*args, **kwargs)`, from disk if an identical call was made before.

    `function` returns tensors by name and JSON-able notes. The tensors come back on the CPU.
    """
    key = digest(
        [function, list(args), kwargs, source_digest(DECISIVE), torch.__version__, _machine()]
    )
    path = root() / function.__name__.strip("_") / f"{key}.safetensors"
    if (found := _read(path)) is not None:
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if (found := _read(path)) is not None:
            return found
        tensors, notes = function(*args, **kwargs)
        tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        write_whole(path, lambda part: save_file(tensors, part, {"notes": json.dumps(notes)}))
    return tensors, notes


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then give it that name: all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        part.chmod(0o644)  # mkstemp makes it private
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def digest(value: Any) -> str:
    """24 hexadecimal digits that name a value: two values that differ get two names.

    Takes numbers, strings, None, paths, lists, tuples, mappings, tensors, modules, functions and
    partials of these; raises TypeError for anything else rather than guess.
    """
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()[:24]


@functools.cache
def source_digest(parts: tuple[str, ...] = ("",)) -> str:
    """Digest of advlib's Python source below the given files and folders ("" is all of it)."""
    package = Path(__file__).parent
    files = {
        file
        for part in parts
        for file in ([package / part] if part.endswith(".py") else (package / part).rglob("*.py"))
    }
    return digest([(str(f.relative_to(package)), _meaning(f.read_text())) for f in sorted(files)])


def _meaning(source: str) -> str:
    """The syntax tree without docstrings: what is left when only the code counts."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            first = body[0].value
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                del body[0]
    return ast.dump(tree)


def _machine() -> list[str]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return [device]


def _read(path: Path) -> tuple[dict[str, Tensor], dict] | None:
    """The entry, or None if there is none or it cannot be read (it is then made anew)."""
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            notes = json.loads(file.metadata()["notes"])
            return {name: file.get_tensor(name) for name in file.keys()}, notes  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError):
        return None


def _feed(hasher: Any, value: Any) -> None:
    def put(kind: str, text: str = "") -> None:
        hasher.update(f"{kind}:{len(text)}:{text};".encode())

    match value:
        case None | bool() | int() | float() | str() | Path():
            put(type(value).__name__, repr(value) if not isinstance(value, Path) else str(value))
        case Tensor():
            put("tensor", f"{value.dtype}{tuple(value.shape)}")
            hasher.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().data)
        case nn.Module():
            put("module", repr(value))
            trained = [name for name, p in value.named_parameters() if p.requires_grad]
            _feed(hasher, {"trained": trained, "state": dict(value.state_dict())})
        case functools.partial():
            put("partial")
            _feed(hasher, [value.func, list(value.args), value.keywords])
        case Mapping():
            put("mapping", str(len(value)))
            for name in sorted(value, key=str):
                _feed(hasher, str(name))
                _feed(hasher, value[name])
        case list() | tuple():
            put("list", str(len(value)))
            for item in value:
                _feed(hasher, item)
        case _ if callable(value) and "<lambda>" not in getattr(value, "__qualname__", "<lambda>"):
            put("function", f"{value.__module__}.{value.__qualname__}")
        case _:
            raise TypeError(f"cannot name a {type(value).__name__} by its content: {value!r}")
