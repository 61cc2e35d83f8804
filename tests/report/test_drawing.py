"""Pictures of a run whose photos are the built-in set's, with outputs that are made up."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from made import ENVIRONMENT, facts
from thalweg.data import build_cache, open_images
from thalweg.errors import RunError, StorageError
from thalweg.report import draw_run
from thalweg.runs import Run, TrainingConfig


NAMES = ("curves", "layers", "confusion", "mistakes", "reliability", "tsne-mid", "tsne-top")
PICTURES = {f"{name}.png" for name in NAMES}


SUMMARY = {
    "stopped": "done",
    "epochs": 1,
    "steps": 3,
    "seconds": {"training": 1.5, "total": 2.0},
    "messages": ["first"],
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A hundred photos in two classes, each of one brightness."""
    root = tmp_path_factory.mktemp("photos")
    for split, count in (("training", 20), ("validation", 40)):
        for name in ("dark", "light"):
            for index in range(count):
                path = root / split / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16, 16), (index, index, 200 if name == "light" else 0)).save(path)
    return root


@pytest.fixture
def run(made, photos, tmp_path, monkeypatch):
    """A run on these photos, as a training leaves it before anything is drawn."""
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    cache = build_cache(open_images(photos), size=16)
    path = tmp_path / "run"
    shutil.copytree(made / "history", path / "history")
    data = facts(["dark", "light"], photos, fingerprint=cache.fingerprint, train=40, valid=80)
    run = Run(path, TrainingConfig().settle(16), data, ENVIRONMENT)
    run.save()
    run.write_json("summary.json", SUMMARY)
    labels = cache.labels("valid")
    logits = np.eye(2, dtype=np.float32)[labels]
    logits[3] = [0.0, 4.0] if labels[3] == 0 else [4.0, 0.0]
    features = np.random.default_rng(0).normal(size=(80, 5)).astype(np.float32)
    save_file({"logits": logits, "labels": labels, "mid": features, "top": features}, run.evaluation)
    return run


@pytest.mark.slow
def test_all_pictures_are_drawn_and_put_into_the_report(run):
    report = draw_run(run.path)
    assert {path.name for path in run.path.glob("*.png")} == PICTURES
    assert report.read_text(encoding="utf-8").count("data:image/png") == 7
    assert (run.path / "class-scores.csv").read_text(encoding="utf-8").splitlines()[1].startswith("dark,40,")
    summary = run.summary()
    assert summary["messages"] == ["first"]
    assert summary["seconds"]["pictures"] > 0
    assert summary["seconds"]["training"] == 1.5


@pytest.mark.slow
def test_the_mistakes_are_the_photos_that_were_predicted_wrongly(run, photos, monkeypatch):
    seen = []
    monkeypatch.setattr("thalweg.report.drawing.mistakes", lambda *arguments: seen.extend(arguments))
    draw_run(run.path)
    images, labels, predicted, probability, _classes, _path, names = seen
    (wrong,) = np.flatnonzero(labels != predicted)
    with Image.open(photos / names[wrong]) as image:
        np.testing.assert_array_equal(images[wrong], np.asarray(image))
    assert probability[wrong] == pytest.approx(np.exp(4) / (1 + np.exp(4)))


@pytest.mark.slow
def test_a_picture_that_cannot_be_drawn_is_left_out_with_its_reason(run):
    outputs = {name: np.zeros((2, 2), dtype=np.float32) for name in ("logits", "mid", "top")}
    save_file(outputs | {"labels": np.zeros(2, dtype=np.int64)}, run.evaluation)
    (run.path / "tsne-mid.png").write_bytes(b"of an older evaluation")
    run.data["fingerprint"] = "of other photos"
    run.save()
    for _ in range(2):  # the reasons do not pile up
        draw_run(run.path)
    left = {path.stem for path in run.path.glob("*.png")}
    assert left == {"curves", "layers", "confusion", "reliability"}
    _, mistakes, mid, top = run.summary()["messages"]
    assert mistakes.startswith("mistakes.png: ")
    assert mid.startswith("tsne-mid.png: t-SNE needs at least 4 photos")
    assert top.startswith("tsne-top.png: ")


@pytest.mark.slow
def test_photos_that_are_gone_cost_one_picture_only(run, tmp_path):
    run.data["path"] = str(tmp_path / "moved")
    run.save()
    draw_run(run.path)
    assert {path.name for path in run.path.glob("*.png")} == PICTURES - {"mistakes.png"}
    assert "moved" in run.summary()["messages"][1]


def test_a_run_that_never_finished_an_epoch_has_curves_only(run):
    run.evaluation.unlink()
    draw_run(run.path)
    assert {path.name for path in run.path.glob("*.png")} == {"curves.png", "layers.png"}


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError):
        draw_run(tmp_path)


def test_a_disk_without_space_is_said(run, monkeypatch):
    def full(*_, **__):
        raise StorageError("errors.cannot_write", path="curves.png", reason="No space left on device")

    monkeypatch.setattr("thalweg.report.drawing.curves", full)
    with pytest.raises(StorageError, match="No space left"):
        draw_run(run.path)
    assert json.loads((run.path / "summary.json").read_text())["stopped"] == "done"
