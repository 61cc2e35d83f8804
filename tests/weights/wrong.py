"""Two hundred files and names that are no weights for the network, each with the sentence that it gets."""

import io
import json
import os
import pickle
import random
import struct
import zipfile

import torch
from safetensors.torch import save
from torch import nn

from thalweg.models import build
from thalweg.models.network import Network, conv_norm, global_average


NETWORK, SIZE = "tiny", 8
FIRST = "stages.0.0.weight"
VARIANCE = "stages.1.1.running_var"


def tiny():
    """A network of a few hundred values, so that two hundred files take a moment."""
    torch.manual_seed(0)
    stages = [conv_norm(3, 4), conv_norm(4, 6), conv_norm(6, 6)]
    return Network(stages, global_average(), nn.Linear(6, 3), middle=1)


class Code:
    """What a hostile file runs when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def state():
    return dict(tiny().state_dict())


def zipped(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def legacy(content):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def header(text, claimed=None):
    return struct.pack("<Q", len(text) if claimed is None else claimed) + text


def archive(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in names.items():
            file.writestr(name, content)
    return buffer.getvalue()


def with_(name, value):
    return zipped({**state(), name: value})


def other_network(name, size=64):
    return zipped(build(name, classes=5, size=size).state_dict())


def named(*rows):
    """A state_dict in somebody else's names."""
    return zipped({f"{name}.{end}": torch.zeros(4, 4, 3, 3) for name in rows for end in ("weight", "bias")})


