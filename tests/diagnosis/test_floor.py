"""The lowest and the highest loss of any outputs: a temperature on the wrong side leaves nothing to learn."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    gaussian_nll_loss,
    kl_div,
    mse_loss,
    normalize,
    poisson_nll_loss,
)

import thalweg
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.batch import of_batch
from thalweg.diagnosis.measures.floor import floor_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


DRAW = torch.Generator().manual_seed(0)
X, LABELS = torch.randn(32, 5, generator=DRAW), torch.arange(32) % 4
HALVES = (torch.arange(32) % 2).float()[:, None]


def shares(spread):
    return (spread * torch.randn(32, 8, generator=DRAW)).softmax(dim=1)


def contrast(scale):
    """The first half of the batch are other views of the second."""

    def loss_fn(z_NF, _targets):
        z_NF, half = normalize(z_NF, dim=1), len(z_NF) // 2
        logits_NN = (scale * z_NF @ z_NF.T).masked_fill(torch.eye(2 * half, dtype=torch.bool), -1e9)
        return cross_entropy(logits_NN, torch.arange(2 * half).roll(half))

    return loss_fn


def pairs(scale):
    def loss_fn(views, _targets):
        logits_NN = scale * normalize(views[0], dim=1) @ normalize(views[1], dim=1).T
        return cross_entropy(logits_NN, torch.arange(len(logits_NN)))

    return loss_fn


def supervised(scale):
    def loss_fn(z_NF, labels_N):
        z_NF = normalize(z_NF, dim=1)
        others_NN = ~torch.eye(len(z_NF), dtype=torch.bool)
        log_NN = (scale * z_NF @ z_NF.T).masked_fill(~others_NN, -1e9).log_softmax(dim=1)
        same_NN = (labels_N[:, None] == labels_N) & others_NN
        return -((log_NN * same_NN).sum(dim=1) / same_NN.sum(dim=1).clamp_min(1)).mean()

    return loss_fn


class Normalized(nn.Sequential):
    """Vectors of length 1, as an encoder for a contrastive loss has."""

    def forward(self, x):
        return normalize(super().forward(x), dim=1)


def of_normalized(scale):
    """The same loss, which takes for granted that the network has normalized its outputs."""

    def loss_fn(z, _targets):
        between_NN = (scale * z @ z.T).fill_diagonal_(-torch.inf)
        return cross_entropy(between_NN, torch.arange(len(z)).roll(len(z) // 2))

    return loss_fn


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 8)

    def forward(self, x):
        return self.layer(x), self.layer(x + 0.1)


def measured(loss_fn, targets=LABELS, model=None, inputs=X):
    torch.manual_seed(0)
    model = nn.Linear(5, 8) if model is None else model
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    batch = Batch(inputs, targets)
    constant = of_batch(copied.model, copied.loss_fn, [batch]).get("loss_constant", math.nan)
    return floor_measures(copied, batch, constant)


def accused(found):
    return found.get("floor_left", 0) > 0.95 and found.get("ceiling_left", math.inf) < 1.1


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        (contrast(0.07),),
        (contrast(0.07), X),
        (supervised(0.07),),
        (pairs(0.07), LABELS, Twice()),
        (of_normalized(0.07), LABELS, Normalized(nn.Linear(5, 8))),
    ],
    ids=["contrast", "without targets", "with labels", "of two outputs", "normalized by the network"],
)
def test_a_temperature_on_the_wrong_side_leaves_nothing_to_learn(case):
    assert accused(measured(*case))


@pytest.mark.parametrize("spread", [0.0, 1e-7, 1e-4, 1e-2])
def test_outputs_that_are_all_alike_are_not_taken_for_normalized(spread):
    """As of a network whose weights a decay has shrunk: only the bias is left."""
    model = nn.Linear(5, 8)
    with torch.no_grad():
        model.weight.mul_(spread)
    assert not accused(measured(cross_entropy, model=model))


def test_the_extremes_of_a_contrastive_loss_are_those_of_the_closed_form():
    """Two samples, no negatives but the other: log(1 + exp(-2 s)) and log(1 + exp(2 s)), for cosines of -1 and 1."""
    scale = 0.2
    found = measured(pairs(scale), LABELS[:2], Twice(), X[:2])
    assert found["floor_left"] == pytest.approx(math.log1p(math.exp(-2 * scale)) / math.log(2), rel=1e-2)
    assert found["ceiling_left"] == pytest.approx(math.log1p(math.exp(2 * scale)) / math.log(2), rel=1e-2)


@pytest.mark.parametrize(
    "case",
    [
        (contrast(1 / 0.07),),
        (contrast(1.0),),
        (supervised(1 / 0.07),),
        (supervised(1 / 0.07), (torch.arange(32) < 2).long()),
        (pairs(1 / 0.07), LABELS, Twice()),
        (of_normalized(1 / 0.07), LABELS, Normalized(nn.Linear(5, 8))),
        (of_normalized(1.0), LABELS, Normalized(nn.Linear(5, 8))),
        (cross_entropy,),
        (nn.CrossEntropyLoss(label_smoothing=0.5),),
        (cross_entropy, shares(1.0)),
        (cross_entropy, shares(1e-3)),
        (cross_entropy, torch.full((32, 8), 1 / 8)),
        (lambda o, t: kl_div(o.log_softmax(1), t, reduction="batchmean"), shares(1.0)),
        (lambda o, y: cross_entropy(o, y) + 100,),
        (lambda o, y: cross_entropy(o.tanh(), y) + 100,),
        (lambda o, y: (o.tanh() - y).square().sum(1).mean() + 50 * math.log(2 * math.pi), shares(1.0)),
        (lambda o, y: cross_entropy(o.softmax(1), y),),
        (lambda o, y: 1 - o.softmax(1).gather(1, y[:, None]).mean(),),
        (lambda o, y: 1 - (o.argmax(1) == y).float().mean(),),
        (lambda o, _: (o * 0).sum() + 1,),
        (mse_loss, torch.randn(32, 1, generator=DRAW), nn.Linear(5, 1)),
        (mse_loss, 1000 * torch.randn(32, 1, generator=DRAW), nn.Linear(5, 1)),
        (binary_cross_entropy_with_logits, HALVES, nn.Linear(5, 1)),
        (binary_cross_entropy_with_logits, 0.5 + 0 * HALVES, nn.Linear(5, 1)),
        (binary_cross_entropy_with_logits, HALVES, nn.Sequential(nn.Linear(5, 1), nn.Sigmoid())),
        (lambda o, y: gaussian_nll_loss(o[:, :1], y, o[:, 1:2].exp()), HALVES),
        (poisson_nll_loss, 1 + (HALVES + HALVES.roll(7)) // 2, nn.Linear(5, 1)),
    ],
)
def test_a_loss_that_outputs_move_is_not_accused(case):
    assert not accused(measured(*case))


def test_a_loss_that_depends_on_weights_is_not_asked():
    torch.manual_seed(0)
    model = nn.Linear(5, 8)

    def penalized(outputs, targets):
        return contrast(0.07)(outputs, targets) + 1000 * model.weight.square().sum()

    assert measured(penalized, LABELS, model) == {}


def test_the_program_is_told_to_check_the_temperature():
    torch.manual_seed(0)
    model, inputs, loss_fn = Twice(), torch.randn(64, 5, generator=DRAW), pairs(0.07)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with thalweg.watch(model, optimizer) as watch:
        for step in range(40):
            rows = torch.arange(32) + 32 * (step % 2)
            optimizer.zero_grad()
            loss = loss_fn(model(inputs[rows]), None)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=(inputs[:32], LABELS), loss_fn=loss_fn, seconds=0.5)
    assert verdict.code == "wrong_loss"
    assert [fix.code for fix in verdict.fixes] == ["temperature"]
    assert "hardly depends on what the network says" in " ".join(str(verdict).split())
    low = {"steps": 100.0, "floor_left": 0.98, "ceiling_left": 1.02, "loss_constant": 2.0, "loss_last": 1.5}
    assert judge(low).code != "wrong_loss"
