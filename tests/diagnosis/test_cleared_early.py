"""Gradients that are cleared between the backward pass and the step, and steps that weights are too large for."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from thalweg.diagnosis import watch
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.trends import trends


DRAW = torch.Generator().manual_seed(0)
ROWS, KINDS = torch.randn(16, 6, generator=DRAW), torch.arange(16) % 3


def nothing(model, optimizer):
    """Before the step, the loop does nothing."""


def by_hand(model, _optimizer):
    for parameter in model.parameters():
        parameter.grad = None


def of_a_part(model, _optimizer):
    model[0].zero_grad()


def trained(between, *, steps=40, optimizer=None):
    """What is watched of a loop that does something between the backward pass and the step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
    optimizer = (optimizer or torch.optim.SGD)(model.parameters(), lr=0.1)
    with watch(model, optimizer, every=4) as watching:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = cross_entropy(model(ROWS), KINDS)
            loss.backward()
            between(model, optimizer)
            optimizer.step()
            watching.step(loss)
    return watching


ALL = {
    "to none": lambda _, optimizer: optimizer.zero_grad(),
    "in place": lambda _, optimizer: optimizer.zero_grad(set_to_none=False),
    "of the model": lambda model, _: model.zero_grad(),
    "of another optimizer": lambda model, _: torch.optim.Adam(model.parameters()).zero_grad(),
    "by hand": by_hand,
}


@pytest.mark.parametrize("way", ALL)
def test_all_gradients_are_cleared(way):
    watching = trained(ALL[way])
    assert watching.measures()["cleared_early"] == 1
    verdict = watching.diagnose()
    assert verdict.code == "optimizer_not_stepping"
    assert [fix.code for fix in verdict.fixes] == ["clear_first"]
    assert "before the optimizer's step" in verdict.text


def test_the_gradients_of_some_parameters_are_cleared():
    watching = trained(of_a_part)
    share = 7 * 32 / (7 * 32 + 33 * 3)
    assert 0.9 * share < watching.measures()["cleared_early"] <= share
    verdict = judge({"steps": 200.0, "gradless": 0.3, "cleared_early": 0.3})
    assert verdict.code == "untrained_parameters"
    assert [fix.code for fix in verdict.fixes] == ["clear_first"]
    assert "cleared before" in verdict.text


def test_gradients_that_are_used_and_those_that_never_come():
    assert trained(nothing).measures()["cleared_early"] == 0
    unused = trained(nothing, optimizer=lambda parameters, lr: torch.optim.SGD([*parameters, nn.Parameter(ROWS)], lr))
    assert unused.measures()["cleared_early"] == 0
    assert unused.measures()["gradless"] > 0.1


@pytest.mark.parametrize("to_none", [True, False])
def test_steps_that_hooks_take_in_the_backward_pass(to_none):
    """Each tensor has an optimizer of its own, which steps and clears as soon as the gradient is there."""
    torch.manual_seed(0)
    model = nn.Linear(6, 3)
    own = {parameter: torch.optim.SGD([parameter], lr=0.1) for parameter in model.parameters()}

    def step(parameter):
        own[parameter].step()
        own[parameter].zero_grad(to_none)

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(step)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer, every=4) as watching:
        for _ in range(30):
            loss = cross_entropy(model(ROWS), KINDS)
            loss.backward()
            optimizer.step()
            watching.step(loss)
    assert not watching.measures().get("cleared_early", 0) > 0


def test_nothing_listens_after_the_loop():
    watching = trained(ALL["by hand"])
    assert not any(parameter._post_accumulate_grad_hooks for parameter in watching.model.parameters())


def standstill(weight_S, *, first=0.1):
    """Ten steps that move, then ten that move nothing."""
    update_S = np.r_[np.full(10, first), np.zeros(10)]
    ones_S = np.ones(20)
    columns = {"loss": ones_S, "lr": ones_S, "update_ratio": update_S, "weight_norm": np.asarray(weight_S)}
    return trends(columns)["standstill"]


def test_weights_too_large_for_steps_do_not_stand_still():
    few_S = np.full(10, 5.0)
    assert standstill(np.r_[few_S, few_S]) == 0.5
    assert standstill(np.r_[few_S, np.full(10, 1e6)]) == 0.5  # half a unit is more than a rounding of a million
    assert standstill(np.r_[few_S, np.full(10, 1e9)]) == 0
    assert standstill(np.r_[few_S, np.full(10, math.inf)]) == 0


def test_an_exact_rule_that_holds_is_the_next_cause():
    measured = {"steps": 200.0, "loss_constant": 1.0, "loss_last": 1.0, "falling": 0.0, "left": 1.0, "gradless": 0.9}
    verdict = judge(measured | {"inputs_seen": 0.0})
    assert verdict.code == "inputs_ignored"
    assert verdict.alternatives[0] == ("untrained_parameters", None)
    assert judge(measured | {"inputs_seen": 1.0}).code == "untrained_parameters"
