"""The confusion of more classes than a table can show."""

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from thalweg.data import build_cache, open_images
from thalweg.runs import Run, TrainingConfig


pytestmark = pytest.mark.browser

COUNT = 60
ENVIRONMENT = {"device": "cpu", "threads": 1, "precision": "fp32", "layout": "channels-last"}


@pytest.fixture
def many(tmp_path):
    """A run that no training made; every class is predicted as the one before it."""
    names = [f"class {index:02d}" for index in range(COUNT)]
    for index, name in enumerate(names):
        for split in ("train", "valid"):
            path = tmp_path / "photos" / split / name / "1.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (8, 8), (4 * index, 100, 9 if split == "train" else 200)).save(path)
    cache = build_cache(open_images(tmp_path / "photos"), size=8)
    data = {"path": str(tmp_path / "photos"), "layout": "split_folders", "classes": names, "stored": 8,
            "class_shares": [1 / COUNT] * COUNT, "train": COUNT, "valid": COUNT, "test": 0,
            "fingerprint": cache.fingerprint, "mean": [0.5] * 3, "std": [0.2] * 3}  # fmt: skip
    run = Run(tmp_path / "runs" / "many", TrainingConfig().settle(8), data, ENVIRONMENT)
    run.save()
    run.write_split(cache.photos)
    labels_N = cache.labels("valid").astype(np.int64)
    logits_NC = np.roll(np.eye(COUNT, dtype=np.float32), -1, axis=1)[labels_N]
    features_ND = np.zeros((COUNT, 2), np.float32)
    save_file({"logits": logits_NC, "labels": labels_N, "mid": features_ND, "top": features_ND}, run.evaluation)
    return run.path.parent


@pytest.mark.slow
def test_the_whole_matrix_is_seen_and_a_pair_shows_the_numbers_of_its_class(open_page, server_at, many, until):
    page = open_page("tab=runs&run=many", url=server_at(many, 0).url)
    frame = page.wait_for_selector("#run-scores .matrix")
    inside = page.wait_for_selector("#run-scores .matrix canvas")
    until(page, "document.querySelector('#run-scores .matrix canvas').width > 300")
    assert inside.bounding_box()["height"] <= frame.bounding_box()["height"]  # also in a low window
    page.locator("#run-scores .pairs tr").last.locator("button").first.click()
    heading = page.locator("#run-scores h4")
    chosen = heading.inner_text()
    assert chosen in page.locator("#run-scores .pairs tr").last.inner_text()
    until(page, "document.querySelector('#run-scores h4').getBoundingClientRect().top > 0")
    assert heading.bounding_box()["y"] > page.locator("header").first.bounding_box()["height"]  # not behind it
    page.fill("#scores-search", "class 4")
    assert page.locator("#run-scores .buttons button").count() == 10
