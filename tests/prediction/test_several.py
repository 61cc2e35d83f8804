"""Predictions of several labels a photo: thresholds, submissions, ensembles and exported files."""

import csv
import io
import json

import numpy as np
import pytest

import thalweg
from thalweg.errors import RunError, UsageError
from thalweg.prediction import predict, sort_photos, submission_text
from thalweg.prediction.ensemble import check_classes, thresholds_together, together


@pytest.fixture(scope="module")
def predicted(several_run, tiled):
    return predict(several_run, tiled)


def test_a_photo_is_given_what_reaches_its_threshold(several_run, predicted, tiled):
    assert predicted.thresholds_C == several_run.thresholds
    given_NC = predicted.probability_NC >= several_run.thresholds
    assert predicted.names == [";".join(np.array(predicted.classes)[given_C]) for given_C in given_NC]
    given = dict(line.split(",")[::2] for line in (tiled / "labels.csv").read_text().splitlines()[1:])
    right = [given[photo.path] == name for photo, name in zip(predicted.photos, predicted.names, strict=True)]
    assert np.mean(right) == pytest.approx(several_run.summary()["test"]["accuracy"])


def test_a_submission_has_names_or_numbers(predicted):
    rows = list(csv.DictReader(io.StringIO(submission_text(predicted))))
    assert [row["Category"] for row in rows] == predicted.names
    numbers = list(csv.DictReader(io.StringIO(submission_text(predicted, names=False, probabilities=True))))
    for row, name, probability_C in zip(numbers, predicted.names, predicted.probability_NC, strict=True):
        assert ";".join(predicted.classes[int(one)] for one in row["Category"].split(";") if one) == name
        assert float(row["red"]) == pytest.approx(probability_C[2], abs=1e-6)


def test_a_loaded_run_gives_the_same(several_run, predicted, tiled):
    found = thalweg.load(several_run).predict([tiled / photo.path for photo in predicted.photos])
    np.testing.assert_allclose(found.probability_NC, predicted.probability_NC, atol=1e-6)
    assert found.names == predicted.names


def test_runs_predict_together(several_run, predicted, tiled):
    twice = predict([several_run, several_run], tiled)
    np.testing.assert_allclose(twice.probability_NC, predicted.probability_NC)
    assert twice.names == predicted.names
    assert predict([several_run, several_run], tiled, vote=True).names == predicted.names


def test_votes_are_counted_at_the_thresholds():
    found = [np.array([[0.3, 0.6]]), np.array([[0.3, 0.2]]), np.array([[0.1, 0.9]])]
    thresholds = [(0.2, 0.5)] * 3
    votes_NC = together(found, vote=True, thresholds=thresholds)
    np.testing.assert_allclose(votes_NC, [[2 / 3, 2 / 3]], atol=2e-3)
    assert thresholds_together(thresholds, vote=True) == (0.5, 0.5)
    assert thresholds_together(thresholds) == pytest.approx((0.2, 0.5))
    with pytest.raises(RunError, match="several"):
        check_classes([("a", ("x", "y"), None), ("b", ("x", "y"), (0.5, 0.5))])


def test_photos_are_not_sorted_into_one_folder(predicted, tmp_path):
    with pytest.raises(UsageError, match="-o FILE"):
        sort_photos(predicted, None, tmp_path / "sorted")


@pytest.mark.slow
def test_an_exported_file_gives_the_same_labels(several_run, predicted, tiled, tmp_path):
    onnx = pytest.importorskip("onnx", reason='the extra "export" is not installed')
    pytest.importorskip("onnxruntime", reason='the extra "export" is not installed')
    pytest.importorskip("onnxscript", reason='the extra "export" is not installed')
    from thalweg.prediction import export_onnx, predict_onnx

    path = tmp_path / "model.onnx"
    assert export_onnx(several_run, path) < 1e-4
    found = predict_onnx([path], tiled)
    np.testing.assert_allclose(found.probability_NC, predicted.probability_NC, atol=1e-4)
    assert found.names == predicted.names
    facts = json.loads({one.key: one.value for one in onnx.load(path).metadata_props}["thalweg"])
    assert facts["format"] == 3
    assert facts["thresholds"] == list(several_run.thresholds)
    model = onnx.load(path)
    for changed in ({**facts, "format": 2}, {**facts, "thresholds": [0.5]}):
        onnx.helper.set_model_props(model, {"thalweg": json.dumps(changed)})
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(RunError):
            predict_onnx([tmp_path / "other.onnx"], tiled)
