"""Reliability by a literal count, and a picture in both languages."""

import numpy as np
import pytest
from PIL import Image

from thalweg.figures import reliability
from thalweg.figures.run_evaluation import BINS, reliability_of
from thalweg.i18n import set_language


def drawn():
    random = np.random.default_rng(0)
    probability = random.dirichlet([0.5] * 4, 500)
    return probability, random.integers(0, 4, 500)


def test_bins_are_counted_one_photo_at_a_time():
    probability, labels = drawn()
    found = reliability_of(probability.max(axis=1), probability.argmax(axis=1) == labels)
    members = [[] for _ in range(BINS)]
    for row, label in zip(probability, labels, strict=True):
        members[min(int(row.max() * BINS), BINS - 1)].append((row.max(), row.argmax() == label))
    error = 0.0
    for index, photos in enumerate(members):
        assert found.count_B[index] == len(photos)
        if photos:
            confidence, right = np.mean(photos, axis=0)
            assert (found.confidence_B[index], found.accuracy_B[index]) == pytest.approx((confidence, right))
            error += abs(confidence - right) * len(photos) / 500
    assert found.error == pytest.approx(error)


def test_one_that_is_always_sure_and_right_is_reliable():
    assert reliability_of(np.ones(3), np.ones(3, dtype=bool)).error == 0


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_picture_is_drawn(tmp_path, language):
    set_language(language)
    probability, labels = drawn()
    confidence, right = probability.max(axis=1), probability.argmax(axis=1) == labels
    reliability(confidence, (confidence + 0.25) / 2, right, tmp_path / "r.png", temperature=1.7)
    with Image.open(tmp_path / "r.png") as picture:
        assert picture.width > 400
