"""Figures answer to the reader's hand, and remain pictures without scripts and on paper; the search
quotes what it found where no server is."""

import pytest
from conftest import SITE

STUDIES = (
    "notebooks/synthesis.html", "notebooks/cross_resnet.html", "book/studies/patches_cifar10.html",
)  # fmt: skip


def first_figure(tab):
    tab.locator("script.interactive-data").first.evaluate(
        "of => of.closest('.cell_output').scrollIntoView()"
    )
    figure = tab.locator(".interactive .js-plotly-plot, .interactive.js-plotly-plot").first
    figure.locator(".legend").wait_for(timeout=20_000)
    return figure


@pytest.fixture(params=STUDIES)
def study(request, tab, address):
    tab.goto(f"{address}/{request.param}")
    return tab


def test_a_value_stands_at_the_pointer(study):
    figure = first_figure(study)
    study.wait_for_timeout(1500)  # figures below are drawn, and the page has come to rest
    figure.locator("g.points path").first.hover(force=True)
    told = figure.locator(".hoverlayer .hovertext")
    told.wait_for()
    assert "%" in told.text_content()


def test_a_name_in_the_legend_hides_and_shows_its_marks(study):
    figure = first_figure(study)
    every = figure.locator("g.points path").count()
    name = figure.locator(".legendtoggle").first
    name.click()
    study.wait_for_timeout(800)  # a second click within 300 ms would be a double click
    assert figure.locator("g.points path").count() < every
    name.click()
    study.wait_for_timeout(800)
    assert figure.locator("g.points path").count() == every


@pytest.mark.parametrize(("width", "below"), [(1400, False), (390, True)])
def test_a_phone_has_the_panels_one_below_the_other(width, below, browser, address):
    tab = browser.new_page(viewport={"width": width, "height": 800})
    tab.goto(f"{address}/notebooks/cross_resnet.html")
    first, second = (
        panel.bounding_box()
        for panel in first_figure(tab).locator(".cartesianlayer .subplot").all()
    )
    assert (second["y"] > first["y"] + 100) is below
    assert (second["x"] > first["x"] + 100) is not below
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.close()


def test_a_long_legend_takes_nothing_from_the_panels(browser, address):
    tab = browser.new_page(viewport={"width": 390, "height": 800})
    tab.goto(f"{address}/notebooks/distillation_and_patches.html")
    for nth, script in enumerate(tab.locator("script.interactive-data").all()):
        script.evaluate("of => of.closest('.cell_output').scrollIntoView()")
        tab.locator(".interactive .legend").nth(nth).wait_for(timeout=20_000)
    tab.wait_for_timeout(1000)  # the last one has its height
    panels = tab.locator(".interactive .cartesianlayer .subplot").all()
    assert len(panels) > 4
    assert min(panel.bounding_box()["height"] for panel in panels) > 200
    tab.close()


def test_on_paper_the_picture_is_back(study):
    first_figure(study)
    picture = study.locator("img.on-paper").first
    assert not picture.is_visible()
    study.emulate_media(media="print")
    assert picture.is_visible()
    assert not study.locator(".interactive").first.is_visible()


@pytest.mark.parametrize("page", STUDIES)
def test_without_scripts_there_are_pictures(page, browser, address):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{address}/{page}")
    for picture in tab.locator(".cell_output img").all():
        assert picture.is_visible()
    context.close()


def test_a_file_answers_as_well(tab):
    tab.goto((SITE / STUDIES[0]).resolve().as_uri())
    first_figure(tab)


def test_the_search_quotes_the_pages_from_files(tab):
    wrong = []
    tab.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    tab.goto((SITE / "search.html").resolve().as_uri() + "?q=masked")
    tab.wait_for_function(
        """() => {
          const found = [...document.querySelectorAll("ul.search li")];
          return found.length > 3 && found.every((one) => one.querySelector("p.context"));
        }""",
        timeout=20_000,
    )
    quotes = tab.locator("ul.search li p.context").all_inner_texts()
    assert all("mask" in quote for quote in quotes)
    assert wrong == []
