"""Maps of rate × memory: closed forms against matrices, torch and traces; Adam's arrivals against its traces."""

import numpy as np
import pytest
import torch

from thalweg import optimizers, paths, surfaces
from thalweg.errors import UsageError
from thalweg.paths.momentum_map import (
    ALTERNATES,
    DIVERGES,
    MONOTONE,
    RIPPLES,
    contraction,
    damping,
    direction_errors,
    fastest,
    largest_lr,
)


def iteration(curvature, lr, momentum):
    """(m, x) → (m, x) of one step: m' = μ m + λ x, x' = x − η m'."""
    return np.array([[momentum, curvature], [-lr * momentum, 1 - lr * curvature]])


@pytest.mark.parametrize("momentum", [0.0, 0.04, 0.5, 0.9, 0.999])
def test_the_factor_is_the_spectral_radius_of_a_step(momentum):
    rates = np.geomspace(1e-4, 3, 40)
    expected = [np.abs(np.linalg.eigvals(iteration(2.0, lr, momentum))).max() for lr in rates]
    np.testing.assert_allclose(contraction(2.0, rates, momentum), expected, rtol=1e-7)


def test_torch_takes_the_steps_of_the_iteration():
    curvatures, lr, momentum = np.array([0.1, 10.0]), 0.25, 0.6
    weights = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = torch.optim.SGD([weights], lr=lr, momentum=momentum)
    first = weights.detach().numpy().copy()
    for _ in range(30):
        optimizer.zero_grad()
        (0.5 * torch.from_numpy(curvatures) * weights**2).sum().backward()
        optimizer.step()
    expected = [
        (np.linalg.matrix_power(iteration(curvature, lr, momentum), 30) @ [0.0, x])[1]
        for curvature, x in zip(curvatures, first, strict=True)
    ]
    np.testing.assert_allclose(weights.detach().numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("curvatures", [[1.0], [0.1, 10.0], [1e-6, 3e-6, 1e-4], [1e5, 2e6]])
def test_simulated_and_closed_form_are_within_one_percent(curvatures):
    rates = np.array([0.013, 0.21, 0.9, 1.1, 1.7, 2.3, 3.9]) / max(curvatures)
    found = paths.map_momentum(curvatures, rates, [0.0, 0.31, 0.7, 0.97])
    assert found.factor_EHW.shape == found.simulated_EHW.shape == (len(curvatures), 4, 7)
    both = found.factor_EHW < 1
    np.testing.assert_array_equal(found.simulated_EHW < 1, both)
    np.testing.assert_allclose(found.simulated_EHW[both], found.factor_EHW[both], rtol=0.01)
    assert 0 < found.gap < 0.01
    np.testing.assert_array_equal(found.damping_EHW == DIVERGES, ~both)
    np.testing.assert_allclose(found.worst_HW, found.factor_EHW.max(axis=0))


def test_a_step_that_lands_on_the_goal_leaves_no_error():
    found = paths.map_momentum([4.0], [0.25], [0.0])
    assert found.factor_EHW.item() == found.simulated_EHW.item() == found.gap == 0


@pytest.mark.parametrize(
    ("product", "expected"),
    [(0.08, MONOTONE), (0.10, RIPPLES), (2.88, RIPPLES), (2.93, ALTERNATES), (2.97, ALTERNATES), (2.99, DIVERGES)],
)
def test_the_damping_is_seen_in_the_signs_of_a_trace(product, expected):
    """With μ = 0.49 the borders of ηλ are 0.09, 2.89 and 2.98."""
    bowl = surfaces.get("bowl")
    path = paths.trace(bowl, optimizers.get("momentum", momentum=0.49), lr=product, steps=400, start=(1.0, 0.0))
    x = path.positions_S2[:, 0]
    turns = np.count_nonzero(np.diff(np.sign(x[200:])))
    seen = MONOTONE if turns == 0 else RIPPLES if turns < 200 else ALTERNATES
    assert damping(1.0, product, 0.49) == expected
    assert (DIVERGES if abs(x[-1]) > 1 else seen) == expected


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
def test_momentum_diverges_from_two_times_one_plus_momentum_over_the_curvature(momentum):
    limit = float(largest_lr(7.0, momentum))
    assert contraction(7.0, limit, momentum) == pytest.approx(1)
    assert contraction(7.0, 0.999 * limit, momentum) < 1 < contraction(7.0, 1.001 * limit, momentum)
    shrinks, grows = damping(7.0, [0.999 * limit, 1.001 * limit], momentum)
    assert shrinks < grows == DIVERGES


@pytest.mark.parametrize("curvatures", [[1.0, 9.0], [0.1, 3.0, 10.0], [1e-3, 1e3], [5.0]])
def test_nothing_is_faster_than_the_fastest(curvatures):
    best = fastest(curvatures)
    lam = np.array(curvatures)[:, None, None]
    assert contraction(lam, best.lr, best.momentum).max() == pytest.approx(best.factor, abs=1e-7)
    rates = best.lr * np.linspace(0.5, 1.5, 401)
    momenta = np.linspace(0, 0.9999, 401)[:, None]
    assert contraction(lam, rates, momenta).max(axis=0).min() >= best.factor - 1e-12


def test_without_momentum_the_fastest_is_the_known_one_of_gradient_descent():
    """(κ − 1) / (κ + 1) at η = 2 / (ℓ + L)."""
    assert contraction([1.0, 9.0], 0.2, 0.0).tolist() == pytest.approx([0.8, 0.8])


def test_errors_along_the_eigenvectors_do_not_mix():
    valley = surfaces.get("valley", condition=100.0, angle=0.5)
    start = (float(3 * np.cos(0.5)), float(3 * np.sin(0.5)))
    path = paths.trace(valley, "momentum", lr=0.1, steps=50, start=start)
    curvature_2, error_S2 = direction_errors(path)
    np.testing.assert_allclose(curvature_2, [0.1, 10.0], rtol=1e-9)
    assert error_S2[0] == pytest.approx([3, 0], abs=1e-12)
    assert error_S2[:, 1].max() < 1e-9
    np.testing.assert_allclose(error_S2[:, 0], np.hypot(*path.positions_S2.T), rtol=1e-9)


def test_adam_arrives_where_its_traces_do():
    valley = surfaces.get("valley", condition=100.0, angle=0.5)
    rates, betas2 = [1e-4, 0.1, 0.7, 1e9], [0.5, 0.999]
    found = paths.map_adam(valley, rates, betas2, steps=600, start=(1.0, 1.0))
    for row, beta2 in enumerate(betas2):
        for column, lr in enumerate(rates):
            optimizer = optimizers.get("adam", betas=(0.9, beta2))
            path = paths.trace(valley, optimizer, lr=lr, steps=600, start=(1.0, 1.0))
            away = ~(np.hypot(*path.positions_S2.T) <= 1e-3 * np.sqrt(2))
            arrival = np.flatnonzero(away)[-1] + 1.0
            assert found.arrival_HW[row, column] == (arrival if arrival < 600 else np.inf)
    assert np.isfinite(found.arrival_HW).tolist()[1] == [False, True, True, False]
    assert found.factor_HW[1, 1] ** found.arrival_HW[1, 1] == pytest.approx(1e-3)
    assert found.factor_HW[0, 0] == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: paths.map_momentum([1.0, -2.0], [0.1], [0.5]), "-2"),
        (lambda: paths.map_momentum([0.0], [0.1], [0.5]), "0.0"),
        (lambda: fastest([np.nan]), "nan"),
        (lambda: fastest([]), "eigenvalues"),
        (lambda: paths.map_momentum([1.0], [0.0], [0.5]), "0.0"),
        (lambda: paths.map_momentum([1.0], [0.1], [1.0]), "below 1"),
        (lambda: paths.map_momentum([1.0], [0.1], [0.5], steps=0), "steps"),
        (lambda: paths.map_adam(surfaces.get("bowl"), [0.1], [1.0]), "betas"),
        (lambda: paths.map_adam(surfaces.get("bowl"), [0.1], [0.9], near=1.0), "near|distance"),
    ],
)
def test_a_value_out_of_range_is_named(call, said):
    with pytest.raises(UsageError, match=said):
        call()
