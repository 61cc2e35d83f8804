"""A loss that squeezes its outputs, or casts its labels, is asked as one that is given both alike."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import thalweg
from made import in_turn, train_watched
from thalweg.diagnosis.measures.aligned import with_targets_like_outputs
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


X = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
RARE = X[:, 0] > 1.8


def bce(outputs, targets):
    return functional.binary_cross_entropy_with_logits(outputs, targets)


def aligned(model, loss_fn, targets):
    copied = Copy(model, torch.optim.SGD(model.parameters()), loss_fn)
    batches = [Batch(X[:32], targets[:32]), Batch(X[32:40], targets[32:40])]
    new_fn, again = with_targets_like_outputs(copied, loss_fn, batches)
    for old, new in zip(batches, again, strict=True):
        assert bool(new.loss(model, new_fn) == old.loss(model, loss_fn))
    return [one.targets for one in again]


@pytest.mark.parametrize(
    ("layers", "loss_fn", "targets"),
    [
        ((), lambda o, t: bce(o.squeeze(1), t), RARE.float()),
        ((), lambda o, t: bce(o.flatten(), t.float()), RARE.long()),
        ((), lambda o, t: bce(o.view(-1), t.float()), RARE),
        ((), lambda o, t: bce(o, t.float()), RARE.long()[:, None]),
        ((nn.Flatten(0),), lambda o, t: functional.mse_loss(o, t[:, 0]), X[:, :1]),
        ((nn.Unflatten(1, (1, 1)),), lambda o, t: functional.l1_loss(o[:, 0], t), X[:, :1]),
    ],
    ids=["squeezed", "whole numbers", "truths", "only the type", "targets squeezed", "a channel"],
)
def test_targets_get_the_shape_and_type_of_the_outputs(layers, loss_fn, targets):
    model = nn.Sequential(nn.Linear(6, 1), *layers)
    for given, found in zip((X[:32], X[32:40]), aligned(model, loss_fn, targets), strict=True):
        assert found.shape == model(given).shape
        assert found.dtype == torch.float32


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    ("outputs", "loss_fn", "targets"),
    [
        (1, functional.mse_loss, X[:, 0]),
        (1, functional.mse_loss, X[:, :1]),
        (3, functional.cross_entropy, torch.arange(400) % 2),
        (1, lambda o, _: o.square().mean(), X[:, 0]),
        (1, lambda o, t: functional.mse_loss(o[:, 0], t.float()), torch.arange(400) % 3),
        (1, lambda o, t: functional.mse_loss(o, t[0]), X[:, 0]),
    ],
    ids=["all pairs", "alike", "classes", "no targets", "counts", "one target"],
)
def test_what_stays_as_it_is(outputs, loss_fn, targets):
    found = aligned(nn.Linear(6, outputs), loss_fn, targets)
    assert torch.equal(torch.cat(found), targets[:40])
    assert found[0].dtype == targets.dtype


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss_fn", "targets"),
    [
        (bce, RARE.float()[:, None]),
        (lambda o, t: bce(o.squeeze(1), t), RARE.float()),
        (lambda o, t: bce(o.squeeze(1), t.float()), RARE.long()),
    ],
    ids=["alike", "squeezed", "cast"],
)
def test_a_verdict_does_not_depend_on_how_a_loss_takes_its_targets(loss_fn, targets):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with thalweg.watch(model, optimizer) as watch:
        train_watched(watch, model, optimizer, X, targets, loss_fn, in_turn(len(X), steps=200, batch=40))
    verdict = watch.diagnose(batch=(X, targets), loss_fn=loss_fn, seconds=1.0)
    assert verdict.code == "class_imbalance"
    assert verdict.measures["rare_found"] < 0.2
