"""Many classes: with a small bound, a training keeps answers instead of logits, and every figure is the same."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

from made import SMALL
from thalweg.diagnosis.review import review_of
from thalweg.errors import RunError
from thalweg.history import HistoryLog
from thalweg.models import outputs as network_outputs
from thalweg.prediction import predict
from thalweg.report import draw_run
from thalweg.runs import Run, RunFolder, answers, files, probabilities
from thalweg.runs.tasks import BINARY, task_of
from thalweg.server.routes.scores import scores
from thalweg.training import resume, train, train_folds
from thalweg.training.evaluation import judged, score
from thalweg.training.losses import loss_of
from thalweg.training.printing import Lines


CLASSES = 24
CONFIG = replace(SMALL, size=16, augment="none")
KEPT = {"top_classes", "top_probabilities", "plain", "rank"}


@pytest.fixture(scope="module")
def colored(tmp_path_factory):
    """24 classes of six photos in a color of their own; the last class has one photo."""
    root, random = tmp_path_factory.mktemp("colored"), np.random.default_rng(0)
    for label in range(CLASSES):
        color = random.integers(40, 216, 3)
        (root / f"class {label:02}").mkdir()
        for number in range(6 if label < CLASSES - 1 else 1):
            pixels = np.clip(color + random.normal(0, 20, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"class {label:02}" / f"{number}.png")
    return root


class Heard(Lines):
    def __init__(self):
        self.said = []

    def line(self, message):
        self.said.append(message)


@pytest.fixture(scope="module")
def whole(colored, tmp_path_factory):
    return train(colored, CONFIG, tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def _small_bounds(monkeypatch):
    """Arrays of more than 500 bytes are large, and a network's outputs come in blocks of a batch."""
    monkeypatch.setattr(answers, "LARGEST", 500)
    monkeypatch.setattr("thalweg.training.evaluation.LARGEST", 500)
    monkeypatch.setattr("thalweg.training.folds.LARGEST", 500)
    monkeypatch.setattr(network_outputs, "BLOCK", 3 * CLASSES)


@pytest.fixture
def compact(colored, tmp_path, _small_bounds):
    return train(colored, CONFIG, tmp_path / "run")


def test_every_figure_is_that_of_the_whole_logits(whole, compact):
    kept = load_file(compact.evaluation)
    assert set(kept) == {"labels", "mid", "top", *KEPT}
    assert "logits" in load_file(whole.evaluation)
    ours, theirs = compact.summary(), whole.summary()
    assert (ours["valid"], ours["temperature"]) == (theirs["valid"], theirs["temperature"])
    assert 0 < ours["valid"]["accuracy"] < ours["valid"]["top5_accuracy"]
    for name in set(compact.epochs().units) - {"seconds"}:
        np.testing.assert_array_equal(compact.epochs()[name], whole.epochs()[name])
    assert compact.epochs()["valid_top5"][-1] == ours["valid"]["top5_accuracy"]
    assert json.dumps(scores(compact)) == json.dumps(scores(whole))  # as text, NaN is NaN
    assert not list(compact.path.glob("*tmp*"))


def test_losses_and_ranks_do_not_depend_on_the_blocks(monkeypatch):
    random = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(50, CLASSES, generator=random), torch.arange(50) % CLASSES
    for loss in ("cross-entropy", "mse"):
        monkeypatch.setattr(probabilities, "_VALUES", 10**6)
        whole = judged(logits, labels, loss)
        assert score(logits, labels, loss).loss == float(loss_of(loss, logits, labels, 0.0))
        monkeypatch.setattr(probabilities, "_VALUES", 3 * CLASSES)
        assert torch.equal(judged(logits, labels, loss), whole)


@pytest.mark.slow
def test_report_and_pictures_are_drawn_from_answers(whole, compact):
    for run in (whole, compact):
        draw_run(run.path)
    assert compact.summary()["messages"] == []
    for name in ("confusion", "mistakes", "reliability"):
        with Image.open(compact.path / f"{name}.png") as ours, Image.open(whole.path / f"{name}.png") as theirs:
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=name)
    assert (compact.path / "class-scores.csv").read_text() == (whole.path / "class-scores.csv").read_text()
    page = (compact.path / "report.html").read_text(encoding="utf-8")
    assert "Validation top-5 accuracy" in page
    assert "without recall (1): class 23" in page
    assert RunFolder(compact.path).classes == list(whole.classes)


