import numpy as np
import pytest

from thalweg.figures.class_choice import (
    MOST_NAMED,
    Pair,
    by_accuracy,
    by_similarity,
    classes_with_color,
    confused_pairs,
    confusion_matrix,
    draw_by_class,
    example_rows,
    worth_naming,
)


rng = np.random.default_rng(0)


def test_the_pairs_are_those_of_brute_force():
    matrix = rng.integers(0, 5, (9, 9)) * rng.integers(0, 2, (9, 9))
    cells = [(i, j, int(matrix[i, j])) for i in range(9) for j in range(9) if i != j and matrix[i, j]]
    shares = {(i, j): count / matrix[i].sum() for i, j, count in cells}
    expected = sorted(cells, key=lambda cell: (-cell[2], -shares[cell[:2]], *cell[:2]))
    assert [pair[:3] for pair in confused_pairs(matrix)] == expected
    assert confused_pairs(matrix, 4) == [Pair(*cell, shares[cell[:2]]) for cell in expected[:4]]


def test_a_matrix_without_mistakes_has_no_pairs_and_names_its_largest_classes():
    matrix = np.diag([1, 5, 3, 4])
    assert confused_pairs(matrix) == []
    assert worth_naming(matrix, 2) == [1, 3]


def test_the_classes_of_the_most_confused_pairs_are_named_first():
    matrix = np.diag(np.full(8, 9))
    matrix[2, 6], matrix[6, 1] = 5, 4
    assert worth_naming(matrix, 3) == [1, 2, 6]
    assert len(worth_naming(matrix, 20)) == 8


def test_colors_are_for_all_of_fifty_and_for_some_of_more():
    labels = np.arange(MOST_NAMED + 1)
    assert classes_with_color(labels[:-1], labels[:-1], MOST_NAMED) == list(range(MOST_NAMED))
    predicted = labels.copy()
    predicted[[40, 41]] = 50
    named = classes_with_color(labels, predicted, MOST_NAMED + 1)
    assert len(named) == 24
    assert {40, 41, 50} <= set(named)


def test_the_ends_of_the_order_by_accuracy_are_the_certain_ones():
    matrix = np.array([[0, 1, 0, 0, 0], [0, 2, 0, 0, 0], [3, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 7]])
    assert by_accuracy(matrix) == [2, 0, 1, 4]  # of class 3 there is no photo


@pytest.mark.parametrize("count", [1, 2, 60])
def test_confused_classes_become_neighbors(count):
    groups = rng.permutation(count) // 3
    matrix = np.where(groups[:, None] == groups, 2, 0) + 5 * np.eye(count, dtype=int)
    order = by_similarity(matrix)
    assert sorted(order) == list(range(count))
    assert np.count_nonzero(np.diff(groups[order])) == len(set(groups)) - 1  # each group in one piece


def test_a_class_without_photos_has_a_place_in_the_order():
    matrix = np.zeros((4, 4), dtype=int)
    matrix[0, 2] = 3
    assert sorted(by_similarity(matrix)) == [0, 1, 2, 3]


@pytest.mark.parametrize("limit", [1, 5, 17, 40, 99])
def test_photos_are_drawn_evenly_over_the_classes(limit):
    labels = np.repeat(np.arange(6), [1, 2, 5, 20, 30, 42])
    rows = draw_by_class(labels, limit, seed=3)
    assert len(set(rows)) == len(rows) == limit
    assert (np.diff(rows) > 0).all()
    counts, available = np.bincount(labels[rows], minlength=6), np.bincount(labels)
    full = counts == available
    assert full.all() or np.ptp(counts[~full]) <= 1  # those that could give more have given the same
    np.testing.assert_array_equal(rows, draw_by_class(labels, limit, seed=3))


def test_classes_that_come_first_take_up_to_half():
    labels = np.repeat(np.arange(10), 20)
    counts = np.bincount(labels[draw_by_class(labels, 60, seed=0, whole=[4, 7])])
    assert counts[[4, 7]].tolist() == [15, 15]
    assert counts.sum() == 60
    assert draw_by_class(labels, 500, seed=0, whole=[4]).tolist() == list(range(200))


def test_the_examples_of_a_pair_are_of_its_classes():
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([1, 1, 0, 2, 1, 2])
    probability = np.array([0.5, 0.7, 0.9, 0.95, 0.6, 0.8])
    pairs = confused_pairs(confusion_matrix(labels, predicted, 3))
    assert example_rows(pairs, labels, predicted, probability) == [(1, 4), (3, 5)]
    assert example_rows([Pair(0, 1, 1, 1.0)], labels[:1], predicted[:1], probability[:1]) == [(0, None)]
