"""The network that trains on the page: played, drawn on, compared; a cause guessed by keys alone."""

import io

import pytest
from PIL import Image


pytestmark = pytest.mark.browser

READY = "#network-player[data-ready=true]"
STILL = {"reduced_motion": "reduce"}  # nothing plays by itself


def step_of(page):
    return float(page.get_attribute("#network-player", "data-step"))


def pixels(page, canvas=".net-pictures .frame canvas"):
    with Image.open(io.BytesIO(page.locator(canvas).first.screenshot())) as image:
        return image.convert("RGB").tobytes()


def numbers(page):
    return page.locator("#network-numbers tbody td").all_inner_texts()


@pytest.mark.slow
def test_one_click_leads_to_a_network_that_trains_and_goes_back_to_its_very_start(open_page, until):
    page = open_page("")
    page.click("#tabs [data-to=network]")
    page.wait_for_selector(READY)
    until(page, "Number(document.querySelector('#network-player').dataset.step) > 30")
    assert page.get_attribute("#network-player", "data-playing") == "true"
    page.keyboard.press(" ")
    assert page.get_attribute("#network-player", "data-playing") == "false"
    far = pixels(page)
    page.click("#network-first")
    assert step_of(page) == 0
    start = pixels(page), numbers(page)
    assert start[0] != far
    page.keyboard.press("ArrowRight")
    assert step_of(page) == 1
    assert numbers(page) != start[1]
    page.keyboard.press("Home")
    assert (pixels(page), numbers(page)) == start


@pytest.mark.slow
def test_the_whole_setting_and_the_step_live_in_the_address(open_page, until):
    page = open_page("tab=network&points=moons&widths=4&step=20&compare=1&lr2=0.5", **STILL)
    page.wait_for_selector(READY)
    assert step_of(page) == 20
    assert page.locator(".net-one").count() == 2
    first, second = numbers(page)[:8], numbers(page)[8:]
    assert first != second
    page.select_option("#network-activation-2", "relu")
    until(page, "location.hash.includes('activation2=relu')")
    until(page, f"document.querySelector('#network-numbers tbody tr:last-child td').textContent !== '{second[0]}'")
    again = open_page(page.evaluate("location.hash.slice(1)"), **STILL)
    again.wait_for_selector(READY)
    assert numbers(again) == numbers(page)
    assert numbers(again)[:8] == first
    assert again.input_value("#network-lr-2") == "0.5"


@pytest.mark.slow
def test_points_are_placed_by_mouse_and_by_keys(open_page, until):
    page = open_page("tab=network&points=drawn", **STILL)
    frame = page.locator(".net-pictures .frame")
    frame.wait_for()
    page.wait_for_selector("#network-error:not(:empty)")
    box = frame.bounding_box()
    for x, y in ((0.3, 0.3), (0.4, 0.6), (0.35, 0.5)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    frame.focus()
    page.keyboard.press("2")
    for _ in range(3):
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        page.keyboard.press(" ")
    until(page, "location.hash.split('*').length === 6")
    page.wait_for_selector(READY)
    points = [point.split("_") for point in page.evaluate("location.hash").split("drawn=")[1].split("&")[0].split("*")]
    assert [point[2] for point in points] == ["0", "0", "0", "1", "1", "1"]
    assert float(points[3][0]) < float(points[4][0]) < float(points[5][0])
    page.keyboard.press("Delete")
    until(page, "location.hash.split('*').length === 5")
    page.click("#network-draw button >> nth=2")
    page.wait_for_selector("#network-error:not(:empty)")


@pytest.mark.slow
def test_a_refused_setting_leaves_the_picture(open_page, until):
    page = open_page("tab=network&step=5", **STILL)
    page.wait_for_selector(READY)
    before = numbers(page)
    page.fill("#network-schedule", "nonsense(")
    page.press("#network-schedule", "Enter")
    page.wait_for_selector("#network-error:not(:empty)")
    assert numbers(page) == before
    page.fill("#network-schedule", "cosine")
    page.press("#network-schedule", "Enter")
    page.wait_for_selector("#network-error:empty", state="attached")


@pytest.mark.slow
def test_a_cause_is_guessed_and_fixed_by_keys_alone(open_page, until):
    page = open_page("", **STILL)
    page.keyboard.press("Alt+2")
    page.wait_for_selector(READY)

    def go_to(wanted):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(f"document.activeElement.matches({wanted!r})"):
                return
        raise AssertionError(wanted)

    go_to("#network-cases button")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#network-guess h2:focus")
    assert page.is_hidden("#network-form")
    go_to("#network-cause")
    page.keyboard.press("ArrowDown")
    go_to("#network-ask")
    page.keyboard.press("Enter")
    page.wait_for_selector("#network-result:focus")
    assert page.get_attribute("#network-verdict", "data-code")
    assert (
        page.locator("#network-cases button", has_text="✓").count()
        + page.locator("#network-cases button", has_text="✗").count()
        == 1
    )
    if page.is_hidden("#network-try"):  # this one is healthy
        return
    go_to("#network-try")
    page.keyboard.press("Enter")
    page.wait_for_selector("#network-tried:focus")
    until(page, "document.querySelectorAll('.net-one').length === 2")
    assert page.locator("#network-numbers tbody tr").count() == 2
    page.reload()
    page.wait_for_selector("#network-cases [role=status]:not(:empty)")  # the score is kept
