"""A word of the glossary leads there where a page first uses it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

GLOSSARY = Path("book/glossary.md")
ENTRY = re.compile(r"^(?!  |```|#)(\S.*)$", re.MULTILINE)
BLOCK = re.compile(r"```\{glossary\}\n(.*?)```", re.DOTALL)
KINDS = re.compile(r"^  A (?:protocol|gradient): ", re.MULTILINE)
# Code, equations, links, cards (links, too), roles, tags, headings, tables, directives and what
# stands between asterisks stay as they are.
LEFT = re.compile(
    r"(^(?P<fence>`{3,}|~{3,})[\s\S]*?^(?P=fence)[`~]*$|\$\$[\s\S]*?\$\$|\$[^$\n]+\$"
    r"|^:+\{grid-item-card\}[\s\S]*?^:+$|^[ ]*(?:#|\||:|\().*$|\{[\w:.-]+\}`[^`]*`"
    r"|!?\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])?|<[^>\n]+>|\*+[^*\n]+\*+|`[^`\n]+`)",
    re.MULTILINE,
)


def terms() -> tuple[frozenset[str], frozenset[str]]:
    """The glossary's entries: plain words, and those that the book writes as code."""
    found = BLOCK.search(GLOSSARY.read_text(encoding="utf-8"))
    assert found is not None
    plain: set[str] = set()
    code: set[str] = set()
    for entry in found[1].split("\n\n"):
        names = ENTRY.findall(entry)
        (code if KINDS.search(entry) else plain).update(names)
    return frozenset(plain), frozenset(code)


def plain_words(plain: Iterable[str]) -> dict[str, str]:
    """What a page writes for a term: it, its plural, and either at the head of a sentence."""
    written: dict[str, str] = {}
    for term in plain:
        for form in (term, term + "s"):
            written |= {form: term, form[0].upper() + form[1:]: term}
    return written


def linked(texts: Iterable[str]) -> list[str]:
    """The Markdown texts of a page, in their order, with the first use of each term as a link.

    A plain word may be in the plural or at the head of a sentence; a protocol and a gradient are
    known by their backticks.
    """
    plain, code = terms()
    left = set(plain | code)
    entry = plain_words(plain)
    words = "|".join(map(re.escape, sorted(entry, key=len, reverse=True)))
    word = re.compile(rf"(?<![\w-])({words})(?![\w-])")

    def link(text: str, term: str) -> str:
        if term not in left:
            return text
        left.discard(term)
        return f"{{term}}`{text.strip('`')} <{term}>`"

    def piece(text: str) -> str:
        if not LEFT.fullmatch(text):
            return word.sub(lambda found: link(found[0], entry[found[0]]), text)
        bare = text.strip("`")
        return link(text, bare) if text == f"`{bare}`" and bare in code else text

    def whole(text: str) -> str:
        rest, pieces = 0, []
        for kept in LEFT.finditer(text):
            pieces += [text[rest : kept.start()], kept[0]]
            rest = kept.end()
        return "".join(map(piece, [*pieces, text[rest:]]))

    return [whole(text) for text in texts]
