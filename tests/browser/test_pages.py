"""A real browser opens the built pages; runs after `advlib book`."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

SITE = Path("_build/site/_build/html")
CONTENTS = yaml.safe_load(Path("_toc.yml").read_text())
CHAPTERS = [chapter["file"] for part in CONTENTS["parts"] for chapter in part["chapters"]]
PAGES = [f"{page}.html" for page in (CONTENTS["root"], *CHAPTERS)]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = [
    pytest.mark.skipif(not SITE.is_dir(), reason="the book is not built: make book"),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]


def dom(page: str, tmp_path: Path) -> str:
    """The page's document after its scripts have run."""
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path}", "--virtual-time-budget=5000", "--dump-dom",
        (SITE / page).resolve().as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize("page", PAGES)
def test_the_page_opens_with_its_images_and_without_errors(page, tmp_path):
    text = dom(page, tmp_path)
    assert re.search(r"<h1>[^<]+", text)
    assert "Traceback" not in text
    assert 'class="problematic"' not in text  # Sphinx's mark on what it could not resolve
    for source in re.findall(r'<img[^>]+src="([^":]+)"', text):
        assert (SITE / page).parent.joinpath(source).resolve().is_file(), source
    for image in re.findall(r"<img[^>]*>", text):
        alt = re.search(r'alt="([^"]+)"', image)
        assert alt, image
        assert "_images/" not in alt[1], image  # Sphinx's stand-in where a figure has none


def test_the_study_shows_both_protocols(tmp_path):
    text = dom("book/studies/dominant_filters.html", tmp_path)
    assert text.count("white-box") > 5
    assert text.count("static") > 5
    assert "holds only under the paper" in text
