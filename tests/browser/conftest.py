"""Debian's or anybody's chromium, driven by Playwright, on the built site."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page, sync_playwright

SITE = Path("_build/site/_build/html")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
STILL = "*, ::before, ::after { transition: none !important; }"  # nothing slides or fades
CONTENTS = yaml.safe_load(Path("_toc.yml").read_text(encoding="utf-8"))
CHAPTERS = [chapter["file"] for part in CONTENTS["parts"] for chapter in part["chapters"]]
PAGES = [f"{page}.html" for page in (CONTENTS["root"], *CHAPTERS)]


def pytest_collection_modifyitems(items):
    missing = "no chromium on this machine" if CHROMIUM is None else ""
    missing = missing or ("" if SITE.is_dir() else "the book is not built: make book")
    for item in items:
        if missing and Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where the site is served on this machine, as a reader of a web site has it."""
    handler = functools.partial(Quiet, directory=str(SITE.resolve()))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    yield page
    page.close()
