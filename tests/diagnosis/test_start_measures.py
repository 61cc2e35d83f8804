"""What a training began with: copies of a unit, and weights that get no gradient."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.start import start_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


BATCH = Batch(torch.randn(32, 6, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 3)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3))


def measured(begin):
    """The measures of a network that began as `begin` made it and has other weights now."""
    first, now = network(), network()
    with torch.no_grad():
        begin(first)
    start = {name: value.clone() for name, value in first.state_dict().items()}
    copied = Copy.of(now, torch.optim.SGD(now.parameters(), lr=0.1), cross_entropy)
    return start_measures(copied, start, BATCH)


def test_usual_weights():
    found = measured(lambda _: None)
    assert found["twin_units_first"] == 0
    assert found["matrix_gradient_first"] > 0.1


def test_constant_weights():
    assert measured(lambda model: model[0].weight.fill_(0.1))["twin_units_first"] == 1
    numbers = {"steps": 300.0, "twin_units_first": 1.0, "left": 0.5, "falling": 0.1}
    assert judge(numbers).code == "symmetric_weights"


def test_a_last_layer_of_zeros_is_a_good_start():
    found = measured(lambda model: model[2].weight.zero_())
    assert found["twin_units_first"] == 0
    assert found["matrix_gradient_first"] > 0.1


def test_zeros_in_both_layers_are_a_saddle():
    def zeros(model):
        for parameter in model.parameters():
            parameter.zero_()

    assert measured(zeros)["matrix_gradient_first"] == 0
    numbers = {"steps": 300.0, "matrix_gradient_first": 0.0, "left": 0.9, "falling": 0.0}
    assert judge(numbers).code == "saddle"
    assert judge(numbers | {"dead_units_first": 1.0}).code == "dead_units"


def test_an_unknown_start():
    model = network()
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), cross_entropy)
    assert start_measures(copied, {}, BATCH) == {}
    assert start_measures(copied, {"0.weight": torch.zeros(2, 2)}, BATCH) == {}


def test_factors_that_start_at_zero_are_a_saddle_however_large_the_first_loss():
    stuck = {"falling": 0.0, "to_constant": 0.7, "left": 0.07, "steps": 500.0, "matrix_gradient_first": 0.0}
    assert judge(stuck).code == "saddle"
    assert judge(stuck | {"matrix_gradient_first": 0.5}).code != "saddle"
    assert judge(stuck | {"to_constant": 0.1}).code != "saddle"


def test_what_a_decay_holds_at_a_saddle_is_no_saddle_of_its_own():
    held = {"falling": 0.0, "to_constant": 1.0, "left": 1.0, "steps": 300.0, "negative_curvature": 1.0}
    held |= {"matrix_gradient": 1e-6}
    assert judge(held).code == "saddle"
    assert judge(held | {"tried_no_decay": 0.0}).code == "saddle"
    assert judge(held | {"tried_no_decay": 0.47}).code == "weight_decay_too_strong"
