"""Prediction against its literal twin: views cut by hand, identities, rows of pictures that cannot be read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from thalweg.data import Photo, build_cache, open_photos
from thalweg.errors import RunError, UsageError
from thalweg.prediction import Predictions, predict, submission_text
from thalweg.prediction.predictor import best_model
from thalweg.prediction.views import views
from thalweg.training import Run, TrainingConfig, train


CONFIG = TrainingConfig(
    model="resnet18-half", size=32, epochs=2, batch_size=16, augment="flip", precision="fp32", layout="channels-last",
    threads=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(striped, tmp_path_factory):
    return train(striped, CONFIG, tmp_path_factory.mktemp("predicted") / "run")


def shown(run, cache, view):
    """The network's probabilities for one view, cut and normalized photo by photo in float64."""
    top, left, height, width = view.box
    crops_NHWC = cache.images_NHWC[:, top : top + height, left : left + width]
    crops_NCHW = torch.from_numpy(crops_NHWC.copy()).permute(0, 3, 1, 2)
    if height != 32:
        crops_NCHW = torch.nn.functional.interpolate(crops_NCHW, (32, 32), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(run.data[key], dtype=torch.float64).view(3, 1, 1) for key in ("mean", "std"))
    pixels_NCHW = (crops_NCHW.double() / 255 - mean) / std
    if view.flip:
        pixels_NCHW = pixels_NCHW.flip(3)
    with torch.inference_mode():
        return best_model(run).double()(pixels_NCHW).softmax(1).numpy()


@pytest.mark.parametrize("tta", [1, 2, 12])
def test_probabilities_are_the_mean_over_the_views(run, striped, tta):
    found = predict(run.path, striped, tta=tta)
    cache = build_cache(open_photos(striped), size=32)
    expected_NC = np.mean([shown(run, cache, view) for view in views(tta, 32)], axis=0)
    np.testing.assert_allclose(found.probability_NC, expected_NC, atol=2e-3)
    np.testing.assert_allclose(found.probability_NC.sum(axis=1), 1)


def test_views_differ_and_stay_inside():
    every = views(12, 160)
    assert len(set(every)) == 12
    for (top, left, height, width), _ in every:
        assert 0 <= top <= top + height <= 160
        assert 0 <= left <= left + width <= 160


def test_too_many_views_are_refused_before_any_work(run, tmp_path):
    with pytest.raises(UsageError, match="1 to 12"):
        predict(run.path, tmp_path / "nothing here", tta=13)


def test_a_run_without_a_finished_epoch_has_no_weights(run, tmp_path):
    replace(run, path=tmp_path).save()
    assert Run.open(tmp_path).config == run.config
    with pytest.raises(RunError, match="no epoch"):
        predict(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("paths", "identities"),
    [
        (["0001.jpg", "0002.png"], ["0001", "0002"]),
        (["a/1.jpg", "b/1.jpg", "b/2.jpg"], ["a/1", "b/1", "2"]),
        (["a/1.jpg", "a/1.png"], ["a/1.jpg", "a/1.png"]),
        (["x.tar.jpg"], ["x.tar"]),
    ],
)
def test_every_picture_has_an_identity_of_its_own(paths, identities):
    photos = tuple(Photo(path, "test", None) for path in paths)
    probability_NC = np.tile([0.25, 0.75], (len(paths), 1))
    text = submission_text(Predictions(photos, ("no", "yes"), probability_NC, ()), names=True)
    assert text.splitlines() == ["Id,Category", *(f"{identity},yes" for identity in identities)]
