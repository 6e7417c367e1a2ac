"""Results on disk, keyed by the values that determine them.

`remember(function, ...)` runs a function once for each set of arguments. A key is made of values:
tensors, networks and settings by their content, the device, its numbers and threads, torch's
version; and of the version number that the function declares:

    @versioned("fit", 3)
    def _fit(...): ...

The source text is no part of it. Whoever changes what a declared function computes raises its
number; a golden test fails until that is done. What cannot be told by its values is refused.

Entries are safetensors with a checksum, written whole; two processes that want the same one make it
once.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import importlib.metadata
import inspect
import json
import math
import os
import time
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import platformdirs
import safetensors
import torch
from filelock import FileLock
from safetensors.torch import save_file
from torch import Tensor, nn

from advlib import devices
from advlib.files import write_whole

Declared = TypeVar("Declared", bound=Callable[..., Any])
Result = tuple[dict[str, Tensor], dict[str, Any]]  # tensors by name, and JSON-able notes

LAYOUT = 3  # of the keys and entries; another one leaves all earlier entries alone
LIBRARIES = ("torch", "torchvision", "timm")  # whose code their own version numbers tell
_declared: WeakKeyDictionary[Any, tuple[str, int]] = WeakKeyDictionary()
_in_use: ContextVar[bool] = ContextVar("in_use", default=True)
_spared = 0.0  # see `spared`
_counted: set[str] = set()  # keys of what this process computed, or found and counted


def versioned(name: str, version: int) -> Callable[[Declared], Declared]:
    """Declare a function, or a class of `nn.Module`, whose results may be kept on disk.

    Args:
        name: what results are filed under. It is not the Python name, which may change.
        version: a whole number, to be raised with every change to what is computed.

    Raises:
        TypeError: the function takes values from around it (a closure), which no key could hold:
            hand them over as arguments, by `functools.partial`.
    """

    def declare(thing: Declared) -> Declared:
        if isinstance(thing, types.FunctionType) and thing.__closure__:
            held = ", ".join(thing.__code__.co_freevars)
            raise TypeError(
                f"{name}: takes {held} from around it, where no key can see a change; make it an "
                "argument, given by functools.partial"
            )
        _declared[thing] = (name, version)
        return thing

    return declare


def root() -> Path:
    """$ADVLIB_CACHE, or the user's cache directory."""
    named = os.environ.get("ADVLIB_CACHE")
    return Path(named).expanduser() if named else platformdirs.user_cache_path("advlib") / "results"


@contextmanager
def off() -> Iterator[None]:
    """Inside the block everything is computed, nothing is read or kept: for what has no key."""
    token = _in_use.set(False)
    try:
        yield
    finally:
        _in_use.reset(token)


def remember(
    function: Callable[..., Result], device: torch.device, *, keep: bool = True, **arguments: Any
) -> Result:
    """`function(**arguments)`, from disk if an identical call was made before.

    `function` is declared by `versioned` and returns tensors by name and JSON-able notes; the
    tensors come back on the CPU. `device` is where it computes. Without `keep` a result that is on
    disk is taken, and another is not put there.

    Raises:
        TypeError: an argument cannot be told by its values; the message says which, and what to do.
        OSError: the cache's folder, which the message names, cannot be written.
    """
    if not _in_use.get():
        return function(**arguments)
    name, _ = _declared[function]
    key = digest([function, arguments, devices.describe(device), torch.__version__, LAYOUT])
    path = root() / name.replace(" ", "_") / f"{key}.safetensors"
    if (found := _read(path, key)) is not None:
        return _found(key, *found)
    if not keep:
        return function(**arguments)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        lock.acquire()
    try:
        if (found := _read(path, key)) is not None:
            return _found(key, *found)
        began, before = time.perf_counter(), _spared
        tensors, notes = function(**arguments)
        tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        _counted.add(key)
        took = time.perf_counter() - began + _spared - before
        said = {"notes": json.dumps(notes), "seconds": f"{took:.3f}"}
        said["checksum"] = _checksum(key, tensors, said)
        with _writing(path):
            write_whole(path, lambda part: save_file(tensors, part, said))
    finally:
        lock.release()
    return tensors, notes


def spared() -> float:
    """Seconds that results took to compute which others computed and this process found on disk,
    each of them counted once."""
    return _spared


def _found(key: str, tensors: dict[str, Tensor], notes: dict[str, Any], seconds: float) -> Result:
    global _spared
    if key not in _counted:
        _counted.add(key)
        _spared += seconds
    return tensors, notes


def digest(value: Any) -> str:
    """24 hexadecimal digits that name a value: two values that differ get two names.

    Takes numbers, strings, None, paths, sequences, mappings, tensors, modules, functions declared
    by `versioned`, partials of these, and whatever says by `__cache_key__()` what it is made of.
    Entries of a mapping that are None do not count: a setting that is not used is none.

    Raises:
        TypeError: anything else, rather than guess; the message says how to declare it.
    """
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return hasher.hexdigest()[:24]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            f"cache: cannot write {path} ({error}); ADVLIB_CACHE names another folder"
        ) from error


