"""Results on disk, keyed by everything that determines them.

`remember(function, ...)` runs a function once for each set of arguments. Tensors and models among
them count by content; functions and the classes of models by the source of their module and of
every advlib module that it uses (comments, docstrings and layout left out). torch's version and
the device count too. Entries are safetensors, written whole; two processes that want the same one
make it once.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import platformdirs
import safetensors
import torch
from filelock import FileLock
from safetensors.torch import save_file
from torch import Tensor, nn


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
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    key = digest([function, list(args), kwargs, torch.__version__, device])
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


def fill(path: Path, mark: str, text: str) -> None:
    """Put `text` between a Markdown file's comments <!-- mark --> and <!-- end of mark -->.

    A file without these comments is left as it is.
    """
    before, after = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    whole = path.read_text()
    if before in whole and after in whole:
        start, end = whole.index(before) + len(before), whole.index(after)
        whole = f"{whole[:start]}\n{text.strip()}\n{whole[end:]}"
        write_whole(path, lambda part: part.write_text(whole))


def digest(value: Any) -> str:
    """24 hexadecimal digits that name a value: two values that differ get two names.

    Takes numbers, strings, None, paths, lists, tuples, mappings, tensors, modules, functions and
    partials of these; raises TypeError for anything else rather than guess.
    """
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()[:24]


@functools.cache
def source_digest(module: str = "") -> str:
    """Digest of the source of an advlib module and all that it uses; without a name, of advlib."""
    package = Path(__file__).parent
    if module:
        files = sorted(Path(sys.modules[name].__file__) for name in _used_by(module))
    else:
        files = sorted(package.rglob("*.py"))
    return digest([(str(f.relative_to(package)), _meaning(f.read_text())) for f in files])


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
            hasher.update(
                value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().data
            )
        case nn.Module():
            put("module", repr(value))
            trained = [name for name, p in value.named_parameters() if p.requires_grad]
            classes = sorted({type(m).__module__ for m in value.modules()})
            code = [source_digest(m) for m in classes if m.startswith("advlib.")]
            _feed(hasher, {"trained": trained, "state": dict(value.state_dict()), "code": code})
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
        case FunctionType() if value.__module__.startswith("advlib."):
            put("function", value.__qualname__)
            put("code", source_digest(value.__module__))
        case FunctionType() if value.__closure__ is None:
            put("function", inspect.getsource(value))  # one of the reader's own
        case _:
            raise TypeError(f"cannot name a {type(value).__name__} by its content: {value!r}")
