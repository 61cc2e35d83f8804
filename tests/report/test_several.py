"""The pictures and the report of a run whose photos have several labels."""

import shutil

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_score, recall_score

from thalweg.errors import UnknownNameError
from thalweg.i18n import LANGUAGES, set_language
from thalweg.report import draw_run
from thalweg.report.several import label_scores, rarest_labels, wrong_labels
from thalweg.runs import Run, files


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_picture_is_drawn_and_the_report_shows_it(several_run, tmp_path, language):
    path = tmp_path / "run"
    shutil.copytree(several_run.path, path)
    set_language(language)
    page = draw_run(path).read_text(encoding="utf-8")
    assert not Run.open(path).summary()["messages"]
    assert {file.stem for file in path.glob("*.png")} == set(files.PICTURES_OF_SEVERAL)
    assert page.count("<img") == len(files.PICTURES_OF_SEVERAL)
    assert "confusion.png" not in page
    mean = several_run.summary()["valid"]["mean_average_precision"]
    assert f"{100 * mean:.1f}" in page


def test_a_picture_of_one_label_is_refused(several_run):
    with pytest.raises(UnknownNameError):
        several_run.draw("confusion")


def test_the_scores_of_a_class_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    true_NC = random.random((60, 3)) < 0.4
    scores_NC = 0.5 * random.random((60, 3)) + 0.5 * true_NC * random.random((60, 3))
    found = label_scores(scores_NC, true_NC, [0.4, 0.5, 0.3])
    given_NC = scores_NC >= [0.4, 0.5, 0.3]
    np.testing.assert_allclose(found.average_precision_C, average_precision_score(true_NC, scores_NC, average=None))
    np.testing.assert_allclose(found.precision_C, precision_score(true_NC, given_NC, average=None))
    np.testing.assert_allclose(found.recall_C, recall_score(true_NC, given_NC, average=None))


def test_the_rarest_label_and_the_worst_one():
    labels_NC = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 1], [0, 0, 0]])
    assert rarest_labels(labels_NC).tolist() == [1, 2, 2, 3]
    probability_NC = np.array([[0.9, 0.8, 0.6], [0.2, 0.1, 0.9], [0.9, 0.1, 0.9], [0.1, 0.1, 0.1]])
    found = wrong_labels(probability_NC, labels_NC > 0, probability_NC >= 0.5)
    assert (found.rows_M.tolist(), found.label_M.tolist()) == ([1, 0], [0, 2])