def _checksum(key: str, tensors: Mapping[str, Tensor], said: Mapping[str, str]) -> str:
    held = [[name, tensors[name]] for name in sorted(tensors)]
    return digest([key, held, said["notes"], said["seconds"]])


def _read(path: Path, key: str) -> tuple[dict[str, Tensor], dict[str, Any], float] | None:
    """The entry and the seconds that it took, or None if there is none, or none that is whole: it
    is then made anew."""
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            said = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        whole = said["checksum"] == _checksum(key, tensors, said)
        return (tensors, json.loads(said["notes"]), float(said["seconds"])) if whole else None
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError):
        return None


# What a value is made of


def _feed(hasher: Any, value: Any) -> None:
    def put(kind: str, text: str = "") -> None:
        hasher.update(f"{kind}:{len(text)}:{text};".encode())

    match value:
        case enum.Enum():
            put("enum", str(value))
        case float() if math.isnan(value):
            put("float", "nan")
        case None | bool() | int() | float() | str() | Path():
            put(type(value).__name__, repr(value) if not isinstance(value, Path) else str(value))
        case torch.dtype() | torch.device() | torch.Size():
            put("torch", str(value))
        case Tensor():
            put("tensor", f"{value.dtype}{tuple(value.shape)}")
            held = value.detach().cpu().reshape(-1).contiguous().view(torch.uint8)
            hasher.update(held.numpy().data)
        case _ if hasattr(value, "__cache_key__"):
            _feed(hasher, value.__cache_key__())
        case nn.Module():
            put("module")
            _feed(hasher, _parts(value))
        case functools.partial():
            put("partial")
            _feed(hasher, [value.func, list(value.args), value.keywords])
        case Mapping():
            kept = {str(name): part for name, part in value.items() if part is not None}
            put("mapping", str(len(kept)))
            for name in sorted(kept):
                _feed(hasher, name)
                _feed(hasher, kept[name])
        case list() | tuple():
            put("list", str(len(value)))
            for item in value:
                _feed(hasher, item)
        case set() | frozenset():
            put("set", ",".join(sorted(digest(item) for item in value)))
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            _feed(hasher, [type(value), fields])
        case _ if callable(value):
            put("code")
            _feed(hasher, _code(value))
        case _:
            raise TypeError(f"cache: cannot tell a {type(value).__name__} by its values: {value!r}")


def _code(thing: Callable[..., Any]) -> list[Any]:
    """What names a function or a class: its declared name and version, or its library's."""
    if thing in _declared:
        return [*_declared[thing], _surroundings(thing)]
    library = (getattr(thing, "__module__", None) or "").partition(".")[0]
    if library in LIBRARIES:
        return [f"{thing.__module__}.{thing.__qualname__}", _version(library)]
    what = getattr(thing, "__qualname__", repr(thing))
    raise TypeError(
        f"cache: cannot tell what {what} computes. Declare it, @cache.versioned('a name of its "
        "own', 1), and raise the number whenever it computes something else; what it takes from "
        "around it goes in as arguments (functools.partial). Or compute inside `with cache.off()`."
    )


_version = functools.cache(importlib.metadata.version)  # it reads files


def _surroundings(thing: Callable[..., Any]) -> dict[str, Any]:
    """A reader's own function: its defaults, and the globals that it names.

    advlib's own functions have golden tests instead.
    """
    if not isinstance(thing, types.FunctionType) or thing.__module__.startswith("advlib."):
        return {}
    named = {n: thing.__globals__[n] for n in thing.__code__.co_names if n in thing.__globals__}
    values = {n: v for n, v in named.items() if not (callable(v) or inspect.ismodule(v))}
    values |= {n: v for n, v in named.items() if isinstance(v, nn.Module)}
    return {"defaults": [thing.__defaults__, thing.__kwdefaults__], "globals": values}


_INTERNAL = frozenset(vars(nn.Module()))
_HOOKS = tuple(name for name in _INTERNAL if name.endswith("_hooks") and "state_dict" not in name)


def _parts(module: nn.Module) -> list[Any]:
    """All that a module computes with: its classes, their attributes, its tensors."""
    parts: list[Any] = []
    told: set[str] = set()  # modules that say by `__cache_key__` what they are made of
    for name, part in module.named_modules():
        if any(name.startswith(f"{other}.") for other in told):
            continue
        if hasattr(part, "__cache_key__"):
            told.add(name)
            parts.append([name, part])
            continue
        if any(getattr(part, hooks) for hooks in _HOOKS):
            raise TypeError(
                f"cache: {name or type(part).__name__} has hooks, whose effect no key can hold; "
                "remove them, or compute inside `with cache.off()`"
            )
        own = {n: v for n, v in vars(part).items() if n not in _INTERNAL}
        parts.append([name, type(part), own, part.training])
    tensors = [
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ]
    # The layout of weights decides the last bits of what is computed with them.
    return [parts, [[name, t, t.requires_grad, list(t.stride())] for name, t in tensors]]
