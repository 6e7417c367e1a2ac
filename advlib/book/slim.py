"""A lighter site: out with what no reader needs, and the same pictures in fewer bytes."""

from __future__ import annotations

import io
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from PIL import Image

from advlib.book.drawing import shorter

# Sources of the theme's scripts, fonts in an older format, the theme's texts in other languages,
# icons as a script (a style sheet with fonts draws the same), and Thebe, which the book has no use
# for and whose script would stand twice in each page, an error.
NEEDLESS = (
    "**/*.map", "**/*.ttf", "locales", "vendor/fontawesome/*/js", "sphinx-thebe.*",
)  # fmt: skip
LARGE_PICTURE = 100_000  # bytes; above, a photo loses what nobody sees
# Kinds of a program's words that have the colour of plain text in both looks of the site;
# operators, which are given it; and the empty mark at the beginning of each program.
PLAIN = re.compile(r'<span class="(?:n|nn|nx|o|p|w)">([^<]*)</span>|(?<=<pre>)<span></span>')
# Which row and column a cell of pandas' tables is in: no look of the site goes by it.
CELL = re.compile(r"<t[hd]\b[^>]*>")
PLACE = re.compile(r' id="T_\w+"| (?:row|col|level)\d+(?=[ "])')
ICONS = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"\\([0-9a-f]+)"\}')
TAGS = re.compile(
    r"\s*<script[^>]*>\s*const THEBE_JS_URL.*?</script>"
    r"|\s*<(?:script|link)[^>]*sphinx-thebe\.[^>]*>(?:\s*</script>)?"
    r"|\s*<script type=\"text/x-thebe-config\">.*?</script>"
    r"|\s*<script[^>]*/fontawesome/[^>]*></script>"
    r"|\s*<link rel=\"preload\"[^>]*/fontawesome/[^>]*>",  # refused where the site is a file
    re.DOTALL,
)
KEPT_SPACE = re.compile(
    r"(<pre\b.*?</pre>|<script\b.*?</script>|<textarea\b.*?</textarea>)", re.DOTALL
)
PICTURE = re.compile(r"(_images/[^\"'()\s]+)\.(?:png|jpg)")


def slim(site: Path) -> None:
    """Make a rendered site lighter, in place; its pages look the same, but for the colour of
    operators in programs.

    Pictures in PNG become WebP, without a loss unless they are large; photos in JPEG, too. Drawings
    are written shorter. Of the icons' fonts those stay that some page draws.
    """
    static = site / "_static"
    for sheet in static.glob("vendor/fontawesome/*/css/all.min.css"):
        _keep_used(sheet, site)
    for pattern in NEEDLESS:
        for path in list(static.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for picture in (site / "_images").glob("*.svg"):
        picture.write_text(shorter(picture.read_text(encoding="utf-8")), encoding="utf-8")
    with ThreadPoolExecutor() as threads:
        for ending in ("png", "jpg"):
            list(threads.map(_as_webp, (site / "_images").glob(f"*.{ending}")))
    for page in site.rglob("*.html"):
        page.write_text(_slim_page(page.read_text(encoding="utf-8")), encoding="utf-8")


def _slim_page(text: str) -> str:
    text = PLAIN.sub(lambda word: word[1] or "", PICTURE.sub(r"\1.webp", TAGS.sub("", text)))
    text = CELL.sub(lambda cell: PLACE.sub("", cell[0]), text)
    end, parts = 0, []
    for kept in KEPT_SPACE.finditer(text):
        parts += [re.sub(r"\n\s+", "\n", text[end : kept.start()]), kept[0]]
        end = kept.end()
    return "".join([*parts, re.sub(r"\n\s+", "\n", text[end:])])


def _as_webp(picture: Path) -> None:
    packed = io.BytesIO()
    with Image.open(picture) as image:
        if picture.suffix == ".png":
            image.save(packed, "WEBP", lossless=True, quality=60, method=2)
        if picture.suffix == ".jpg" or packed.tell() > LARGE_PICTURE:
            packed = io.BytesIO()
            quality = 80 if picture.suffix == ".jpg" else 90
            image.convert("RGB").save(packed, "WEBP", quality=quality, method=2)
    picture.with_suffix(".webp").write_bytes(packed.getvalue())
    picture.unlink()


def _keep_used(sheet: Path, site: Path) -> None:
    """Of Font Awesome, only the icons that a page, script or style sheet of the site names."""
    icons = sheet.parents[1]
    own = [path for kind in ("html", "js", "css") for path in site.rglob(f"*.{kind}")]
    others = "".join(path.read_text(encoding="utf-8") for path in own if icons not in path.parents)
    named = set(re.findall(r"\bfa-([a-z0-9-]+)", others))
    drawn = {int(code, 16) for code in re.findall(r"\\(f[0-9a-f]{3})\b", others)}
    drawn |= {ord(letter) for letter in re.findall("[\ue000-\uf8ff]", others)}

    def kept(rule: re.Match) -> str:
        if not named & set(re.findall(r"fa-([\w-]+):", rule[1])):
            return ""
        drawn.add(int(rule[2], 16))
        return rule[0]

    rules = ICONS.sub(kept, sheet.read_text(encoding="utf-8"))
    rules = re.sub(
        r'(webfonts/[\w-]+)\.woff2\) format\("woff2"\)', r'\1.woff) format("woff")', rules
    )
    rules = re.sub(r',url\([^)]*\.ttf\) format\("truetype"\)', "", rules)
    sheet.write_text(rules, encoding="utf-8")
    for file in (icons / "webfonts").glob("*.ttf"):
        font = TTFont(file)
        smaller = subset.Subsetter()
        smaller.populate(unicodes=drawn)
        smaller.subset(font)
        font.flavor = "woff"
        font.save(file.with_suffix(".woff"))
        file.with_suffix(".woff2").unlink()
