"""One path: what it keeps, and what is refused before anything is allocated."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from thalweg import paths, schedules, surfaces
from thalweg.errors import ThalwegError, UsageError


BOWL = surfaces.get("bowl")
VALLEY = surfaces.get("valley")


def test_shapes_and_meaning():
    path = paths.trace(VALLEY, "adam", lr=0.05, schedule="linear", steps=100)
    assert path.positions_S2.shape == (101, 2)
    assert path.loss.shape == path.gradient_norm.shape == (101,)
    assert path.direction_S2.shape == path.scale_S2.shape == path.rates_S2.shape == path.stability_S2.shape == (100, 2)
    assert path.step_length.shape == path.lr_S.shape == (100,)
    np.testing.assert_array_equal(path.loss, VALLEY.value(*path.positions_S2.T))
    np.testing.assert_allclose(path.gradient_norm, np.hypot(*VALLEY.gradient(path.positions_S2).T), rtol=1e-15)
    np.testing.assert_array_equal(path.lr_S, 0.05 * schedules.factors(schedules.parse("linear"), 100))
    np.testing.assert_allclose(path.stability_S2, path.lr_S[:, None] / path.scale_S2 * [0.01, 10.0])


def test_history_has_a_row_for_each_position():
    path = paths.trace(BOWL, "sgd", lr=0.5, steps=3)
    history = path.history()
    assert list(history.units)[:5] == ["step", "loss", "gradient_norm", "lr", "step_length"]
    assert history["step"].tolist() == [0, 1, 2, 3]
    assert history["loss"].tolist() == path.loss.tolist()
    assert history["lr"][:3].tolist() == [0.5, 0.5, 0.5]
    assert np.isnan(history["lr"][3])
    assert history["position_x"].tolist() == path.positions_S2[:, 0].tolist()


def test_plain_descent_in_a_valley_is_the_closed_form():
    """Each coordinate shrinks by 1 − η × curvature a step."""
    path = paths.trace(VALLEY, "sgd", lr=0.15, steps=5_000, start=(-10.0, 2.0))
    t_S1 = np.arange(5_001)[:, None]
    np.testing.assert_allclose(
        path.positions_S2, [-10.0, 2.0] * (1 - 0.15 * np.array([0.01, 10.0])) ** t_S1, rtol=1e-11, atol=1e-300
    )


def test_noise_comes_from_its_seed():
    runs = [paths.trace(BOWL, "sgd", lr=0.1, steps=2_000, noise=0.5, seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0].positions_S2, runs[1].positions_S2)
    assert not np.array_equal(runs[0].positions_S2, runs[2].positions_S2)
    drawn_S2 = runs[0].direction_S2 - BOWL.gradient(runs[0].positions_S2[:-1])
    assert drawn_S2.std() == pytest.approx(0.5, rel=0.05)
    assert abs(drawn_S2.mean()) < 0.03


def test_noise_of_zero_is_no_noise():
    silent, plain = paths.trace(BOWL, "adam", steps=50, noise=0.0, seed=3), paths.trace(BOWL, "adam", steps=50)
    np.testing.assert_array_equal(silent.positions_S2, plain.positions_S2)


def test_a_schedule_is_the_same_as_an_object_or_as_text():
    text = "warmup(10%) > cosine"
    walks = [paths.trace(BOWL, "adam", schedule=spec, steps=100) for spec in (text, schedules.parse(text))]
    np.testing.assert_array_equal(walks[0].positions_S2, walks[1].positions_S2)


def test_a_diverging_path_ends_where_it_is_out_of_reach():
    path = paths.trace(BOWL, "sgd", lr=3.0, steps=1_000)
    assert path.diverged
    assert 10 < path.last < 100
    assert np.isfinite(path.positions_S2[: path.last + 1]).all()
    assert np.isnan(path.positions_S2[path.last + 1 :]).all()
    assert len(path.history()) == path.last + 1


def test_a_path_that_leaves_the_domain_has_diverged():
    path = paths.trace(surfaces.parse("log(x) + y**2"), "sgd", lr=1.0, steps=50, start=(0.5, 0.1))
    assert path.diverged
    assert path.last < 50


@pytest.mark.parametrize("spec", ["plateau(patience=5)", "warmup(10%) > plateau(0.5, patience=3, cooldown=4)"])
def test_plateau_and_its_path_agree(spec):
    """Each factor is what the schedule says of the losses before it, and the path is the one that the factors make."""
    path = paths.trace(surfaces.get("himmelblau"), "adam", lr=0.3, schedule=spec, steps=400, noise=20.0)
    schedule = schedules.parse(spec)
    expected = [schedule(step, 400, path.loss[:step].tolist()) for step in range(400)]
    np.testing.assert_array_equal(path.lr_S, 0.3 * np.array(expected))
    assert len(set(path.lr_S[100:].tolist())) > 2


def test_plateau_against_torch():
    problem = surfaces.get("himmelblau")
    point = torch.tensor([-0.5, -1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([point], lr=0.02)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=4, eps=0.0)
    rates = []
    for _ in range(300):
        rates.append(optimizer.param_groups[0]["lr"])
        point.grad = torch.from_numpy(problem.gradient(point.detach().numpy()))
        plateau.step(float(problem.value(*point.detach().numpy())))
        # torch's scheduler acts after the step; the step itself takes the rate from before
        for group in optimizer.param_groups:
            new, group["lr"] = group["lr"], rates[-1]
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = new
    path = paths.trace(problem, "sgd", lr=0.02, schedule="plateau(0.5, patience=4)", steps=300, start=(-0.5, -1.0))
    np.testing.assert_allclose(path.lr_S, rates, rtol=1e-12)
    assert rates[-1] < 0.01


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": -1},
        {"lr": 0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"lr": "fast"},
        {"lr": True},
        {"steps": 0},
        {"steps": -5},
        {"steps": 1e12},
        {"steps": 10**30},
        {"steps": 2.5},
        {"steps": float("nan")},
        {"steps": float("inf")},
        {"steps": "many"},
        {"steps": True},
        {"start": (float("nan"), 0.0)},
        {"start": (1.0,)},
        {"start": (1.0, 2.0, 3.0)},
        {"start": ("a", "b")},
        {"noise": -0.1},
        {"noise": float("inf")},
        {"schedule": "cosin"},
        {"schedule": "step(30%, 0.1"},
        {"optimizer": "adm"},
        {"schedule": "plateau", "steps": 100_000},
    ],
)
def test_bad_input_gets_a_sentence(wrong):
    arguments = {"optimizer": "adam", "steps": 100, **wrong}
    with pytest.raises(ThalwegError) as error:
        paths.trace(BOWL, arguments.pop("optimizer"), **arguments)
    assert error.value.exit_code == 2
    assert len(str(error.value)) > 20


@pytest.mark.parametrize(
    ("formula", "start"),
    [
        ("1/x", (0.0, 1.0)),
        ("log(x)", (-1.0, 1.0)),
        ("sqrt(y)", (1.0, 0.0)),
        ("exp(x)", (1_000.0, 0.0)),
        ("0/x", (1, 1)),
    ],
)
def test_a_start_outside_the_domain_is_refused(formula, start):
    if formula == "0/x":
        assert paths.trace(surfaces.parse(formula), "sgd", steps=3, start=start).loss.tolist() == [0.0] * 4
        return
    with pytest.raises(UsageError, match="start"):
        paths.trace(surfaces.parse(formula), "sgd", steps=10, start=start)


def test_steps_may_be_any_whole_number():
    assert paths.trace(BOWL, "sgd", steps=np.int64(3)).steps == paths.trace(BOWL, "sgd", steps=3.0).steps == 3


def test_a_second_process_needs_neither_compiler():
    """What this process has compiled, another loads: no Numba, no SymPy, no SciPy."""
    code = (
        "from thalweg import paths, surfaces; import sys;"
        "paths.trace(surfaces.get('valley'), 'adam', steps=100);"
        "sys.exit(any(name in sys.modules for name in ('sympy', 'numba', 'scipy', 'torch', 'matplotlib')))"
    )
    paths.trace(VALLEY, "adam", steps=100)
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
