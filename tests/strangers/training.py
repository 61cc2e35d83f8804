"""What the loops of strangers have in common: small models, batches, and the usual step."""

from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.functional import cross_entropy


STEPS, MIDDLE = 24, 13


def classifier():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


def batch(step=0):
    generator = torch.Generator().manual_seed(step)
    inputs = torch.randn(16, 6, generator=generator)
    return inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0).long()


def case(pairs, step, *, given=None, loss_fn=cross_entropy, also=(), unchecked=None, missing=()):
    """A training: pairs of model and optimizer, a step that returns a loss for each pair, and what a diagnosis needs.

    `missing`: the columns that this training cannot fill.
    """
    pairs = pairs if isinstance(pairs, list) else [pairs]
    return SimpleNamespace(
        pairs=pairs, step=step, given=given or batch(), loss_fn=loss_fn, also=also, unchecked=unchecked, missing=missing
    )


def plain(model, optimizer, *, loss_fn=cross_entropy, data=batch, forward=None, **options):
    def step(number):
        inputs, labels = data(number)
        optimizer.zero_grad()
        loss = loss_fn((forward or model)(inputs), labels)
        loss.backward()
        optimizer.step()
        return [loss]

    return case((model, optimizer), step, given=data(), loss_fn=loss_fn, **options)


def sgd(model, **options):
    return torch.optim.SGD(model.parameters(), **{"lr": 0.05, "momentum": 0.9, **options})
