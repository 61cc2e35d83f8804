"""Stability thresholds against torch.optim itself: a quadratic just below is calmed, just above it blows up."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from thalweg.diagnosis.curvature import sharpness, stability_threshold


# torch.func.hessian compiles a decomposition in a way that torch itself warns of.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")


OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}),
    "sgd decay": (torch.optim.SGD, {"lr": 0.1, "weight_decay": 3.0}),
    "heavy ball": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "dampened": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.8, "dampening": 0.4}),
    "nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (torch.optim.Adam, {"lr": 0.1}),
    "adam betas": (torch.optim.Adam, {"lr": 0.1, "betas": (0.5, 0.99), "amsgrad": True}),
    "adam decay": (torch.optim.Adam, {"lr": 0.1, "weight_decay": 2.0}),
    "adamw": (torch.optim.AdamW, {"lr": 0.1, "weight_decay": 3.0}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.1}),
    "rmsprop momentum": (torch.optim.RMSprop, {"lr": 0.1, "momentum": 0.5, "centered": True}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.1, "lr_decay": 0.01}),
}


def growth(optimizer, weight, curvature, steps=300):
    """How much longer the weight is after many steps on ½ curvature w²."""
    with torch.no_grad():
        weight.fill_(1e-9)
    for group in optimizer.param_groups:
        for state in (optimizer.state[parameter] for parameter in group["params"]):
            for name in ("exp_avg", "momentum_buffer"):
                if state.get(name) is not None:
                    state[name].zero_()
    for _ in range(steps):
        weight.grad = curvature * weight.detach().clone()
        optimizer.step()
    return float(weight.detach().abs().max()) / 1e-9


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_torch_itself_blows_up_just_above_and_not_just_below(name):
    kind, options = OPTIMIZERS[name]
    lengths = {}
    for factor in (0.97, 1.03):
        weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimizer = kind([weight], **options)
        for gradient in (3.0, 1.0, 2.0, 5.0):  # makes a preconditioner
            weight.grad = torch.full((1,), gradient, dtype=torch.float64)
            optimizer.step()
        # Bias correction would go on with frozen betas; at a late step it has ended.
        if "step" in optimizer.state[weight] and kind is not torch.optim.Adagrad:  # whose rate decays with it
            optimizer.state[weight]["step"].fill_(1e5)
        threshold = stability_threshold(optimizer)
        scale = 1.0 if threshold.preconditioner_P is None else float(threshold.preconditioner_P)
        decay = 0.0 if threshold.decay_P is None else float(threshold.decay_P)
        if threshold.preconditioner_P is not None:
            hold(optimizer, weight)
        lengths[factor] = growth(optimizer, weight, factor * threshold.value * scale - decay)
    assert lengths[0.97] < 10
    assert lengths[1.03] > 100


def hold(optimizer, weight):
    """Keep the mean of squares as it is through any number of steps."""
    state = optimizer.state[weight]
    kept = {
        key: value.clone()
        for key, value in state.items()
        if key in {"exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg", "step", "sum"}
    }

    def put_back(*_):
        for key, value in kept.items():
            state[key].copy_(value)

    optimizer.register_step_post_hook(put_back)


def test_closed_forms():
    weight = nn.Parameter(torch.ones(2))
    sgd = torch.optim.SGD
    assert stability_threshold(sgd([weight], lr=0.5)).value == pytest.approx(4)
    assert stability_threshold(sgd([weight], lr=0.5, momentum=0.9)).value == pytest.approx(3.8 / 0.5)
    nesterov = stability_threshold(sgd([weight], lr=0.5, momentum=0.9, nesterov=True))
    assert nesterov.value == pytest.approx(3.8 / (2.8 * 0.5))
    weight.grad = torch.tensor([3.0, 4.0])
    adam = torch.optim.Adam([weight], lr=1e-3)
    adam.step()
    threshold = stability_threshold(adam)
    assert threshold.value == pytest.approx(38 / 1e-3)
    assert threshold.preconditioner_P.tolist() == pytest.approx([3.0, 4.0], rel=1e-5)


def test_it_says_when_it_does_not_know():
    weight, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(1))
    assert stability_threshold(torch.optim.Adadelta([weight])) is None
    assert stability_threshold(torch.optim.Adam([weight])) is None  # before its first step
    assert stability_threshold(torch.optim.Adagrad([weight])) is None
    assert stability_threshold(torch.optim.SGD([weight], lr=0.1, maximize=True)) is None
    groups = [{"params": [weight], "momentum": 0.9}, {"params": [other], "momentum": 0.5}]
    assert stability_threshold(torch.optim.SGD(groups, lr=0.1)) is None


def test_groups_may_differ_in_rate_and_a_parameter_outside_does_not_move():
    fast, slow, still = (nn.Parameter(torch.ones(1)) for _ in range(3))
    groups = [{"params": [slow], "lr": 0.1}, {"params": [fast], "lr": 0.2, "weight_decay": 0.5}]
    threshold = stability_threshold(torch.optim.SGD(groups), [fast, slow, still])
    assert threshold.value == pytest.approx(10)
    assert threshold.preconditioner_P.tolist() == [1.0, 2.0, math.inf]
    assert threshold.decay_P.tolist() == [0.5, 0.0, 0.0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_sharpness_is_the_eigenvalue_of_the_matrix_that_the_rule_sees(name):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    batch = torch.randn(20, 4, dtype=torch.float64), torch.randn(20, 2, dtype=torch.float64)
    kind, options = OPTIMIZERS[name]
    optimizer = kind(model.parameters(), **{**options, "lr": 1e-2})
    for _ in range(5):
        optimizer.zero_grad()
        mse_loss(model(batch[0]), batch[1]).backward()
        optimizer.step()
    found = sharpness(model, optimizer, mse_loss, [batch], tolerance=1e-4)
    parameters = dict(model.named_parameters())
    flat_P = torch.cat([parameter.detach().reshape(-1) for parameter in parameters.values()])

    def loss_of(flat_P):
        pieces = flat_P.split([parameter.numel() for parameter in parameters.values()])
        weights = {n: piece.view_as(parameters[n]) for n, piece in zip(parameters, pieces, strict=True)}
        return mse_loss(torch.func.functional_call(model, weights, (batch[0],)), batch[1])

    matrix_PP = torch.func.hessian(loss_of)(flat_P)
    if found.threshold.decay_P is not None:
        matrix_PP += found.threshold.decay_P.diag()
    if found.threshold.preconditioner_P is not None:
        root_P = found.threshold.preconditioner_P.sqrt()
        matrix_PP = matrix_PP / root_P / root_P[:, None]
    truth = float(torch.linalg.eigvalsh(matrix_PP)[-1])
    assert found.largest.value == pytest.approx(truth, rel=1e-4)
    assert found.ratio == pytest.approx(truth / found.threshold.value, rel=1e-4)


def test_a_check_during_training_needs_few_products():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    inputs, targets = torch.randn(64, 8), torch.randn(64, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    last, spent = None, []
    for _ in range(8):
        for _ in range(5):
            optimizer.zero_grad()
            mse_loss(model(inputs), targets).backward()
            optimizer.step()
        found = sharpness(model, optimizer, mse_loss, [(inputs, targets)], start=last)
        last = found.extremes
        spent.append(found.extremes.products)
    assert found.largest.converged
    assert max(spent[2:]) <= 5
