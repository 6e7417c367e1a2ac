"""The site as a web site: nothing fails, nothing is asked of others, everybody can use it."""

from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import PAGES, SITE, STILL
from playwright.sync_api import Page

from advlib.claims import VERDICTS

LARGEST_SITE, LARGEST_PAGE = 15e6, 2e6  # bytes
COLOURS = ["color-contrast", "link-in-text-block"]  # axe's rules about colours,
WIDTH = ["scrollable-region-focusable"]  # and about what scrolls in a narrow window
STUDIES = [page for page in PAGES if "studies/" in page or "notebooks/" in page]


class Served(NamedTuple):
    """A page, opened once for the tests that follow; what failed, and what was asked for."""

    tab: Page
    wrong: list[str]
    asked: list[str]


@pytest.fixture(scope="module", params=PAGES)
def served(request, browser, address):
    tab = browser.new_page(viewport={"width": 1400, "height": 900})
    page = Served(tab, [], [])
    tab.on("console", lambda said: page.wrong.append(said.text) if said.type == "error" else None)
    tab.on("pageerror", lambda error: page.wrong.append(str(error)))
    tab.on("requestfailed", lambda failed: page.wrong.append(failed.url))
    tab.on("request", lambda asks: page.asked.append(asks.url))
    tab.add_init_script("localStorage.setItem('mode', 'light');"
                        "localStorage.setItem('theme', 'light')")  # fmt: skip
    tab.goto(f"{address}/{request.param}", wait_until="networkidle")
    yield page
    tab.close()


def test_nothing_fails_and_nobody_else_is_asked(served, address):
    assert served.wrong == []
    own = (address, "data:", "blob:")
    assert [url for url in served.asked if not url.startswith(own)] == []


def violations(tab, *rules):
    """What axe finds, by all its rules or by these."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    return Axe().run(tab, options=options).response["violations"]


def test_axe_finds_nothing_serious(served):
    """In the light, then what depends on colours in the dark, and on the width on a phone."""
    tab = served.tab
    found = violations(tab)
    tab.add_style_tag(content=STILL)
    tab.evaluate("document.documentElement.dataset.theme = 'dark'")
    found += violations(tab, *COLOURS)
    tab.set_viewport_size({"width": 390, "height": 900})
    tab.wait_for_timeout(700)  # the theme looks for what scrolls a while after a change of width
    found += violations(tab, *WIDTH)
    serious = [of for of in found if of["impact"] in ("serious", "critical")]
    assert not serious, [(of["id"], of["nodes"][0]["html"][:200]) for of in serious]


@pytest.mark.parametrize("words", ["JSMA", "white-box", "epsilon"])
def test_the_search_finds_the_definition_first(words, tab, address):
    tab.goto(f"{address}/search.html?q={words}")
    tab.wait_for_selector("ul.search li a")
    tab.wait_for_timeout(500)
    first = [link.get_attribute("href") for link in tab.locator("ul.search li > a").all()[:3]]
    assert any("book/glossary" in link for link in first), first


@pytest.fixture
def claims(tab, address):
    tab.goto(f"{address}/book/index.html")
    tab.wait_for_selector(".claims-tools:not([hidden])")
    return tab.locator("#claims")


def column(claims, name):
    return [cell.inner_text() for cell in claims.locator(f"tbody td.{name}").all()]


def test_the_claims_are_filtered_by_paper_and_verdict_and_found_by_words(claims):
    every = len(column(claims, "id"))
    claims.locator("select[data-filter=verdict]").select_option("does not hold")
    verdicts = column(claims, "verdict")
    assert 0 < len(verdicts) < every
    assert set(verdicts) == {"✗ does not hold"}
    claims.locator("select[data-filter=paper]").select_option("Dominant filters")
    assert {name[:3] for name in column(claims, "id")} == {"002"}
    claims.locator("select[data-filter=verdict]").select_option("")
    claims.locator("select[data-filter=paper]").select_option("")
    claims.locator("input.search").fill("distillation")
    claims.page.wait_for_timeout(400)
    assert 0 < len(column(claims, "id")) < every
    shown = claims.locator(".claims-count").inner_text()
    assert shown == f"{len(column(claims, 'id'))} of {every} claims"


@pytest.mark.parametrize("width", [390, 700, 760, 980, 1000, 1200, 1280, 1300, 1400])
def test_no_column_of_the_claims_is_cut(claims, width):
    claims.page.set_viewport_size({"width": width, "height": 900})
    box = claims.locator(".claims-box")
    assert box.evaluate("(box) => box.scrollWidth <= box.clientWidth")
    assert set(column(claims, "reported")) > {"–", "54.3 to 65.6 %"}


def test_the_claims_are_sorted_by_a_key_press(claims):
    head = claims.locator("th button[data-sort=verdict]")
    head.focus()
    claims.page.keyboard.press("Enter")
    once = column(claims, "verdict")
    assert claims.locator("th:has(button[data-sort=verdict])").get_attribute("aria-sort") == (
        "ascending"
    )
    claims.page.keyboard.press("Enter")
    assert column(claims, "verdict") != once


def test_from_the_front_page_the_evidence_is_a_click_away(claims):
    """Does distillation at temperature 100 hold? Why not? Which command repeats it?"""
    claims.locator("input.search").fill("distilled at temperature 100")
    claims.page.wait_for_timeout(400)
    (verdict,) = column(claims, "verdict")
    assert verdict.split(" ", 1)[1] in VERDICTS
    claims.locator("tbody td.paper a").click()
    claims.page.wait_for_load_state("load")
    page = claims.page.locator("main").inner_text()
    assert "advlib run distillation_and_patches" in page
    assert "that gradient is exactly 0" in page  # why


def test_the_site_is_light():
    size = sum(file.stat().st_size for file in SITE.rglob("*") if file.is_file())
    assert size <= LARGEST_SITE, f"{size / 1e6:.1f} MB"


@pytest.mark.parametrize("page", STUDIES)
def test_a_study_is_light(page):
    assert (SITE / page).stat().st_size <= LARGEST_PAGE
