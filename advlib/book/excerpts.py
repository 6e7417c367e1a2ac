"""The search's excerpts where no server is: a browser may not read the pages from files itself."""

from __future__ import annotations

import json
from pathlib import Path

from bs4 import BeautifulSoup

from advlib.book.packed import pack

HIDDEN = ("script", "style", ".headerlink", "mjx-assistive-mml")


def write(site: Path) -> None:
    """Put the texts of all pages, packed, beside the search, which unpacks them if it is opened as
    a file (`book/_static/excerpts.js`)."""
    texts = {}
    for page in sorted(site.rglob("*.html")):
        if text := _text(page.read_text(encoding="utf-8")):
            texts[page.relative_to(site).as_posix()] = text
    script = f'const PAGES = "{pack(json.dumps(texts, ensure_ascii=False).encode())}";\n'
    (site / "_static/pages.js").write_text(script, encoding="utf-8")
    search = site / "search.html"
    tags = "".join(
        f'<script src="_static/{name}.js"></script>' for name in ("packed", "pages", "excerpts")
    )
    html = search.read_text(encoding="utf-8")
    search.write_text(html.replace("</head>", f"{tags}\n</head>"), encoding="utf-8")


def _text(html: str) -> str:
    main = BeautifulSoup(html, "html.parser").find("article")
    if main is None:
        return ""
    for element in main.select(", ".join(HIDDEN)):
        element.decompose()
    return " ".join(main.get_text(" ").split())
