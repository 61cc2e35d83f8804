"""Folds: no run evaluates a photo that it trained on, and an interrupted sequence of runs can be resumed."""

import csv
import os
import shutil
import signal
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from thalweg.data import fold_of, open_images
from thalweg.errors import RunError, UsageError
from thalweg.prediction import predict
from thalweg.runs import Run, TrainingConfig, checkpoint
from thalweg.training import resume_folds, train, train_folds
from thalweg.training.progress import Listener


CONFIG = TrainingConfig(
    model="resnet-small", size=16, epochs=2, batch_size=32, augment="flip", precision="fp32", layout="channels-last",
    threads=1, folds=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def folds(striped, tmp_path_factory):
    out = tmp_path_factory.mktemp("folds") / "run"
    return out, train_folds(striped, CONFIG, out)


@pytest.fixture
def plant_unsplit(striped, tmp_path):
    shutil.copytree(striped / "training", tmp_path / "photos")
    return open_images(tmp_path / "photos")


def split_of(run):
    rows = list(csv.DictReader((run.path / "split.csv").read_text().splitlines()))
    return {name: {row["path"] for row in rows if row["split"] == name} for name in ("train", "valid", "test")}


def test_every_photo_validates_once_and_never_where_it_trains(folds):
    splits = [split_of(run) for run in folds[1]]
    validated = Counter(path for split in splits for path in split["valid"])
    assert len(validated) == 96 + 24
    assert set(validated.values()) == {1}
    assert all(not split["train"] & split["valid"] for split in splits)
    assert all(len(split["test"]) == 12 for split in splits)


def test_classes_are_spread_evenly(striped):
    for fold in range(3):
        images = fold_of(open_images(striped), folds=3, fold=fold, seed=0)
        counts = Counter(photo.label for photo in images.split("valid"))
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_same_content_is_never_in_two_folds(striped, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(striped, photos)
    for number in range(8):
        shutil.copy(photos / "training" / f"0_{number}.png", photos / "validation" / f"0_{100 + number}.png")
    for fold in range(4):
        images = fold_of(open_images(photos), folds=4, fold=fold, seed=1)
        contents = {split: {images.read(photo) for photo in images.split(split)} for split in ("train", "valid")}
        assert not contents["train"] & contents["valid"]


def test_folds_do_not_speak_of_a_split_that_they_replaced(plant_unsplit):
    notes = fold_of(plant_unsplit, folds=3, fold=0, seed=0).notes
    assert "data.note_split_made" in [note.key for note in plant_unsplit.notes]
    assert "data.note_split_made" not in [note.key for note in notes]


def test_a_fold_that_failed_is_not_passed_over(folds, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(folds[0], out)
    run = Run.open(out / "folds" / "1")
    run.write_json("summary.json", {**run.summary(), "stopped": "nan", "messages": ["At step 7 the loss is nan."]})
    with pytest.raises(RunError, match="At step 7"):
        resume_folds(out)


def test_out_of_fold_is_what_each_run_said_of_its_own_part(folds):
    out, runs = folds
    rows = list(csv.DictReader((out / "out-of-fold.csv").read_text().splitlines()))
    assert len(rows) == 120
    right = np.mean([row["label"] == row["predicted"] for row in rows])
    accuracies = [run.summary()["valid"] for run in runs]
    assert right == pytest.approx(sum(a["accuracy"] * a["count"] for a in accuracies) / 120)
    for row in rows:
        assert row["path"] in split_of(runs[int(row["fold"])])["valid"]
        assert max("012", key=lambda name: float(row[name])) == row["predicted"]


def test_a_folder_of_folds_predicts_as_their_mean(folds, striped):
    out, runs = folds
    each = [predict(run.path, striped).probability_NC for run in runs]
    np.testing.assert_allclose(predict(out, striped).probability_NC, np.mean(each, axis=0))


class Interrupter(Listener):
    """Ctrl-C in the middle of the second fold."""

    def __init__(self):
        self.started_runs, self.done = 0, False

    def started(self, run, facts):
        self.started_runs += 1

    def progressed(self, progress):
        if self.started_runs == 2 and not self.done:
            self.done = True
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_interrupted_folds_go_on_and_end_the_same(folds, striped, tmp_path):
    out = tmp_path / "run"
    assert len(train_folds(striped, CONFIG, out, listener=Interrupter())) == 2
    assert not (out / "summary.json").exists()
    resumed = resume_folds(out)
    for ours, theirs in zip(resumed, folds[1], strict=True):
        found, expected = (checkpoint.load(run.best)[0] for run in (ours, theirs))
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert (out / "out-of-fold.csv").read_bytes() == (folds[0] / "out-of-fold.csv").read_bytes()


def test_more_folds_than_photos_of_a_class_are_refused(striped, tmp_path):
    with pytest.raises(UsageError, match="'0' has 40"):
        train_folds(striped, replace(CONFIG, folds=41), tmp_path / "run")


def test_a_fold_needs_folds(striped, tmp_path):
    with pytest.raises(UsageError, match="--fold must"):
        replace(CONFIG, folds=None, fold=1)
    with pytest.raises(UsageError, match="--fold must"):
        replace(CONFIG, fold=3)
    with pytest.raises(UsageError, match="train_folds"):
        train(striped, CONFIG, tmp_path / "run")
