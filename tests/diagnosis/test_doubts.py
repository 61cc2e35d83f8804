"""Doubted labels: against a twin written out photo by photo, closed forms, and labels that were flipped."""

import numpy as np
import pytest

from thalweg.diagnosis.doubts import confident_joint, find_doubts, thresholds


def twin(probabilities, labels):
    """The estimated counts and the doubted photos, as the docstring of the module says them, in plain loops."""
    count, classes = probabilities.shape
    limits = []
    for name in range(classes):
        own = [probabilities[row][name] for row in range(count) if labels[row] == name]
        limits.append(sum(own) / len(own) if own else float("inf"))
    counted = [[0] * classes for _ in range(classes)]
    for row in range(count):
        reached = [name for name in range(classes) if probabilities[row][name] >= limits[name] - 1e-9]
        if reached:
            counted[labels[row]][max(reached, key=lambda name: probabilities[row][name])] += 1
    joint = []
    for given in range(classes):
        photos, all_counted = sum(label == given for label in labels), sum(counted[given])
        joint.append([photos * one / all_counted if all_counted else 0.0 for one in counted[given]])
    pruned = set()
    for given in range(classes):
        for true in range(classes):
            if given != true:
                rows = [row for row in range(count) if labels[row] == given]
                rows.sort(key=lambda row: probabilities[row][given] - probabilities[row][true])
                pruned |= set(rows[: round(joint[given][true])])
    misfits = [row for row in range(count) if max(probabilities[row]) > probabilities[row][labels[row]]]
    ranked = sorted(misfits, key=lambda row: probabilities[row][labels[row]])
    return joint, ranked[: len(pruned & set(misfits))]


def made(seed, *, count=60, classes=4, empty=False):
    """Probabilities that know the classes somewhat, and labels of which some are wrong."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes - empty, count)
    scores = random.normal(0, 1, (count, classes)) + 2.5 * np.eye(classes)[labels]
    flipped = random.permutation(count)[: count // 8]
    labels[flipped] = (labels[flipped] + 1) % (classes - empty)
    powers = np.exp(scores)
    return powers / powers.sum(axis=1, keepdims=True), labels, flipped


@pytest.mark.parametrize(("seed", "empty"), [(0, False), (1, False), (2, False), (3, True), (4, True)])
def test_it_does_what_the_loops_do(seed, empty):
    probabilities, labels, _ = made(seed, empty=empty)
    joint, doubted = twin(probabilities, labels)
    found = find_doubts(probabilities, labels)
    np.testing.assert_allclose(found.joint_CC, joint)
    assert found.doubted_M.tolist() == doubted
    assert len(doubted) > 0


def test_flipped_labels_are_found_where_the_network_is_sure():
    labels = np.repeat([0, 1, 2], 40)
    sure = np.full((120, 3), 0.02) + 0.94 * np.eye(3)[labels]
    given = labels.copy()
    given[[3, 50, 110]] = [2, 0, 1]
    found = find_doubts(sure, given)
    assert sorted(found.doubted_M.tolist()) == [3, 50, 110]
    assert found.suggested_N[[3, 50, 110]].tolist() == [0, 1, 2]
    assert found.wrong_share == pytest.approx(3 / 120)
    assert sorted(found.pairs()) == [(0, 1, pytest.approx(1)), (1, 2, pytest.approx(1)), (2, 0, pytest.approx(1))]


def test_labels_that_the_network_shares_are_not_doubted():
    labels = np.arange(30) % 3
    found = find_doubts(np.full((30, 3), 0.1) + 0.7 * np.eye(3)[labels], labels)
    assert found.doubted_M.tolist() == []
    assert found.wrong_share == 0
    assert found.pairs() == []


def test_a_network_that_knows_nothing_doubts_nothing():
    assert find_doubts(np.full((20, 4), 0.25), np.arange(20) % 4).doubted_M.tolist() == []


def test_a_threshold_is_the_mean_of_the_own_probability_and_infinite_without_photos():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.3, 0.6, 0.1]])
    assert thresholds(probabilities, np.array([0, 0, 1])).tolist() == [pytest.approx(0.6), pytest.approx(0.6), np.inf]


def test_each_row_of_the_joint_sums_to_the_photos_of_its_class():
    probabilities, labels, _ = made(5, count=200, classes=7)
    joint = confident_joint(probabilities, labels)
    np.testing.assert_allclose(joint.sum(axis=1), np.bincount(labels, minlength=7))


def test_the_order_of_photos_and_classes_does_not_matter():
    probabilities, labels, _ = made(6)
    order = np.random.default_rng(0).permutation(len(labels))
    turned = np.array([2, 0, 3, 1])
    found = find_doubts(probabilities, labels)
    other = find_doubts(probabilities[order][:, np.argsort(turned)], turned[labels[order]])
    assert order[other.doubted_M].tolist() == found.doubted_M.tolist()
    assert other.suggested_N.tolist() == turned[found.suggested_N[order]].tolist()


def test_certain_probabilities_are_no_trouble():
    labels = np.array([0, 0, 0, 1, 1, 1])
    certain = np.eye(2)[[0, 0, 1, 1, 1, 1]]
    with np.errstate(all="raise"):
        assert find_doubts(certain, labels).doubted_M.tolist() == [2]


@pytest.mark.parametrize("values", [1, 40])
def test_working_on_some_rows_at_a_time_changes_nothing(values, monkeypatch):
    probabilities, labels, _ = made(3, empty=True)
    whole = find_doubts(probabilities, labels)
    monkeypatch.setattr("thalweg.runs.probabilities._VALUES", values)  # copied at a time
    parts = find_doubts(probabilities, labels)
    np.testing.assert_array_equal(parts.joint_CC, whole.joint_CC)
    np.testing.assert_array_equal(parts.suggested_N, whole.suggested_N)
    assert parts.doubted_M.tolist() == whole.doubted_M.tolist()


def test_the_pairs_are_the_largest_cells_off_the_diagonal():
    found = find_doubts(*made(1)[:2])
    cells = [(i, j, count) for (i, j), count in np.ndenumerate(found.joint_CC) if i != j and count >= 0.5]
    assert found.pairs(4) == sorted(cells, key=lambda cell: -cell[2])[:4]
