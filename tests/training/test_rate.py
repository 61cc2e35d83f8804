"""A training that finds its learning rate is, bit by bit, the training that was given that rate."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image

from thalweg.errors import UsageError
from thalweg.runs import Run, TrainingConfig, checkpoint, files
from thalweg.training import rate, resume, train
from thalweg.training.progress import Listener
from thalweg.training.rate import search_photos


CONFIG = TrainingConfig(
    model="resnet-small",
    size=16,
    epochs=1,
    batch_size=16,
    optimizer="sgd",
    momentum=0.9,
    augment="flip",
    schedule="constant",
    precision="fp32",
    layout="channels-last",
    threads=1,
)


class Notebook(Listener):
    def __init__(self):
        self.notes = {}

    def note(self, key, **values):
        self.notes[key] = values


@pytest.fixture(scope="module", autouse=True)
def _short_search():
    """One rehearsal for each candidate is enough here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate, "MOST_STEPS", 60)
        yield


@pytest.fixture(scope="module")
def found(_short_search, striped, tmp_path_factory):
    return train(striped, replace(CONFIG, find_lr=True, lr=1e-4), tmp_path_factory.mktemp("rate") / "run")


def test_the_run_says_what_was_asked_and_what_was_found(found):
    run = Run.open(found.path)
    sweep = json.loads((run.path / files.RATE_SWEEP).read_text())
    assert run.config.find_lr
    assert run.config.lr == sweep["suggestion"] > 3 * sweep["given"] == pytest.approx(3e-4)
    assert run.environment["lr_found"] is True
    assert run.steps()["lr"].max() == pytest.approx(sweep["suggestion"])


def test_it_is_the_training_that_was_given_the_rate(found, striped, tmp_path):
    given = train(striped, replace(CONFIG, lr=found.config.lr), tmp_path / "run")
    assert not (given.path / files.RATE_SWEEP).exists()
    ours, theirs = (checkpoint.load(run.last)[0] for run in (found, given))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_resumed_run_searches_nothing(found):
    listener = Notebook()
    assert resume(found.path, listener=listener).config == found.config
    assert "rate.searching" not in listener.notes


@pytest.mark.slow
def test_the_command_and_the_training_find_the_same(found, striped):
    assert search_photos(striped, replace(CONFIG, lr=1e-4)).suggestion == found.config.lr


@pytest.mark.slow
def test_where_nothing_is_found_the_rate_stays_and_it_is_said(unlearnable, tmp_path):
    listener = Notebook()
    config = replace(CONFIG, find_lr=True, lr=0.0125)
    run = train(unlearnable, config, tmp_path / "run", listener=listener)
    assert run.config.lr == 0.0125
    assert listener.notes["rate.unusable_cannot_tell"] == {"given": 0.0125}
    assert listener.notes["rate.keeps"] == {"rate": 0.0125}
    assert Run.open(run.path).environment["lr_found"] is False


@pytest.mark.slow
@pytest.mark.parametrize("given", [1e-3, 3.0])
def test_a_rate_far_too_low_or_high_is_replaced(striped, given):
    sweep = search_photos(striped, replace(CONFIG, epochs=2, batch_size=48, lr=given), steps=10)
    assert 0.01 < sweep.suggestion < 1
    losses = {one.rate: one.loss for one in sweep.evaluations}
    assert losses[sweep.suggestion] < losses[given]


@pytest.mark.parametrize("one_class", [False, True])
def test_two_photos_a_class_are_too_few(unlearnable, tmp_path, one_class):
    folder = tmp_path / "few"
    for split, numbers in (("training", range(1 if one_class else 2)), ("validation", range(2))):
        (folder / split).mkdir(parents=True)
        for name in (f"{label}_{number}.png" for label in range(2) for number in numbers):
            shutil.copy(unlearnable / split / name, folder / split / name)
    sweep = search_photos(folder, CONFIG, steps=10)
    assert (sweep.suggestion, sweep.reason) == (None, "too_few_photos")


@pytest.mark.slow
def test_the_validation_photos_take_no_part(striped, tmp_path):
    others = tmp_path / "others"
    shutil.copytree(striped / "training", others / "training")
    (others / "validation").mkdir()
    Image.new("RGB", (32, 32), "red").save(others / "validation" / "2_0.png")
    config = replace(CONFIG, batch_size=48)
    assert search_photos(others, config, steps=10) == search_photos(striped, config, steps=10)


def test_a_sweep_that_cannot_be_meant_is_refused_before_the_photos_are_looked_for():
    with pytest.raises(UsageError) as raised:
        search_photos("there is no such folder", CONFIG, steps=2)
    assert raised.value.key == "rate.bad_steps"
