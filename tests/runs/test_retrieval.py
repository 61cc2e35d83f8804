"""Average precision, F1 and thresholds against scikit-learn, torch and a search over every threshold."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score

from thalweg.runs.retrieval import average_precisions, best_thresholds, f1_of
from thalweg.runs.tasks import ONE, SEVERAL, task_of


def drawn(seed, count=80, classes=4, *, ties=False):
    random = np.random.default_rng(seed)
    true_NC = random.random((count, classes)) < 0.2 + 0.6 * random.random(classes)
    scores_NC = random.random((count, classes)) * 0.7 + 0.3 * true_NC
    return (scores_NC.round(1) if ties else scores_NC), true_NC


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_scikit_learn(seed, ties):
    scores_NC, true_NC = drawn(seed, ties=ties)
    expected = average_precision_score(true_NC, scores_NC, average=None)
    np.testing.assert_allclose(average_precisions(scores_NC, true_NC), expected, rtol=1e-12)
    mean = SEVERAL.scores(scores_NC, true_NC.astype(np.int64))["mean_average_precision"]
    assert mean == pytest.approx(average_precision_score(true_NC, scores_NC, average="macro"))


def test_average_precision_is_the_mean_precision_at_the_hits():
    """A twin in torch, photo by photo, for scores without ties."""
    scores_NC, true_NC = drawn(5)
    for at, found in enumerate(average_precisions(scores_NC, true_NC)):
        ranked = torch.from_numpy(true_NC[:, at])[torch.from_numpy(scores_NC[:, at]).argsort(descending=True)]
        precisions = ranked.cumsum(0) / torch.arange(1, len(ranked) + 1)
        assert found == pytest.approx(precisions[ranked].mean().item(), rel=1e-6)


def test_a_class_without_photos_is_left_out_of_the_mean():
    scores_NC, true_NC = drawn(1)
    true_NC[:, 0] = False
    found_C = average_precisions(scores_NC, true_NC)
    assert np.isnan(found_C[0])
    assert SEVERAL.scores(scores_NC, true_NC.astype(int))["mean_average_precision"] == pytest.approx(found_C[1:].mean())


def test_scores_are_those_of_scikit_learn():
    scores_NC, true_NC = drawn(2)
    thresholds_C = [0.3, 0.5, 0.6, 0.7]
    found = SEVERAL.scores(scores_NC, true_NC.astype(np.int64), thresholds_C)
    decided_NC = scores_NC >= thresholds_C
    assert found["micro_f1"] == pytest.approx(f1_score(true_NC, decided_NC, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(true_NC, decided_NC, average="macro"))
    assert found["accuracy"] == pytest.approx((true_NC == decided_NC).all(axis=1).mean())
    np.testing.assert_allclose(f1_of(decided_NC, true_NC), f1_score(true_NC, decided_NC, average=None))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_other_threshold_has_a_better_f1(seed):
    scores_NC, true_NC = drawn(seed, ties=seed % 2 == 0)
    for at, threshold in enumerate(best_thresholds(scores_NC, true_NC)):
        found = f1_score(true_NC[:, at], scores_NC[:, at] >= threshold)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nothing is given by a threshold above all
            others = [f1_score(true_NC[:, at], scores_NC[:, at] >= other) for other in np.linspace(0, 1.01, 203)]
        assert found >= max(others) - 1e-12


def test_a_class_with_few_photos_gets_the_common_threshold():
    scores_NC, true_NC = drawn(3)
    true_NC[:, 1] = False
    true_NC[:4, 1] = True
    common = best_thresholds(scores_NC.reshape(-1, 1), true_NC.reshape(-1, 1))[0]
    found_C = best_thresholds(scores_NC, true_NC)
    assert found_C[1] == common
    assert found_C[0] != common
    assert best_thresholds(scores_NC, np.zeros_like(true_NC)).tolist() == [0.5] * 4


def test_the_loss_tells_the_task():
    assert task_of("binary-cross-entropy") is SEVERAL
    assert task_of("cross-entropy") is task_of(None) is ONE
    logits_NC = np.array([[2.0, -2.0], [0.5, 3.0]])
    np.testing.assert_allclose(
        SEVERAL.probabilities(logits_NC, 2.0), torch.sigmoid(torch.tensor(logits_NC) / 2).numpy()
    )
    assert SEVERAL.decided(np.array([[0.6, 0.4], [0.2, 0.1]])).tolist() == [[True, False], [False, False]]
    assert ONE.decided(np.array([[0.6, 0.4]])).tolist() == [[True, False]]
    assert SEVERAL.shares(np.array([[1, 0], [1, 1]]), 2) == [1.0, 0.5]
