"""A training that finds its learning rate is, bit by bit, the training that was given that rate."""

import json
from dataclasses import replace

import pytest
import torch

from thalweg.rate import search
from thalweg.runs import Run, TrainingConfig, checkpoint, files
from thalweg.training import resume, train
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
    """What is tested here is what a training does with a search, and not how good it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SHORT", 2)
        patch.setattr(search, "LONG", 4)
        yield


@pytest.fixture(scope="module")
def found(_short_search, striped, tmp_path_factory):
    return train(striped, replace(CONFIG, find_lr=True), tmp_path_factory.mktemp("rate") / "run")


def test_the_run_says_what_was_asked_and_what_was_found(found):
    run = Run.open(found.path)
    sweep = json.loads((run.path / files.RATE_SWEEP).read_text())
    assert run.config.find_lr
    assert run.config.lr == sweep["suggestion"] != CONFIG.lr
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
    assert search_photos(striped, CONFIG).suggestion == found.config.lr


def test_where_nothing_is_found_the_rate_stays_and_it_is_said(striped, tmp_path):
    listener = Notebook()
    config = replace(CONFIG, find_lr=True, batch_size=96, lr=0.0125)  # all photos in one batch
    run = train(striped, config, tmp_path / "run", listener=listener)
    assert run.config.lr == 0.0125
    assert "rate.unusable_too_few_batches" in listener.notes
    assert listener.notes["rate.keeps"] == {"rate": 0.0125}
    assert Run.open(run.path).environment["lr_found"] is False
