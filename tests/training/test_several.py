"""Training on photos with several labels: what is learned, kept and refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sklearn.metrics import average_precision_score, f1_score

from thalweg.errors import RunError, UsageError
from thalweg.models import build, classifier_of
from thalweg.runs import Run, RunFolder, TrainingConfig
from thalweg.training import train, train_folds
from thalweg.training.start import begin_at_shares


def test_it_learns_and_the_run_says_so(several_run):
    assert several_run.config.loss == "binary-cross-entropy"
    assert several_run.config.labels == "several"
    summary = several_run.summary()
    assert summary["valid"]["mean_average_precision"] > 0.9
    assert summary["test"]["count"] == 12
    assert set(summary["test"]) >= {"micro_f1", "macro_f1", "accuracy"}
    assert "labels several" not in str(summary["messages"])


def test_the_scores_are_those_of_scikit_learn_on_what_is_kept(several_run):
    outputs, summary = several_run.outputs(), several_run.summary()
    probability_NC, labels_NC = several_run.probabilities(), outputs["labels"]
    expected = torch.sigmoid(torch.from_numpy(outputs["logits"]).double() / several_run.temperature)
    np.testing.assert_allclose(probability_NC, expected, atol=1e-12)
    mean = average_precision_score(labels_NC, probability_NC, average="macro")
    assert summary["valid"]["mean_average_precision"] == pytest.approx(mean)
    given_NC = probability_NC >= several_run.thresholds
    assert summary["valid"]["micro_f1"] == pytest.approx(f1_score(labels_NC, given_NC, average="micro"))
    assert several_run.epochs()["valid_map"].max() == pytest.approx(mean)


def test_the_best_epoch_is_that_of_mean_average_precision(several_run):
    epochs = several_run.epochs()
    best = max(range(len(epochs)), key=lambda row: (epochs["valid_map"][row], -epochs["valid_loss"][row]))
    assert several_run.summary()["kept_epoch"] == best + 1


def test_training_begins_with_the_share_of_each_class():
    model = build("resnet-small", classes=3, size=24)
    begin_at_shares(model, {"class_shares": [0.5, 0.2, 0.0]})
    shares = classifier_of(model).bias.sigmoid()
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.2, 0.001]), rtol=1e-4, atol=1e-6)
    begin_at_shares(model, {"class_shares": [0.9] * 3, "weights": {"head": "kept"}})
    torch.testing.assert_close(classifier_of(model).bias.sigmoid(), shares)


def test_shards_change_nothing_about_labels(tiled, tmp_path):
    config = TrainingConfig(model="resnet-small", size=24, epochs=1, batch_size=32, shards=2, cutmix=0.5, threads=1,
                            precision="fp32", layout="channels-last")  # fmt: skip
    assert train(tiled, config, tmp_path / "run").summary()["valid"]["mean_average_precision"] > 0


UNFIT = {
    "loss mse": {"loss": "mse"},
    "class-weights": {"class_weights": "balanced"},
    "sampling": {"sampling": "balanced"},
    "lr auto": {"find_lr": True},
    "fit-head": {"fit_head": True, "freeze": "all"},
}


@pytest.mark.parametrize("flag", UNFIT)
def test_what_needs_one_label_is_refused(tiled, tmp_path, flag):
    with pytest.raises(UsageError, match=f"--{flag}.*--labels one"):
        train(tiled, TrainingConfig(model="resnet-small", **UNFIT[flag]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_loss_of_several_labels_needs_them(striped, tmp_path):
    with pytest.raises(UsageError, match="--labels several"):
        train(striped, TrainingConfig(model="resnet-small", loss="binary-cross-entropy"), tmp_path / "run")


def test_damage_is_named(several_run, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(several_run.path, path)
    summary = several_run.summary()
    (path / "summary.json").write_text(json.dumps({**summary, "thresholds": [0.5]}))
    with pytest.raises(RunError, match="thresholds"):
        _ = Run.open(path).thresholds
    text = (path / "config.toml").read_text().replace("binary-cross-entropy", "cross-entropy")
    (path / "config.toml").write_text(text)
    with pytest.raises(RunError):
        Run.open(path).outputs()
    assert RunFolder(path).outputs is None


def test_labels_are_kept_as_the_table_writes_them(several_run, tiled):
    given = dict(line.split(",")[::2] for line in (tiled / "labels.csv").read_text().splitlines()[1:])
    assert several_run.read_labels() == {path: label for path, label in given.items() if label}
    assert load_file(several_run.evaluation)["labels"].shape == (20, 3)
    assert several_run.open_photos().fingerprint == several_run.data["fingerprint"]


@pytest.mark.slow
def test_folds_cover_every_photo(tiled, several_run, tmp_path):
    config = replace(several_run.config, folds=2, epochs=2, labels="auto", loss="cross-entropy")
    runs = train_folds(tiled, TrainingConfig(**{**config.to_dict(), "smaller_sizes": ()}), tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["count"] == sum(len(run.read_split("valid")) for run in runs) == 84
    assert 0 < summary["mean_average_precision"] <= 1
    lines = (tmp_path / "out" / "out-of-fold.csv").read_text().splitlines()
    assert len(lines) == 85
