"""The views of lessons as a person uses them: a point of a map plays its path, by finger and by keys."""

import pytest


pytestmark = [pytest.mark.browser, pytest.mark.slow]

READY = "#player[data-ready=true]"


def optimizers(page):
    return page.evaluate("new URLSearchParams(location.hash.slice(1)).get('optimizers')")


def test_a_point_of_the_map_plays_its_path_by_click_and_by_keys(open_page, until):
    page = open_page("tab=lab&lesson=momentum-map", reduced_motion="reduce")
    page.wait_for_selector(READY)
    page.wait_for_selector("[data-map=momentum][data-cell]")
    page.click("[data-map=momentum] .frame", position={"x": 150, "y": 150})
    until(page, "location.hash.includes('momentum%3D')")
    clicked = optimizers(page)
    until(page, "document.querySelectorAll('#table tbody tr').length === 2")
    label = page.inner_text("#table tbody tr:first-child th")
    assert clicked.split(":")[0] in label
    page.focus("[data-map=adam] .frame")
    step = page.get_attribute("#player", "data-step")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert page.get_attribute("#player", "data-step") == step, "arrows on the map do not step the player"
    assert page.inner_text("[data-map=adam] .reading")
    page.keyboard.press("Enter")
    until(page, "location.hash.includes('adam%28beta2')")
    assert optimizers(page) != clicked
    until(page, "document.querySelector('#table tbody th').textContent.startsWith('adam(beta2=')")
    page.go_back()
    until(page, "location.hash.includes('momentum%28momentum')")
    assert optimizers(page) == clicked


@pytest.mark.parametrize(("language", "theme"), [("en", "dark"), ("zh-CN", "light")])
def test_views_are_clean_by_axe_and_fit_a_phone(open_page, axe, until, language, theme):
    for lesson, part in (("momentum-map", "[data-map=adam][data-cell]"), ("initialization", ".view table")):
        page = open_page(f"tab=lab&lesson={lesson}&theme={theme}", language=language)
        page.wait_for_selector(part)
        page.evaluate(axe)
        found = page.evaluate("axe.run('#lesson')")
        assert not [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]]
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_depth_is_changed_by_keys_and_its_numbers_follow(open_page, until):
    page = open_page("tab=lab&lesson=initialization")
    page.wait_for_selector(".view table")
    before = page.inner_text(".view table")
    page.focus(".view .layer")
    page.keyboard.press("Home")
    assert page.inner_text(".view table") != before
    page.check(".view input[type=checkbox]")
    until(page, "document.querySelector('.view h2').textContent.includes('with batch normalization')")
    page.fill(".view form input >> nth=0", "5")
    page.keyboard.press("Tab")
    until(page, "document.querySelector('.view output').textContent.endsWith('/ 5')")


def test_a_view_that_is_replaced_is_not_drawn_again(open_page, until):
    page = open_page("tab=lab", reduced_motion="reduce")
    page.wait_for_selector(READY)
    page.evaluate("""() => {
        window.watched = new Set();
        const Plain = window.ResizeObserver;
        window.ResizeObserver = class extends Plain {
            observe(element) { super.observe(element); if (element.matches(".view")) watched.add(this); }
            disconnect() { super.disconnect(); watched.delete(this); }
        };
    }""")
    for lesson, shown in (
        ("momentum-map", "[data-map=adam][data-cell]"),
        ("initialization", ".view .charts canvas"),
    ) * 2:
        page.evaluate(f"location.hash = 'tab=lab&lesson={lesson}'")
        page.wait_for_selector(shown)
        until(page, "watched.size === 1")
