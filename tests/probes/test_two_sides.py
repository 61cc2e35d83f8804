"""What a watch tells of an encoder with two sides, and of a network that another one plays against."""

import pytest
import torch
from torch import nn

from thalweg.probes import StepProbe


@pytest.mark.parametrize("cleared", [True, False])
def test_whether_gradients_are_cleared_where_a_bias_has_none(cleared):
    """The distance of two codes of one encoder does not depend on its bias."""
    encoder = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(encoder.parameters(), lr=1e-3)
    probe = StepProbe(encoder, optimizer, every=1)
    probe.attach()
    for _ in range(8):
        if cleared:
            optimizer.zero_grad()
        first, second = encoder(torch.randn(5, 2, 6)).unbind(1)
        loss = (first - second).square().sum(1).mean()
        loss.backward()
        optimizer.step()
        probe.record(loss)
    probe.read()
    assert set(probe.steps["uncleared"][1:].tolist()) == {float(not cleared)}


@pytest.mark.parametrize(("rounds", "driven"), [(0, 0.0), (1, 1.0)])
@pytest.mark.parametrize("frozen", [True, False])
def test_inputs_that_another_network_makes_are_told_from_ones_own(rounds, driven, frozen):
    """A generator's step passes through a critic, which may be frozen meanwhile; an unrolled network feeds itself."""
    maker, critic = nn.Linear(4, 8), nn.Linear(8, 8)
    optimizer = torch.optim.SGD(critic.parameters(), lr=1e-3)
    probe = StepProbe(critic, optimizer, every=1)
    probe.attach()
    for _ in range(5):
        optimizer.zero_grad()
        loss = critic(critic(torch.randn(5, 8))).square().mean()
        loss.backward()
        optimizer.step()
        for _ in range(rounds):
            critic.requires_grad_(not frozen)
            (-critic(maker(torch.randn(5, 4))).mean()).backward()
            critic.requires_grad_(True)
        probe.record(loss)
    probe.read()
    assert set(probe.steps["driven_passes"].tolist()) == {driven}
