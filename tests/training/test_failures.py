"""Trainings that cannot go on: they say why, in a sentence, and keep what is good."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from made import SMALL as CONFIG
from thalweg import models
from thalweg.data.findings import read_findings
from thalweg.errors import BadImageError, DataError, StorageError, TrainingError, UnknownNameError, UsageError
from thalweg.runs import Run, checkpoint, files
from thalweg.training import train
from thalweg.training.optimizers import EXTRA, build_optimizer


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(striped, tmp_path):
    config = replace(CONFIG, optimizer="sgd", lr=1e20, schedule="constant", epochs=5)
    with pytest.raises(TrainingError, match=r"At step|after step"):
        train(striped, config, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.summary()["stopped"] == "nan"
    assert "--clip-grad-norm" in run.summary()["messages"][0]
    tensors, _ = checkpoint.load(run.last)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values() if tensor.is_floating_point())


def test_weights_that_are_no_numbers_never_become_the_best(striped, tmp_path, monkeypatch):
    run = train(striped, replace(CONFIG, epochs=1), tmp_path / "good")
    good = run.best.read_bytes()

    step = torch.optim.AdamW.step
    steps = []

    def broken(self, *arguments):
        step(self, *arguments)
        steps.append(self)
        if len(steps) == 6:
            with torch.no_grad():
                self.param_groups[0]["params"][0].fill_(float("nan"))

    monkeypatch.setattr(torch.optim.AdamW, "step", broken)
    with pytest.raises(TrainingError, match="no longer finite"):
        train(striped, replace(CONFIG, epochs=1), tmp_path / "bad")
    assert not Run.open(tmp_path / "bad").best.exists()
    assert run.best.read_bytes() == good


def test_a_channel_without_contrast_is_no_division_by_zero(tmp_path):
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("valid", 4)):
        for label in "ab":
            (tmp_path / "photos" / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                pixels[:, :, 2] = 7
                Image.fromarray(pixels).save(tmp_path / "photos" / split / label / f"{number}.png")
    run = train(tmp_path / "photos", replace(CONFIG, epochs=1, batch_size=8), tmp_path / "run")
    assert np.isfinite(run.steps()["loss"]).all()


def test_a_validation_split_without_a_usable_photo_is_refused(striped, tmp_path):
    photos = _copied(striped, tmp_path / "photos")
    for path in (photos / "validation").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="has no usable photo"):
        train(photos, CONFIG, tmp_path / "run")


def test_a_photo_that_is_gone_does_not_stop_a_training(striped, tmp_path):
    photos = _copied(striped, tmp_path / "photos")
    (photos / "training" / "0_0.png").unlink()
    (photos / "training" / "0_0.png").symlink_to(tmp_path / "nowhere")
    run = train(photos, replace(CONFIG, epochs=1), tmp_path / "run")
    assert run.data["train"] == 95


def test_a_full_disk_says_so_and_keeps_the_older_checkpoint(striped, tmp_path, monkeypatch):
    run = train(striped, replace(CONFIG, epochs=1), tmp_path / "run")
    before = run.last.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        checkpoint.save(run.last, {"model.x": torch.zeros(3)}, {})
    assert run.last.read_bytes() == before
    assert not list(run.last.parent.glob(".*"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"optimizer": "addam"}, r"Did you mean .*adam"),
        ({"model": "resnet81"}, "resnet18"),
        ({"schedule": "cosin"}, "cosine"),
        ({"augment": "lite"}, "light"),
    ],
)
def test_misspelt_names_are_said_before_any_work(striped, tmp_path, changes, said):
    with pytest.raises(UsageError, match=said):
        train(striped, replace(CONFIG, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_momentum_is_refused_where_there_is_none(striped, tmp_path):
    with pytest.raises(UsageError, match="has no momentum"):
        train(striped, replace(CONFIG, optimizer="adam", momentum=0.9), tmp_path / "run")


def test_an_optimizer_that_cannot_be_kept_or_cannot_step_is_refused_before_any_work(striped, tmp_path):
    pytest.importorskip("pytorch_optimizer")
    for name, said in (
        ("scalableshampoo", "saved in a checkpoint"),
        ("bsam", "cannot train here"),
        ("ranger21", "num_iterations"),
    ):
        with pytest.raises(UsageError, match=said):
            train(striped, replace(CONFIG, optimizer=EXTRA + name), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_bad_photo_is_named_and_left_out_or_stops(striped, tmp_path):
    photos = _copied(striped, tmp_path / "photos")
    (photos / "training" / "0_3.png").write_bytes(b"")
    run = train(photos, replace(CONFIG, epochs=1), tmp_path / "run")
    assert '"training/0_3.png"' in (run.path / "data-check.json").read_text()
    assert "training/0_3.png" not in (run.path / "split.csv").read_text()
    with pytest.raises(BadImageError, match=r"0_3\.png"):
        train(photos, replace(CONFIG, on_bad_image="stop"), tmp_path / "stopped")


def test_a_run_lists_a_hundred_bad_photos_and_a_table_has_all(striped, tmp_path):
    photos = _copied(striped, tmp_path / "photos")
    for number in range(1000, 1101):
        (photos / "training" / f"0_{number}.png").write_bytes(b"")
    run = train(photos, replace(CONFIG, epochs=1), tmp_path / "run")
    check = json.loads((run.path / files.CHECK).read_text())
    assert (len(check["bad"]), check["found"]["bad"]) == (100, 101)
    bad = [finding.path for finding in read_findings(run.path / files.FINDINGS) if finding.kind == "bad"]
    assert len(set(bad)) == 101


def test_an_unknown_optimizer_is_a_usage_error():
    with pytest.raises(UnknownNameError) as caught:
        build_optimizer(models.build("resnet18-half", classes=3, size=32), replace(CONFIG, optimizer="adamm"))
    assert caught.value.exit_code == 2
    assert "adam" in caught.value.nearest


def _copied(photos, to: Path):
    import shutil

    shutil.copytree(photos, to)
    return to
