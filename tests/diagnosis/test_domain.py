"""Where the loss is defined, and what a network can output: a logarithm or a root gives NaN for a negative number."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.diagnosis.measures.domain import domain_measures
from thalweg.diagnosis.watching import watch
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


INPUTS = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
PRICES = INPUTS[:, :1].abs() + 1


def of_logarithms(outputs, prices):
    return functional.mse_loss(torch.log1p(outputs), torch.log1p(prices))


def of_roots(outputs, prices):
    return (outputs.sqrt() - prices.sqrt()).abs().mean()


def of_angles(outputs, prices):
    return (outputs.acos() - (prices / 10).acos()).square().mean()


def gamma(outputs, prices):
    return (outputs.log() + prices / outputs).mean()


class Cosine(nn.Module):
    """A cosine between the inputs and a weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.5, -0.2, 0.8]]))

    def forward(self, x):
        return functional.linear(functional.normalize(x), functional.normalize(self.weight))


def linear(*last):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 1), *last)


UNDEFINED = [
    ("logarithms", linear(), of_logarithms),
    ("root of a mean error", linear(), lambda o, y: of_logarithms(o, y).sqrt()),
    ("roots", linear(), of_roots),
    ("powers", linear(), lambda o, y: (o.pow(0.5) - y).square().mean()),
    ("arc cosines", linear(), of_angles),
    ("logarithms of what is negative now", linear(nn.Tanh()), lambda o, y: functional.mse_loss(o.log(), y)),
    ("a likelihood of raw means", linear(), gamma),
]

DEFINED = [
    ("squared error", linear(), functional.mse_loss),
    ("root of a squared error", linear(), lambda o, y: functional.mse_loss(o, y).sqrt()),
    ("root of what was cut", linear(), lambda o, y: (o.clamp(min=0).sqrt() - y).square().mean()),
    ("logarithms behind softplus", linear(nn.Softplus()), of_logarithms),
    ("logarithms behind a ReLU", linear(nn.ReLU()), of_logarithms),
    ("a likelihood behind softplus", linear(nn.Softplus()), gamma),
    ("roots behind a sigmoid", linear(nn.Sigmoid()), of_roots),
    ("arc cosines of cosines", Cosine(), lambda o, y: of_angles(o.clamp(-0.999, 0.999), y)),
    ("arc cosines of cosines, not cut", Cosine(), of_angles),
    ("Poisson", linear(), functional.poisson_nll_loss),
    ("BCE by hand", linear(), lambda o, _y: -o.sigmoid().log().mean()),
    ("logarithms of absolute values", linear(), lambda o, y: functional.mse_loss(o.abs().log1p(), y.log1p())),
    ("NaN of negative targets", linear(), lambda o, y: functional.mse_loss(o, (-y).log())),
]


def found_of(model, loss_fn, *, start=None, scale=1.0):
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    return domain_measures(copied, start or {}, Batch(scale * INPUTS, PRICES))


@pytest.mark.parametrize("row", UNDEFINED, ids=lambda row: row[0])
def test_a_loss_that_outputs_can_leave_is_known(row):
    assert found_of(*row[1:]) == {"loss_undefined": 1.0}


@pytest.mark.parametrize("row", DEFINED, ids=lambda row: row[0])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_a_loss_that_is_defined_is_not_accused(row, scale):
    assert found_of(*row[1:], scale=scale).get("loss_undefined", 0.0) == 0


def by_hand(outputs, answers, least=0.0):
    return -(answers * (outputs + least).log() + (1 - answers) * (1 - outputs + least).log()).mean()


ANSWERS = (INPUTS[:, :1] > 0).float()
AT_ENDS = [
    ("by hand", linear(nn.Sigmoid()), by_hand, 1.0),
    ("by hand, of logits", linear(), lambda o, y: by_hand(o.sigmoid(), y), 1.0),
    ("by hand, with a little added", linear(nn.Sigmoid()), lambda o, y: by_hand(o, y, 1e-6), 0.0),
    ("torch's", linear(nn.Sigmoid()), functional.binary_cross_entropy, 0.0),
    ("torch's, of logits", linear(), functional.binary_cross_entropy_with_logits, 0.0),
    ("log sigmoid", linear(), lambda o, y: -functional.logsigmoid((2 * y - 1) * o).mean(), 0.0),
    ("squared error", linear(nn.Sigmoid()), functional.mse_loss, 0.0),
]


@pytest.mark.parametrize("row", AT_ENDS, ids=lambda row: row[0])
def test_a_sure_answer_whose_loss_is_not_finite(row):
    _, model, loss_fn, expected = row
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    assert domain_measures(copied, {}, Batch(INPUTS, ANSWERS))["loss_at_ends"] == expected
    assert "loss_at_ends" not in domain_measures(copied, {}, Batch(INPUTS, PRICES))


@pytest.mark.parametrize(("rate", "code"), [(0.3, "wrong_loss"), (1e4, "diverged")])
def test_a_training_that_became_sure(rate, code):
    """A rate that throws the weights away at once makes all answers sure: then it is the rate."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1), nn.Sigmoid())
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    with watch(model, optimizer) as watching:
        for _ in range(60):
            optimizer.zero_grad()
            loss = by_hand(model(INPUTS), ANSWERS)
            loss.backward()
            optimizer.step()
            watching.step(loss)
    verdict = watching.diagnose(batch=(INPUTS, ANSWERS), loss_fn=by_hand, seconds=2.0)
    assert verdict.code == code
    assert ("stable_loss" in [fix.code for fix in verdict.fixes]) == (code == "wrong_loss")


def test_small_outputs_of_new_weights_do_not_hide_where_the_loss_ends():
    model = linear()
    with torch.no_grad():
        model[0].weight.mul_(0.01)
    assert found_of(model, of_angles) == {"loss_undefined": 1.0}


def test_weights_that_are_lost_are_those_of_the_start():
    model = linear()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    nn.init.constant_(model[0].weight, torch.nan)
    assert found_of(model, of_logarithms) == {}
    assert found_of(model, of_logarithms, start=start) == {"loss_undefined": 1.0}


@pytest.mark.parametrize(("loss_fn", "code"), [(of_logarithms, "wrong_loss"), (functional.mse_loss, None)])
def test_a_training_that_a_logarithm_wrecked_is_told_so(loss_fn, code):
    model = linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1 if code else 1e20)
    with watch(model, optimizer) as watching:
        for _ in range(20):
            optimizer.zero_grad()
            loss = loss_fn(model(4 * INPUTS), PRICES)
            loss.backward()
            optimizer.step()
            watching.step(loss)
    verdict = watching.diagnose(batch=(4 * INPUTS, PRICES), loss_fn=loss_fn, seconds=1.0)
    assert (verdict.code == "wrong_loss") == bool(code)
    assert ("within_domain" in [fix.code for fix in verdict.fixes]) == bool(code)
