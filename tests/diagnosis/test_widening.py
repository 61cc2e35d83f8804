"""A network is too small if a larger one learns what it cannot."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from thalweg import watch
from thalweg.diagnosis.measures.gains import Gains
from thalweg.diagnosis.measures.trial_gains import TrialGains
from thalweg.diagnosis.measures.widening import WIDE, enlarge
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


def rings(count, seed=0):
    """Two classes: a disc, and the ring around it."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (count,), generator=generator)
    angle = 2 * torch.pi * torch.rand(count, generator=generator)
    radius = 0.8 + 1.2 * labels + 0.2 * torch.randn(count, generator=generator)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1), labels


class Skipping(nn.Module):
    """A narrow layer whose output goes to two others."""

    def __init__(self):
        super().__init__()
        self.narrow, self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        narrow = self.narrow(x)
        return self.first(narrow) + self.second(narrow)


def enlarged(model, batch):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    copied = Copy.of(model, optimizer, cross_entropy)
    done = enlarge(copied, batch)
    held = {id(p) for group in copied.optimizer.param_groups for p in group["params"]}
    assert not done or held == {id(p) for p in copied.model.parameters()}
    return done, copied.model


@pytest.mark.parametrize(
    ("model", "widths"),
    [
        (nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 2)), (WIDE, 2)),
        (
            nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2), nn.BatchNorm1d(2), nn.Linear(2, 2)),
            (32, WIDE, 2),
        ),
        (nn.Sequential(nn.Linear(2, 2)), (WIDE, 2)),
    ],
    ids=["one hidden unit", "a norm between", "no hidden layer"],
)
def test_the_narrowest_layer_becomes_wide(model, widths):
    done, larger = enlarged(model, Batch(*rings(16)))
    assert done
    assert tuple(m.out_features for m in larger.modules() if isinstance(m, nn.Linear)) == widths


def test_a_convolution_becomes_wide():
    model = nn.Sequential(nn.Conv2d(3, 1, 3), nn.ReLU(), nn.Conv2d(1, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    done, larger = enlarged(model, Batch(torch.randn(4, 3, 8, 8), torch.zeros(4, dtype=torch.long)))
    assert done
    assert larger[0].out_channels == larger[2].in_channels == WIDE


@pytest.mark.parametrize(
    "model",
    [Skipping(), nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))],
    ids=["its output goes to two layers", "nothing narrow"],
)
def test_what_is_not_narrow_or_read_elsewhere_is_left(model):
    assert not enlarged(model, Batch(*rings(16)))[0]


def directions(count, seed):
    """Points on rings, and which of eight directions each is in; neighbors have numbers far apart."""
    points, _ = rings(count, seed)
    turns = (torch.atan2(points[:, 1], points[:, 0]) + torch.pi) / (2 * torch.pi)
    return points, (3 * (8 * turns).long().clamp(0, 7)) % 8


@pytest.mark.slow
@pytest.mark.parametrize(("units", "small"), [(1, True), (32, False)])
def test_a_watched_network_of_one_unit_is_called_too_small(units, small):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, units), nn.Linear(units, 32), nn.ReLU())
    model.append(nn.Linear(32, 8))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with watch(model, optimizer) as watching:
        for step in range(150):
            points, labels = directions(64, step)
            optimizer.zero_grad()
            loss = cross_entropy(model(points), labels)
            loss.backward()
            optimizer.step()
            watching.step(loss)
    verdict = watching.diagnose(batch=(points, labels), loss_fn=cross_entropy, seconds=60)
    assert (verdict.code == "model_too_small") == small, verdict.explain()
    assert verdict.ill == small


class Reader(nn.Module):
    """A recurrent layer that reads numbers, and a line from its last state."""

    def __init__(self, kind, units, **named):
        super().__init__()
        self.rnn = kind(3, units, batch_first=True, **named)
        self.out = nn.Linear(units * (2 if named.get("bidirectional") else 1), 2)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_recurrent_layer_becomes_wide_and_stays_of_its_kind(kind, layers):
    named = {"num_layers": layers} | ({"nonlinearity": "relu"} if kind is nn.RNN else {})
    done, larger = enlarged(Reader(kind, 2, **named), Batch(torch.randn(4, 5, 3), torch.zeros(4, dtype=torch.long)))
    assert done
    assert (type(larger.rnn), larger.rnn.hidden_size, larger.rnn.num_layers) == (kind, WIDE, layers)
    assert larger.rnn.batch_first
    assert larger.out.in_features == WIDE
    assert kind is not nn.RNN or larger.rnn.nonlinearity == "relu"


@pytest.mark.parametrize("named", [{"bidirectional": True}, {}])
def test_a_recurrent_layer_of_two_directions_or_enough_units_is_left(named):
    model = Reader(nn.GRU, 2 if named else 8, **named)
    assert not enlarged(model, Batch(torch.randn(4, 5, 3), torch.zeros(4, dtype=torch.long)))[0]


def test_a_wider_network_gets_as_many_steps_as_the_training_had():
    """It begins anew: what it could gain shows late."""
    torch.manual_seed(0)
    pictures = torch.randn(256, 8) @ torch.randn(8, 24)
    model = nn.Sequential(nn.Linear(24, 1), nn.Linear(1, 24))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    for _ in range(600):
        optimizer.zero_grad()
        mse_loss(model(pictures), pictures).backward()
        optimizer.step()
    batches = [Batch(pictures[at : at + 64], pictures[at : at + 64]) for at in range(0, 256, 64)]
    gains = Gains(model, optimizer, mse_loss, batches, float(pictures.var()), a_step=1e-3, seconds=60.0)

    def larger(steps):
        return TrialGains(gains, {"fit_left": 0.5, "steps": steps}).measures()["tried_larger"]

    assert larger(600.0) > larger(45.0) + 0.3
