"""Events, on paths of which it is known what happens."""

import numpy as np
import pytest

from thalweg import optimizers, paths, surfaces


def kinds(path):
    return [event.kind for event in path.events]


def event(path, kind):
    return next(event for event in path.events if event.kind == kind)


def test_plain_descent_converges_when_its_gradient_has_shrunk_a_millionfold():
    path = paths.trace(surfaces.get("bowl"), "sgd", lr=0.5, steps=1_000)
    assert kinds(path) == ["converged"]
    assert event(path, "converged").step == 20  # 2^-20 is the first power of a half below 1e-6
    assert event(path, "converged").values["eigenvalue_low"] == pytest.approx(1.0)


def test_too_large_a_rate_diverges():
    path = paths.trace(surfaces.get("bowl"), "sgd", lr=3.0, steps=1_000, start=(1.0, 0.0))
    assert kinds(path) == ["left_window", "diverged"]
    assert event(path, "left_window").step == 2  # 1, −2, 4
    assert event(path, "diverged").step == path.last


def test_on_the_ridge_of_a_saddle_it_stalls_and_the_eigenvalue_says_why():
    path = paths.trace(surfaces.get("saddle"), "sgd", lr=0.2, steps=1_000, start=(3.0, 0.0))
    assert kinds(path) == ["stalled"]
    assert event(path, "stalled").values["eigenvalue_low"] == pytest.approx(-1.0)


def test_beside_the_ridge_it_does_not():
    path = paths.trace(surfaces.get("saddle"), "sgd", lr=0.2, steps=1_000, start=(3.0, 1e-6))
    assert kinds(path) == ["converged"]


def test_small_steps_along_the_valley_stall_with_the_gradient_still_there():
    path = paths.trace(surfaces.get("valley"), "sgd", lr=1e-3, steps=20_000)
    assert kinds(path) == ["stalled"]
    assert event(path, "stalled").values["gradient_norm"] > 0.05


def test_a_loss_that_falls_by_powers_of_ten_is_no_stall():
    path = paths.trace(surfaces.get("valley"), "rmsprop", lr=0.06, steps=2_000)
    assert path.gradient_norm[:800].min() < 1e-15
    assert "stalled" not in kinds(path)


def test_a_start_at_the_goal_has_converged():
    assert event(paths.trace(surfaces.get("bowl"), "sgd", steps=20, start=(0.0, 0.0)), "converged").step == 0


def test_the_course_s_adagrad_bursts_where_its_rate_times_the_curvature_passes_two():
    """The figures of a plain simulation: curvatures 0.01 and 10, turned by 0.05 rad, η = 0.2."""
    surface = surfaces.get("valley", condition=1000.0, angle=0.05)
    path = paths.trace(surface, "adagrad_mean", lr=0.2, steps=6_000)
    ratio_S = path.lr_S * 10.0 / path.scale_S2[:, 1]
    crossing = int(np.flatnonzero((ratio_S[1:] > 2) & (ratio_S[:-1] <= 2))[0]) + 1
    assert crossing == 3_310
    across_S = path.positions_S2 @ [-np.sin(0.05), np.cos(0.05)]
    assert np.abs(across_S[crossing]) < 1e-28
    assert np.abs(across_S).max(initial=0.0, where=np.arange(6_001) > crossing) == pytest.approx(
        1.4, abs=0.1
    )  # it grows out of the last bits
    burst = event(path, "burst")
    assert crossing < burst.step < crossing + 700
    assert path.loss[burst.step] > 1e9 * path.loss[crossing]


def test_adagrad_with_the_sum_never_bursts():
    surface = surfaces.get("valley", condition=1000.0, angle=0.05)
    for lr in (0.05, 0.2, 1.0, 5.0):
        assert "burst" not in kinds(paths.trace(surface, "adagrad", lr=lr, steps=20_000))


def test_decay_calms_the_burst():
    surface = surfaces.get("valley", condition=1000.0, angle=0.05)
    assert "burst" in kinds(paths.trace(surface, "adagrad_mean", lr=0.2, steps=6_000))
    assert "burst" not in kinds(paths.trace(surface, "adagrad_mean", lr=0.2, schedule="inverse_time", steps=6_000))


def test_stability_is_the_threshold_of_plain_descent():
    for lr, grows in ((0.199, False), (0.201, True)):
        path = paths.trace(surfaces.get("valley"), "sgd", lr=lr, steps=200, start=(0.0, 1.0))
        assert (path.stability_S2[0, 1] > 2) == grows == bool(path.loss[-1] > path.loss[0])


@pytest.mark.parametrize("name", optimizers.names())
def test_events_come_in_order_and_within_the_path(name):
    for lr in (0.01, 1.0, 30.0):
        path = paths.trace(surfaces.get("himmelblau"), name, lr=lr, steps=500)
        steps = [event.step for event in path.events]
        assert steps == sorted(steps)
        assert all(0 <= step <= path.last for step in steps)
