"""Which parameters an optimizer reaches."""

import torch
from torch import nn

from thalweg.probes import Wiring


def model():
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))  # 16 and 10 numbers


def test_all_in_order():
    network = model()
    wiring = Wiring.of(network, torch.optim.SGD(network.parameters(), lr=0.1))
    assert (wiring.missing, wiring.frozen, wiring.stopped, wiring.foreign) == (0, 0, 0, 0)
    assert wiring.parameters == 26


def test_shares_of_what_is_not_trained():
    network = model()
    network[0].weight.requires_grad_(False)
    optimizer = torch.optim.SGD([{"params": network[1].parameters(), "lr": 0.0}], lr=0.1)
    wiring = Wiring.of(network, optimizer)
    assert wiring.frozen == 12 / 26
    assert wiring.missing == 4 / 14  # of those that require a gradient
    assert wiring.stopped == 10 / 14
    assert set(wiring.names) == {"0.bias", "0.weight"}


def test_an_optimizer_over_other_parameters():
    assert Wiring.of(model(), torch.optim.SGD(model().parameters(), lr=0.1)).foreign == 1
