"""The whole book as one PDF: a browser prints the pages of the site, with an outline."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

from playwright.sync_api import PdfMargins, sync_playwright
from pypdf import PdfReader, PdfWriter
from tqdm.auto import tqdm

from advlib import files

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
MARGIN: PdfMargins = {"top": "15mm", "bottom": "15mm", "left": "15mm", "right": "15mm"}


def write(site: Path, pages: list[str], out: Path) -> Path:
    """Print the site's pages, named without their endings, in this order into one file.

    Each page is a chapter of the outline, its headings below it.

    Raises ValueError where there is no browser to print with, or a page is not in the site.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise ValueError(f"pdf: needs one of {', '.join(BROWSERS)} on the path, found none")
    sources = [site / f"{page}.html" for page in pages]
    if missing := [source for source in sources if not source.is_file()]:
        raise ValueError(f"pdf: the site lacks {missing[0]}")
    whole = PdfWriter()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=list(FLAGS))
        for source in tqdm(sources, desc="print", unit="page"):
            tab = opened.new_page(color_scheme="light")
            tab.goto(source.resolve().as_uri(), wait_until="load")
            tab.evaluate("async () => { await window.MathJax?.startup?.promise; }")  # equations
            title = tab.locator("h1").first.evaluate("of => of.firstChild.textContent")
            printed = tab.pdf(
                format="A4", margin=MARGIN, print_background=True, outline=True, tagged=True
            )
            tab.close()
            whole.append(PdfReader(io.BytesIO(printed)), outline_item=title.strip())
        opened.close()
    files.write_whole(out, whole.write)
    return out
