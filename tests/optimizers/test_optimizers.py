"""What holds for every optimizer: names, ranges, and that compiled loops run the very step that Python runs."""

from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from problems import PROBLEMS, lr_for
from thalweg import optimizers, paths
from thalweg.errors import UnknownNameError, UsageError


NAMES = optimizers.names()


def walk_in_python(surface, optimizer, lr, start, steps):
    """The design's formula, word for word, around `optimizer.step`: positions, m and σ."""
    clocks = np.stack(optimizer.clock(np.arange(1.0, steps + 1)), axis=1).tolist()
    coupled, decoupled = optimizer.decays
    sign = -1.0 if optimizer.maximize else 1.0
    theta, states = list(start), [optimizer.start(lr), optimizer.start(lr)]
    positions, directions, scales = [tuple(theta)], [], []
    for clock in clocks:
        gradient = surface.gradient(theta).tolist()
        step = [(0.0, 0.0)] * 2
        for axis in (0, 1):
            g = sign * gradient[axis] + coupled * theta[axis]
            m, sigma, states[axis] = optimizer.step(g, states[axis], tuple(clock), optimizer.hyper())
            theta[axis] = theta[axis] * (1.0 - lr * decoupled) - lr * m / sigma
            step[axis] = m, sigma
        positions.append(tuple(theta))
        directions.append((step[0][0], step[1][0]))
        scales.append((step[0][1], step[1][1]))
    return np.array(positions), np.array(directions), np.array(scales)


@pytest.mark.parametrize("name", NAMES)
def test_the_compiled_loop_is_the_python_optimizer_to_the_last_bit(name):
    problem = PROBLEMS["himmelblau"]
    known = {field.name for field in fields(optimizers.get(name))}
    optimizer = optimizers.get(name, **({"weight_decay": 0.02} if "weight_decay" in known else {}))
    lr = lr_for(problem, name)
    expected = walk_in_python(problem.surface, optimizer, lr, problem.starts[0], 300)
    path = paths.trace(problem.surface, optimizer, lr=lr, steps=300, start=problem.starts[0])
    for got, wanted in zip((path.positions_S2, path.direction_S2, path.scale_S2), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", NAMES)
def test_each_move_is_the_rate_times_m_over_sigma(name):
    problem = PROBLEMS["valley"]
    path = paths.trace(problem.surface, name, lr=lr_for(problem, name), schedule="cosine", steps=200)
    _, decoupled = path.optimizer.decays
    moved_S2 = -path.lr_S[:, None] * (path.direction_S2 / path.scale_S2 + decoupled * path.positions_S2[:-1])
    np.testing.assert_allclose(np.diff(path.positions_S2, axis=0), moved_S2, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_down(name):
    """On the two oldest test surfaces, as optax's own tests do; signs alone cannot come to rest, so near is enough."""
    for surface in (PROBLEMS["valley"].surface, PROBLEMS["rosenbrock"].surface):
        problem = next(problem for problem in PROBLEMS.values() if problem.surface == surface)
        lr = lr_for(problem, name) * {"adadelta": 1000.0, "adagrad": 100.0}.get(name, 1.0)
        path = paths.trace(surface, name, lr=lr, steps=20_000, start=problem.starts[1])
        assert path.loss[-1] < 0.35 * path.loss[0]


def test_optimizers_are_values():
    optimizer = optimizers.get("adam")
    assert optimizer == optimizers.get("adam") != optimizers.get("adam", eps=1e-6)
    assert hash(optimizer) == hash(optimizers.get("adam"))
    with pytest.raises(FrozenInstanceError):
        optimizer.eps = 1.0


def test_seventeen_optimizers_and_dashes():
    assert len(NAMES) == 17
    assert list(NAMES) == sorted(NAMES)
    assert optimizers.get("sign-sgd") == optimizers.get("sign_sgd")
    assert all(optimizers.get(name).name == name for name in NAMES)


def test_adagrad_divides_by_the_sum_and_adagrad_mean_by_the_mean():
    start = (3.0, -1.5)
    sums, means = (
        paths.trace(PROBLEMS["valley"].surface, optimizers.get(name, eps=0.0), lr=1e-9, steps=400, start=start)
        for name in ("adagrad", "adagrad_mean")
    )
    t_S1 = np.arange(1.0, 401.0)[:, None]
    np.testing.assert_allclose(sums.scale_S2, means.scale_S2 * np.sqrt(t_S1), rtol=1e-6)


def test_rprop_forgets_the_learning_rate_after_the_first_step():
    surface = PROBLEMS["valley"].surface
    fast, slow = (paths.trace(surface, "rprop", lr=lr, steps=200, start=(3.0, -1.5)) for lr in (0.1, 0.01))
    assert fast.step_length[0] == pytest.approx(10 * slow.step_length[0])
    assert fast.loss[-1] < 1e-6
    assert slow.loss[-1] < 1e-6


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("adam", {"betas": (0.9, 1.0)}),
        ("adam", {"betas": (0.9,)}),
        ("adam", {"betas": 0.9}),
        ("adam", {"eps": -1e-8}),
        ("adam", {"eps": float("nan")}),
        ("adam", {"eps": "small"}),
        ("adam", {"amsgrad": 1}),
        ("adam", {"weight_decay": float("inf")}),
        ("adagrad", {"lr_decay": -0.1}),
        ("rmsprop", {"alpha": 1.0}),
        ("rprop", {"etas": (1.2, 0.5)}),
        ("rprop", {"etas": (0.5, 1.0)}),
        ("sgd", {"nesterov": True}),
        ("sgd", {"momentum": 0.9, "dampening": 0.1, "nesterov": True}),
        ("sign_sgd", {"momentum": True}),
    ],
)
def test_bad_hyper_parameters_are_refused(name, hyper):
    with pytest.raises(UsageError, match=r".{20}"):
        optimizers.get(name, **hyper)


def test_unknown_names_offer_the_nearest():
    with pytest.raises(UnknownNameError, match="adam"):
        optimizers.get("adm")
    with pytest.raises(UnknownNameError, match="betas"):
        optimizers.get("adam", beta=0.9)
