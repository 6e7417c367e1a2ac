"""Files are written whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Callable
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
