"""The landscape of a run on the page: opened by its button, flown over by keys, kept in the address."""

import pytest


pytestmark = [pytest.mark.browser, pytest.mark.slow]

READY = "#landscape-player[data-ready=true]"


def test_a_run_opens_its_landscape_and_keys_fly_over_it(open_page, until, axe):
    page = open_page("tab=runs&run=striped")
    page.click("#run-landscape-button")
    page.wait_for_selector(READY)
    assert page.get_attribute("#run-landscape-button", "aria-expanded") == "true"
    assert page.input_value("#landscape-plane") == "random"  # its epochs were not saved
    assert page.locator("#landscape-table tbody tr").count() == 1
    before = page.locator("#landscape-picture").screenshot()
    page.focus("#landscape-picture")
    for key in ("ArrowLeft", "ArrowUp", "+"):
        page.keyboard.press(key)
        page.wait_for_timeout(100)
        after = page.locator("#landscape-picture").screenshot()
        assert after != before, key
        before = after
    page.click("#landscape-view-contour")
    until(page, "document.querySelector('#landscape-view-contour').getAttribute('aria-pressed') === 'true'")
    assert "landscape=on" in page.evaluate("location.hash")
    page.evaluate(axe)
    found = page.evaluate("axe.run('#run-landscape')")
    assert not [one["id"] for one in found["violations"]]
    page.click("#run-landscape-button")
    page.wait_for_selector(READY, state="detached")
    until(page, "!location.hash.includes('landscape')")


def test_a_plane_that_cannot_be_says_why(open_page):
    page = open_page("tab=runs&run=striped&landscape=trajectory")
    page.wait_for_selector("#run-landscape .message")
    assert "--save-every-epoch" in page.inner_text("#run-landscape .message")
