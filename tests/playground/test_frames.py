"""Frames are those of the training that one would write by hand; every step comes back as it was."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg import optimizers
from thalweg.errors import UsageError
from thalweg.playground import Fault, Loop, Session, Settings
from thalweg.playground.network import RATES, linear_layers
from thalweg.playground.session import LONGEST_STRIDE, MOST_FRAMES, SHARPNESS_EVERY
from thalweg.playground.settings import OPTIMIZERS


SMALL = {"widths": (5,), "count": 40, "batch": 16}


def session(**settings):
    return Session(Loop(Settings(**{**SMALL, **settings})))


def weights_at(found, header, frame):
    """The weights of one frame, layer by layer."""
    _, arrays = found
    sizes = [2, *(layer["units"] for layer in header["layers"])]
    parts = np.split(arrays["weights"][frame], np.cumsum([a * b for a, b in pairwise(sizes)])[:-1])
    return [part.reshape(b, a) for part, a, b in zip(parts, sizes, sizes[1:], strict=False)]


class TestAgainstAPlainLoop:
    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_weights_and_losses_are_those_of_torch(self, name):
        settings = Settings(**SMALL, optimizer=name, lr=RATES[name], schedule="cosine", total=20, seed=3)
        found = Session(Loop(settings)).frames(0, 13, 1, with_sharpness=False)
        header, arrays = found
        loop = Loop(settings)
        model = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 2))
        model.load_state_dict(dict(zip(model.state_dict(), loop.model.state_dict().values(), strict=True)))
        lab = optimizers.get(name, **({} if name == "rprop" else {"weight_decay": 0.0}))
        optimizer = getattr(torch.optim, lab.torch_class)(model.parameters(), lr=RATES[name], **lab.torch_options())
        for step in range(12):
            inputs, targets = loop.batch(step)
            optimizer.param_groups[0]["lr"] = RATES[name] * 0.5 * (1 + math.cos(math.pi * step / 20))
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            assert arrays["batch_loss"][step + 1] == pytest.approx(loss.item(), abs=1e-6)
        for got, layer in zip(weights_at(found, header, 12), (model[0], model[2]), strict=True):
            np.testing.assert_allclose(got, layer.weight.detach().numpy(), atol=1e-6)
        norm = math.sqrt(sum(float(parameter.grad.square().sum()) for parameter in model.parameters()))
        assert arrays["gradient_norm"][12] == pytest.approx(norm, rel=1e-4)

    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"activation": "relu", "norm": "batch", "dropout": 0.3},
            {"activation": "sigmoid", "norm": "layer", "loss": "mse"},
            {"loss": "bce", "widths": (3, 2)},
            {"widths": ()},
        ],
    )
    def test_maps_are_the_networks_own(self, settings):
        found = session(**settings)
        header, arrays = found.frames(0, 3, 5)
        model, loop = found.loop.model.eval(), found.loop
        left, right, low, high = header["window"]
        row, column = 7, 29  # from the top, from the left
        place = [left + (right - left) * (column + 0.5) / 40, high - (high - low) * (row + 0.5) / 40]
        with torch.no_grad():
            outputs = model(torch.tensor([place]))[0]
            hidden = loop.inputs_N2
            outputs_NC = model(hidden)
        if loop.settings.loss == "bce":
            second = float(outputs.sigmoid())
            probability = [1 - second, second]
        else:
            probability = (outputs.clamp(0, 1) if loop.settings.loss == "mse" else outputs.softmax(0)).tolist()
        winner, sure = (arrays[name].reshape(3, 40, 40)[2, row, column] for name in ("winner", "sure"))
        assert probability[winner] == max(probability)
        assert sure == pytest.approx(255 * max(probability), abs=0.51)
        loss = loop.loss_fn(outputs_NC[loop.held_N], loop.targets_N[loop.held_N])
        assert arrays["held_loss"][2] == pytest.approx(float(loss), abs=1e-5)
        assert arrays["units"].size == 3 * sum(loop.settings.widths) * header["unit_grid"] ** 2


class TestUnits:
    def test_a_unit_is_drawn_by_its_outputs_over_the_plane(self):
        found = session(widths=(1,), activation="linear")
        header, arrays = found.frames(0, 1, 1)
        (layer, _) = linear_layers(found.loop.model)
        grid, (left, right, low, high) = header["unit_grid"], header["window"]
        middle = (np.arange(grid) * 2 + 1.5) / 40
        x, y = np.meshgrid(left + (right - left) * middle, high - (high - low) * middle)
        a, b = layer.weight.detach().numpy()[0]
        expected = a * x + b * y + layer.bias.item()
        shown = (arrays["units"].reshape(grid, grid).astype(float) - 128) / 127 * arrays["unit_scale"][0, 0]
        np.testing.assert_allclose(shown, expected, atol=arrays["unit_scale"][0, 0] / 250)

    def test_dead_and_saturated_units_are_marked(self):
        @torch.no_grad()
        def first_unit_far_off(model):
            linear_layers(model)[0].bias[0] = -50.0

        for activation, state in (("relu", 1), ("tanh", 2), ("sigmoid", 2), ("gelu", 0)):
            loop = Loop(Settings(**SMALL, activation=activation), fault=Fault(network=first_unit_far_off))
            _, arrays = Session(loop).frames(0, 1, 1)
            assert arrays["unit_state"][0, 0] == state
            assert (arrays["unit_state"][0, 1:] == 0).all() or activation == "relu"
            share = arrays["layer_dead"] if state == 1 else arrays["layer_saturated"]
            assert share[0, 0] >= (0.2 if state else 0)


class TestSteps:
    @pytest.mark.parametrize("settings", [{}, {"optimizer": "rprop"}, {"dropout": 0.4, "norm": "batch"}])
    def test_a_step_is_the_same_however_it_is_reached(self, settings):
        found = session(**settings)
        _, once = found.frames(0, 6, 4)
        for start, count, stride in ((8, 2, 8), (0, 1, 1), (20, 1, 1)):
            _, again = found.frames(start, count, stride)
            rows = [start // 4 + place * stride // 4 for place in range(count)]
            for name in set(once) - {"points", "labels", "held"}:
                np.testing.assert_array_equal(again[name], once[name][rows], err_msg=name)

    def test_a_state_on_the_way_is_kept_with_its_gradients(self):
        found = Session(Loop(Settings(**SMALL, optimizer="sgd"), fault=Fault(clear=False)))
        _, once = found.frames(0, 3, 130, with_sharpness=False)
        _, again = found.frames(260, 1, 1, with_sharpness=False)
        np.testing.assert_array_equal(once["weights"][2], again["weights"][0])

    def test_two_sessions_start_alike_and_another_seed_differs(self):
        first, second, third = (session(seed=seed).frames(0, 2, 3)[1] for seed in (1, 1, 2))
        assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)
        assert not np.array_equal(first["weights"], third["weights"])
        assert not np.array_equal(first["points"], third["points"])

    def test_what_is_not_known_before_the_first_step_is_nan(self):
        _, arrays = session().frames(0, 2, 1)
        for name in ("batch_loss", "gradient_norm", "layer_gradient", "layer_update"):
            assert np.isnan(arrays[name][0]).all(), name
            assert np.isfinite(arrays[name][1]).all(), name

    def test_the_end_of_numbers_is_named(self):
        header, arrays = session(optimizer="sgd", lr=1e6, loss="mse").frames(0, 20, 2)
        assert not np.isfinite(arrays["loss"][-1])
        assert np.isfinite(arrays["loss"][header["ended"] // 2 - 1])


class TestSharpness:
    def test_it_is_the_largest_eigenvalue_beside_two_over_the_rate(self):
        found = session(widths=(), optimizer="sgd", lr=0.25, loss="mse")
        header, arrays = found.frames(0, 3, SHARPNESS_EVERY // 2)
        loop = found.loop
        inputs = loop.inputs_N2[loop.train_N]
        ones = torch.cat([inputs, torch.ones(len(inputs), 1)], dim=1).double()
        largest = float(torch.linalg.eigvalsh(ones.T @ ones / len(ones))[-1])  # of two outputs, each for half the mean
        assert arrays["sharpness"][[0, 2]].tolist() == pytest.approx([largest, largest], rel=0.03)
        assert arrays["threshold"][[0, 2]].tolist() == [8.0, 8.0]
        assert np.isnan(arrays["sharpness"][1])
        assert header["threshold_text"] == "2 / η"


@pytest.mark.parametrize(
    ("start", "count", "stride"),
    [(-1, 1, 1), (0, 0, 1), (0, MOST_FRAMES + 1, 1), (0, 2, LONGEST_STRIDE + 1), (9_999, 3, 1), (0, 128, 100)],
)
def test_what_would_take_too_long_is_refused(start, count, stride):
    with pytest.raises(UsageError, match=r"from 0|to 128|to 200|Frames to"):
        session().frames(start, count, stride)


def test_a_large_network_is_asked_for_fewer_steps_at_once():
    found = session(widths=(32,) * 12, count=1_000, batch=1_000)
    with pytest.raises(UsageError, match="steps of so large a network take too long"):
        found.frames(10_000, 1, 1)
    found.frames(2, 1, 1)
