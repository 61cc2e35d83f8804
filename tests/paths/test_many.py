"""Sweeps and maps: many paths at once end where each would alone."""

import threading

import numpy as np
import pytest

from problems import PROBLEMS, lr_for
from thalweg import optimizers, paths, surfaces
from thalweg.errors import UnknownNameError, UsageError
from thalweg.paths.maps import DIVERGED, ELSEWHERE, NEAR


HIMMELBLAU = PROBLEMS["himmelblau"].surface


@pytest.mark.slow
@pytest.mark.parametrize("name", optimizers.names())
def test_many_paths_are_one_path_many_times_to_the_last_bit(name):
    lr = lr_for(PROBLEMS["himmelblau"], name)
    rates, starts = [lr, 2 * lr], PROBLEMS["himmelblau"].starts * 7  # past a vector's width, with a rest
    drive = {"steps": 200, "schedule": "warmup(10%) > cosine", "noise": 0.3, "seed": 5}
    result = paths.sweep(HIMMELBLAU, [name], rates, starts, **drive)
    for rate, ends_P2, losses_P in zip(rates, result.positions_OLP2[0], result.loss_OLP[0], strict=True):
        for start, end_2, loss in zip(starts[:3], ends_P2, losses_P, strict=False):
            path = paths.trace(HIMMELBLAU, name, lr=rate, start=start, **drive)
            np.testing.assert_array_equal(end_2, path.positions_S2[-1])
            assert loss == path.loss[-1]
        np.testing.assert_array_equal(ends_P2[:3], ends_P2[-3:])


def test_more_paths_than_a_block_holds():
    starts = np.random.default_rng(0).uniform(-4, 4, (1_000, 2))
    together = paths.sweep(HIMMELBLAU, ["adam"], [0.05], starts, steps=50)
    apart = [paths.sweep(HIMMELBLAU, ["adam"], [0.05], [start], steps=50) for start in starts[::97]]
    np.testing.assert_array_equal(together.positions_OLP2[0, 0, ::97], [one.positions_OLP2[0, 0, 0] for one in apart])


def test_a_sweep_s_axes():
    optimizers, rates, starts = ["sgd", "adam", "lion"], [1e-3, 1e-2], [(1.0, 1.0), (-2.0, 3.0), (0.0, 4.0), (3.0, 3.0)]
    result = paths.sweep(HIMMELBLAU, optimizers, rates, starts, steps=300)
    assert result.loss_OLP.shape == result.steps_OLP.shape == (3, 2, 4)
    assert result.positions_OLP2.shape == (3, 2, 4, 2)
    path = paths.trace(HIMMELBLAU, "adam", lr=1e-2, steps=300, start=starts[2])
    assert result.loss_OLP[1, 1, 2] == path.loss[-1]
    assert result.gradient_norm_OLP[1, 1, 2] == pytest.approx(path.gradient_norm[-1], rel=1e-12)


def test_divergence_is_seen_at_the_same_step_as_in_a_trace():
    rates = [0.001, 0.02, 0.05, 0.3]
    result = paths.sweep(HIMMELBLAU, ["sgd"], rates, steps=500)
    for lr, diverged, steps in zip(rates, result.diverged_OLP[0, :, 0], result.steps_OLP[0, :, 0], strict=True):
        path = paths.trace(HIMMELBLAU, "sgd", lr=lr, steps=500)
        assert diverged == path.diverged
        assert steps == path.last
    assert result.diverged_OLP[0, :, 0].tolist() == [False, False, True, True]


def test_the_best_rate_is_the_one_with_the_lowest_median_loss():
    result = paths.sweep(surfaces.get("valley"), ["sgd"], [0.01, 0.1, 0.19, 0.21], steps=1_000)
    assert result.best_lr().tolist() == [0.19]


