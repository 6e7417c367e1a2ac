"""The menus open and close, by click and by keyboard, on a wide screen, a tablet and a phone."""

import pytest
from conftest import SITE

PAGES = ["book/index.html", "book/studies/dominant_filters.html"]
MENUS = {  # the button, and what it shows or hides
    "contents": (".sidebar-toggle.primary-toggle:visible", ".bd-sidebar-primary"),
    "on this page": (".sidebar-toggle.secondary-toggle:visible", ".bd-sidebar-secondary"),
}


@pytest.fixture(params=[1400, 800, 390], ids=lambda width: f"{width}px")
def width(request):
    return request.param


@pytest.fixture(params=PAGES)
def page(request, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto((SITE / request.param).resolve().as_uri())
    page.wait_for_load_state("load")
    yield page
    page.close()


def seen(page, sidebar):
    """The sidebar lies in the window, wide enough to be read."""
    place = page.locator(sidebar)
    box = place.bounding_box()
    if not (place.is_visible() and box):
        return False
    return box["width"] > 100 and -50 < box["x"] < page.viewport_size["width"] - 50


def press(page, menu, by, *, shut):
    """The button; or, where the menu lies over a small screen, what closes it."""
    button = page.locator(MENUS[menu][0]).first
    over = shut and page.viewport_size["width"] < 992
    if by == "keyboard" and over:
        page.keyboard.press("Escape")
    elif by == "keyboard":
        button.focus()
        page.keyboard.press("Enter")
    elif over:
        page.mouse.click(page.viewport_size["width"] - 8 if menu == "contents" else 8, 450)
    else:
        button.click()
    page.wait_for_timeout(600)  # it slides


@pytest.mark.parametrize("menu", MENUS)
@pytest.mark.parametrize("by", ["click", "keyboard"])
def test_the_button_shows_and_hides_its_menu(page, menu, by):
    button, sidebar = MENUS[menu]
    if page.locator(button).count() == 0:  # nothing to open: it is there, or the page has none
        assert seen(page, sidebar) or page.locator(sidebar).count() == 0
        return
    before = seen(page, sidebar)
    for expected in (not before, before):
        press(page, menu, by, shut=not expected)
        assert seen(page, sidebar) is expected
