"""Files are written whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then give it that name: all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = beside(path)
    try:
        part.touch(exist_ok=False)
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def beside(path: Path) -> Path:
    """A hidden name beside `path` that no other process has. What is made there has the rights that
    the user's umask leaves, unlike what `tempfile` makes."""
    return path.with_name(f".{path.name}-{secrets.token_hex(8)}")


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Write several files, none of which changes before all are on disk."""
    parts = {path: beside(path) for path in contents}
    try:
        for path, part in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(contents[path])
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def fill(path: Path, mark: str, text: str) -> None:
    """Put `text` into a Markdown file, where `filled` puts it."""
    whole = path.read_text(encoding="utf-8")
    if (changed := filled(whole, mark, text)) != whole:
        write_whole(path, lambda part: part.write_text(changed, encoding="utf-8"))


def filled(whole: str, mark: str, text: str) -> str:
    """Markdown with `text` between its comments <!-- mark --> and <!-- end of mark -->, or as it is
    where it has no such comments."""
    before, after = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    if before not in whole or after not in whole:
        return whole
    start, end = whole.index(before) + len(before), whole.index(after)
    return f"{whole[:start]}\n{text.strip()}\n{whole[end:]}"