def test_a_map_over_starts_says_where_each_path_goes():
    found = paths.map_starts(HIMMELBLAU, "sgd", lr=0.01, steps=2_000, points=(21, 15))
    assert found.outcome_HW.shape == found.settled_HW.shape == (15, 21)
    minima = [index for index, point in enumerate(HIMMELBLAU.critical_points) if point.kind == "minimum"]
    assert set(minima) <= set(found.outcome_HW.ravel().tolist())
    for row, column in ((0, 0), (7, 3), (14, 20), (3, 18)):
        start = float(found.x_W[column]), float(found.y_H[row])
        path = paths.trace(HIMMELBLAU, "sgd", lr=0.01, steps=2_000, start=start)
        away_S = np.hypot(*(path.positions_S2 - path.positions_S2[-1]).T) > NEAR * 10.0
        settled = int(np.flatnonzero(away_S)[-1]) + 1 if away_S.any() else 0
        assert found.settled_HW[row, column] == settled
        point = HIMMELBLAU.critical_points[found.outcome_HW[row, column]]
        np.testing.assert_allclose(path.positions_S2[-1], point.position, atol=1e-6)


def test_a_map_tells_divergence_and_being_nowhere():
    """Stable below 2 / 10 without momentum, below 2 (1 + 0.9) / 10 with it (Polyak, 1964)."""
    axes = ("lr", [1e-5, 0.1, 0.25, 0.5]), ("momentum", [0.0, 0.9])
    found = paths.map_hyperparameters(surfaces.get("valley"), "momentum", *axes, steps=20_000)
    assert found.outcome_HW.tolist() == [[ELSEWHERE, 0, DIVERGED, DIVERGED], [ELSEWHERE, 0, 0, DIVERGED]]
    assert found.settled_HW[0, 3] < found.settled_HW[0, 2] < 100


def test_a_map_over_hyper_parameters_is_traces():
    found = paths.map_hyperparameters(
        HIMMELBLAU, "adam", ("beta1", [0.0, 0.5, 0.9]), ("beta2", [0.9, 0.99]), lr=0.05, steps=400
    )
    for row, beta2 in enumerate((0.9, 0.99)):
        for column, beta1 in enumerate((0.0, 0.5, 0.9)):
            optimizer = optimizers.get("adam", betas=(beta1, beta2))
            path = paths.trace(HIMMELBLAU, optimizer, lr=0.05, steps=400)
            np.testing.assert_array_equal(found.positions_HW2[row, column], path.positions_S2[-1])


def test_threads_may_sweep_at_the_same_time():
    """A server does: there is no threading layer that two callers could break."""
    expected = paths.sweep(HIMMELBLAU, ["adam"], np.geomspace(1e-3, 1e-1, 600), steps=300).positions_OLP2
    results = []

    def work():
        results.append(paths.sweep(HIMMELBLAU, ["adam"], np.geomspace(1e-3, 1e-1, 600), steps=300).positions_OLP2)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    for result in results:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 1e12},
        {"steps": 0},
        {"lrs": [0.1, -1]},
        {"optimizers": ["adm"]},
        {"starts": [(0.0, 1.0), (float("nan"), 1.0)]},
        {"schedule": "plateau"},
        {"steps": 2_000_000, "lrs": [0.1] * 5_000},
    ],
)
def test_a_bad_sweep_is_refused_before_it_begins(wrong):
    arguments = {"optimizers": ["adam"], "lrs": [0.1], "starts": None, "steps": 100, **wrong}
    with pytest.raises(UsageError, match=r".{20}"):
        paths.sweep(HIMMELBLAU, arguments.pop("optimizers"), arguments.pop("lrs"), arguments.pop("starts"), **arguments)


def test_a_bad_map_is_refused_before_it_begins():
    for points in ((0, 5), (2.5, 5), (10**9, 10**9)):
        with pytest.raises(UsageError):
            paths.map_starts(HIMMELBLAU, "adam", steps=10, points=points)
    with pytest.raises(UnknownNameError, match="beta1"):
        paths.map_hyperparameters(HIMMELBLAU, "adam", ("beta3", [0.1]), ("lr", [0.1]), steps=10)
    with pytest.raises(UsageError):
        paths.map_hyperparameters(HIMMELBLAU, "adam", ("beta1", [1.1]), ("lr", [0.1]), steps=10)
    with pytest.raises(UsageError, match="start"):
        paths.map_starts(surfaces.parse("log(x)"), "adam", steps=10, points=(5, 5))
