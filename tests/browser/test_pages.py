"""A real browser opens the built pages; runs after `advlib book`."""

import functools
import re
from typing import NamedTuple

import pytest
from conftest import PAGES, SITE
from fontTools.ttLib import TTFont
from playwright.sync_api import Page

ICONS = """() => [...document.querySelectorAll("*")]
  .flatMap((one) => ["::before", "::after"].map((part) => getComputedStyle(one, part).content))
  .flatMap((content) => content.match(/[\\ue000-\\uf8ff]/g) ?? [])"""

VERDICTS = """() => Math.max(0, ...[...document.querySelectorAll("article table")]
  .filter((table) => table.offsetParent)
  .filter((table) => /(^|\\s)(verdict|undecided)(\\s|$)/.test(table.tHead?.textContent))
  .flatMap((table) => [...table.tBodies[0].querySelectorAll("td, th")])
  .map((cell) => cell.getBoundingClientRect().right))"""


@functools.cache
def letters():
    """All that the icons' fonts of the site have."""
    fonts = (SITE / "_static").rglob("webfonts/*.woff")
    return {letter for font in fonts for letter in TTFont(font).getBestCmap()}


class Opened(NamedTuple):
    """A page, opened once for the tests that follow; what its scripts said that failed."""

    page: str
    tab: Page
    wrong: list[str]


@pytest.fixture(scope="module", params=PAGES)
def opened(request, browser):
    tab = browser.new_page(viewport={"width": 1400, "height": 900})
    page = Opened(request.param, tab, [])
    tab.on("console", lambda said: page.wrong.append(said.text) if said.type == "error" else None)
    tab.on("pageerror", lambda error: page.wrong.append(str(error)))
    tab.goto((SITE / page.page).resolve().as_uri())
    tab.wait_for_load_state("load")
    tab.evaluate("async () => { await window.MathJax?.startup?.promise; }")
    yield page
    tab.close()


def test_the_page_opens_without_errors(opened):
    tab = opened.tab
    raw = tab.evaluate("document.querySelectorAll('.math:not(:has(mjx-container))').length")
    broken = tab.evaluate("[...document.images].filter((i) => !i.naturalWidth).map((i) => i.src)")
    drawn = {ord(letter) for letter in tab.evaluate(ICONS)}
    assert opened.wrong == []
    assert raw == 0  # equations that MathJax left as they are written
    assert broken == []  # pictures that the browser cannot draw
    assert {hex(icon) for icon in drawn - letters()} == set()


def test_the_page_has_what_it_names(opened):
    text = opened.tab.content()
    assert re.search(r"<h1>[^<]+", text)
    assert "Traceback" not in text
    assert 'class="problematic"' not in text  # Sphinx's mark on what it could not resolve
    assert "|:-" not in text  # a table that was left as Markdown
    assert "<mjx-merror" not in text  # an equation that MathJax cannot read
    for source in re.findall(r'<img[^>]+src="([^":]+)"', text):
        assert (SITE / opened.page).parent.joinpath(source).resolve().is_file(), source
    for image in re.findall(r"<img[^>]*>", text):
        alt = re.search(r'alt="([^"]+)"', image)
        assert alt, image
        assert "_images/" not in alt[1], image  # Sphinx's stand-in where a figure has none


def test_no_page_is_wider_than_its_window(opened):
    tab = opened.tab
    for width in (1400, 390):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.wait_for_timeout(100)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(VERDICTS) <= width  # none is cut on a phone


def test_the_study_shows_both_protocols(tab):
    tab.goto((SITE / "book/studies/dominant_filters.html").resolve().as_uri())
    text = tab.content()
    assert text.count("white-box") > 5
    assert text.count("static") > 5
    assert "holds only under the paper" in text


def test_code_without_its_plain_marks_looks_the_same():
    """The words whose marks `slim` takes out have the colour of the text around them."""
    sheet = (SITE / "_static/pygments.css").read_text(encoding="utf-8")
    colours = re.findall(r'theme="(\w+)"\] \.highlight ?(\.\w+)? \{[^}]*?\bcolor: (#\w+)', sheet)
    looks = {(look, kind): colour for look, kind, colour in colours}
    for look in ("light", "dark"):
        assert {looks[look, f".{kind}"] for kind in ("n", "nn", "nx", "p", "w")} == {
            looks[look, ""]
        }


def test_no_two_pages_share_a_title():
    titles = [
        re.search(r"<title>(.*?)</title>", (SITE / page).read_text(encoding="utf-8"), re.DOTALL)[1]
        for page in PAGES
    ]
    assert len(set(titles)) == len(titles)


def test_a_phone_shows_what_is_here_what_is_wanted_and_its_price(tab):
    tab.set_viewport_size({"width": 390, "height": 900})
    tab.goto((SITE / "book/evidence.html").resolve().as_uri())
    wishes, prices = (tab.locator("article table").nth(n).locator("th").all() for n in (0, 1))
    assert [head.inner_text() for head in wishes][-2:] == ["here", "wanted"]
    assert prices[1].inner_text() == "core hours"
    for head in (wishes[-1], prices[1]):
        place = head.bounding_box()
        assert place["x"] + place["width"] <= 390
