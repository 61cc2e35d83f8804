"""A training from the page, followed to its end; the server killed and back."""

import numpy as np
import pytest

from thalweg.history import HistoryLog
from thalweg.runs import Run
from thalweg.runs.files import PROCESS_UNITS, STEP_UNITS


pytestmark = pytest.mark.browser


def rows_of(count, first=0):
    steps = np.arange(first + 1, first + count + 1, dtype=float)
    level = np.full(count, 0.01)
    return np.stack([steps, steps / 50, 2.3 / steps, 1 / (1 + steps), level, level, level], axis=1)


@pytest.mark.slow
def test_keys_are_the_controls_own_where_the_tab_has_no_player(open_page):
    page = open_page("tab=runs")
    page.wait_for_selector("#runs-table tbody tr input")
    box = page.locator("#runs-table tbody tr input").first
    before = box.is_checked()
    box.press(" ")
    assert box.is_checked() != before
    page.locator("#runs-filter").press_sequentially("no such 1")
    assert page.input_value("#runs-filter") == "no such 1"


def runs_of(made, folder, names, steps):
    """Copies of a run with histories of their own."""
    made = Run.open(made)
    for name in names:
        Run(folder / name, made.config, made.data, made.environment).save()
        with HistoryLog(folder / name / "history" / "steps", STEP_UNITS) as log:
            log.extend(rows_of(steps))


@pytest.mark.slow
def test_back_and_forth_show_what_the_address_says(open_page, tmp_path, runs, server_at, until):
    runs_of(runs / "striped", tmp_path, ("one", "two"), 100)
    page = open_page("tab=runs&run=one", url=server_at(tmp_path, 0).url)
    page.wait_for_selector("#runs-charts[data-rows='100']", state="attached")
    page.click("#runs-table tr[data-run=two] button")
    page.wait_for_selector("#runs-charts[data-rows='200']", state="attached")
    page.go_back()
    page.wait_for_selector("#runs-charts[data-rows='100']", state="attached")
    assert page.inner_text("#run-detail h2") == "one"
    assert not page.is_checked("#runs-table tr[data-run=two] input")
    page.uncheck("#runs-table tr[data-run=one] input")
    until(page, "!document.querySelector('#runs-charts .curve')")
    assert page.inner_text("#run-detail h2") == "one"
    page.reload()
    page.wait_for_selector("#run-detail h2")
    assert not page.query_selector("#runs-charts .curve")


@pytest.mark.slow
def test_a_page_loaded_again_at_once_shows_the_last_change(open_page, until):
    page = open_page("tab=lab")
    page.wait_for_selector("#tabs a[aria-current=page]")
    change = """async count => {
        const { writeFields } = await import("/static/address.js");
        for (let at = 1; at <= count; at += 1) {
            writeFields({ mark: String(at) });
            if (count < 10) await new Promise((resume) => setTimeout(resume, 10));
        }
        return location.hash;
    }"""
    assert "mark=3" in page.evaluate(change, 3)
    page.reload()
    assert "mark=3" in page.evaluate("location.hash")
    page.evaluate(change, 200)  # more than browsers take at once
    until(page, "location.hash.includes('mark=200')")


@pytest.mark.slow
def test_a_row_under_the_finger_stays_while_its_numbers_change(open_page, tmp_path, runs, server_at):
    made = Run.open(runs / "striped")
    Run(tmp_path / "long", made.config, made.data, made.environment).save()
    log = HistoryLog(tmp_path / "long" / "history" / "steps", STEP_UNITS)
    log.extend(rows_of(100))
    page = open_page("tab=runs", url=server_at(tmp_path, 0).url)
    row = page.wait_for_selector("#runs-table tr[data-run=long]")
    page.focus("#runs-table tr[data-run=long] button")
    log.extend(rows_of(50, 100))
    page.wait_for_selector("#runs-table tr[data-run=long] td:has-text('150')")
    assert row.evaluate("row => row.isConnected && row.contains(document.activeElement)")
    log.close()


@pytest.mark.slow
def test_the_charts_mark_where_photos_grow_and_where_mixing_ends(open_page, tmp_path, runs, server_at):
    made = Run.open(runs / "striped")
    Run(tmp_path / "grown", made.config, made.data, made.environment).save()
    rows = rows_of(100)
    rows[:, -2:] = [64, 1]
    rows[40:, -2] = 96
    rows[90:, -1] = 0
    with HistoryLog(tmp_path / "grown" / "history" / "steps", STEP_UNITS) as log:
        log.extend(rows)
    page = open_page("tab=runs", url=server_at(tmp_path, 0).url)
    page.wait_for_selector(".uplot[data-changes='40 96 px; 90 no mixing']", state="attached")


