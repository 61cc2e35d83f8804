"""Layers that mix samples until every output depends on all of them alike."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu

import thalweg
from thalweg.diagnosis.fixes import fixes_of
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.mixing import mixing_of
from thalweg.diagnosis.measures.smoothing import smoothing_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


def own_to_others(model, inputs=None, start=None):
    inputs = torch.randn(40, 5) if inputs is None else inputs
    optimizer = torch.optim.SGD([*model.parameters(), torch.zeros(1, requires_grad=True)])
    return smoothing_measures(Copy.of(model, optimizer, nn.MSELoss()), start or {}, Batch(inputs, torch.zeros(40))).get(
        "own_to_others"
    )


class Partly(nn.Module):
    """A part of each sample, and the mean of all for the rest."""

    def __init__(self, own):
        super().__init__()
        self.own = nn.Parameter(torch.tensor(own))

    def forward(self, x):
        return self.own * x + (1 - self.own) * x.mean(dim=0)


class InFloat(Partly):
    def forward(self, x):
        return super().forward(x.float()) @ torch.eye(x.shape[1])


class OfSeveral(Partly):
    def forward(self, given):
        return super().forward(given["x"]) + 0 * given["other"]


@pytest.mark.parametrize("own", [0.9, 0.5, 0.1])
@pytest.mark.parametrize("layers", [1, 4, 12])
def test_the_closed_form_of_an_average(own, layers):
    left = own**layers
    expected = (left + (1 - left) / 40) / ((1 - left) / 40)
    assert own_to_others(nn.Sequential(*(Partly(own) for _ in range(layers)))) == pytest.approx(expected, rel=1e-4)


def test_the_weights_of_the_start_count():
    model = Partly(0.5)
    assert own_to_others(model, start={"own": torch.tensor(0.2)}) == pytest.approx(11, rel=1e-4)


def test_other_precisions_and_several_inputs():
    assert own_to_others(InFloat(0.5)) == pytest.approx(41, rel=1e-2)
    given = {"x": torch.randn(40, 5), "other": torch.ones(40, 1)}
    assert own_to_others(OfSeveral(0.5), given) == pytest.approx(41, rel=1e-4)


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (Partly(0.5), torch.randn(8, 5)),
        (nn.Flatten(0), torch.randn(40, 5)),
        (Partly(0.5), torch.ones(40, 5)),
        (Partly(0.5), torch.full((40, 5), torch.nan)),
    ],
    ids=["few samples", "no rows", "all alike", "NaN"],
)
def test_what_cannot_tell(model, inputs):
    assert own_to_others(model, inputs) is None


def test_no_mixing():
    assert own_to_others(nn.Linear(5, 2)) == 1e6
    assert own_to_others(nn.Linear(5, 2), torch.randn(3, 5)) == 1e6
    assert own_to_others(nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4, track_running_stats=False))) == 1e6


NODES, KINDS = 60, 3
EDGES = torch.randint(NODES, (2, 180), generator=torch.Generator().manual_seed(0))


def averaging():
    """The normalized adjacency of a random graph, with loops."""
    adjacency = torch.eye(NODES)
    adjacency[EDGES[0], EDGES[1]] = adjacency[EDGES[1], EDGES[0]] = 1
    scale = adjacency.sum(dim=1).rsqrt()
    return scale[:, None] * adjacency * scale


class Graph(nn.Module):
    def __init__(self, layers):
        super().__init__()
        sizes = [8, *[16] * (layers - 1), KINDS]
        self.register_buffer("averaging", averaging())
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = relu(self.averaging @ layer(x))
        return self.averaging @ self.layers[-1](x)


@pytest.mark.parametrize("layers", [2, 16])
def test_a_graph_network_of_many_layers_and_of_two(layers):
    torch.manual_seed(0)
    inputs = torch.randn(NODES, 8)
    labels = (averaging() @ inputs)[:, :KINDS].argmax(dim=1)
    model = Graph(layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with thalweg.watch(model, optimizer) as watch:
        for _ in range(120):
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()
            watch.step(loss)
    verdict = watch.diagnose(batch=(inputs, labels), loss_fn=cross_entropy, seconds=0.5)
    assert (verdict.code == "inputs_ignored") == (layers == 16)
    if layers == 16:
        assert [fix.code for fix in verdict.fixes] == ["mix_less"]
        assert "layers that mix samples" in str(verdict)
    else:
        assert verdict.measures["own_to_others"] > 5


def test_a_network_that_learns_all_the_same_and_one_whose_rate_is_the_cause():
    found = {"steps": 200.0, "own_to_others": 1.2, "loss_last": 1.0, "loss_constant": 1.0, "falling": 0.0}
    assert judge(found).code == "inputs_ignored"
    assert judge({**found, "loss_last": 0.5}).code != "inputs_ignored"
    assert judge({**found, "tried_lower_rate": 0.4}).code != "inputs_ignored"
    assert judge({**found, "own_to_others": 9.0}).code != "inputs_ignored"
    assert all(fix.code != "mix_less" for fix in fixes_of("inputs_ignored", {"inputs_seen": 0.0, "own_to_others": 1.0}))


class Held(nn.Module):
    def __init__(self, edges):
        super().__init__()
        self.edges = edges

    def forward(self, x):
        return x + x.roll(1, 0)


def test_a_graph_that_is_held_as_edges_is_meant_to_mix():
    batch = Batch(torch.randn(NODES, 5), torch.zeros(NODES))
    edges = torch.cat([EDGES, torch.tensor([[0], [NODES - 1]])], dim=1)
    assert mixing_of(Held(edges), batch) == {}
    assert mixing_of(Held(edges.clamp(max=7)), batch)["samples_mixed"] > 0  # of other things
    assert mixing_of(Held(edges.float()), batch)["samples_mixed"] > 0
