"""The bridge to timm, with a small stand-in for timm: the real one needs a torchvision that is built for this torch."""

import copy
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from thalweg.errors import ThalwegError, UsageError
from thalweg.models import build, describe, features
from thalweg.models.depthwise import DepthwiseConv2d


class Convolutional(nn.Module):
    def __init__(self, classes, *, listed):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.layer1 = nn.Conv2d(4, 6, 3, 2, 1)
        self.layer2 = nn.Conv2d(6, 8, 3, 2, 1)
        self.deep = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.fc = nn.Linear(8, classes)
        if listed:
            self.feature_info = [{"module": "stem"}, {"module": "layer1"}, {"module": "layer2"}]

    def forward(self, images):
        return self.fc(self.deep(self.layer2(self.layer1(self.stem(images)))).mean(dim=(2, 3)))


class Transformer(nn.Module):
    def __init__(self, classes, img_size):
        super().__init__()
        self.img_size = img_size
        self.patches = nn.Conv2d(3, 6, 8, 8)
        self.blocks = nn.Sequential(*(nn.Linear(6, 6) for _ in range(4)))
        self.head = nn.Linear(6, classes)

    def forward(self, images):
        assert images.shape[-1] == self.img_size
        return self.head(self.blocks(self.patches(images).flatten(2).transpose(1, 2)).mean(1))


class Listing(Convolutional):
    """Its middle stage gives a list, and a convolution over one pixel is its classifier."""

    def __init__(self, classes):
        super().__init__(classes, listed=True)
        self.fc = nn.Conv2d(8, classes, 1)
        self.layer1 = nn.Sequential(self.layer1)
        self.layer1.register_forward_hook(lambda _module, _inputs, output: [output])

    def forward(self, images):
        (maps,) = self.layer1(self.stem(images))
        return self.fc(self.deep(self.layer2(maps)).mean(dim=(2, 3), keepdim=True)).flatten(1)


def create_model(name, *, pretrained, num_classes, **options):
    assert not pretrained
    if name == "fixed":
        options["img_size"] = 224
    if name == "listing":
        return Listing(num_classes)
    if name in ("vit", "fixed"):
        return Transformer(num_classes, **options)
    return Convolutional(num_classes, listed=name == "convnet", **options)


@pytest.fixture
def timm(monkeypatch):
    module = ModuleType("timm")
    module.list_models = lambda: ["convnet", "unlisted", "vit", "fixed", "listing"]
    module.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", module)
    return module


@pytest.mark.parametrize(("name", "mid"), [("convnet", "layer1"), ("unlisted", ""), ("vit", "blocks.2")])
def test_taps_are_found(timm, name, mid):
    model = build(f"timm:{name}", classes=5, size=32)
    assert model.training
    assert model.taps["mid"] is model.get_submodule(mid)
    assert model.taps["top"].out_features == 5
    found = features(model, torch.randn(2, 3, 32, 32))
    assert found["logits"].shape == (2, 5)
    assert found["top"].shape == (2, model.taps["top"].in_features)
    assert found["mid"].shape[0] == 2
    assert found["mid"].ndim == 2


def test_where_a_stage_gives_lists_the_classifier_is_looked_at(timm):
    model = build("timm:listing", classes=5, size=32)
    assert model.taps == {"mid": model.fc, "top": model.fc}
    found = features(model, torch.randn(2, 3, 32, 32))
    assert {name: tuple(found[name].shape) for name in found} == {"mid": (2, 5), "top": (2, 8), "logits": (2, 5)}


def test_a_copy_has_taps_of_its_own(timm):
    model = build("timm:convnet", classes=5, size=32)
    twin = copy.deepcopy(model)  # as choosing a format and averaging weights do
    assert twin.taps["mid"] is twin.get_submodule("layer1")


def test_weights_keep_timms_names(timm):
    assert set(build("timm:vit", classes=5, size=32).state_dict()) == set(Transformer(5, 32).state_dict())


def test_its_depthwise_convolutions_are_quick(timm):
    assert isinstance(build("timm:convnet", classes=5, size=32).deep, DepthwiseConv2d)


def test_it_is_described(timm):
    card = describe("timm:convnet", size=32, classes=5)
    assert card.parameters == (27 * 4 + 4) + (36 * 6 + 6) + (54 * 8 + 8) + (9 * 8 + 8) + (8 * 5 + 5)
    assert card.flops == 2 * (27 * 4 * 256 + 36 * 6 * 64 + 54 * 8 * 16 + 9 * 8 * 16 + 8 * 5)


def test_an_unknown_name_offers_the_nearest(timm):
    with pytest.raises(UsageError, match=r"'convnext'.*convnet"):
        build("timm:convnext", classes=5, size=32)


def test_a_size_that_the_model_refuses_is_said(timm):
    with pytest.raises(UsageError, match="32 px"):
        build("timm:fixed", classes=5, size=32)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("operator torchvision::nms does not exist"), ModuleNotFoundError("torchvision", name="torchvision")],
)
def test_a_timm_that_cannot_be_imported_is_said(monkeypatch, error):
    class Broken:
        def find_spec(self, name, *_):
            if name == "timm":
                raise error

    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ThalwegError, match="torchvision") as caught:
        build("timm:resnet50", classes=3, size=64)
    assert caught.value.key == "models.broken_timm"
