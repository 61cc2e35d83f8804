"""Trainings on photos that take more space than they may: kept as JPEG, decoded ahead of the step."""

from dataclasses import replace

import numpy as np
import pytest

from thalweg.data import open_images
from thalweg.data.jpeg import JpegPhotos
from thalweg.prediction import predict
from thalweg.runs import Run, TrainingConfig
from thalweg.training import train
from thalweg.training.progress import Listener


CONFIG = TrainingConfig(
    model="resnet-small", size=30, epochs=1, batch_size=16, precision="fp32", layout="channels-last", threads=1,
    cache_limit=1e-4,  # 0.1 MB
)  # fmt: skip


class Notebook(Listener):
    def __init__(self):
        self.notes = []

    def note(self, key, **values):
        self.notes.append((key, values))


@pytest.fixture(scope="module")
def trained(striped, tmp_path_factory):
    notebook, folder = Notebook(), tmp_path_factory.mktemp("large")
    with pytest.MonkeyPatch.context() as patch:  # where no other test has left pixels of these photos
        patch.setenv("THALWEG_CACHE", str(folder / "cache"))
        yield train(striped, CONFIG, folder / "run", listener=notebook), notebook.notes


def test_the_choice_is_told_and_kept_in_the_run(trained):
    run, notes = trained
    told = dict(notes)
    assert told["data.note_kept_as_jpeg"]["needed"] > told["data.note_kept_as_jpeg"]["room"] == pytest.approx(1e-4)
    assert 0 < told["data.note_kept_as_jpeg"]["about"] < told["data.note_kept_as_jpeg"]["needed"]
    assert told["training.decoded_ahead"]["count"] == 2 * CONFIG.batch_size < 1e5 / (3 * run.data["stored"] ** 2)
    assert Run.open(run.path).rendering.kept == "jpeg"
    assert isinstance(run.open_photos().images_NHWC, JpegPhotos)


def test_its_photos_give_the_same_outputs_everywhere(trained, striped):
    run, _ = trained
    valid_NC = run.probabilities()
    cache = run.open_photos()
    paths = [cache.photos[row].path for row in cache.rows("valid")]
    found = predict(run.path, [str(open_images(striped).root / path) for path in paths])
    np.testing.assert_allclose(found.probability_NC, valid_NC, atol=1e-5)
    assert run.probabilities("train").shape[0] == len(cache.rows("train"))


def test_a_larger_limit_loads_the_same_photos_into_memory(trained, striped, tmp_path, monkeypatch):
    """The losses do not depend on where photos are decoded."""
    run, _ = trained
    monkeypatch.setattr("thalweg.training.splits.in_memory", lambda cache: np.array(cache.images_NHWC))
    again = train(striped, replace(CONFIG, cache_limit=2e-4), tmp_path / "run")
    np.testing.assert_array_equal(again.steps()["loss"], run.steps()["loss"])