@pytest.mark.slow
def test_each_process_has_its_line_and_a_run_alone_has_no_such_chart(open_page, tmp_path, runs, server_at, until):
    runs_of(runs / "striped", tmp_path, ("alone", "many"), 30)
    page = open_page("tab=runs&run=alone", url=server_at(tmp_path, 0).url)
    page.wait_for_selector("#runs-charts[data-rows='30']", state="attached")
    assert page.locator("[data-panel=processes]").is_hidden()
    page.click("#runs-table tr[data-run=many] button")
    lines = "[data-panel=processes] .u-legend .u-series"
    with HistoryLog(tmp_path / "many" / "history" / "processes", PROCESS_UNITS) as log:
        log.extend([[10, 0, 200.0], [10, 1, 50.0], [20, 0, 210.0], [20, 1, 40.0]])
        page.wait_for_selector(f"{lines}:has-text('many · process 1')", state="attached")
        assert page.locator("[data-panel=processes]").get_attribute("data-points") == "2"
        log.extend([[30, 0, 1.0], [30, 1, 2.0], [30, 2, 3.0]])  # it goes on in three
        page.wait_for_selector(f"{lines}:has-text('many · process 2')", state="attached")
    until(page, "document.querySelector('[data-panel=processes]').dataset.points === '3'")
    page.focus("[data-panel=processes] .chart-home")
    page.keyboard.press("End")
    said = "step 30: many · process 0 1, many · process 1 2, many · process 2 3"
    page.wait_for_selector(f"[data-panel=processes] p[role=status]:has-text('{said}')")


@pytest.mark.slow
def test_a_training_is_started_and_followed_to_its_end(open_page, runs, until):
    page = open_page("tab=runs")
    page.wait_for_selector("#runs-table tbody tr")
    page.click("#runs-new")
    page.wait_for_selector("#new-command:not(:empty)")
    page.fill("#new-name", "from-the-page")
    page.select_option("#new-photos", index=1)  # the striped ones; the first are those that come with the package
    for option, value in {"--epochs": "3", "--batch-size": "16", "--threads": "1"}.items():
        field = page.locator(f"#runs-form label[data-option='{option}'] input")
        field.evaluate(
            "(input, value) => { input.value = value; input.dispatchEvent(new Event('change', { bubbles: true })); }",
            value,
        )
    until(page, "document.querySelector('#new-command').textContent.includes('--threads=1')")
    command = page.inner_text("#new-command")
    assert command.startswith("thalweg train --recipe=quick")
    page.click("#new-start")
    page.wait_for_selector("#runs-table tr[data-run=from-the-page]", timeout=60_000)
    page.wait_for_selector("#run-detail[data-state=done]", timeout=90_000)
    run = Run.open(runs / "from-the-page")
    steps = run.steps()
    until(page, f"Number(document.querySelector('[data-panel=loss]').dataset.points) >= {len(steps)}")
    page.wait_for_selector("#run-scores table.confusion")
    assert page.inner_text("#run-detail code.command") == command
    assert page.inner_text("#run-detail h2") == "from-the-page"


@pytest.mark.slow
def test_the_server_is_killed_and_back(open_page, tmp_path, runs, server_at):
    root = tmp_path / "runs"
    root.mkdir()
    made = Run.open(runs / "striped")
    Run(root / "long", made.config, made.data, made.environment).save()
    log = HistoryLog(root / "long" / "history" / "steps", STEP_UNITS)
    log.extend(rows_of(1_000))
    first = server_at(root, 0)
    page = open_page("tab=runs", url=first.url)
    page.wait_for_selector("html[data-link=live]", state="attached")
    page.wait_for_selector("#runs-charts[data-rows='1000']", state="attached")
    first.kill()
    page.wait_for_selector("#link[data-state=lost]")
    log.extend(rows_of(500, 1_000))
    server_at(root, first.address["port"])
    page.wait_for_selector("html[data-link=live]", state="attached", timeout=60_000)
    page.wait_for_selector("#runs-charts[data-rows='1500']", state="attached")
    log.extend(rows_of(1, 1_500))
    page.wait_for_selector("#runs-charts[data-rows='1501']", state="attached")
    log.close()


@pytest.mark.slow
def test_a_fixs_button_tries_it(open_page, slow_run, server_at):
    page = open_page("tab=diagnosis&run=slow", url=server_at(slow_run.parent, 0).url)
    page.wait_for_selector("#verdict-title[data-code=lr_too_small]", timeout=120_000)
    page.click("[data-fix=raise_rate] button.try")
    page.wait_for_selector("[data-fix=raise_rate] .trial[data-state=running]")
    assert page.locator("button.try:enabled").count() == 0
    page.wait_for_selector("[data-fix=raise_rate] .trial[data-state=done]", timeout=120_000)
    assert "it helped" in page.inner_text("[data-fix=raise_rate] .trial")
    assert page.locator("button.try:disabled").count() == 0
