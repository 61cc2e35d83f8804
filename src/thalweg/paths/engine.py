"""Call the compiled loops with an optimizer, a surface and numbers."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from os import cpu_count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from thalweg._native import Kernel, Part, get_kernel
from thalweg.surfaces.kernels import loops_text, slope_kernel, slope_part


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from thalweg.optimizers import Optimizer
    from thalweg.surfaces import Surface

FAR = 1e6
"""A trace farther from the window's middle than this many of its longer sides has diverged."""

BLOCK = 256
"""Traces per call of the loop: their numbers fit into the CPU's first cache."""

_SIGNATURES = {"one": "ipppppipppp", "many": "iiippppppipppp"}


class Drive(NamedTuple):
    """The numbers of each step that all traces of a sweep share.

    Args:
        factor_S: the schedule's factors of the learning rate.
        noise_S2: added to the gradient; `None` for none.
    """

    factor_S: NDArray[np.float64]
    noise_S2: NDArray[np.float64] | None


class Job(NamedTuple):
    """Traces of one optimizer.

    Args:
        optimizer: the optimizer.
        start_N2: the start of each.
        lr_N: the learning rate of each.
        target_N3: a point and a radius for each, for `Ends.settled_N`; `None`: not needed.
    """

    optimizer: Optimizer
    start_N2: NDArray[np.float64]
    lr_N: NDArray[np.float64]
    target_N3: NDArray[np.float64] | None = None

    def blocks(self) -> list[Job]:
        """The same traces in blocks that fit into the CPU's first cache."""
        cuts = [slice(first, first + BLOCK) for first in range(0, len(self.lr_N), BLOCK)]
        targets = [None if self.target_N3 is None else self.target_N3[cut] for cut in cuts]
        return [
            Job(self.optimizer, self.start_N2[cut], self.lr_N[cut], target)
            for cut, target in zip(cuts, targets, strict=True)
        ]


class Ends(NamedTuple):
    """The ends of traces.

    Args:
        position_N2: the last position; for a diverged trace, the last in reach or the first out of it.
        loss_N: f there.
        gradient_norm_N: ‖∇f‖ there.
        steps_N: steps made in reach; fewer than requested means diverged.
        settled_N: steps after which the trace stays within its target's radius.
    """

    position_N2: NDArray[np.float64]
    loss_N: NDArray[np.float64]
    gradient_norm_N: NDArray[np.float64]
    steps_N: NDArray[np.float64]
    settled_N: NDArray[np.float64]


def run_one(
    surface: Surface,
    optimizer: Optimizer,
    start_2: NDArray[np.float64],
    *,
    lr: float,
    rate_S: NDArray[np.float64],
    noise_S2: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], int]:
    """Run one trace and keep every step.

    Args:
        surface: the surface.
        optimizer: the optimizer.
        start_2: the start.
        lr: the learning rate before the schedule.
        rate_S: the learning rate of each step.
        noise_S2: added to the gradient; `None` for none.

    Returns:
        Rows (x, y, loss, gradient norm, m_x, m_y, σ_x, σ_y) of shape (steps + 1, 8), and the last step with a known
        position. The last row's m and σ are NaN, as are all rows after a divergence.
    """
    clock_SC = _clock(optimizer, len(rate_S))
    record_S8 = np.empty((len(rate_S) + 1, 8))
    done = np.zeros(1)
    _one(type(optimizer), surface.formula)(
        len(rate_S),
        start_2,
        np.repeat(optimizer.start(lr), 2).astype(np.float64),
        rate_S,
        clock_SC,
        np.array(optimizer.hyper()),
        *_noise(noise_S2),
        _settings(surface, optimizer),
        record_S8,
        done,
    )
    last = int(done[0])
    record_S8[last, 4:] = np.nan
    record_S8[last + 1 :] = np.nan
    return record_S8, last


