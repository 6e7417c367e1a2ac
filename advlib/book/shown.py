"""What a notebook's outputs may hold where others read them: known kinds, and no code."""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from typing import Any
from xml.parsers import expat

import nh3
from nbformat import NotebookNode
from PIL import Image

from advlib.plots import interactive

LARGE_PICTURE = 100_000  # bytes; larger pictures become JPEG
PICTURES = {"image/png": "PNG", "image/jpeg": "JPEG"}
DRAWING = "image/svg+xml"
KINDS = ("text/plain", "text/html", "text/markdown", DRAWING, interactive.MIME, *PICTURES)
TAGS = {
    "table", "caption", "thead", "tbody", "tr", "th", "td", "br", "small", "b", "i", "em", "strong",
    "p", "span", "div", "pre", "code",
}  # fmt: skip
ATTRIBUTES = {
    "*": {"id", "class"},
    "table": {"style"},
    "th": {"rowspan", "colspan"},
    "td": {"rowspan", "colspan"},
}
TAG = re.compile(r"<(?=[A-Za-z/!?]).{,20}")
FIGURE_TAGS = re.compile(r"</?(?:b|br|extra)>")
# What drawings are made of: neither code nor what changes or loads anything.
SVG = "http://www.w3.org/2000/svg"
SHAPES = {
    "svg", "g", "defs", "use", "symbol", "path", "rect", "circle", "ellipse", "line", "polyline",
    "polygon", "text", "tspan", "title", "desc", "image", "style", "clipPath", "mask", "pattern",
    "marker", "linearGradient", "radialGradient", "stop",
}  # fmt: skip
EMBEDDED = "data:image/png;base64,"
# In CSS: another file's rules, a letter written as its number, and functions that load a file.
LOADS = re.compile(r"@|\\|url\s*\((?!\s*['\"]?\s*#)|image(-set)?\s*\(|src\s*\(", re.I)


def made_safe(notebook: NotebookNode) -> None:
    """Change the outputs in place into such as may be published.

    HTML keeps what tables are made of; in Markdown a tag is a text; a large picture that gains by
    it becomes a JPEG. A drawing is published as it is, if it holds shapes and texts only.

    Raises:
        ValueError: an output of another kind, a picture that cannot be read, or a drawing with more
            than shapes in it; the message says in which cell.
    """
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", ()):
            try:
                _make_safe(output)
            except ValueError as error:
                raise ValueError(f"cell {number} {error}") from None


def _make_safe(output: NotebookNode) -> None:
    if output.output_type not in ("stream", "display_data", "execute_result"):
        raise ValueError(f"has an output of type {output.output_type}")
    data = output.get("data", {})
    for kind in list(data):
        if kind not in KINDS:
            raise ValueError(f"shows {kind}; a published page shows {', '.join(KINDS)}")
    if "text/html" in data:
        data["text/html"] = safe_html(data["text/html"])
    if "text/markdown" in data:
        data["text/markdown"] = safe_markdown(data["text/markdown"])
    if DRAWING in data:
        check_svg(data[DRAWING])
    if interactive.MIME in data:
        check_lines(data[interactive.MIME])
    for kind, format in PICTURES.items():
        if kind in data:
            _check_picture(data[kind], kind, format)
    _compress(data)


def safe_html(text: str) -> str:
    """The HTML with the tags and attributes that tables are made of, and no others."""
    return nh3.clean(
        text, tags=TAGS, attributes=ATTRIBUTES, url_schemes=set(), link_rel=None,
        clean_content_tags={"script", "style"}, filter_style_properties={"font-size"},
    )  # fmt: skip


def safe_markdown(text: str) -> str:
    """The Markdown with every tag shown as a text. Links to code are none in Markdown-it, which the
    book is rendered with."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)


def check_svg(text: str) -> None:
    """Raise ValueError unless the text is an SVG of shapes and texts, which loads nothing.

    It has no DOCTYPE (so no entities), no processing instructions, no elements but `SHAPES`, no
    attributes that run code, and links only into itself or to a PNG that it holds.
    """

    def refuse(what: str) -> None:
        raise ValueError(f"shows an {DRAWING} with {what}")

    def element(name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if space != SVG or local not in SHAPES or not (open_ or local == "svg"):
            refuse(f"<{local}>")
        open_.append(local)
        for key, value in attributes.items():
            key = key.rpartition(" ")[2].lower()
            if key.startswith("on") or key in ("base", "src"):
                refuse(f"the attribute {key}")
            if key == "href" and not value.startswith("#"):
                if not (local == "image" and value.startswith(EMBEDDED)):
                    refuse(f"a link to {value[:40]}")
                _check_picture(value.removeprefix(EMBEDDED), "image/png", "PNG")
            if LOADS.search(value) and key != "href":
                refuse(f"{key}={value[:40]!r}")

    def characters(rules: str) -> None:
        if open_[-1] == "style":
            styles.append(rules)

    open_: list[str] = []
    styles: list[str] = []
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = element
    parser.EndElementHandler = lambda name: open_.pop()
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = lambda *declared: refuse("a DOCTYPE")
    parser.ProcessingInstructionHandler = lambda target, rest: refuse(f"<?{target}?>")
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, UnicodeError) as error:
        raise ValueError(f"has a damaged {DRAWING} ({error})") from None
    if LOADS.search("".join(styles)):
        refuse("a style that loads a file")


def check_lines(drawn: Any) -> None:
    """Raise ValueError unless this is a figure of Plotly's whose texts have no tags but its own."""
    if not isinstance(drawn, dict) or drawn.keys() != {"data", "layout"}:
        raise ValueError(f"has a damaged {interactive.MIME}")
    if found := TAG.search(FIGURE_TAGS.sub("", json.dumps(drawn, ensure_ascii=False))):
        raise ValueError(f"shows an {interactive.MIME} with {found[0]!r}")


def check_png(content: bytes) -> None:
    """Raise ValueError unless the bytes are a PNG that can be read."""
    _check_bytes(content, "image/png", "PNG")


def _check_picture(encoded: str, kind: str, format: str) -> None:
    try:
        content = base64.b64decode(encoded)
    except binascii.Error as error:
        raise ValueError(f"has a damaged {kind} ({error})") from None
    _check_bytes(content, kind, format)


def _check_bytes(content: bytes, kind: str, format: str) -> None:
    try:
        with Image.open(io.BytesIO(content), formats=[format]) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"has a damaged {kind} ({error})") from None


def _compress(data: dict[str, str]) -> None:
    """Make an output's PNG a JPEG if it is large and gains by it."""
    png = base64.b64decode(data.get("image/png", ""))
    if len(png) <= LARGE_PICTURE:
        return
    jpeg = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(jpeg, "JPEG", quality=90, optimize=True)
    if jpeg.tell() < len(png) / 2:
        del data["image/png"]
        data["image/jpeg"] = base64.b64encode(jpeg.getvalue()).decode()
