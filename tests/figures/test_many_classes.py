import numpy as np
import pytest
from PIL import Image

from thalweg.figures.class_choice import by_similarity, confused_pairs
from thalweg.figures.run_many_classes import Example, blocks_of, confusion_of_many
from thalweg.i18n import set_language


rng = np.random.default_rng(0)


def grouped(count):
    """Classes that are confused within groups of four."""
    groups = np.arange(count) // 4
    return np.where(groups[:, None] == groups, rng.integers(0, 3, (count, count)), 0) + np.diag(np.arange(count) % 5)


@pytest.mark.parametrize("most", [1, 7, 20, 60])
def test_a_cell_is_what_its_classes_add_up_to(most):
    matrix = grouped(60)
    found = blocks_of(matrix, most=most)
    order = by_similarity(matrix)
    parts = [order[start : start + found.width] for start in range(0, 60, found.width)]
    assert len(parts) == len(found.share_BB) <= most
    for row, rows in enumerate(parts):
        for column, columns in enumerate(parts):
            expected = matrix[np.ix_(rows, columns)].sum() / max(1, matrix[rows].sum())
            assert found.share_BB[row, column] == pytest.approx(expected)


def test_classes_without_photos_have_cells_without_a_share():
    assert np.isnan(blocks_of(np.zeros((3, 3), dtype=int)).share_BB).all()


@pytest.mark.parametrize("language", ["en", pytest.param("zh-CN", marks=pytest.mark.slow)])
def test_any_names_fit_and_the_pairs_are_named(drawn, tmp_path, language):
    set_language(language)
    names = [f"{index} 面条和意大利面/蔬菜水果 $a_b$ and a name that goes on" for index in range(90)]
    matrix = grouped(90)
    examples = [
        Example(np.zeros((20, 20, 3), np.uint8), None if index else np.zeros((80, 80, 3), np.uint8))
        for index in range(5)
    ]
    confusion_of_many(matrix, names, tmp_path / "c.png", examples)
    drawn.check_nothing_is_cut()
    with Image.open(tmp_path / "c.png") as image:
        assert max(image.size) <= 2500
    bars = drawn.axes[-1]
    pairs = confused_pairs(matrix, 30)
    assert [bar.get_width() for bar in bars.patches] == [pair.photos for pair in pairs]
    assert bars.get_yticklabels()[0].get_text().startswith(f"{pairs[0].true} ")


@pytest.mark.slow
@pytest.mark.parametrize("matrix", [np.zeros((60, 60), dtype=int), np.diag(np.arange(60))])
def test_without_photos_or_without_mistakes(drawn, tmp_path, matrix):
    confusion_of_many(matrix, [str(index) for index in range(60)], tmp_path / "c.png")
    drawn.check_nothing_is_cut()
    assert not drawn.axes[-1].patches
