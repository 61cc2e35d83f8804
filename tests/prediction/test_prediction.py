"""Prediction against its literal twin: crops cut by hand, identities, rows of pictures that cannot be read."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from thalweg.data import Photo, build_cache, open_photos
from thalweg.errors import RunError, UsageError
from thalweg.prediction import Predictions, predict, submission_text
from thalweg.prediction.crops import crops
from thalweg.prediction.ensemble import together
from thalweg.runs import Run, TrainingConfig
from thalweg.server.routes.classify import classify
from thalweg.training import train


CONFIG = TrainingConfig(
    model="resnet18-half", size=32, epochs=2, batch_size=16, augment="flip", precision="fp32", layout="channels-last",
    threads=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(striped, tmp_path_factory):
    return train(striped, CONFIG, tmp_path_factory.mktemp("predicted") / "run")


def shown(run, cache, crop):
    """The network's probabilities for one crop, cut and normalized photo by photo in float64."""
    top, left, height, width = crop.box
    crops_NHWC = cache.images_NHWC[:, top : top + height, left : left + width]
    crops_NCHW = torch.from_numpy(crops_NHWC.copy()).permute(0, 3, 1, 2)
    if height != 32:
        crops_NCHW = torch.nn.functional.interpolate(crops_NCHW, (32, 32), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(run.data[key], dtype=torch.float64).view(3, 1, 1) for key in ("mean", "std"))
    pixels_NCHW = (crops_NCHW.double() / 255 - mean) / std
    if crop.flip:
        pixels_NCHW = pixels_NCHW.flip(3)
    with torch.inference_mode():
        return (run.load_network().double()(pixels_NCHW) / run.temperature).softmax(1).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("tta", [1, 2, 12])
def test_probabilities_are_the_weighted_mean_over_the_views(run, striped, tta):
    found = predict(run.path, striped, tta=tta)
    cache = build_cache(open_photos(striped), size=32)
    seen = [shown(run, cache, crop) for crop in crops(tta, 32)]
    expected_NC = seen[0] if tta == 1 else (seen[0] + np.mean(seen[1:], axis=0)) / 2
    np.testing.assert_allclose(found.probability_NC, expected_NC, atol=2e-3)
    np.testing.assert_allclose(found.probability_NC.sum(axis=1), 1)


def test_views_differ_and_stay_inside():
    every = crops(12, 160)
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
    predictions = Predictions(photos, ("no", "yes"), probability_NC, ())
    text = submission_text(predictions, names=True, endings=False)
    assert text.splitlines() == ["Id,Category", *(f"{identity},yes" for identity in identities)]


@pytest.mark.parametrize(
    ("homework", "style", "rows"),
    [
        (False, {}, ["a/1.jpg,yes", "b/1.jpg,yes", "2.png,yes"]),
        (True, {}, ["a/1,1", "b/1,1", "2,1"]),
        (False, {"names": False, "endings": False}, ["a/1,1", "b/1,1", "2,1"]),
        (True, {"names": True, "endings": True}, ["a/1.jpg,yes", "b/1.jpg,yes", "2.png,yes"]),
    ],
)
def test_names_and_endings_are_kept_except_in_the_homework(homework, style, rows):
    photos = tuple(Photo(path, "test", None) for path in ("a/1.jpg", "b/1.jpg", "b/2.png"))
    predictions = Predictions(photos, ("no", "yes"), np.tile([0.25, 0.75], (3, 1)), (), homework=homework)
    assert submission_text(predictions, **style).splitlines() == ["Id,Category", *rows]


def test_a_run_of_the_homeworks_layout_writes_the_homeworks_submission(run, striped):
    predictions = predict(run.path, striped)
    assert predictions.homework
    assert submission_text(predictions).splitlines()[1].split(",") == ["0001", str(predictions.label_N[0])]


@pytest.fixture(scope="module")
def other(striped, tmp_path_factory):
    return train(striped, replace(CONFIG, seed=9, epochs=1), tmp_path_factory.mktemp("other") / "run")


def test_several_runs_decide_by_their_mean_or_by_vote(run, other, striped):
    each = [predict(path, striped).probability_NC for path in (run.path, other.path)]
    found = predict([run.path, other.path], striped).probability_NC
    np.testing.assert_allclose(found, np.mean(each, axis=0))
    voted = predict([run.path, other.path, run.path], striped, vote=True)
    np.testing.assert_array_equal(voted.label_N, each[0].argmax(axis=1))  # two votes of three
    np.testing.assert_allclose(voted.probability_NC.sum(axis=1), 1)


def test_equal_votes_are_decided_by_the_mean():
    first, second = np.array([[0.6, 0.4, 0.0]]), np.array([[0.1, 0.9, 0.0]])
    assert together([first, second], vote=True).argmax() == 1


def test_runs_of_other_classes_do_not_predict_together(run, other, striped, tmp_path):
    renamed = replace(other, path=tmp_path, data={**other.data, "classes": ["0", "1", "cat"]})
    renamed.save()
    with pytest.raises(RunError, match="cat"):
        predict([run.path, tmp_path], striped)
    replace(renamed, data={**other.data, "classes": ["1", "0", "2"]}).save()
    with pytest.raises(RunError, match="different classes"):
        predict([run.path, tmp_path], striped)


def test_the_temperature_is_the_runs_and_moves_no_prediction(run, striped):
    assert run.temperature == run.summary()["temperature"] != 1
    scaled = predict(run.path, striped).probability_NC
    plain_NC = scaled**run.temperature / (scaled**run.temperature).sum(axis=1, keepdims=True)
    expected = shown(run, build_cache(open_photos(striped), size=32), crops(1, 32)[0])
    np.testing.assert_allclose(scaled, expected, atol=2e-3)
    np.testing.assert_array_equal(plain_NC.argmax(axis=1), scaled.argmax(axis=1))


@pytest.mark.slow
def test_a_run_on_photos_of_twelve_bits_scales_every_photo_alike(tmp_path):
    """Divided by 257, as the format suggests, they would fill 16 gray levels."""
    rng = np.random.default_rng(0)
    for n in range(24):
        values_HW = rng.integers(0, 900, (16, 16))
        values_HW[:, :8] += 3000 * (n % 2)
        values_HW[:, 8:] += 3000 * (1 - n % 2)
        path = tmp_path / "photos" / ("left", "right")[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values_HW.astype(np.uint16)).save(path)
    config = replace(CONFIG, model="resnet-small", size=16, epochs=1, augment="none")
    run = Run.open(train(tmp_path / "photos", config, tmp_path / "run").path)
    assert run.data["levels"] == {"I;16": [0, 4095]}
    cache = run.open_photos()
    assert cache.images_NHWC.max() > 200
    photo = tmp_path / "photos" / cache.photos[0].path  # alone it would have levels of its own
    whole = predict(run.path, tmp_path / "photos")
    expected_C = whole.probability_NC[[one.path for one in whole.photos].index(cache.photos[0].path)]
    np.testing.assert_allclose(predict(run.path, photo).probability_NC[0], expected_C, atol=1e-4)
    top = {one["name"]: one["probability"] for one in classify(run, photo.read_bytes())["top"]}
    np.testing.assert_allclose([top[name] for name in run.classes], expected_C, atol=1e-4)
