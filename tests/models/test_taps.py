import copy

import pytest
import torch
from torch import nn

from thalweg.models import build, features, names


def naive(model, images):
    """Without hooks: layer by layer."""
    maps = images
    for index, stage in enumerate(model.stages):
        maps = stage(maps)
        if index == model.middle:
            half_h, half_w = maps.shape[2] // 2, maps.shape[3] // 2
            rows = (maps[:, :, :half_h], maps[:, :, half_h:])
            cells = [part.mean(dim=(2, 3)) for row in rows for part in (row[..., :half_w], row[..., half_w:])]
            mid = torch.stack(cells, dim=2).flatten(1)
    top = model.neck(maps)
    return {"mid": mid, "top": top, "logits": model.classifier(top)}


@pytest.mark.parametrize("name", names())
def test_features_are_those_of_the_layers(name):
    torch.manual_seed(0)
    model = build(name, classes=5, size=64).eval()
    images = torch.randn(3, 3, 64, 64)
    with torch.inference_mode():
        expected = naive(model, images)
        found = features(model, images)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value)


def hooks_of(model):
    return [hook for module in model.modules() for hook in (*module._forward_hooks, *module._forward_pre_hooks)]


def test_hooks_are_gone_afterwards_also_when_the_model_fails():
    model = build("resnet18-half", classes=5, size=32)
    features(model, torch.randn(2, 3, 32, 32))
    assert not hooks_of(model)
    with pytest.raises(RuntimeError):
        features(model, torch.randn(2, 4, 32, 32))
    assert not hooks_of(model)


def test_looking_at_features_changes_nothing():
    torch.manual_seed(0)
    model = build("cnn", classes=5, size=32).eval()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    images = torch.randn(2, 3, 32, 32)
    state = torch.get_rng_state()
    found = features(model, images)
    assert torch.equal(found["logits"], model(images))
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_copy_has_taps_of_its_own():
    model = build("resnet18-half", classes=5, size=32)
    twin = copy.deepcopy(model)
    assert twin.taps["mid"] is twin.stages[2]
    assert twin.taps["mid"] is not model.taps["mid"]


def test_maps_of_one_pixel_and_tokens_become_vectors():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.mid = nn.Linear(3, 4)
            self.head = nn.Linear(4, 2)
            self.taps = {"mid": self.mid, "top": self.head}

        def forward(self, images):
            tokens = self.mid(images.flatten(2).transpose(1, 2))
            return self.head(tokens[:, 0])

    images = torch.randn(2, 3, 5, 5)
    model = Tokens()
    found = features(model, images)
    torch.testing.assert_close(found["mid"], model.mid(images.flatten(2).transpose(1, 2)).mean(1))
    assert found["top"].shape == (2, 4)
    small = build("cnn", classes=2, size=32).eval()
    small.middle = 4  # its maps have one pixel
    assert features(small, torch.randn(2, 3, 32, 32))["mid"].shape == (2, 512)


def test_maps_with_channels_at_the_end_are_pooled_over_their_sides():
    class Swapped(nn.Module):
        output_fmt = "NHWC"

        def __init__(self):
            super().__init__()
            self.mid = nn.Linear(3, 6)
            self.head = nn.Linear(6, 2)
            self.taps = {"mid": self.mid, "top": self.head}

        def forward(self, images):
            return self.head(self.mid(images.movedim(1, -1)).mean(dim=(1, 2)))

    model, images = Swapped(), torch.randn(2, 3, 4, 4)
    found = features(model, images)
    assert found["mid"].shape == (2, 6 * 4)
    torch.testing.assert_close(found["mid"].reshape(2, 6, 4).mean(2), found["top"])
