"""A run in one's own program: pictures in any form, from any thread, have the probabilities of `predict`."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import thalweg
from thalweg import models
from thalweg.errors import BadImageError, RunError, UsageError
from thalweg.prediction import predict


@pytest.fixture(scope="module")
def classifier(kept_run):
    return thalweg.load(kept_run)


@pytest.fixture(scope="module")
def files(striped):
    return sorted(striped.rglob("*.png"))[:5] or sorted(striped.rglob("*.jpg"))[:5]


@pytest.fixture(scope="module")
def expected(kept_run, files):
    return predict(kept_run, files).probability_NC


def arrays_of(files):
    return [np.asarray(Image.open(file).convert("RGB")) for file in files]


FORMS = {
    "path": lambda file: file,
    "text": str,
    "bytes": Path.read_bytes,
    "picture": Image.open,
    "array": lambda file: arrays_of([file])[0],
    "floats": lambda file: arrays_of([file])[0] / 255,
    "tensor": lambda file: torch.from_numpy(arrays_of([file])[0].copy()).permute(2, 0, 1),
    "batch": lambda file: arrays_of([file])[0][None],
    "batch of tensors": lambda file: torch.from_numpy(arrays_of([file])[0].copy()).permute(2, 0, 1)[None].float() / 255,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_has_the_same_probabilities_in_every_form(classifier, files, expected, form):
    one = classifier.predict(FORMS[form](files[0]))
    np.testing.assert_allclose(one.probability_NC, expected[:1], atol=1e-6)
    several = classifier.predict([FORMS[form](file) for file in files])
    np.testing.assert_allclose(several.probability_NC, expected, atol=1e-6)
    assert several.names == [classifier.classes[label] for label in expected.argmax(axis=1)]
    assert several.best(0, 2)[0] == (several.names[0], several.probability_NC[0].max())


def test_predict_takes_what_a_program_holds(kept_run, files, expected):
    held = predict([kept_run, kept_run], [*arrays_of(files[:2]), Image.open(files[2])], tta=2)
    np.testing.assert_allclose(held.probability_NC, predict(kept_run, files[:3], tta=2).probability_NC, atol=1e-6)
    assert [photo.path for photo in held.photos] == ["#0", "#1", "#2"]


def test_threads_do_not_disturb_each_other(classifier, files, expected):
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda at: classifier.predict(files[at % 5]).probability_NC[0], range(40)))
        features = list(threads.map(lambda at: classifier.features(files[at % 5])[0], range(20)))
    for at, probability_C in enumerate(found):
        np.testing.assert_allclose(probability_C, expected[at % 5], atol=1e-6)
    for at, features_D in enumerate(features):
        np.testing.assert_allclose(features_D, features[at % 5], atol=1e-5)


def test_features_are_the_inputs_of_the_last_layer(classifier, files):
    seen = []
    hook = models.classifier_of(classifier.module).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        classifier.predict(files)
    finally:
        hook.remove()
    np.testing.assert_allclose(classifier.features(files), torch.cat(seen).numpy(), atol=1e-5)


def test_a_gray_or_transparent_array_is_what_its_file_is(classifier, tmp_path):
    random = np.random.default_rng(0)
    for shape in ((20, 24), (20, 24, 4)):
        array = random.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(array).save(tmp_path / "kept.png")
        file = classifier.predict(tmp_path / "kept.png").probability_NC
        np.testing.assert_array_equal(classifier.predict(array).probability_NC, file)
        with Image.open(tmp_path / "kept.png") as picture:
            classifier.predict(picture)
            assert picture.size == (24, 20)  # the caller's picture stays as it is


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ([], "no picture"),
        (3, "int is not a picture"),
        ({"a": 1}, "a: "),
        (np.zeros((3, 20, 20), np.uint8), "3×20×20"),
        (np.zeros((20, 20, 2), np.uint8), "20×20×2"),
        (np.zeros((0, 20, 3), np.uint8), "0×20×3"),
        (np.full((4, 4), 300.0), "300"),
        (np.full((4, 4), np.nan), "nan"),
        (np.zeros((4, 4), np.int64), "int64"),
        (torch.randn(3, 8, 8), "do not normalize"),
        (b"", "empty"),
        (b"no picture at all", "no picture"),
        ("nowhere.jpg", "nowhere.jpg"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(classifier, images, says):
    with pytest.raises((UsageError, BadImageError), match=says):
        classifier.predict(images)


def test_a_folder_and_a_run_without_weights_are_refused(classifier, tmp_path):
    with pytest.raises(UsageError, match=r"thalweg\.predict"):
        classifier.predict(tmp_path)
    with pytest.raises(RunError):
        thalweg.load(tmp_path)


def test_a_closed_picture_is_named(classifier, files):
    picture = Image.open(files[0])
    picture.close()
    with pytest.raises(BadImageError, match="#1"):
        classifier.predict([files[1], picture])


def test_several_runs_see_all_pictures_of_a_generator(kept_run, files):
    held = predict([kept_run, kept_run], (Image.open(file) for file in files[:2]))
    np.testing.assert_allclose(held.probability_NC, predict(kept_run, files[:2]).probability_NC, atol=1e-6)


def test_any_path_is_a_file(kept_run, files):
    entries = [entry for entry in os.scandir(files[0].parent) if entry.name == files[0].name]
    held = predict(kept_run, entries)
    np.testing.assert_allclose(held.probability_NC, predict(kept_run, files[:1]).probability_NC, atol=1e-6)
    np.testing.assert_allclose(predict(kept_run, entries[0]).probability_NC, held.probability_NC, atol=1e-6)


def test_a_tensor_of_bfloat16_is_a_picture(kept_run):
    image = torch.arange(3 * 32 * 32).reshape(3, 32, 32) % 2
    held = predict(kept_run, image.to(torch.bfloat16))
    np.testing.assert_array_equal(held.probability_NC, predict(kept_run, image.float()).probability_NC)


@pytest.mark.slow
def test_loading_imports_no_training(kept_run, files):
    code = f"""
import sys, thalweg
found = thalweg.load({str(kept_run.path)!r}).predict({str(files[0])!r})
assert found.names
loaded = [name for name in sys.modules if name.startswith(("thalweg.training", "thalweg.diagnosis", "matplotlib"))]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_bytes_of_a_jpeg_that_was_turned_are_upright(classifier, tmp_path):
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 40, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = BytesIO()
    picture.save(file, "PNG", exif=exif)
    turned = picture.transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_allclose(
        classifier.predict(file.getvalue()).probability_NC, classifier.predict(turned).probability_NC, atol=2e-2
    )
    with Image.open(BytesIO(file.getvalue())) as opened:
        np.testing.assert_allclose(
            classifier.predict(opened).probability_NC, classifier.predict(file.getvalue()).probability_NC, atol=1e-6
        )
