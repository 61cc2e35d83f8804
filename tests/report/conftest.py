"""A run folder made of random numbers: what the report has to cope with before, and without, any training."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from thalweg.figures import confusion, curves, layers, mistakes, reliability, tsne
from thalweg.figures.class_choice import confusion_matrix
from thalweg.history import HistoryLog
from thalweg.i18n import set_language


CLASSES = ["Bread", "Dairy", "<script>alert(1)</script>", "面条"]
PHOTOS = 120
STEPS = {"step": "", "epoch": "epochs", "loss": "nat", "gradient_norm": "", "lr": ""}
EPOCHS = dict.fromkeys(("step", "epoch", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "seconds"), "")


@pytest.fixture(autouse=True)
def _english():
    set_language("en")
    yield
    set_language(None)


def outputs():
    rng = np.random.default_rng(0)
    labels = np.arange(PHOTOS) % len(CLASSES)
    logits = rng.normal(size=(PHOTOS, len(CLASSES))).astype(np.float32)
    logits[np.arange(PHOTOS), labels] += 1.5
    features = rng.normal(size=(PHOTOS, 8)).astype(np.float32) + labels[:, None]
    return {"logits": logits, "labels": labels, "mid": features, "top": 3 * features}


def write_histories(folder):
    step = np.arange(1, 301)
    with HistoryLog(folder / "history" / "steps", STEPS) as log:
        log.extend(np.c_[step, step / 100, np.exp(-step / 100), 1 / step, np.full(300, 1e-3)])
    with HistoryLog(folder / "history" / "epochs", EPOCHS) as log:
        log.extend([[100 * epoch, epoch, 1, 0.2 * epoch, 1.1, 0.19 * epoch, 3] for epoch in (1, 2, 3)])
    names = [f"{layer}.update_ratio" for layer in ("stem.0", "stem.1", "head")]
    with HistoryLog(folder / "history" / "layers", {"step": "", **dict.fromkeys(names, "")}) as log:
        log.extend(np.c_[step[::20], np.full(15, 1e-3), 1 / step[::20], np.full(15, 1e-6)])


def write_run(folder, *, pictures=True):
    folder.mkdir(parents=True, exist_ok=True)
    names = ", ".join(json.dumps(name, ensure_ascii=False) for name in CLASSES)
    (folder / "config.toml").write_text(
        'format = 1\n[training]\nmodel = "resnet18-half"\nsize = 64\nbatch_size = 64\nlr = 0.002\nnormalize = true\n'
        f'[data]\npath = "/photos/food & <drink>"\nlayout = "flat"\nfingerprint = "ab12"\nclasses = [{names}]\n'
        "train = 600\nvalid = 120\ntest = 80\n"
        '[environment]\nthalweg = "0.1.0"\ntorch = "2.13.0"\nthreads = 2\nprecision = "bf16"\n',
        encoding="utf-8",
    )
    summary = {
        "epochs": 3,
        "steps": 300,
        "best_epoch": 3,
        "stopped": "done",
        "seconds": {"data": 3.2, "training": 312.0, "evaluation": 8.0, "total": 330.0},
        "valid": {"loss": 0.81, "accuracy": 0.7, "count": 120},
        "test": {"loss": 0.9, "accuracy": 0.6875, "count": 80},
        "messages": ["A message with <b>markup</b>."],
    }
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    check = {
        "warnings": [{"code": "data.leak", "message": "2 photos are in two splits"}, "a plain <sentence>"],
        "bad": [{"path": "training/3_<17>.jpg", "reason": "truncated after 12,288 bytes"}],
        "counts": {"train": {"Bread": 300, "": 5}, "valid": {"Bread": 60}},
    }
    (folder / "data-check.json").write_text(json.dumps(check), encoding="utf-8")
    write_histories(folder)
    found = outputs()
    save_file(found, folder / "evaluation.safetensors")
    if pictures:
        draw(folder, found)
    return folder


def draw(folder, found):
    labels, predicted = found["labels"], found["logits"].argmax(axis=1)
    curves(HistoryLog.read(folder / "history/steps"), HistoryLog.read(folder / "history/epochs"), folder / "curves.png")
    layers(HistoryLog.read(folder / "history/layers"), folder / "layers.png")
    confusion(confusion_matrix(labels, predicted, len(CLASSES)), CLASSES, folder / "confusion.png")
    images = np.random.default_rng(0).integers(0, 256, (PHOTOS, 16, 16, 3), dtype=np.uint8)
    names = [f"validation/{index}.jpg" for index in range(PHOTOS)]
    mistakes(images, labels, predicted, np.full(PHOTOS, 0.5), CLASSES, folder / "mistakes.png", names)
    powers = np.exp(found["logits"])
    shares = powers / powers.sum(axis=1, keepdims=True)
    confidence = shares.max(axis=1)
    reliability(confidence, confidence, predicted == labels, folder / "reliability.png", temperature=1.0)
    for layer in ("mid", "top"):
        tsne(found[layer], labels, CLASSES, folder / f"tsne-{layer}.png", title_key=layer, predicted_N=predicted)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    set_language("en")
    return write_run(tmp_path_factory.mktemp("runs") / "food & <10>")


@pytest.fixture
def run(made, tmp_path):
    """A made-up run of one's own, to break."""
    return shutil.copytree(made, tmp_path / made.name)


@pytest.fixture
def classes():
    return CLASSES
