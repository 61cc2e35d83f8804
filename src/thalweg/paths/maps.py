"""Maps over starts or over two hyper-parameters: where each trace ends, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from thalweg.optimizers.reading import changed
from thalweg.paths.checks import check_lr, check_optimizer, check_points, check_starts, check_steps
from thalweg.paths.engine import Drive, Ends, Job, run_many
from thalweg.paths.rates import fixed_factors
from thalweg.paths.trace import draw_noise


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.optimizers import Optimizer
    from thalweg.schedules import Schedule
    from thalweg.surfaces import Surface

    Axis = tuple[str, NDArray[np.float64]]

ELSEWHERE = -1
"""The outcome of a trace that ends near no critical point."""
DIVERGED = -2
"""The outcome of a trace that goes out of reach."""
NEAR = 0.02
"""A trace has settled once it stays within this share of the window's shorter side."""


@dataclass(frozen=True, eq=False)
class Map:
    """Where each trace of a grid ends, and how long it takes; row h, column w of every array is (x_W[w], y_H[h]).

    Args:
        surface: the surface.
        optimizer: the optimizer; in a map over hyper-parameters, with the values that the map does not change.
        x_name: what changes along a row: `x`, or a hyper-parameter.
        y_name: what changes along a column.
        x_W: its values.
        y_H: its values.
        steps: steps requested.
        positions_HW2: the ends.
        loss_HW: f there.
        outcome_HW: index into `surface.critical_points` of the one nearby, `ELSEWHERE`, or `DIVERGED`.
        settled_HW: steps after which the trace stays near its end (`NEAR`); for a diverged trace, steps until it is
            out of reach.
    """

    surface: Surface
    optimizer: Optimizer
    x_name: str
    y_name: str
    x_W: NDArray[np.float64] = field(repr=False)
    y_H: NDArray[np.float64] = field(repr=False)
    steps: int
    positions_HW2: NDArray[np.float64] = field(repr=False)
    loss_HW: NDArray[np.float64] = field(repr=False)
    outcome_HW: NDArray[np.int64] = field(repr=False)
    settled_HW: NDArray[np.float64] = field(repr=False)


def map_starts(
    surface: Surface,
    optimizer: Optimizer | str,
    *,
    lr: float | None = None,
    steps: int,
    points: tuple[int, int] = (101, 101),
    schedule: Schedule | str = "constant",
    noise: float = 0.0,
    seed: int = 0,
) -> Map:
    """Run a trace from each point of a grid over the surface's window.

    Args:
        surface: from `surfaces.get` or `surfaces.parse`.
        optimizer: from `optimizers.get`, or its name.
        lr: η; the optimizer's own default when not given.
        steps: number of steps of each trace.
        points: numbers of starts along x and along y.
        schedule: what multiplies η; one with `plateau` is invalid.
        noise: standard deviation of the gradient's noise; the same draws for every trace.
        seed: of the noise.

    Raises:
        UsageError: a value is out of range, or a start is outside the surface's domain.

    Example:
        >>> from thalweg import surfaces
        >>> found = map_starts(surfaces.get("saddle"), "sgd", lr=0.1, steps=1000, points=(3, 4))
        >>> found.outcome_HW[:, 0].tolist()
        [0, 0, 1, 1]
    """
    optimizer = check_optimizer(optimizer)
    x_W, y_H = (np.linspace(*side, check_points(n)) for side, n in zip(surface.window, points, strict=True))
    steps = check_steps(steps, paths=2 * len(x_W) * len(y_H))
    start_N2 = check_starts(surface, np.stack(np.meshgrid(x_W, y_H), axis=-1).reshape(-1, 2))
    lr_N = np.full(len(start_N2), check_lr(optimizer.default_lr if lr is None else lr))
    drive = Drive(fixed_factors(schedule, steps), draw_noise(steps, noise, seed))
    return _map(surface, optimizer, (("x", x_W), ("y", y_H)), [Job(optimizer, start_N2, lr_N)], drive)


