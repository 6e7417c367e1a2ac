"""Bytes in a script of the site: a page that is opened as a file may read nothing else."""

from __future__ import annotations

import base64
import gzip


def pack(content: bytes) -> str:
    """Letters for a script's string in double quotes, which `unpacked` (`book/_static/packed.js`)
    turns into the bytes again: gzip, in base85."""
    return base64.b85encode(gzip.compress(content, mtime=0)).decode()
