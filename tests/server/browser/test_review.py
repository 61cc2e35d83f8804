"""Labels corrected with the keyboard: each key decides, the table is written at once, and the next visit goes on."""

import shutil
import time

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from thalweg.runs import Run


pytestmark = [pytest.mark.browser, pytest.mark.slow]

DOUBTED = [f"validation/0_{number}.png" for number in range(4)]


@pytest.fixture
def served(runs, tmp_path, server_at):
    """A run that doubts the labels of four photos, and the page on it."""
    root = shutil.copytree(runs, tmp_path / "runs")
    run = Run.open(root / "striped")
    arrays = load_file(run.evaluation)
    arrays["logits"] = (5 * np.eye(3)[arrays["labels"]]).astype(np.float32)
    for rank, path in enumerate(DOUBTED):
        arrays["logits"][run.read_split("valid").index(path)] = [0, 0, 9 - rank]
    save_file(arrays, run.evaluation)
    return server_at(root, 0).url, run.path / "corrections.csv"


def open_review(open_page, until, url):
    page = open_page("tab=runs&run=striped", url=url)
    page.click("#run-review-button")
    page.wait_for_selector(".review img")
    until(page, "document.querySelector('.review img').naturalWidth >= 320")
    return page


def wait_for_rows(page, table, rows, seconds=30):
    end = time.monotonic() + seconds
    while not table.exists() or set(table.read_text(encoding="utf-8").replace('"', "").splitlines()[1:]) != rows:
        assert time.monotonic() < end, table.read_text(encoding="utf-8")
        page.wait_for_timeout(50)


def test_keys_decide_and_the_next_visit_goes_on(served, open_page, until, axe):
    url, table = served
    page = open_review(open_page, until, url)
    place = page.locator(".review .note").last
    assert place.inner_text() == f"1 / 4 · {DOUBTED[0]}"
    for key in ("Enter", "k", "1", "u", "ArrowLeft", "x"):  # accept, keep, choose and take that back, go back, drop
        page.keyboard.press(key)
    wait_for_rows(page, table, {f"{DOUBTED[0]},0,relabel,2", f"{DOUBTED[1]},0,drop,"})
    page.evaluate(axe)
    assert not [one["id"] for one in page.evaluate("axe.run('.review')")["violations"]]
    again = open_review(open_page, until, url)
    assert again.locator(".review .note").last.inner_text() == f"3 / 4 · {DOUBTED[2]}"
    again.keyboard.press("ArrowLeft")
    assert "no class" in again.locator(".review strong").inner_text().lower()
    again.get_by_role("button", name="2", exact=True).click()
    wait_for_rows(again, table, {f"{path},0,relabel,2" for path in DOUBTED[:2]})
