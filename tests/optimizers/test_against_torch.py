"""Every optimizer that torch.optim has walks exactly as torch.optim does: five surfaces, three starts, 1,000 steps."""

import numpy as np
import pytest
import torch

from problems import PROBLEMS, lr_for
from thalweg import optimizers, paths, surfaces


STEPS = 1_000

OPTIONS = {
    "adadelta": [{"rho": 0.8, "eps": 1e-4, "weight_decay": 0.01}],
    "adagrad": [{"lr_decay": 0.01, "weight_decay": 0.02, "initial_accumulator_value": 0.3, "eps": 1e-3}],
    "adam": [
        {"betas": (0.8, 0.995), "eps": 1e-3, "weight_decay": 0.01},
        {"weight_decay": 0.02, "amsgrad": True},
        {"weight_decay": 0.05, "decoupled_weight_decay": True, "amsgrad": True, "betas": (0.0, 0.9)},
    ],
    "adamax": [{"betas": (0.7, 0.995), "eps": 1e-4, "weight_decay": 0.01}],
    "adamw": [{"weight_decay": 0.1, "betas": (0.85, 0.99), "eps": 1e-5, "amsgrad": True}],
    "amsgrad": [{"weight_decay": 0.01}],
    "momentum": [{"momentum": 0.8, "dampening": 0.3, "weight_decay": 0.02}],
    "nadam": [
        {"betas": (0.8, 0.995), "eps": 1e-4, "weight_decay": 0.01, "momentum_decay": 0.01},
        {"weight_decay": 0.05, "decoupled_weight_decay": True},
    ],
    "nesterov": [{"momentum": 0.95, "weight_decay": 0.02}],
    "radam": [
        {"betas": (0.8, 0.995), "eps": 1e-4, "weight_decay": 0.01},
        {"betas": (0.9, 0.5)},  # so short a memory that its scale is never trusted
        {"weight_decay": 0.05, "decoupled_weight_decay": True},
    ],
    "rmsprop": [
        {"alpha": 0.9, "eps": 1e-4, "weight_decay": 0.02},
        {"momentum": 0.7, "centered": True, "eps": 1e-3, "weight_decay": 0.01},
    ],
    "rmsprop_centered": [{"alpha": 0.995, "eps": 1.0, "weight_decay": 0.02}],
    "rprop": [{"etas": (0.6, 1.1), "step_sizes": (1e-5, 0.05)}],
    "sgd": [
        {"weight_decay": 0.02},
        {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.02},
        {"momentum": 0.8, "nesterov": True},
    ],
}

CASES = [
    pytest.param(
        name,
        {**options, "maximize": climb},
        id=f"{name}-{number}{'-maximize' * climb}",
        marks=pytest.mark.slow if climb else (),  # the formulas' tests climb, too
    )
    for name, more in OPTIONS.items()
    for number, options in enumerate([{}, *more])
    for climb in ((False, True) if number == 0 else (False,))
]
"""Each optimizer with its defaults and with every option of its counterpart. Memories are long and scales not small:
near a minimum, an optimizer that forgets blows up the last bit of a rounding error to a whole step."""


@pytest.fixture(autouse=True)
def _float64():
    """NAdam keeps a product in the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


UPSIDE_DOWN = {
    name: problem._replace(surface=surfaces.parse(f"-({problem.surface.formula})", window=problem.surface.window))
    for name, problem in PROBLEMS.items()
}
"""What `maximize` climbs: where it leads upwards without end, there is nothing to compare."""


def walk_with_torch(optimizer, problems, lr):
    """Positions of shape (problems, starts, steps + 1, 2): torch.optim walks all of them as one tensor."""
    points = torch.tensor([problem.starts for problem in problems], requires_grad=True)
    optimizer = getattr(torch.optim, optimizer.torch_class)([points], lr=lr, **optimizer.torch_options())
    walked = [points.detach().numpy().copy()]
    for _ in range(STEPS):
        slopes = [problem.surface.gradient(at) for problem, at in zip(problems, walked[-1], strict=True)]
        points.grad = torch.from_numpy(np.array(slopes))
        optimizer.step()
        walked.append(points.detach().numpy().copy())
    return np.stack(walked, axis=2)


def test_every_optimizer_with_a_counterpart_is_in_the_table():
    assert set(OPTIONS) == {name for name in optimizers.names() if optimizers.get(name).torch_class}


@pytest.mark.parametrize(("name", "options"), CASES)
def test_walks_as_torch_does(name, options):
    optimizer = optimizers.get(name, **options)
    problems = list((UPSIDE_DOWN if optimizer.maximize else PROBLEMS).values())
    lr = min(lr_for(problem, name) for problem in problems)
    expected = walk_with_torch(optimizer, problems, lr)
    for problem, by_start in zip(problems, expected, strict=True):
        for start, positions_S2 in zip(problem.starts, by_start, strict=True):
            path = paths.trace(problem.surface, optimizer, lr=lr, steps=STEPS, start=start)
            np.testing.assert_allclose(path.positions_S2, positions_S2, rtol=1e-12, atol=1e-12)
            assert np.abs(path.positions_S2[-1] - start).max() > 1e-5  # it did walk
