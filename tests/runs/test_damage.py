"""Whatever is wrong with a run's folder is one sentence that names the file, and the tolerant reader goes on."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from thalweg.errors import RunError, UnknownNameError
from thalweg.runs import Run, RunFolder, TrainingConfig
from thalweg.training import train


CONFIG = TrainingConfig(
    model="resnet-small", size=16, epochs=1, batch_size=32, augment="none", precision="fp32", layout="channels-last"
)


@pytest.fixture(scope="module")
def whole(striped, tmp_path_factory):
    return train(striped, CONFIG, tmp_path_factory.mktemp("whole") / "run").path


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("size = 16", "size = 28.5", "size is 28.5"),
        ("size = 16", "size = 1000000", "size is 1000000"),
        ("size = 16\n", "", "size is missing"),
        ('model = "resnet-small"', "model = 5", "--model must be a text"),
        ('resize = "stretch"', "resize = 5", "5"),
        ("batch_size = 32", 'batch_size = "32"', "--batch-size must be a whole number"),
        ("epochs = 1", "epochs = nan", "--epochs must be a whole number"),
        ("lr = 0.002", "lr = inf", "--lr must lie in"),
        ("threads = ", "threads = 99999 # ", "threads is 99999"),
        ('precision = "fp32"\nlayout', 'precision = "fp8"\nlayout', "precision is 'fp8'"),
        ("[data]", "[data]\nx = " + "[" * 5000 + "]" * 5000, "cannot be read"),
        ("[data]", "[date]", "data is missing"),
        ("format = 2", "format = 9", "format 9"),
        ("format = 2", 'format = [["x"]]', "format"),
        ("class_shares = [", "class_shares = [0.5, ", "class_shares"),
        ("stored = 16", "stored = true", "stored is True"),
        ("levels = {}", 'levels = {"I;16" = [9, 1]}', "levels is"),
        ("levels = {}", 'levels = {"F" = [0, nan]}', "levels is"),
        ("levels = {}", 'levels = {"F" = 5}', "levels is"),
        ("levels = {}", 'levels = {"L" = [0, 1]}', "levels is"),
        ('ground = "visible"', "ground = []", "ground is"),
        ('ground = "visible"', 'ground = "green"', "ground is"),
        ("seed = 0", "seed = 0\nwarp = 9", "warp"),
    ],
)
def test_a_damaged_configuration_is_named(run, old, new, said):
    text = (run / "config.toml").read_text(encoding="utf-8")
    assert old in text
    (run / "config.toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(RunError, match=said) as caught:
        Run.open(run)
    assert "\n" not in str(caught.value)
    RunFolder(run).read_all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "summary.json"),
        ("{}", "stopped is missing"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        (json.dumps({"stopped": "done", "epochs": "one", "steps": 1, "seconds": {"total": 1}}), "epochs is 'one'"),
        (json.dumps({"stopped": "done", "epochs": 1, "steps": 1, "seconds": []}), "seconds"),
        ('{"stopped": "done", "epochs": 1, "steps": 1, "seconds": {"total": 1}, "temperature": NaN}', "temperature"),
        (json.dumps({"stopped": 1, "epochs": 1, "steps": 1, "seconds": {"total": 1}}), "stopped is 1"),
    ],
)
def test_a_damaged_summary_is_named(run, content, said):
    (run / "summary.json").write_text(content)
    with pytest.raises(RunError, match=said):
        Run.open(run).summary()
    assert isinstance(RunFolder(run).read_all().summary, dict)


@pytest.mark.parametrize(
    "arrays",
    [
        {"logits": np.zeros((24, 3), np.float32)},
        {"logits": np.zeros((24, 4), np.float32), "labels": np.zeros(24, np.int64)},
        {"logits": np.full((24, 3), np.nan, np.float32), "labels": np.zeros(24, np.int64)},
        {"logits": np.zeros((24, 3), np.float32), "labels": np.full(24, 7)},
        {"logits": np.zeros((24, 3), np.float32), "labels": np.zeros(23, np.int64)},
        {"logits": np.zeros((24, 3), np.float32), "labels": np.zeros(24, np.float32)},
        {"logits": np.zeros((0, 3), np.float32), "labels": np.zeros(0, np.int64)},
        {"logits": np.zeros((24, 3), np.float32), "labels": np.zeros(24, np.int64), "mid": np.zeros(24, np.float32)},
    ],
)
def test_outputs_that_do_not_fit_are_named(run, arrays):
    save_file(arrays, run / "evaluation.safetensors")
    with pytest.raises(RunError, match=r"evaluation\.safetensors"):
        Run.open(run).probabilities()


def test_a_history_of_other_columns_is_named(run):
    for name in ("steps", "epochs"):
        file = run / "history" / name
        header, _, rows = file.read_bytes().partition(b"\n")
        file.write_bytes(header.replace(b'"epoch"', b'"eqoch"') + b"\n" + rows)
        with pytest.raises(RunError, match=name):
            getattr(Run.open(run), name)()


def test_a_checkpoint_cut_off_is_named(run):
    best = run / "checkpoints" / "best.safetensors"
    best.write_bytes(best.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"best\.safetensors"):
        Run.open(run).load_network()
    best.unlink()
    with pytest.raises(RunError, match="no epoch has finished"):
        Run.open(run).load_network()
    with pytest.raises(RunError, match="--save-every-epoch"):
        Run.open(run).load_network(0)


def test_no_run_at_all(tmp_path):
    with pytest.raises(RunError, match="not a run"):
        Run.open(tmp_path)
    with pytest.raises(RunError, match="not a run"):
        Run.open(str(tmp_path / "none"))


def test_a_split_that_does_not_exist_names_those_that_do(run):
    with pytest.raises(UnknownNameError, match="valid"):
        Run.open(run).probabilities("validation")