def _cut():
    """Files that end too early."""
    rng = random.Random(0)
    whole = {"safetensors": save(state()), "pth": zipped(state()), "old.pth": legacy(state())}
    for ending, content in whole.items():
        places = [1, 7, 8, 9, len(content) - 1, len(content) // 2]
        places += [rng.randrange(10, len(content) - 1) for _ in range(16)]
        for place in places:
            yield f"cut-{place}.{ending}", content[:place], "damaged|no file of weights|claims a header"


def _code():
    """Files that would run something."""
    for kind, function, argument in [
        ("system", os.system, "touch RAN"),
        ("eval", eval, "open('RAN', 'w')"),
        ("exec", exec, "open('RAN', 'w')"),
        ("open", open, "RAN"),
        ("remove", os.remove, "x"),
        ("mkdir", os.mkdir, "RAN"),
    ]:
        code = Code(function, argument)
        for place, content in [
            ("alone", code),
            ("state_dict", {"state_dict": code}),
            ("tensor", {**state(), "x": code}),
        ]:
            yield f"{kind}-{place}.pth", zipped(content), f"holds code.*{kind}"
        yield f"{kind}-old.pt", legacy({"model": code}), "holds code|damaged"
        yield f"{kind}-bare.bin", pickle.dumps(code), "holds code|damaged"


def _others():
    """Files of something else."""
    yield from [
        ("empty.pth", b"", "is empty"),
        ("keras.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "Keras"),
        ("keras.pth", b"\x89HDF\r\n\x1a\n" + bytes(99), "Keras"),
        ("pointer.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        ("pointer.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        ("page.pth", b"<!DOCTYPE html><html>404</html>", "web page"),
        ("page.safetensors", b"\n <html><body>Sign in</body></html>", "web page"),
        ("packed.pth", b"\x1f\x8b\x08" + bytes(99), "gzip"),
        ("array.bin", b"\x93NUMPY\x01\x00" + bytes(99), "NumPy"),
        ("photo.pt", b"\xff\xd8\xff\xe0" + bytes(99), "photo"),
        ("photo.bin", b"\x89PNG\r\n\x1a\n" + bytes(99), "photo"),
        ("words.bin", b"GGUF\x03" + bytes(99), "language model"),
        ("text.pth", b"hello, these are not weights", "begins with the bytes"),
        ("arrays.pth", archive({"a.npy": b"x", "b.npy": b"y"}), "archive of other files"),
        ("script.pt", archive({"m/constants.pkl": b"x", "m/data.pkl": b"y", "m/code/x.py": b"z"}), "TorchScript"),
        ("bomb.pth", archive({"m/data.pkl": b"x", "m/data/0": bytes(1 << 24)}), "would unpack"),
        ("list.pth", zipped([torch.zeros(2)]), "no tensors by name"),
        ("tensor.pth", zipped(torch.zeros(2)), "no tensors by name"),
        ("number.pth", zipped(3), "no tensors by name"),
        ("none.pth", zipped(None), "no tensors by name"),
        ("text-inside.pth", zipped({"state_dict": "see the README"}), "no tensors by name"),
        ("nothing.pth", zipped({}), "no tensors by name"),
        ("nothing.safetensors", save({}), "no tensors by name"),
        ("by-number.pth", zipped({0: torch.zeros(2), 1: torch.zeros(2)}), "no tensors by name"),
        ("log.pth", zipped({"epoch": 3, "accuracy": 0.9}), "no tensors by name"),
        ("deep.pth", zipped({"model": {"model": {"model": {"model": {"model": {"model": state()}}}}}}), "no tensors"),
    ]


def _headers():
    """Files of safetensors whose header lies."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    for claimed in (100 * 10**9, 2**63 - 1, 2**64 - 1, 10**8 + 1, 10**6):
        yield f"claims-{claimed}.safetensors", header(b"{}", claimed), "claims a header"
    for kind, table in {
        "beyond": {"x": {**entry, "data_offsets": [0, 10**12], "shape": [10**12 // 4]}},
        "backwards": {"x": {**entry, "data_offsets": [8, 0]}},
        "negative": {"x": {**entry, "shape": [-2]}},
        "type": {"x": {**entry, "dtype": "F33"}},
        "overlap": {"x": entry, "y": entry},
        "no-shape": {"x": {"dtype": "F32"}},
        "list": [1, 2],
    }.items():
        yield f"{kind}.safetensors", header(json.dumps(table).encode()) + bytes(8), "damaged"
    yield "not-json.safetensors", header(b"{not json") + bytes(8), "damaged"
    yield "nested.safetensors", header(b"[" * 5000) + bytes(8), "damaged"
    yield "not-text.safetensors", header(b"{\xff\xfe}") + bytes(8), "damaged"


def _optimizers():
    """States of optimizers."""
    model = tiny()
    for kind in ("SGD", "Adam", "RMSprop", "Adagrad"):
        content = getattr(torch.optim, kind)(model.parameters(), lr=0.1).state_dict()
        yield f"{kind}.pth", zipped(content), "optimizer's state"
        yield f"{kind}-inside.pth", zipped({"model": content}), "optimizer's state|no tensors by name"
        yield f"{kind}-entry.pth", zipped({"optimizer": content}), "no tensors by name"


def _networks():
    """Weights of other networks."""
    for name in ("residual", "resnet18-half", "efficientnet-lite0"):
        yield f"{name}.pth", other_network(name), f"does not fit {NETWORK}.*--model {name}"
    yield (
        "detector-a.pth",
        named("backbone.body.conv1", "rpn.head.conv", "roi_heads.box_predictor"),
        "fits none",
    )
    yield "detector-b.pt", named("model.0.conv", "model.1.conv", "model.22.dfl.conv"), "fits none"
    yield "words.bin", named("bert.encoder.layer.0.attention", "cls.predictions"), "fits none"
    yield "vision.pth", named("conv1", "layer1.0.conv1", "layer4.1.conv2", "fc"), "fits none"
    yield "one.safetensors", save({"x": torch.zeros(3)}), "fits none"
    torch.manual_seed(0)
    few = {name: tensor for name, tensor in state().items() if "stages.2" not in name}
    yield "half.pth", zipped(few), "does not fit"
    wide = {name: torch.cat([tensor, tensor]) if tensor.ndim == 4 else tensor for name, tensor in state().items()}
    yield "wide.pth", zipped(wide), "does not fit.*not"
    flat = {name: tensor.flatten() for name, tensor in state().items()}
    yield "flat.pth", zipped(flat), "does not fit"
    plain = {name: tensor for name, tensor in state().items() if "running" not in name}
    yield "no-statistics.pth", zipped(plain), "statistics of its batch norms are missing"
    for channels in (1, 2, 4, 6, 12):
        yield (
            f"{channels}-channels.pth",
            with_(FIRST, torch.zeros(4, channels, 3, 3)),
            f"pictures of {channels} channels",
        )
        inside = {"state_dict": {**state(), FIRST: torch.zeros(4, channels, 3, 3)}}
        yield f"{channels}-wrapped.pth", zipped(inside), f"pictures of {channels} channels"


def _values():
    """The right names and shapes, with values that no network has."""
    for name in (FIRST, VARIANCE, "stages.1.0.weight", "stages.2.1.bias"):
        for kind in ("nan", "inf", "-inf"):
            broken = state()[name].clone()
            broken.view(-1)[-1] = float(kind)
            yield f"{kind}-{name}.pth", with_(name, broken), "NaN, infinite or impossible"
            yield f"{kind}-{name}.safetensors", save({**state(), name: broken}), "NaN, infinite or impossible"
    yield "negative.pth", with_(VARIANCE, -torch.ones(6)), "NaN, infinite or impossible"
    yield "whole.pth", zipped({name: (100 * tensor).to(torch.int8) for name, tensor in state().items()}), "int8"
    yield (
        "huge.pth",
        zipped({name: torch.full_like(tensor.float(), 1e30) for name, tensor in state().items()}),
        "not finite|NaN",
    )
    stretched = torch.zeros(1).expand(1 << 34)
    yield "stretched.pth", with_("x", stretched), "larger than the file"
    yield "sparse.pth", with_(FIRST, state()[FIRST].to_sparse()), "sparse|damaged"


TABLES = {
    table.__name__.strip("_"): table for table in (_cut, _code, _others, _headers, _optimizers, _networks, _values)
}
