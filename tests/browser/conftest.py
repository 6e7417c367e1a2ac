"""Debian's or anybody's chromium, driven by Playwright, on the built site."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

SITE = Path("_build/site/_build/html")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    missing = "no chromium on this machine" if CHROMIUM is None else ""
    missing = missing or ("" if SITE.is_dir() else "the book is not built: make book")
    for item in items:
        if missing and Path(__file__).parent in Path(item.path).parents:
            item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session")
def browser() -> Browser:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()
