"""The page as a person uses it: by clicks, by keys, in both languages, in the dark."""

import base64
import io
import json

import pytest
from PIL import Image


pytestmark = pytest.mark.browser

TABS = ("lab", "network", "losses", "runs", "diagnosis", "embeddings", "classify")
SETTLED = {
    "lab": "#player[data-ready=true]",
    "network": "#network-player[data-ready=true]",
    "losses": "#losses-player[data-ready=true]",
    "runs": "#run-scores table",
    "diagnosis": "#diagnosis[data-state=done]",
    "embeddings": "#embeddings[data-state=done]",
    "classify": "#classify-run option",
}
AXE = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html }) => html.slice(0, 160))]);
}"""


def pixels(page, canvas):
    with Image.open(io.BytesIO(page.locator(canvas).screenshot())) as image:
        return image.convert("RGB").tobytes()


def step_of(page, player="player"):
    return float(page.get_attribute(f"#{player}", "data-step"))


class TestLab:
    @pytest.mark.slow
    def test_it_animates_by_the_clock_and_pauses(self, open_page):
        page = open_page("tab=lab&surface=bowl&optimizers=sgd:0.05:&steps=200", clock=True)
        page.wait_for_selector(SETTLED["lab"])
        page.click("#first")
        page.clock.run_for(100)
        assert step_of(page) == 0
        page.click("#play")
        page.clock.run_for(3_000)
        middle = step_of(page)
        assert 200 * 0.2 < middle < 200 * 0.3  # a whole path takes twelve seconds, evenly along the axis
        page.click("#play")
        page.clock.run_for(3_000)
        assert step_of(page) == middle
        page.click("#play")
        page.clock.run_for(12_000)
        assert step_of(page) == 200
        assert page.get_attribute("#player", "data-playing") == "false"

    @pytest.mark.slow
    def test_a_formula_is_typed_key_by_key(self, open_page, until):
        page = open_page("tab=lab&surface=bowl&optimizers=sgd:0.05:&steps=200")
        page.wait_for_selector(SETTLED["lab"])
        step = step_of(page)
        page.fill("#lab-formula", "")
        page.locator("#lab-formula").press_sequentially("0.01*x**2 + 10*y**2 - 3")
        assert page.input_value("#lab-formula") == "0.01*x**2 + 10*y**2 - 3"
        assert step_of(page) == step  # no key of it played, zoomed or stepped
        page.press("#lab-formula", "Home")
        page.locator("#lab-formula").press_sequentially("1*")
        page.press("#lab-formula", "Enter")
        until(page, "document.querySelector('#lab-formula-shown').textContent.includes('10')")
        assert page.input_value("#lab-formula").startswith("1*0.01")

    @pytest.mark.slow
    def test_the_surface_that_is_chosen_is_the_one_that_is_drawn(self, open_page):
        """The picture after a choice is, to the pixel, that of a page that was opened with it."""
        page = open_page("tab=lab&surface=valley&optimizers=sgd:0.001:&steps=50")
        page.wait_for_selector(SETTLED["lab"])
        before = pixels(page, "#picture-canvas")
        page.select_option("#lab-surface", "rosenbrock")
        page.wait_for_selector("#lab-title:has-text('osenbrock')")
        page.wait_for_timeout(1_000)
        chosen = pixels(page, "#picture-canvas")
        address = page.url.partition("#")[2]
        fresh = open_page(address)
        fresh.wait_for_selector(SETTLED["lab"])
        fresh.wait_for_timeout(1_000)
        assert chosen != before
        assert chosen == pixels(fresh, "#picture-canvas")

    @pytest.mark.slow
    def test_a_link_within_the_page_stands_as_it_says(self, open_page, until):
        page = open_page("tab=lab&surface=bowl&optimizers=sgd:0.05:;adam:0.05:&steps=200")
        page.wait_for_selector(SETTLED["lab"])
        page.evaluate(
            "location.hash = '#tab=lab&surface=bowl&optimizers=sgd:0.05:;adam:0.05:&steps=200&step=40&view=3d&hide=1'"
        )
        until(page, "document.querySelector('#player').dataset.step === '40'")
        assert page.get_attribute("#view-3d", "aria-pressed") == "true"
        assert page.get_attribute("#optimizers button >> nth=0", "aria-pressed") == "false"
        page.go_back()
        until(page, "document.querySelector('#player').dataset.step === '200'")
        assert page.get_attribute("#view-3d", "aria-pressed") == "false"
        assert page.get_attribute("#optimizers button >> nth=0", "aria-pressed") == "true"

    @pytest.mark.slow
    def test_an_old_address_opens(self, open_page, until):
        """Until 0.1 the field of the optimizers was called `rules`."""
        page = open_page("tab=lab&surface=bowl&rules=sgd:0.05:;adam:0.05:&steps=200")
        page.wait_for_selector(SETTLED["lab"])
        assert page.locator("#optimizers button").all_inner_texts() == ["sgd\n1", "adam\n2"]
        page.fill("#lab-steps", "150")
        page.press("#lab-steps", "Enter")
        until(page, "location.hash.includes('optimizers=') && !location.hash.includes('rules=')")

    @pytest.mark.slow
    def test_a_removed_optimizer_leaves_the_others_hidden_or_shown(self, open_page, until):
        page = open_page("tab=lab&surface=bowl&optimizers=sgd:0.05:;adam:0.05:;rmsprop:0.01:&steps=200&hide=2")
        page.wait_for_selector(SETTLED["lab"])
        page.click("#lab-optimizers .optimizer-row >> nth=0 >> button")
        shown = "[...document.querySelectorAll('#optimizers button')].map((one) => one.ariaPressed).join()"
        until(page, f"{shown} === 'false,true'")

    @pytest.mark.slow
    def test_the_other_language_keeps_the_setting(self, open_page):
        page = open_page("tab=lab&surface=bowl&optimizers=sgd:0.05:&steps=200")
        page.wait_for_selector(SETTLED["lab"])
        page.select_option("#lab-surface", "rosenbrock")
        page.wait_for_selector("#lab-title:has-text('osenbrock')")
        page.click("#language")
        page.wait_for_selector("html[lang=zh-CN] " + SETTLED["lab"])
        assert page.input_value("#lab-formula") == "rosenbrock"

    @pytest.mark.slow
    def test_the_lesson_of_the_losses_is_told_and_played_there(self, open_page, until):
        page = open_page("")
        page.click("#tour-first [data-lesson=mse-or-cross-entropy]")
        page.wait_for_selector("#lesson td:has-text('✓')")
        assert page.is_visible("#losses-player")
        until(page, "document.querySelector('#losses-player').dataset.playing === 'true'")

    @pytest.mark.slow
    def test_a_refused_setting_leaves_the_picture(self, open_page, until):
        page = open_page("tab=lab&surface=valley&optimizers=sgd:0.05:&steps=200")
        page.wait_for_selector(SETTLED["lab"])
        title = page.inner_text("#lab-title")
        schedule = page.locator("#lab-optimizers input.schedule").first
        schedule.fill("nonsense(")
        schedule.press("Enter")
        page.wait_for_selector("#lab-error:not(:empty)")
        page.select_option("#lab-surface", "bowl")
        page.wait_for_timeout(500)
        assert page.inner_text("#lab-title") == title
        schedule.fill("constant")
        schedule.press("Enter")
        until(page, f"document.querySelector('#lab-title').textContent !== {json.dumps(title)}")

    @pytest.mark.slow
    def test_three_clicks_from_the_first_screen_to_decay_calms(self, open_page):
        page = open_page("")
        page.click("#tour-first [data-lesson=adagrad-arrives-and-bursts]")  # one
        page.wait_for_selector("#events li button:has-text('bursts')")
        page.wait_for_selector("#lesson td:has-text('✓')")
        page.click("#tour-next")  # two
        page.wait_for_selector("#lesson h3:has-text('calms')")
        page.wait_for_selector("#optimizers button:has-text('inverse_time')")
        events = page.inner_text("#events")
        assert "constant bursts" in events
        assert "inverse_time(10%) bursts" not in events
        assert page.locator("#lesson td", has_text="✗").count() == 0

    @pytest.mark.slow
    def test_a_lesson_plays_itself_unless_less_motion_is_wanted(self, open_page):
        address = "tab=lab&lesson=momentum-escapes&surface=styblinski_tang&optimizers=sgd:0.005:&steps=300"
        moving = open_page(address)
        moving.wait_for_selector("#player[data-playing=true]")
        still = open_page(address, reduced_motion="reduce")
        still.wait_for_selector(SETTLED["lab"])
        still.wait_for_selector("#lesson h3")
        assert still.get_attribute("#player", "data-playing") == "false"
        assert step_of(still) == 300

    @pytest.mark.slow
    def test_the_whole_setting_lives_in_the_address(self, open_page, until):
        page = open_page(
            "tab=lab&surface=x**2 %2B 4*y**2&optimizers=adam:0.1:cosine;sgd:0.02:&steps=50&start=1,2&theme=dark"
        )
        page.wait_for_selector(SETTLED["lab"])
        page.fill("#lab-steps", "70")
        page.press("#lab-steps", "Enter")
        page.wait_for_selector("#player[data-step='70']")
        page.click("#optimizers button >> nth=1")
        until(page, "location.hash.includes('hide=2')")
        again = open_page(page.evaluate("location.hash.slice(1)"))
        again.wait_for_selector(SETTLED["lab"])
        assert again.input_value("#lab-formula") == "x**2 + 4*y**2"
        assert (again.input_value("#lab-x"), again.input_value("#lab-y")) == ("1", "2")
        assert again.locator("#optimizers button").all_inner_texts() == ["adam\n1", "sgd\n2"]
        assert again.get_attribute("#optimizers button >> nth=1", "aria-pressed") == "false"
        assert again.get_attribute("html", "data-theme") == "dark"

    @pytest.mark.slow
    def test_the_start_is_dragged_and_typed_and_moved_by_keys(self, open_page, until):
        page = open_page("tab=lab&surface=bowl&optimizers=sgd:0.05:&steps=50")
        page.wait_for_selector(SETTLED["lab"])
        page.wait_for_selector("#lab-handle:not([hidden])")
        box = page.locator("#lab-handle").bounding_box()
        page.mouse.move(box["x"] + 13, box["y"] + 13)
        page.mouse.down()
        page.mouse.move(box["x"] + 113, box["y"] + 63, steps=4)
        page.mouse.up()
        until(page, "location.hash.includes('start=')")
        x, y = (float(page.input_value(f"#lab-{axis}")) for axis in "xy")
        assert x > -2
        assert y < 1.5
        page.focus("#lab-handle")
        page.keyboard.press("ArrowRight")
        assert float(page.input_value("#lab-x")) > x
        page.fill("#lab-y", "-1")
        page.press("#lab-y", "Tab")
        page.click("#first")
        until(page, "document.querySelector('#table tbody tr td:nth-of-type(5)').textContent === '−1'")

    @pytest.mark.slow
    def test_an_invalid_formula_is_answered_with_the_place(self, open_page):
        page = open_page("tab=lab")
        page.wait_for_selector(SETTLED["lab"])
        page.fill("#lab-formula", "x**2 + foo(y)")
        page.press("#lab-formula", "Enter")
        page.wait_for_selector("#lab-error:has-text('^')")
        page.fill("#lab-formula", "x**2 + y**2")
        page.press("#lab-formula", "Enter")
        page.wait_for_selector("#lab-error:empty", state="attached")


@pytest.mark.slow
def test_by_keys_alone_from_the_start_to_the_verdict(open_page):
    page = open_page("")
    page.wait_for_selector(SETTLED["lab"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the fourth tab: runs
    page.wait_for_selector(SETTLED["runs"])
    reached = []
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.slice(0, 40)"))
        if reached[-1] == "Diagnose":
            break
    assert reached[-1] == "Diagnose"
    page.keyboard.press("Enter")
    page.wait_for_selector(SETTLED["diagnosis"])
    assert page.inner_text("#diagnosis").strip()
    page.keyboard.press("Alt+6")
    page.wait_for_selector(SETTLED["embeddings"])
    page.focus("#embeddings .frame >> nth=0")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#embeddings[data-looked]")
    page.keyboard.press("?")
    assert page.is_visible("#help-text")
    page.keyboard.press("Escape")
    assert page.is_hidden("#help-text")


@pytest.mark.slow
def test_losses_run_together(open_page):
    page = open_page("tab=losses&steps=2000", clock=True)
    page.wait_for_selector(SETTLED["losses"])
    page.click("#losses-first")
    page.focus("#losses-picture")
    page.keyboard.press(" ")
    page.clock.run_for(13_000)
    assert step_of(page, "losses-player") == 2000
    flat, steep = (float(text) for text in page.locator("#losses-table tbody td:nth-of-type(1)").all_inner_texts())
    assert flat < 1e-3
    assert steep > 0.99


@pytest.mark.slow
def test_a_photo_is_classified(open_page, striped, tmp_path):
    page = open_page("tab=classify")
    page.wait_for_selector("#classify-run option", state="attached")
    page.set_input_files("#classify-file", striped / "validation" / "1_0.png")
    page.wait_for_selector("#classify[data-state=done]")
    assert page.inner_text("#classify-answer").startswith("1,")
    assert page.locator("#classify .track").count() == 3  # there are three classes
    assert page.locator("#classify .stack").count() == 3
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    page.set_input_files("#classify-file", broken)
    page.wait_for_selector("#classify[data-state=refused]")
    assert "picture" in page.inner_text("#classify .error")
    page.click("#classify-own")
    page.wait_for_selector("#classify[data-state=done]")


def test_what_the_network_saw_is_what_is_shown(open_page, striped):
    """The picture on the page has the very pixels of the photo, each made larger by a whole number."""
    page = open_page("tab=classify")
    page.wait_for_selector("#classify-run option", state="attached")
    photo = striped / "validation" / "0_0.png"
    page.set_input_files("#classify-file", photo)
    page.wait_for_selector("#classify[data-state=done]")
    source = page.get_attribute("#classify .stack img >> nth=0", "src")
    with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as shown, Image.open(photo) as sent:
        assert shown.width % sent.width == 0
        small = shown.resize(sent.size, Image.Resampling.NEAREST)
        assert small.tobytes() == sent.convert("RGB").tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_axe_finds_nothing(open_page, axe, language, theme):
    page = open_page(f"tab=lab&theme={theme}&lesson=decay-calms", language=language)
    found = {}
    for place, tab in enumerate(TABS):
        if place:
            page.keyboard.press(f"Alt+{place + 1}")
        page.wait_for_selector(SETTLED[tab], state="attached")
        if tab == "runs":
            page.click("#runs-new")
            page.wait_for_selector("#new-command:not(:empty)")
        page.evaluate(axe)
        violations = page.evaluate(AXE)
        if violations:
            found[tab] = violations
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_nothing_is_cut_off_on_a_phone(open_page, language):
    page = open_page("tab=lab&lesson=decay-calms", language=language)
    page.set_viewport_size({"width": 390, "height": 844})
    for place, tab in enumerate(TABS):
        page.keyboard.press(f"Alt+{place + 1}")
        page.wait_for_selector(SETTLED[tab], state="attached")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab


@pytest.mark.slow
def test_canvases_have_tables_behind_them(open_page):
    page = open_page("tab=runs&run=striped")
    page.wait_for_selector("#runs-charts .curve canvas", state="attached")
    page.wait_for_selector("[data-panel=accuracy][data-points='4']")
    page.locator("[data-panel=accuracy] summary").click()
    page.wait_for_selector("[data-panel=accuracy] details tbody tr")  # it is filled when it has opened
    assert page.locator("[data-panel=accuracy] details tbody tr").count() == 4  # epochs
    page.focus("[data-panel=loss] .chart-home")
    page.keyboard.press("End")
    page.wait_for_selector("[data-panel=loss] p[role=status]:has-text('step 24')")
    unnamed = page.evaluate("""[...document.querySelectorAll("canvas")].filter((canvas) => {
      return !canvas.closest("[aria-hidden=true]") && !canvas.getAttribute("aria-label");
    }).length""")
    assert unnamed == 0
