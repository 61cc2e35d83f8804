"""The two loops that run an optimizer over a surface, compiled by Numba: `one` keeps every step, `many` only the ends.

Both call the `step` of an optimizer, the same function that Python runs, and do not depend on a surface: seventeen
optimizers and sixteen surfaces need 33 compilations, not 272. `one` is linked with the surface, so a step calls
nothing. `many` calls the surface by its address, once per step for a block of traces, so
the CPU works on several traces at a time.

Importing this module imports Numba, so it is loaded only if a loop is not yet on disk.
"""

from __future__ import annotations

from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from thalweg.surfaces.loops import point


if TYPE_CHECKING:
    from collections.abc import Callable

    from thalweg.optimizers import Optimizer

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For functions that only compiled code calls: wrappers for Python and C would take half of Numba's time."""

_inner: Any = njit(**_OPTIONS)


def make_one(optimizer: type[Optimizer], sizes: tuple[int, int, int]) -> Callable[..., None]:
    """Make the loop of one trace, which keeps every step.

    Args:
        optimizer: the optimizer whose `step` is called.
        sizes: the numbers of values that `step` unpacks as state, clock and hyper.
    """
    advance = _make_advance(optimizer)
    read_state, read_clock, read_hyper = (_READ[size] for size in sizes)
    read_three = _READ[3]

    def one(  # noqa: PLR0917 - compiled code has no keywords
        steps: Any, start_2: Any, state_2K: Any, rate_S: Any, clock_SC: Any, hyper_H: Any,
        noisy: Any, noise_S2: Any, settings: Any, record_S8: Any, done: Any,
    ) -> None:  # fmt: skip
        hyper = read_hyper(hyper_H, 0, 1)
        decay, reach = read_three(settings, 0, 1), read_three(settings, 3, 1)
        state_x = read_state(state_2K, 0, 2)
        state_y = read_state(state_2K, 1, 2)
        x = start_2[0]
        y = start_2[1]
        for t in range(steps + 1):
            value, gx, gy = point(x, y)
            row = 8 * t
            record_S8[row] = x
            record_S8[row + 1] = y
            record_S8[row + 2] = value
            record_S8[row + 3] = sqrt(gx * gx + gy * gy)
            done[0] = t
            if t == steps or not (isfinite(value) and _is_near(x, y, reach)):
                break
            if noisy:
                gx += noise_S2[2 * t]
                gy += noise_S2[2 * t + 1]
            clock = read_clock(clock_SC, t * sizes[1], 1)
            rate = rate_S[t]
            x, mx, sx, state_x = advance(x, gx, state_x, clock, hyper, rate, decay)
            y, my, sy, state_y = advance(y, gy, state_y, clock, hyper, rate, decay)
            record_S8[row + 4] = mx
            record_S8[row + 5] = my
            record_S8[row + 6] = sx
            record_S8[row + 7] = sy

    return one


