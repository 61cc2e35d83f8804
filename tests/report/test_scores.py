import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as theirs
from sklearn.metrics import precision_recall_fscore_support

from thalweg.figures.class_choice import confusion_matrix
from thalweg.report.scores import class_scores, wilson_interval


@pytest.mark.parametrize("classes", [2, 5, 11])
def test_against_scikit_learn(classes):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 300)
    predicted = np.where(rng.random(300) < 0.6, labels, rng.integers(0, classes, 300))
    matrix = confusion_matrix(labels, predicted, classes)
    np.testing.assert_array_equal(matrix, theirs(labels, predicted, labels=range(classes)))
    precision, recall, f1, photos = precision_recall_fscore_support(labels, predicted, labels=range(classes))
    for index, score in enumerate(class_scores(matrix)):
        assert score.photos == photos[index]
        found = (score.precision, score.recall, score.f1)
        assert found == pytest.approx((precision[index], recall[index], f1[index]))


def test_a_class_without_photos_or_predictions_has_no_number():
    absent, missed, perfect = class_scores(np.array([[0, 0, 0], [0, 0, 4], [0, 0, 3]]))
    assert np.isnan([absent.recall, absent.precision, absent.f1, missed.precision, missed.f1]).all()
    assert (missed.recall, missed.taken_for, missed.taken_times) == (0, 2, 4)
    assert (perfect.recall, perfect.taken_for) == (1, None)


@pytest.mark.parametrize(("right", "count"), [(0, 10), (10, 10), (7, 10), (3000, 3430)])
def test_the_interval_solves_wilsons_equation(right, count):
    share = right / count
    for bound in wilson_interval(right, count):
        assert (share - bound) ** 2 == pytest.approx(1.96**2 * bound * (1 - bound) / count, abs=1e-12)
        assert -1e-12 <= bound <= 1 + 1e-12
