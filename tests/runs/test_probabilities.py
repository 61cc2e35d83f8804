"""The temperature against a brute-force search, and a case whose answer is known."""

import numpy as np
import pytest

from thalweg.runs.probabilities import fitted_temperature, most_probable, softmax


def cross_entropy(logits, labels, temperature):
    return -np.log(softmax(logits, temperature)[np.arange(len(labels)), labels]).mean()


@pytest.mark.parametrize("scale", [pytest.param(0.3, marks=pytest.mark.slow), 4.0])
def test_labels_drawn_from_probabilities_give_their_temperature_back(scale):
    random = np.random.default_rng(0)
    logits = random.normal(size=(40_000, 5)) * 2
    labels = np.array([random.choice(5, p=row) for row in softmax(logits)])
    found = fitted_temperature(scale * logits, labels)
    assert found == pytest.approx(scale, rel=0.03)


def test_no_temperature_on_a_fine_grid_is_better():
    random = np.random.default_rng(1)
    logits, labels = random.normal(size=(200, 4)) * 5, random.integers(0, 4, 200)
    found = fitted_temperature(logits, labels)
    best = min(cross_entropy(logits, labels, temperature) for temperature in np.geomspace(0.05, 20, 2000))
    assert cross_entropy(logits, labels, found) <= best + 1e-9


def test_outputs_that_are_all_right_get_the_coldest():
    assert fitted_temperature(np.eye(3) * 4, np.arange(3)) == pytest.approx(0.05)


def test_probabilities_add_up_and_do_not_overflow():
    found = softmax(np.array([[1e4, 0.0], [-1e4, 0.0]]), 0.05)
    assert found.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("values", [1, 12, 10_000])
def test_the_most_probable_classes_are_those_of_all_probabilities(values, monkeypatch):
    monkeypatch.setattr("thalweg.runs.probabilities._VALUES", values)  # in memory at a time
    logits = np.random.default_rng(2).normal(size=(37, 6)).astype(np.float32)
    whole = softmax(logits, 1.7)
    predicted, probability = most_probable(logits, 1.7)
    np.testing.assert_array_equal(predicted, whole.argmax(axis=1))
    np.testing.assert_array_equal(probability, whole.max(axis=1))