def test_probabilities_go_through_the_network(whole, compact):
    found = compact.probabilities()
    assert isinstance(found, np.memmap)
    np.testing.assert_allclose(found, whole.probabilities(), atol=1e-6)
    assert [one.path for one in review_of(compact.path).photos] == [one.path for one in review_of(whole.path).photos]


def test_predictions_do_not_depend_on_the_blocks(whole, colored, monkeypatch):
    monkeypatch.setattr(network_outputs, "BLOCK", 3 * CLASSES)
    ours = predict([whole.path], colored).probability_NC
    monkeypatch.undo()
    np.testing.assert_allclose(ours, predict([whole.path], colored).probability_NC, atol=1e-12)


def test_a_damaged_file_is_refused(compact):
    good = load_file(compact.evaluation)
    wrong = {
        "top_classes": good["top_classes"] + CLASSES,
        "top_probabilities": good["top_probabilities"] * 2,
        "plain": good["plain"][1:],
        "rank": good["rank"].astype(np.float64),
    }
    for name, array in wrong.items():
        save_file({**good, name: np.ascontiguousarray(array)}, compact.evaluation)
        with pytest.raises(RunError):
            compact.outputs()
        save_file({one: good[one] for one in good if one != name}, compact.evaluation)
        with pytest.raises(RunError):
            compact.outputs()


def test_top5_stands_beside_the_accuracy(colored, tmp_path):
    heard = Heard()
    run = train(colored, replace(CONFIG, epochs=1, sampling="balanced"), tmp_path / "run", listener=heard)
    assert any("top-5" in line for line in heard.said if line.startswith("epoch 1"))
    assert any("too few different photos" in line and "class 23" in line for line in heard.said)
    assert run.summary()["valid"]["top5_accuracy"] == run.epochs()["valid_top5"][-1]


@pytest.mark.parametrize("loss", ["cross-entropy", BINARY])
@pytest.mark.parametrize("classes", [20, 21])
def test_a_score_fills_the_columns_of_its_run_and_no_others(classes, loss):
    labels = torch.arange(classes) if loss != BINARY else torch.eye(classes, dtype=torch.int64)
    row = score(torch.eye(classes), labels, loss).row()
    columns = list(task_of(loss).epoch_units(classes))
    assert list(row) == [name for name in columns if name.startswith("valid_")]


def test_a_fit_of_the_classifier_alone_says_top5_and_nothing_of_several_labels(colored, tmp_path):
    heard = Heard()
    run = train(colored, replace(CONFIG, epochs=3, fit_head=True, freeze="all"), tmp_path / "run", listener=heard)
    (line,) = [line for line in heard.said if line.startswith("epoch ")]
    assert "top-5" in line
    assert "mAP" not in line
    assert run.summary()["valid"]["top5_accuracy"] == run.epochs()["valid_top5"][-1]


def test_a_run_from_before_goes_on_without_the_column(whole, tmp_path):
    """A history of before has no top-5; resumed, it stays as it is."""
    path = shutil.copytree(whole.path, tmp_path / "run")
    rows = whole.epochs().rows_NC[:, : len(files.EPOCH_UNITS)]
    (path / files.EPOCHS).unlink()
    with HistoryLog(path / files.EPOCHS, files.EPOCH_UNITS) as log:
        log.extend(rows)
    run = resume(path, epochs=3)
    assert list(run.epochs().units) == list(files.EPOCH_UNITS)
    assert len(run.epochs()) == 3
    assert "top5_accuracy" in run.summary()["valid"]


@pytest.mark.usefixtures("_small_bounds")
def test_folds_sum_the_ranks_and_bound_their_table(colored, tmp_path):
    root = tmp_path / "photos"
    shutil.copytree(colored, root, ignore=shutil.ignore_patterns("class 23"))  # one photo is too few for two folds
    runs = train_folds(root, replace(CONFIG, epochs=1, folds=2), tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    ranks = np.concatenate([load_file(Run.open(run.path).evaluation)["rank"] for run in runs])
    assert summary["top5_accuracy"] == (ranks < 5).mean()
    assert summary["accuracy"] == (ranks == 0).mean()
    lines = (tmp_path / "out" / "out-of-fold.csv").read_text().splitlines()
    assert lines[0] == "path,fold,label,predicted,probability,rank"
    assert sum(line.endswith(",1") for line in lines[1:]) == (ranks == 0).sum()
