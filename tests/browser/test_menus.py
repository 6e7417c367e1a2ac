"""The menus open and close, by click and by keyboard, on a wide screen, a tablet and a phone."""

import pytest
from conftest import PAGES, SITE, STILL

WIDTHS = [1400, 800, 390]
MENUS = {  # the button, and what it shows or hides
    "contents": (".sidebar-toggle.primary-toggle:visible", ".bd-sidebar-primary"),
    "on this page": (".sidebar-toggle.secondary-toggle:visible", ".bd-sidebar-secondary"),
}


def box(page, sidebar):
    place = page.locator(sidebar)
    return place.bounding_box() if place.is_visible() else None


def seen(page, sidebar):
    """The sidebar lies in the window, wide enough to be read."""
    place = box(page, sidebar)
    return bool(place) and (
        place["width"] > 100 and -50 < place["x"] < page.viewport_size["width"] - 50
    )


def becomes(page, sidebar, expected):
    """Within a second the sidebar is seen, or is not, and has come to rest."""
    before = None
    for _ in range(20):
        page.wait_for_timeout(50)
        now = box(page, sidebar)
        if seen(page, sidebar) is expected and now == before:
            return True
        before = now
    return False


def press(page, menu, by, *, shut):
    """The button; or, where the menu lies over a small screen, what closes it."""
    button = page.locator(MENUS[menu][0]).first
    over = shut and page.viewport_size["width"] < 992
    if by == "keyboard" and over:
        page.wait_for_timeout(100)  # the browser takes no key just after it has opened a dialog
        page.keyboard.press("Escape")
    elif by == "keyboard":
        button.focus()
        page.keyboard.press("Enter")
    elif over:
        page.mouse.click(page.viewport_size["width"] - 8 if menu == "contents" else 8, 450)
    else:
        button.click()


def show_and_hide(page, menu, by):
    button, sidebar = MENUS[menu]
    if page.locator(button).count() == 0:  # nothing to open: it is there, or the page has none
        assert seen(page, sidebar) or page.locator(sidebar).count() == 0
        return
    before = seen(page, sidebar)
    for expected in (not before, before):
        press(page, menu, by, shut=not expected)
        assert becomes(page, sidebar, expected), (page.viewport_size, menu, by, expected)


@pytest.mark.parametrize("page", PAGES)
def test_the_buttons_show_and_hide_their_menus(page, tab):
    tab.goto((SITE / page).resolve().as_uri())
    tab.add_style_tag(content=STILL)  # what slides takes its time
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        for menu in MENUS:
            for by in ("click", "keyboard"):
                show_and_hide(tab, menu, by)
