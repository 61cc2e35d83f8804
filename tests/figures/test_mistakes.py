import numpy as np
import pytest

from thalweg.figures.run_evaluation import mistakes, most_confident
from thalweg.i18n import set_language


rng = np.random.default_rng(0)


def test_the_surest_come_first_and_right_ones_never():
    labels, predicted, probability = rng.integers(0, 3, 200), rng.integers(0, 3, 200), rng.random(200)
    wrong = [index for index in range(200) if labels[index] != predicted[index]]
    expected = sorted(wrong, key=lambda index: -probability[index])
    assert most_confident(labels, predicted, probability).tolist() == expected


def photos(count, side):
    return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_photo_class_prediction_probability_and_name_belong_together(drawn, tmp_path):
    images = photos(4, 8)
    labels, predicted = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])
    probability = np.array([0.99, 0.6, 0.97, 0.5])
    shown = mistakes(images, labels, predicted, probability, ["cat", "dog"], tmp_path / "m.png", list("pqrs"))
    assert shown.tolist() == [2, 1]
    first, second = drawn.axes[:2]
    assert first.get_title(loc="left") == "cat\n→ dog  97 %"
    assert second.get_title(loc="left") == "dog\n→ cat  60 %"
    assert (first.get_xlabel(), second.get_xlabel()) == ("r", "q")
    np.testing.assert_array_equal(first.images[0].get_array(), images[2])
    assert not any(axes.axison for axes in drawn.axes[2:])
    assert "2 of 2, in 4 photos" in drawn.figure.get_suptitle()


def test_more_than_fit_are_counted(drawn, tmp_path):
    labels = np.zeros(40, dtype=int)
    shown = mistakes(photos(40, 8), labels, labels + 1, rng.random(40), "ab", tmp_path / "m.png", ["n"] * 40)
    assert len(shown) == 24
    assert "24 of 40" in drawn.figure.get_suptitle()


def test_no_mistakes_is_said(drawn, tmp_path):
    labels = np.zeros(3, dtype=int)
    shown = mistakes(photos(3, 8), labels, labels, np.ones(3), "ab", tmp_path / "m.png", list("xyz"))
    assert not len(shown)
    assert "No mistakes: all 3 photos" in drawn.figure.get_suptitle()


@pytest.mark.parametrize(
    ("language", "count"), [("en", 1), ("zh-CN", 7), pytest.param("en", 24, marks=pytest.mark.slow)]
)
def test_any_names(drawn, tmp_path, language, count):
    set_language(language)
    labels = np.zeros(count, dtype=int)
    names = ["$x$ 馄饨 a very long class name that goes on", "蔬菜/水果和别的很多很多很多很多很多很多很多东西"]
    files = ["folder/" * 20 + "<b>.jpg"] * count
    mistakes(photos(count, 28), labels, labels + 1, np.ones(count), names, tmp_path / "m.png", files)
    drawn.check_nothing_is_cut()