def make_many(optimizer: type[Optimizer], sizes: tuple[int, int, int]) -> Callable[..., None]:
    """Make the loop of a block of traces, which keeps only their ends; arguments as for `make_one`."""
    advance = _make_advance(optimizer)
    read_state, read_clock, read_hyper = (_READ[size] for size in sizes)
    write_state, read_three = _WRITE[sizes[0]], _READ[3]

    def many(  # noqa: PLR0917 - compiled code has no keywords
        slope: Any, steps: Any, n: Any, point_5N: Any, state_2KN: Any, lr_N: Any, factor_S: Any, clock_SC: Any,
        hyper_H: Any, noisy: Any, noise_S2: Any, settings: Any, target_3N: Any, done_2N: Any,
    ) -> None:  # fmt: skip
        hyper = read_hyper(hyper_H, 0, 1)
        decay, reach = read_three(settings, 0, 1), read_three(settings, 3, 1)
        for t in range(steps):
            _slope(slope, n, point_5N)
            clock = read_clock(clock_SC, t * sizes[1], 1)
            factor = factor_S[t]
            noise_x = noise_S2[2 * t] if noisy else 0.0
            noise_y = noise_S2[2 * t + 1] if noisy else 0.0
            for p in range(n):
                x = point_5N[p]
                y = point_5N[p + n]
                rate = factor * lr_N[p]
                state_x = read_state(state_2KN, p, 2 * n)
                state_y = read_state(state_2KN, p + n, 2 * n)
                new_x, _, _, state_x = advance(x, point_5N[p + 3 * n] + noise_x, state_x, clock, hyper, rate, decay)
                new_y, _, _, state_y = advance(y, point_5N[p + 4 * n] + noise_y, state_y, clock, hyper, rate, decay)
                write_state(state_2KN, p, 2 * n, state_x)
                write_state(state_2KN, p + n, 2 * n, state_y)
                alive = _is_near(x, y, reach)
                point_5N[p] = new_x if alive else x
                point_5N[p + n] = new_y if alive else y
                done_2N[p] = done_2N[p] + (1.0 if alive else 0.0)
                settled = done_2N[p + n]  # loaded before the branch: a load inside it would prevent vector instructions
                dx = x - target_3N[p]
                dy = y - target_3N[p + n]
                away = dx * dx + dy * dy > target_3N[p + 2 * n]
                done_2N[p + n] = t + 1.0 if away else settled
        _slope(slope, n, point_5N)

    return many


def _make_advance(optimizer: type[Optimizer]) -> Callable[..., Any]:
    """One coordinate, one step: θ, m, σ and the state after it."""
    step = _inner(optimizer.step)

    @_inner
    def advance(  # noqa: PLR0917 - compiled code has no keywords
        theta: Any, g: Any, state: Any, clock: Any, hyper: Any, rate: Any, decay: Any
    ) -> Any:
        sign, coupled, decoupled = decay
        m, sigma, state = step(sign * g + coupled * theta, state, clock, hyper)
        theta = theta * (1.0 - rate * decoupled) - rate * m / sigma
        return theta, m, sigma, state

    return advance


@_inner
def _is_near(x: Any, y: Any, reach: Any) -> Any:
    """Whether a point is still within reach of the surface's window; NaN is not."""
    middle_x, middle_y, far = reach
    return (abs(x - middle_x) <= far) & (abs(y - middle_y) <= far)


def _call_slope(_typing: Any, _address: Any, _n: Any, _point_5N: Any) -> Any:
    """Call the surface at an address for n points: rows x, y in; rows value, ∂x, ∂y out."""

    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: Any) -> Any:
        address, n, base = arguments
        prototype = ir.FunctionType(ir.VoidType(), [n.type, *[base.type] * 5])
        rows = [builder.gep(base, [builder.mul(n, n.type(row))]) for row in range(5)]
        builder.call(builder.inttoptr(address, prototype.as_pointer()), [n, *rows])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.CPointer(types.float64)), generate


_slope: Any = intrinsic(_call_slope)

_READ: dict[int, Callable[..., Any]] = {
    1: _inner(lambda a, i, _: (a[i],)),
    2: _inner(lambda a, i, stride: (a[i], a[i + stride])),
    3: _inner(lambda a, i, stride: (a[i], a[i + stride], a[i + 2 * stride])),
    4: _inner(lambda a, i, stride: (a[i], a[i + stride], a[i + 2 * stride], a[i + 3 * stride])),
}
"""The length of a tuple is part of its type in Numba, so reading one needs a function for each length."""


@_inner
def _write1(a: Any, i: Any, _: Any, row: Any) -> None:
    (a[i],) = row


@_inner
def _write2(a: Any, i: Any, stride: Any, row: Any) -> None:
    a[i], a[i + stride] = row


@_inner
def _write3(a: Any, i: Any, stride: Any, row: Any) -> None:
    a[i], a[i + stride], a[i + 2 * stride] = row


_WRITE = {1: _write1, 2: _write2, 3: _write3}
