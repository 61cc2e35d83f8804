"""What the probe of layers says, against norms taken one by one."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.probes import LayerProbe, StepProbe


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


def steps(model, optimizer, count, around):
    random = torch.Generator().manual_seed(1)
    for step in range(count):
        optimizer.zero_grad()
        images, labels = torch.randn(8, 1, 6, 6, generator=random), torch.randint(0, 3, (8,), generator=random)
        nn.functional.cross_entropy(model(images), labels).backward()
        around(step)


def norm(tensors):
    return torch.cat([tensor.detach().double().flatten() for tensor in tensors]).norm().item()


@pytest.mark.parametrize("make", [lambda p: torch.optim.SGD(p, 0.1, 0.9), lambda p: torch.optim.Adam(p, 0.01)])
def test_against_norms_taken_one_by_one(make):
    model = network()
    optimizer = make(model.parameters())
    probe, expected = LayerProbe(model, every=7), []

    def around(step):
        before, gradients = copy.deepcopy(model), [parameter.grad.clone() for parameter in model.parameters()]
        probe.before_step(step)
        optimizer.step()
        probe.after_step()
        of = dict(zip((name for name, _ in model.named_parameters()), gradients, strict=True))
        row = [step + 1]
        for layer in ("0", "1", "4"):
            old, new = before.get_submodule(layer), model.get_submodule(layer)
            moved = [b - a for a, b in zip(old.parameters(), new.parameters(), strict=True)]
            gradient = [of[f"{layer}.{name}"] for name, _ in new.named_parameters()]
            row += [norm(gradient), norm(moved) / norm(new.parameters()), norm(new.parameters())]
        if step < 10 or step % 7 == 0:
            expected.append(row)

    steps(model, optimizer, 30, around)
    np.testing.assert_allclose(probe.read(), expected, rtol=1e-5)
    assert len(probe.read()) == 0
    assert list(probe.units)[:4] == ["step", "0.gradient_norm", "0.update_ratio", "0.weight_norm"]


def test_the_watch_of_anybodys_loop_says_the_same():
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    ours, theirs = LayerProbe(model, every=10), StepProbe(model, optimizer, every=10)
    theirs.attach()

    def around(step):
        ours.before_step(step)
        optimizer.step()
        ours.after_step()
        theirs.record(0.0)

    steps(model, optimizer, 25, around)
    theirs.read()
    theirs.detach()
    assert list(theirs.layers.units) == list(ours.units)
    np.testing.assert_allclose(ours.read(), theirs.layers.rows_NC, rtol=1e-5)


def test_a_step_without_gradients_is_no_row():
    model = network()
    probe = LayerProbe(model)
    probe.before_step(0)
    probe.after_step()
    assert probe.read().shape == (0, 10)
