"""An exported run says what the run says, without torch; what is no such file is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest

from thalweg.errors import MissingExtraError, RunError, UsageError
from thalweg.i18n import t
from thalweg.prediction import export_onnx, export_run, predict, predict_onnx, quantize_onnx
from thalweg.prediction.onnx_model import OnnxModel
from thalweg.prediction.standalone import Standalone
from thalweg.runs import Run, TrainingConfig
from thalweg.training import train


onnx = pytest.importorskip("onnx", reason='the extra "export" is not installed')
pytest.importorskip("onnxruntime", reason='the extra "export" is not installed')
pytest.importorskip("onnxscript", reason='the extra "export" is not installed')

CONFIG = TrainingConfig(
    model="resnet-small", size=24, epochs=2, batch_size=32, augment="standard", precision="fp32",
    layout="channels-last", threads=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(striped, tmp_path_factory):
    return train(striped, CONFIG, tmp_path_factory.mktemp("exported") / "run")


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    assert export_onnx(run, path) < 1e-4
    return path


@pytest.mark.slow
@pytest.mark.parametrize("tta", [1, 4])
def test_the_file_predicts_as_the_run_does(run, exported, striped, tta):
    expected, found = predict(run.path, striped, tta=tta), predict_onnx([exported], striped, tta=tta)
    np.testing.assert_allclose(found.probability_NC, expected.probability_NC, atol=1e-4)
    assert found.classes == expected.classes
    assert found.photos == expected.photos


def test_torch_is_not_imported(exported, striped):
    code = (
        "import sys; from thalweg.cli import main;"
        f"sys.argv = ['thalweg', 'predict', {str(exported)!r}, {str(striped / 'testing' / '0001.png')!r}];"
        "\ntry: main()\nexcept SystemExit as ended: assert not ended.code, ended.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "%" in done.stdout


def test_the_file_is_valid_and_says_what_it_knows(exported):
    model = onnx.load(exported)
    onnx.checker.check_model(model)
    assert [entry.name for entry in model.graph.input] == ["images"]
    assert any(entry.key == "thalweg" and '"classes"' in entry.value for entry in model.metadata_props)


def test_onnx_of_another_model_is_refused(exported, striped, tmp_path):
    model = onnx.load(exported)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(RunError, match="did not export"):
        predict_onnx([tmp_path / "foreign.onnx"], striped)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(RunError, match="cannot be read"):
        predict_onnx([tmp_path / "text.onnx"], striped)


@pytest.mark.slow
def test_a_file_that_says_something_else_is_not_kept(run, tmp_path, monkeypatch):
    standalone = Standalone.forward
    monkeypatch.setattr(Standalone, "forward", lambda self, images: standalone(self, images).flip(1))
    with pytest.raises(RunError, match="differs"):
        export_onnx(run, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_extra_the_error_names_the_command_that_installs_it(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"thalweg\[export\]"):
        export_onnx(run, tmp_path / "model.onnx")


def test_runs_and_files_do_not_predict_together(run, exported, striped, command_runner):
    from thalweg.cli import predict as command

    with pytest.raises(UsageError, match="cannot predict together"):
        command_runner(command, "predict")(str(run.path), str(exported), str(striped))


@pytest.mark.parametrize(
    "change",
    [
        lambda facts, _: facts.clear(),
        lambda facts, _: facts.update(class_shares=[1.0]),
        lambda facts, _: facts.update(classes=["a", "b"], class_shares=[0.5, 0.5]),  # the graph has three
        lambda facts, _: facts.update(size=4096, stored=4096),
        lambda facts, _: facts.update(size=24.5),
        lambda facts, _: facts.update(classes=5),
        lambda facts, _: facts.update(stored=8),
        lambda _, graph: setattr(graph.input[0].type.tensor_type, "elem_type", onnx.TensorProto.FLOAT),
    ],
)
def test_a_damaged_file_is_refused_before_a_photo_is_decoded(exported, tmp_path, change):
    model = onnx.load(exported)
    facts = json.loads(model.metadata_props[0].value)
    change(facts, model.graph)
    model.metadata_props[0].value = json.dumps(facts)
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(RunError, match=r"damaged\.onnx"):
        OnnxModel.open(tmp_path / "damaged.onnx")


@pytest.mark.slow
def test_an_export_needs_no_photos(run, exported, tmp_path):
    """Noise takes their place, and whoever exports is told; the file is the same."""
    said = []
    lost = Run(run.path, run.config, {**run.data, "path": str(tmp_path / "gone")}, run.environment)
    assert export_onnx(lost, tmp_path / "unseen.onnx", note=lambda key, **values: said.append(t(key, **values))) < 1e-3
    assert len(said) == 1
    assert "gone" in said[0]
    assert (tmp_path / "unseen.onnx").read_bytes() == exported.read_bytes()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's, about TorchScript
@pytest.mark.parametrize(("kind", "ending"), [("torchscript", ".pt"), ("pt2", ".pt2"), ("openvino", ".xml")])
def test_each_kind_of_file_agrees_with_the_run_and_knows_its_classes(run, tmp_path, kind, ending):
    if kind == "openvino":
        pytest.importorskip("openvino", reason='the extra "openvino" is not installed')
    path = tmp_path / f"model{ending}"
    assert export_run(run, kind, path) < 1e-4
    assert b'"classes"' in path.read_bytes() or b"&quot;classes&quot;" in path.read_bytes()
    assert {one.suffix for one in tmp_path.iterdir()} == ({".xml", ".bin"} if kind == "openvino" else {ending})


def test_eight_bits_are_made_of_a_file_of_this_run_only(run, exported, tmp_path):
    noise = tmp_path / "noise.onnx"
    noise.write_bytes(b"noise")
    with pytest.raises(RunError, match="cannot be read as ONNX"):
        quantize_onnx(run, noise)
    model = onnx.load(exported)
    for weights in model.graph.initializer:
        if weights.data_type == onnx.TensorProto.FLOAT and len(weights.dims) > 1:
            weights.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weights), weights.name))
    other = tmp_path / "other.onnx"
    onnx.save(model, other)
    with pytest.raises(RunError, match="was not exported from"):
        quantize_onnx(run, other)
    assert not list(tmp_path.glob("*.int8.*"))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # onnxruntime's
def test_eight_bits_are_measured_beside_the_floats_and_predict_alike(run, exported, striped):
    found = quantize_onnx(run, exported)
    assert found.int8.bytes < 0.5 * found.floats.bytes
    assert found.same > 0.9
    assert found.floats.accuracy == pytest.approx(run.summary()["valid"]["accuracy"])
    kept = json.loads(exported.with_suffix(".int8.json").read_text())
    assert kept["int8"]["accuracy"] == found.int8.accuracy
    assert min(kept["int8"]["photos_per_second"], kept["floats"]["milliseconds"]) > 0
    predicted = predict_onnx([found.path], striped)
    expected = predict_onnx([exported], striped)
    assert np.abs(predicted.probability_NC - expected.probability_NC).max() < 0.2


def test_what_cannot_be_written_is_said_before_the_work(run, tmp_path, monkeypatch, command_runner):
    from thalweg.cli import export as command

    call = command_runner(command, "export")
    with pytest.raises(UsageError, match="Say what to write"):
        call(str(run.path))
    with pytest.raises(UsageError, match="--int8 needs the file"):
        call(str(run.path), "--pt2", str(tmp_path / "model.pt2"), "--int8")
    with pytest.raises(UsageError, match=r"ends with \.xml"):
        export_run(run, "openvino", tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"thalweg\[openvino\]"):
        export_run(run, "openvino", tmp_path / "model.xml")
