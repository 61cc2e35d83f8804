"""Outputs that the loss pulls and that no weight moves."""

import pytest
import torch
from torch import nn

from thalweg.diagnosis.fixes import fixes_of
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.unmoved import unmoved_measures
from thalweg.probes.batches import Batch
from thalweg.probes.copies import Copy


PLACES_N1 = torch.linspace(-1, 1, 12)[:, None]


class Curve(nn.Module):
    """A curve and its second derivative, or the residual of u'' = sin(x), at each place."""

    def __init__(self, units, form):
        super().__init__()
        self.u, self.form = nn.Sequential(nn.Linear(1, 8), units, nn.Linear(8, 8), units, nn.Linear(8, 1)), form

    def forward(self, places):
        with torch.enable_grad():
            places = places.detach().requires_grad_()
            u = self.u(places)
            (first,) = torch.autograd.grad(u.sum(), places, create_graph=True)
            (second,) = torch.autograd.grad(first.sum(), places, create_graph=True)
        return {
            "columns": lambda: torch.cat([u, second], dim=1),
            "residual": lambda: (u, second - places.detach().sin()),
            "passed on": lambda: torch.cat([u, places.detach()], dim=1),
            "mask": lambda: (u, torch.ones_like(u.detach())),
        }[self.form]()


def of_columns(outputs, _targets):
    return outputs[:, 0].square().mean() + (outputs[:, 1] - 1).square().mean()


def of_two(outputs, _targets):
    return outputs[0].square().mean() + (outputs[1] - 1).square().mean()


def unmoved(units, form, loss_fn):
    torch.manual_seed(0)
    model = Curve(units, form)
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
    return unmoved_measures(copied, Batch(PLACES_N1, PLACES_N1)).get("outputs_unmoved")


@pytest.mark.parametrize(("form", "loss_fn"), [("columns", of_columns), ("residual", of_two)])
def test_a_second_derivative_through_units_that_are_straight(form, loss_fn):
    assert unmoved(nn.ReLU(), form, loss_fn) == 0.5
    assert unmoved(nn.LeakyReLU(), form, loss_fn) == 0.5
    assert unmoved(nn.Tanh(), form, loss_fn) == 0
    assert unmoved(nn.SiLU(), form, loss_fn) == 0


def test_outputs_that_the_loss_does_not_ask_for():
    assert unmoved(nn.ReLU(), "columns", lambda outputs, _: outputs[:, 0].square().mean()) == 0
    assert unmoved(nn.ReLU(), "columns", lambda outputs, _: outputs.nothing) is None


def test_outputs_that_a_last_relu_cuts_are_another_fault():
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU())
    with torch.no_grad():
        model[0].bias.fill_(-9)
    copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
    assert unmoved_measures(copied, Batch(PLACES_N1, torch.ones(12, 4))) == {"outputs_unmoved": 0.0}


def test_what_is_passed_on_with_the_outputs():
    assert unmoved(nn.ReLU(), "passed on", of_columns) == 0
    assert unmoved(nn.ReLU(), "mask", of_two) == 0


def test_the_verdict_on_outputs_that_no_weight_moves():
    found = {"steps": 300.0, "loss_constant": 1.0, "loss_last": 1.0, "falling": 0.0, "left": 1.0}
    assert judge(found | {"outputs_unmoved": 0.5}).code == "wrong_loss"
    assert [fix.code for fix in fixes_of("wrong_loss", {"outputs_unmoved": 0.5})] == ["smooth_units"]
    assert judge(found | {"outputs_unmoved": 0.5, "loss_last": 0.1}).code != "wrong_loss", "it learns without"
    assert judge(found | {"outputs_unmoved": 0.0}).code == "unsure"
