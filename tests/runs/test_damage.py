"""Whatever is wrong with a run's folder is one sentence that names the file, and the tolerant reader goes on."""

import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from thalweg.diagnosis import diagnose_path
from thalweg.diagnosis.watching import FORMAT
from thalweg.errors import RunError, UnknownNameError
from thalweg.runs import Run, RunFolder, TrainingConfig
from thalweg.training import train
from thalweg.training.session import reopen


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
        ("size = 16", "size = 4096", "at most 16"),
        ("size = 16", "size = 0x" + "f" * 5000, "a number of 20,000 bits"),
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
    (tmp_path / "folds" / "0").mkdir(parents=True)
    with pytest.raises(RunError, match="holds the runs of several folds"):
        Run.open(tmp_path)


def test_a_split_that_does_not_exist_names_those_that_do(run):
    with pytest.raises(UnknownNameError, match="valid"):
        Run.open(run).probabilities("validation")


def rewritten(path, change):
    """A checkpoint with other facts beside the same tensors."""
    with safe_open(path, "numpy") as file:
        tensors, facts = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    save_file(tensors, path, {"thalweg": change(facts["thalweg"])})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: "[]", "format"),
        (lambda _: "[" * 100_000, "cannot be read"),
        (lambda text: text.replace('"state": {', '"stale": {'), "state is missing"),
        (lambda text: text.replace('"epoch": 1', '"epoch": "one"'), "state"),
        (lambda text: text.replace('"clock": {', '"clock": 5, "cluck": {'), "clock is 5"),
        (lambda text: text.replace('"optimizer": {', '"optimizer": {"99.step": 1, '), "optimizer's state"),
        (lambda text: text.replace('"group0.betas": {"tuple": [0.9', '"group0.betas": {"tuple": ["x"'), "betas"),
        (lambda text: text.replace('"group0.weight_decay": 0', '"group0.weight_decay": "x", "group0.x": 0'), "decay"),
    ],
)
def test_a_checkpoint_with_other_facts_is_named(run, change, said):
    rewritten(run / "checkpoints" / "last.safetensors", change)
    with pytest.raises(RunError, match=said) as caught:
        reopen(run)
    assert "last.safetensors" in str(caught.value)


@pytest.mark.parametrize("shape", [[2**50], [2**40, 2**40], [0, 2**62], [3]])
def test_a_tensor_of_a_declared_shape_costs_no_memory(run, shape):
    """A header may say anything; what it says is compared with the file, not allocated."""
    file = run / "checkpoints" / "best.safetensors"
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = next(name for name in header if name != "__metadata__")
    header[name]["shape"] = shape
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    with pytest.raises(RunError, match=r"best\.safetensors"):
        Run.open(run).load_network()


def test_weights_that_are_not_finite_are_not_used(run):
    best = run / "checkpoints" / "best.safetensors"
    tensors = {
        name: np.full_like(tensor, np.nan) if tensor.dtype.kind == "f" else tensor
        for name, tensor in load_file(best).items()
    }
    save_file(tensors, best, {"thalweg": json.dumps({"format": "thalweg-checkpoint-1", "epoch": 1})})
    with pytest.raises(RunError, match="not finite"):
        Run.open(run).load_network()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{}", "format"),
        ("[]", r"watch\.json"),
        ("[" * 100_000, "too deeply"),
        (json.dumps({"format": FORMAT}), "measures is missing"),
        (json.dumps({"format": FORMAT, "measures": [], "problems": []}), "measures"),
        (json.dumps({"format": FORMAT, "measures": {"loss": "x"}, "problems": []}), "table of numbers"),
        (json.dumps({"format": FORMAT, "measures": {"loss": 10**400}, "problems": []}), "table of numbers"),
        (json.dumps({"format": FORMAT, "measures": {"loss": 1.0}, "problems": 5}), "problems"),
    ],
)
def test_a_damaged_watch_is_named(tmp_path, content, said):
    (tmp_path / "watch.json").write_text(content)
    with pytest.raises(RunError, match=said):
        diagnose_path(tmp_path)


def test_a_watch_of_another_version_is_diagnosed(tmp_path):
    facts = {"format": FORMAT, "measures": {"loss": None, "unheard_of": 1.0}, "problems": ["unheard_of"]}
    (tmp_path / "watch.json").write_text(json.dumps(facts))
    assert str(diagnose_path(tmp_path))


@pytest.mark.parametrize("header", ["[" * 100_000, '{"units": {}}', "5", '["format"]'])
@pytest.mark.parametrize("units", ["{}", '{"step": {}}', '{"loss": "", "step": ""}', "[]", "5"])
def test_a_history_with_another_header_is_named(run, header, units):
    for text in (header, f'{{"format": "thalweg-history-1", "units": {units}}}'):
        (run / "history" / "layers").write_text(text + "\n")
        with pytest.raises(RunError, match="layers"):
            Run.open(run).layers()


def test_a_damaged_list_of_photos_is_named(run):
    for content in (b"\xff\xfe", b"a,b\n1,2\n", b'path,split,label\n"x,valid,a\n'):
        (run / "split.csv").write_bytes(content)
        with pytest.raises(RunError, match=r"split\.csv"):
            Run.open(run).read_split("valid")