def run_many(surface: Surface, jobs: Sequence[Job], drive: Drive) -> Ends:
    """Run many traces on all cores and keep only their ends; all share schedule and noise.

    Threads share the blocks: a loop does not hold the interpreter's lock, and no threading layer is needed.

    Returns:
        The traces of all jobs, one after the other.
    """
    slope = slope_kernel(surface.formula)
    tasks = []
    for job in jobs:
        shared = (
            drive.factor_S,
            _clock(job.optimizer, len(drive.factor_S)),
            np.array(job.optimizer.hyper()),
            *_noise(drive.noise_S2),
        )
        loop, settings = _many(type(job.optimizer)), _settings(surface, job.optimizer)
        tasks += [(loop, slope, block, (*shared, settings)) for block in job.blocks()]
    with ThreadPoolExecutor(cpu_count()) as pool:
        points, done = zip(*pool.map(lambda task: _run_block(*task), tasks), strict=True)
    x_N, y_N, value_N, gx_N, gy_N = np.concatenate(points, axis=1)
    steps_N, settled_N = np.concatenate(done, axis=1)
    return Ends(np.stack([x_N, y_N], axis=1), value_N, np.hypot(gx_N, gy_N), steps_N, settled_N)


def _run_block(
    loop: Kernel, slope: Kernel, block: Job, shared: tuple[Any, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows x, y, value, ∂x, ∂y at the ends, and rows steps, settled."""
    n = len(block.lr_N)
    lr_N = np.ascontiguousarray(block.lr_N)
    point_5N = np.zeros((5, n))
    point_5N[:2] = block.start_N2.T
    state_K2N = np.array([np.broadcast_to(number, (2, n)) for number in block.optimizer.start(lr_N)])
    target_3N = np.zeros((3, n)) if block.target_N3 is None else block.target_N3.T.copy()
    target_3N[2] **= 2
    done_2N = np.zeros((2, n))
    loop(slope.address, len(shared[0]), n, point_5N, state_K2N, lr_N, *shared, target_3N, done_2N)
    return point_5N, done_2N


@lru_cache(maxsize=256)
def _one(optimizer: type[Optimizer], formula: str) -> Kernel:
    return get_kernel(_loop("one", optimizer), slope_part(formula))


@cache
def _many(optimizer: type[Optimizer]) -> Kernel:
    return get_kernel(_loop("many", optimizer))


def _loop(name: str, optimizer: type[Optimizer]) -> Part:
    """The loop `one` or `many` for an optimizer's step; optimizers with the same step share it."""
    default = optimizer()
    sizes = len(default.start(1.0)), len(default.clock(np.ones(1))), len(default.hyper())
    home, *_ = optimizer.step.__qualname__.split(".")
    files = Path(inspect.getfile(optimizer.step)), Path(__file__).with_name("loops.py")
    source = "\n".join([repr(sizes), loops_text(), *(file.read_text(encoding="utf-8") for file in files)])

    def build() -> Callable[..., None]:
        from thalweg.paths import loops

        return {"one": loops.make_one, "many": loops.make_many}[name](optimizer, sizes)

    return Part(f"{name}_{home.lower()}", _SIGNATURES[name], source, build)


@lru_cache(maxsize=8)
def _clock(optimizer: Optimizer, steps: int) -> NDArray[np.float64]:
    """The optimizer's clock, one row per step; cached, because moving a slider needs the same clock again."""
    clock_SC = np.stack(optimizer.clock(np.arange(1.0, steps + 1)), axis=1)
    clock_SC.setflags(write=False)
    return clock_SC


def _noise(noise_S2: NDArray[np.float64] | None) -> tuple[int, NDArray[np.float64]]:
    return (0, np.zeros(2)) if noise_S2 is None else (1, noise_S2)


def _settings(surface: Surface, optimizer: Optimizer) -> NDArray[np.float64]:
    """What `loops` reads: sign, coupled and decoupled decay, and the reach of the window."""
    (x0, x1), (y0, y1) = surface.window
    sign = -1.0 if optimizer.maximize else 1.0
    return np.array([sign, *optimizer.decays, (x0 + x1) / 2, (y0 + y1) / 2, FAR * max(x1 - x0, y1 - y0)])
