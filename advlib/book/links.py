"""Whether a rendered site is whole."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

LINKED = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "src"}


def check(site: Path, pages: list[str]) -> None:
    """Raise ValueError unless the site has these pages, without their endings, with all that they
    link to on the site, and its search knows each of them."""
    site = site.resolve()
    found = {page: site / f"{page}.html" for page in pages}
    missing = [f"{page}.html" for page, file in found.items() if not file.is_file()]
    searched = _searched(site / "searchindex.js")
    missing += [f"{page} in the search" for page in pages if page not in searched]
    theirs = site / "_static"  # the theme's own files, among them templates
    read = {file: _Page(file) for file in site.rglob("*.html") if theirs not in file.parents}
    for file, page in read.items():
        for link in page.links:
            target, place = _target(site, file, link)
            if target is None or (target in read and _there(place, read[target])):
                continue
            if not target.is_file() or target in read:
                missing.append(f"{link} (linked to by {file.relative_to(site)})")
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise ValueError(f"book: the site lacks {', '.join(missing[:5])}{more}")


def contents(toc: Path) -> list[str]:
    """The pages that a jupyter-book table of contents lists, without their endings."""

    def files(part: object) -> list[str]:
        if isinstance(part, dict):
            own = [part[key] for key in ("root", "file") if key in part]
            return own + [name for value in part.values() for name in files(value)]
        return [name for one in part for name in files(one)] if isinstance(part, list) else []

    return [
        re.sub(r"\.(md|ipynb|rst)$", "", name)
        for name in files(yaml.safe_load(toc.read_text(encoding="utf-8")))
    ]


def _there(place: str, page: _Page) -> bool:
    """The page has the place; one with a "=" is a setting that the page's script reads."""
    return not place or "=" in place or place in page.places


class _Page(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places |= {value for name in ("id", "name") if (value := given.get(name))}
        if (link := given.get(LINKED.get(tag, ""))) is not None:
            self.links.add(link)


def _target(site: Path, file: Path, link: str) -> tuple[Path | None, str]:
    """The file of the site that a page's link names, and the place in it; None if it leads away."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None, ""
    path = unquote(parts.path)
    base = site / path.lstrip("/") if path.startswith("/") else file.parent / path
    return (base.resolve() if path else file), unquote(parts.fragment)


def _searched(index: Path) -> set[str]:
    """The pages that Sphinx's search index holds; none where there is no index."""
    if not index.is_file():
        return set()
    found = re.search(r'"?docnames"?:\s*(\[.*?\])', index.read_text(encoding="utf-8"))
    return set(json.loads(found[1])) if found else set()