def map_hyperparameters(
    surface: Surface,
    optimizer: Optimizer | str,
    x: tuple[str, Sequence[float]],
    y: tuple[str, Sequence[float]],
    *,
    lr: float | None = None,
    steps: int,
    start: tuple[float, float] | None = None,
    schedule: Schedule | str = "constant",
    noise: float = 0.0,
    seed: int = 0,
) -> Map:
    """Run a trace for each pair of values of two hyper-parameters.

    Args:
        surface: from `surfaces.get` or `surfaces.parse`.
        optimizer: from `optimizers.get`, or its name.
        x: a hyper-parameter and its values: `lr`, one of the optimizer's own numbers, or a member of a pair, counted
            from 1: `beta1`, `beta2` of `betas`, `eta1` of `etas`, `step_size2` of `step_sizes`.
        y: another.
        lr: η, if no axis changes it; the optimizer's own default when not given.
        steps: number of steps of each trace.
        start: (x, y); the surface's own when not given.
        schedule: what multiplies η; one with `plateau` is invalid.
        noise: standard deviation of the gradient's noise; the same draws for every trace.
        seed: of the noise.

    Raises:
        UnknownNameError: the optimizer has no such hyper-parameter.
        UsageError: a value is out of range.

    Example:
        >>> from thalweg import surfaces
        >>> axes = ("lr", [0.1, 0.25]), ("momentum", [0.0, 0.9])
        >>> found = map_hyperparameters(surfaces.get("valley"), "momentum", *axes, steps=5000)
        >>> (found.outcome_HW == DIVERGED).tolist()
        [[False, True], [False, False]]
    """
    optimizer = check_optimizer(optimizer)
    base_lr = check_lr(optimizer.default_lr if lr is None else lr)
    x_W, y_H = np.array(x[1], dtype=np.float64), np.array(y[1], dtype=np.float64)
    steps = check_steps(steps, paths=2 * len(x_W) * len(y_H))
    start_2 = check_starts(surface, [surface.start if start is None else start])[0]
    jobs = []
    for value_y in y_H.tolist():
        row_optimizer, row_lr = _changed(optimizer, base_lr, y[0], value_y)
        pairs = [_changed(row_optimizer, row_lr, x[0], value_x) for value_x in x_W.tolist()]
        jobs += [_job(start_2, group) for group in _alike(pairs)]
    drive = Drive(fixed_factors(schedule, steps), draw_noise(steps, noise, seed))
    return _map(surface, optimizer, ((x[0], x_W), (y[0], y_H)), jobs, drive)


def _map(surface: Surface, optimizer: Optimizer, axes: tuple[Axis, Axis], jobs: list[Job], drive: Drive) -> Map:
    """Run twice: first to find where each trace ends, then to find when it settles there."""
    ends = run_many(surface, jobs, drive)
    radius = NEAR * min(high - low for low, high in surface.window)
    target_N3 = np.column_stack([ends.position_N2, np.full(len(ends.loss_N), radius)])
    cuts = np.cumsum([len(job.lr_N) for job in jobs])[:-1]
    aimed = [job._replace(target_N3=part) for job, part in zip(jobs, np.split(target_N3, cuts), strict=True)]
    settled_N = run_many(surface, aimed, drive).settled_N
    steps = len(drive.factor_S)
    diverged_N = (ends.steps_N < steps) | ~np.isfinite(ends.loss_N)
    outcome_N = np.where(diverged_N, DIVERGED, _nearby(surface, ends, radius))
    settled_N = np.where(diverged_N, ends.steps_N, settled_N)
    (x_name, x_W), (y_name, y_H) = axes
    shape = len(y_H), len(x_W)
    return Map(
        surface,
        optimizer,
        x_name,
        y_name,
        x_W,
        y_H,
        steps,
        ends.position_N2.reshape(*shape, 2),
        ends.loss_N.reshape(shape),
        outcome_N.reshape(shape),
        settled_N.reshape(shape),
    )


def _nearby(surface: Surface, ends: Ends, radius: float) -> NDArray[np.int64]:
    """The index of the critical point near each end."""
    outcome_N = np.full(len(ends.loss_N), ELSEWHERE)
    nearest_N = np.full(len(ends.loss_N), radius)
    for index, point in enumerate(surface.critical_points):
        distance_N = np.hypot(*(ends.position_N2 - point.position).T)
        closer_N = distance_N <= nearest_N
        outcome_N[closer_N] = index
        nearest_N[closer_N] = distance_N[closer_N]
    return outcome_N


def _changed(optimizer: Optimizer, lr: float, name: str, value: float) -> tuple[Optimizer, float]:
    """An optimizer and a learning rate with one number changed."""
    if name == "lr":
        return optimizer, check_lr(value)
    return changed(optimizer, name, value), lr


def _alike(pairs: list[tuple[Optimizer, float]]) -> list[list[tuple[Optimizer, float]]]:
    """Group neighbors with the same optimizer, so that they run side by side."""
    groups: list[list[tuple[Optimizer, float]]] = []
    for pair in pairs:
        if groups and groups[-1][0][0] == pair[0]:
            groups[-1].append(pair)
        else:
            groups.append([pair])
    return groups


def _job(start_2: NDArray[np.float64], group: list[tuple[Optimizer, float]]) -> Job:
    return Job(group[0][0], np.tile(start_2, (len(group), 1)), np.array([lr for _, lr in group]))
