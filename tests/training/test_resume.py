"""A run that is killed at any moment and resumed is bit-identical to an uninterrupted run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from thalweg.errors import DataError, RunError, UsageError
from thalweg.i18n import t
from thalweg.runs import Run, TrainingConfig, checkpoint
from thalweg.training import record, resume, train
from thalweg.training.progress import Listener


CONFIG = TrainingConfig(
    model="resnet-small",
    size=32,
    epochs=3,
    batch_size=16,
    augment="standard",
    precision="fp32",
    layout="channels-last",
    threads=1,
    checkpoint_every=0.05,  # seconds: a checkpoint after almost every step, so that kills hit saves
)

START = """
import sys
from pathlib import Path
from thalweg.runs import TrainingConfig
from thalweg.training import resume, train
out = Path(sys.argv[1])
if (out / "config.toml").exists():
    resume(out)
else:
    train(sys.argv[2], TrainingConfig(**eval(sys.argv[3])), out)
"""


def start(out, photos, config=CONFIG):
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", START, out, photos, repr(config.to_dict())])


def rows_of(out):
    path = out / "history" / "steps"
    return (path.stat().st_size // 40) if path.exists() else 0


def parts_of(out):
    """Checkpoints that are being written, or were when a kill came."""
    return (out / "checkpoints").glob(".last.*.part") if (out / "checkpoints").exists() else ()


def kill_when(process, happened):
    """SIGKILL as soon as something happened; False if the process was faster."""
    while process.poll() is None:
        if happened():
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.001)
    return False


@pytest.fixture(scope="module")
def left_alone(striped, tmp_path_factory):
    return train(striped, CONFIG, tmp_path_factory.mktemp("alone") / "run")


def assert_same_run(resumed, alone):
    for path in ("last", "best"):
        ours, facts = checkpoint.load(getattr(resumed, path))
        theirs, expected = checkpoint.load(getattr(alone, path))
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            assert torch.equal(tensor, theirs[name]), name
        for told in (facts, expected):
            told.get("state", {}).pop("seconds", None)
            told.pop("clock", None)
        assert facts == expected
    np.testing.assert_array_equal(resumed.steps().rows_NC, alone.steps().rows_NC)
    np.testing.assert_array_equal(resumed.layers().rows_NC, alone.layers().rows_NC)
    assert resumed.epochs().units == alone.epochs().units
    for name in alone.epochs().units.keys() - {"seconds"}:
        np.testing.assert_array_equal(resumed.epochs()[name], alone.epochs()[name])


@pytest.mark.slow
def test_killed_in_a_step_and_in_a_save(striped, left_alone, tmp_path):
    out = tmp_path / "run"
    assert kill_when(start(out, striped), lambda: rows_of(out) >= 4)
    left = set(parts_of(out))
    assert kill_when(start(out, striped), lambda: rows_of(out) >= 8 and set(parts_of(out)) - left)
    assert_same_run(resume(out), left_alone)


TECHNIQUES = {
    "mixed": {"mixup": 0.5, "cutmix": 0.5},
    "averaged": {"ema": 0.9},
    "growing": {"smaller_sizes": (16, 24)},
    "dropped": {"drop_path": 0.3},
    "weighted": {"class_weights": "balanced"},
    "best": {"keep": "best"},
    "seldom-evaluated": {"evaluate_every": 2},
    "muon": {"optimizer": "muon", "lr": 0.01},
}
FITTED = {"fit_head": True, "freeze": "1", "norms": "frozen", "layer_decay": 0.5, "ema": 0.9}
TECHNIQUES["everything"] = {name: value for changes in TECHNIQUES.values() for name, value in changes.items()}
TECHNIQUES["fitted"] = FITTED
TECHNIQUES["schedule-free"] = {"optimizer": "schedule-free", "lr": 0.005, "schedule": "warmup(2)"}
TECHNIQUES["photos kept as JPEG"] = {"cache_limit": 1e-4, "size": 31}  # a size of which no pixels are kept yet
TECHNIQUES["of pytorch_optimizer"] = {"optimizer": "pytorch_optimizer:lion", "lr": 1e-3}


@pytest.mark.slow
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_killed_with_a_technique_on(striped, tmp_path, technique):
    config = replace(CONFIG, **TECHNIQUES[technique])
    alone, out = train(striped, config, tmp_path / "alone"), tmp_path / "run"
    assert kill_when(start(out, striped, config), lambda: rows_of(out) >= 5)
    assert_same_run(resume(out), alone)


@pytest.mark.slow
def test_killed_with_balanced_sampling(uneven, tmp_path):
    config = replace(CONFIG, sampling="balanced")
    alone, out = train(uneven, config, tmp_path / "alone"), tmp_path / "run"
    for rows in (4, 7):
        assert kill_when(start(out, uneven, config), lambda rows=rows: rows_of(out) >= rows)
    assert_same_run(resume(out), alone)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again(striped, left_alone, tmp_path, seed):
    out, random = tmp_path / "run", np.random.default_rng(seed)
    for _ in range(6):
        before, more, in_save = rows_of(out), random.integers(0, 5), random.random() < 0.5
        left = set(parts_of(out))

        def now(least=before + more, in_save=in_save, left=left):
            return rows_of(out) >= least and (not in_save or set(parts_of(out)) - left)

        kill_when(start(out, striped), now)
    assert_same_run(resume(out), left_alone)


@pytest.mark.slow
def test_killed_with_two_threads(striped, tmp_path):
    config = replace(CONFIG, threads=2, precision="bf16")
    alone, out = train(striped, config, tmp_path / "alone"), tmp_path / "run"
    assert kill_when(start(out, striped, config), lambda: rows_of(out) >= 7)
    assert_same_run(resume(out), alone)


class Interrupter(Listener):
    """Ctrl-C at the first report of a step, or of a later one."""

    def __init__(self, step=1):
        self.step, self.done = step, False

    def progressed(self, progress):
        if not self.done and progress.step >= self.step:
            self.done = True
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def each_step_reported(monkeypatch):
    """Report every step, however fast: by the clock, a fast machine reports first when the training is over."""
    monkeypatch.setattr(record, "SECONDS_BETWEEN_READS", 0.0)


QUICK = ["sgd", "adamw", "rprop"]  # state of no, of two, and of another kind of buffer
REST = [pytest.param(name, marks=pytest.mark.slow) for name in ("adam", "rmsprop", "adagrad", "nadam", "asgd")]


@pytest.mark.usefixtures("each_step_reported")
@pytest.mark.parametrize("optimizer", [*QUICK, *REST])
def test_interrupted_and_resumed(striped, tmp_path, optimizer):
    config = replace(CONFIG, optimizer=optimizer, lr=1e-3, epochs=1, schedule="warmup(2) > cosine", clip_grad_norm=1.0)
    alone = train(striped, config, tmp_path / "alone")
    stopped = train(striped, config, tmp_path / "stopped", listener=Interrupter())
    assert stopped.summary()["stopped"] == "interrupted"
    assert 0 < stopped.summary()["steps"] < alone.summary()["steps"]
    resumed = resume(stopped.path)
    assert resumed.summary()["stopped"] == "done"
    assert_same_run(resumed, alone)


@pytest.mark.usefixtures("each_step_reported")
def test_interrupted_at_the_very_last_step_and_resumed(striped, left_alone, tmp_path):
    stopped = train(striped, CONFIG, tmp_path / "run", listener=Interrupter(step=17))
    assert stopped.summary()["stopped"] == "interrupted"
    assert_same_run(resume(stopped.path), left_alone)


SEVERAL = replace(CONFIG, size=24, keep="best", cutmix=0.5, labels="several")


@pytest.mark.usefixtures("each_step_reported")
def test_interrupted_and_resumed_with_several_labels(tiled, tmp_path):
    alone = train(tiled, SEVERAL, tmp_path / "alone")
    stopped = train(tiled, SEVERAL, tmp_path / "stopped", listener=Interrupter(step=3))
    assert stopped.summary()["stopped"] == "interrupted"
    assert_same_run(resumed := resume(stopped.path), alone)
    assert resumed.epochs()["valid_map"].tolist() == alone.epochs()["valid_map"].tolist()
    assert resumed.thresholds == alone.thresholds


@pytest.mark.slow
def test_killed_with_several_labels(tiled, tmp_path):
    alone, out = train(tiled, SEVERAL, tmp_path / "alone"), tmp_path / "run"
    assert kill_when(start(out, tiled, SEVERAL), lambda: rows_of(out) >= 5)
    assert_same_run(resume(out), alone)


@pytest.mark.slow
def test_resuming_a_finished_budget_adds_nothing(striped, tmp_path):
    run = train(striped, replace(CONFIG, epochs=None, budget=3.0), tmp_path / "run")
    steps = run.summary()["steps"]
    assert resume(run.path).summary()["steps"] == steps


def test_resuming_a_finished_run_changes_nothing(striped, left_alone):
    before = checkpoint.load(left_alone.last)[0]
    again = resume(left_alone.path)
    assert again.summary()["stopped"] == "done"
    after = checkpoint.load(left_alone.last)[0]
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_other_photos_are_refused(striped, tmp_path):
    photos = tmp_path / "photos"
    subprocess.run(["cp", "-r", striped, photos], check=True)
    run = train(photos, replace(CONFIG, epochs=1), tmp_path / "run")
    (photos / "training" / "0_0.png").write_bytes((photos / "training" / "1_0.png").read_bytes())
    with pytest.raises(RunError, match="no longer those"):
        resume(run.path)


def test_what_is_not_a_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="not a run"):
        resume(tmp_path)
    (tmp_path / "config.toml").write_text("format = 99\n")
    with pytest.raises(RunError, match="format 99"):
        Run.open(tmp_path)


def test_a_run_that_another_process_trains_is_not_resumed(striped, tmp_path):
    run = train(striped, replace(CONFIG, epochs=1), tmp_path / "run")
    code = (
        "import sys; from pathlib import Path; from thalweg.history import HistoryLog; "
        "from thalweg.runs.files import STEP_UNITS; log = HistoryLog(Path(sys.argv[1]), STEP_UNITS); "
        "print(log.hold(), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(run.path / "history" / "steps")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "True\n"
        with pytest.raises(RunError, match="another process"):
            resume(run.path)
        other.kill()
    assert resume(run.path).summary()["stopped"] == "done"


class Notes(Listener):
    """Keeps the keys of what is said."""

    def __init__(self):
        self.keys = []

    def note(self, key, **values):
        assert t(key, **values)
        self.keys.append(key)


@pytest.mark.slow
def test_a_finished_run_goes_on_to_more_epochs_as_if_started_so(striped, tmp_path):
    """Without a schedule that depends on the length, two epochs and two more are the four of another run."""
    config = replace(CONFIG, size=16, batch_size=32, augment="none", schedule="constant", checkpoint_every=120.0)
    whole = train(striped, replace(config, epochs=4), tmp_path / "whole")
    first = train(striped, replace(config, epochs=2), tmp_path / "first")
    said = Notes()
    longer = resume(first.path, epochs="4", listener=said)
    assert said.keys == ["training.extended"]
    assert Run.open(first.path).config.epochs == 4
    assert_same_run(longer, whole)
    said = Notes()
    assert resume(first.path, listener=said).summary()["steps"] == longer.summary()["steps"]
    assert said.keys == ["training.was_done"]
    for ends, reason in (({"epochs": 3}, "done 4"), ({"lr": 1}, "--lr"), ({"epochs": 0}, "epochs"), ({"lrr": 1}, "lr")):
        with pytest.raises(UsageError, match=reason):
            resume(first.path, **ends)
    assert Run.open(first.path).config.epochs == 4


def test_a_set_that_has_moved_is_named_once(striped, tmp_path):
    """Its pixels decide whether it is the same set; the run keeps the new place, and names that were in a file."""
    photos, names = tmp_path / "photos", tmp_path / "names.txt"
    shutil.copytree(striped, photos)
    names.write_text("rows\ncolumns\ndiagonals")
    config = replace(CONFIG, size=16, batch_size=32, augment="none", epochs=1, classes=str(names))
    run = train(photos, config, tmp_path / "run")
    photos.rename(tmp_path / "elsewhere")
    names.unlink()
    with pytest.raises(DataError, match="--photos"):
        resume(run.path)
    assert Run.open(run.path, photos=tmp_path / "elsewhere").open_photos().fingerprint == run.data["fingerprint"]
    assert Run.open(run.path).data["path"] == str(photos)  # reading changes nothing
    moved = resume(run.path, photos=tmp_path / "elsewhere", epochs=2)
    assert moved.summary()["epochs"] == 2
    assert len(Run.open(run.path).open_photos().rows("valid")) == 24
    next((tmp_path / "elsewhere" / "training").iterdir()).unlink()
    with pytest.raises(RunError, match="no longer those"):
        resume(run.path, photos=tmp_path / "elsewhere")


class Killer(Listener):
    """Fails at a moment of the fit, and leaves the files as a kill would."""

    def __init__(self, moment):
        self.moment = moment

    def working(self, stage, done, total):
        if self.moment == "features" and stage == "features":
            raise InterruptedError

    def note(self, key, **values):
        if self.moment == "fit" and key == "training.head_fitted":
            raise InterruptedError

    def epoch_ended(self, row):
        if self.moment == "history":
            raise InterruptedError


ONLY_HEAD = {"fit_head": True, "freeze": "all", "epochs": 20, "augment": "none", "save_every_epoch": True}


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["features", "fit", "history"])
@pytest.mark.parametrize(
    "changes",
    [pytest.param(FITTED, marks=pytest.mark.slow, id="then all layers"), pytest.param(ONLY_HEAD, id="only head")],
)
def test_killed_while_the_classifier_is_fitted(striped, tmp_path, monkeypatch, changes, moment):
    config = replace(CONFIG, **{"epochs": 1, "size": 16, **changes})
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "other"))
    alone = train(striped, config, tmp_path / "alone")
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InterruptedError):
        train(striped, config, tmp_path / "run", listener=Killer(moment))
    resumed = resume(tmp_path / "run")
    assert resumed.summary()["stopped"] == "done"
    assert resumed.saved_epochs() == alone.saved_epochs()
    assert_same_run(resumed, alone)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [FITTED, ONLY_HEAD], ids=["then all layers", "only head"])
@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.1])
def test_killed_soon_after_the_first_checkpoint(striped, tmp_path, monkeypatch, changes, seconds):
    config = replace(CONFIG, **{"epochs": 1, **changes})
    alone = train(striped, config, tmp_path / "alone")
    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))  # so that features are computed again
    out, seen = tmp_path / "run", []

    def happened():
        if (out / "checkpoints" / "last.safetensors").exists():
            seen.append(time.monotonic())
        return seen and time.monotonic() - seen[0] >= seconds

    assert kill_when(start(out, striped, config), happened)
    assert_same_run(resume(out), alone)


def test_an_interrupt_while_features_are_computed_is_gentle(striped, tmp_path, monkeypatch):
    class Impatient(Listener):
        def working(self, stage, done, total):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setenv("THALWEG_CACHE", str(tmp_path / "cache"))
    config = replace(CONFIG, size=16, **ONLY_HEAD)
    stopped = train(striped, config, tmp_path / "run", listener=Impatient())
    assert (stopped.summary()["stopped"], stopped.summary()["steps"]) == ("interrupted", 0)
    resumed = resume(stopped.path)
    assert resumed.summary()["steps"] > 0
    with pytest.raises(UsageError, match="only fits its classifier"):
        resume(stopped.path, epochs=99)
