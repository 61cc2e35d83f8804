import numpy as np
import pytest

from thalweg.figures.run_evaluation import confusion, shares_of_rows
from thalweg.i18n import set_language


rng = np.random.default_rng(0)


def test_shares_against_a_naive_twin():
    matrix = rng.integers(0, 9, (6, 6))
    matrix[2] = 0
    for row, shares in zip(matrix.tolist(), shares_of_rows(matrix).tolist(), strict=True):
        expected = [count / sum(row) for count in row] if sum(row) else [np.nan] * 6
        np.testing.assert_array_equal(shares, expected)


def test_counts_and_shares_stand_in_the_cells(drawn, tmp_path):
    confusion(np.array([[3, 1], [0, 1200]]), ["cat", "dog"], tmp_path / "c.png")
    axes = drawn.axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "3\n75 %", (1, 0): "1\n25 %", (1, 1): "1,200\n100 %"}  # nothing where there is nothing
    assert axes.get_title(loc="left") == "Confusion matrix: 1,203 of 1,204 correct (99.9 %)"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.75, 0.25], [0, 1]])


@pytest.mark.parametrize(("language", "count"), [("en", 1), ("zh-CN", 2), ("zh-CN", 100)])
def test_any_number_of_classes_with_any_names(drawn, tmp_path, language, count):
    set_language(language)
    names = [f"{index} 面条/意大利面 $a_b$ and a name that goes on" for index in range(count)]
    confusion(rng.integers(0, 50, (count, count)), names, tmp_path / "c.png")
    drawn.check_nothing_is_cut()
    axes = drawn.axes[0]
    assert bool(axes.texts) == (count <= 20)
    assert len({text.get_text() for text in axes.get_yticklabels()}) == count


def test_an_empty_matrix_is_drawn(tmp_path):
    confusion(np.zeros((3, 3), dtype=int), ["a", "b", "c"], tmp_path / "c.png")
    assert (tmp_path / "c.png").exists()
