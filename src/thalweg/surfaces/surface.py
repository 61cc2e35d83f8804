"""A surface: the error as a function of two weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from thalweg.errors import UsageError
from thalweg.surfaces.critical import find
from thalweg.surfaces.kernels import hessian_kernel, slope_kernel
from thalweg.surfaces.syntax import check, to_latex


if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from thalweg.surfaces.critical import CriticalPoint

Window = tuple[tuple[float, float], tuple[float, float]]

_FARTHEST = 1e15  # of a coordinate: its squares and fourth powers can still be computed and drawn
_SHORTEST = 1e-9  # side of a window, as a share of its largest coordinate: a picture has thousands of points along it


@dataclass(frozen=True)
class Surface:
    """An error surface over two weights, x and y.

    Value, gradient and Hessian are exact (SymPy) and compiled (Numba) on first use. Outside the formula's
    domain (the logarithm of a negative number) they are NaN, as in NumPy.

    Args:
        name: its name in the catalogue, or `formula`.
        formula: in the spelling of `syntax.canonical`.
        window: ((x0, x1), (y0, y1)), the part that is drawn and searched.
        start: (x, y), where traces begin by default.

    Raises:
        UsageError: window or start contains a number that is not finite or beyond ±1e15, or a side of the window is
            too short for its numbers to differ.

    Example:
        >>> from thalweg import surfaces
        >>> surface = surfaces.parse("x**2 + 10*y**2")
        >>> surface.value([1.0, 2.0], [0.0, 1.0]).tolist()
        [1.0, 14.0]
        >>> surface.gradient([[1.0, 2.0]]).tolist()
        [[2.0, 40.0]]
        >>> surface.hessian([[1.0, 2.0]]).tolist()
        [[[2.0, 0.0], [0.0, 20.0]]]
    """

    name: str
    formula: str
    window: Window
    start: tuple[float, float]

    def __post_init__(self) -> None:
        try:
            rows_32 = np.array([*self.window, self.start], dtype=np.float64).reshape(3, 2)
        except (TypeError, ValueError):
            rows_32 = np.full((3, 2), np.nan)
        largest_2 = np.maximum(np.abs(rows_32[:2]).max(axis=1), 1 / _FARTHEST)
        within = (np.abs(rows_32) <= _FARTHEST).all()  # false for NaN
        if not within or not (rows_32[:2, 1] - rows_32[:2, 0] > _SHORTEST * largest_2).all():
            raise UsageError("surfaces.bad_window", window=self.window, start=self.start)

    def value(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """f(x, y) at points of any shape; `x` and `y` are broadcast against each other."""
        x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
        return self._slope(x.ravel(), y.ravel())[0].reshape(x.shape)

    def gradient(self, xy_N2: ArrayLike) -> NDArray[np.float64]:
        """(∂f/∂x, ∂f/∂y) at points of shape (..., 2), in the same shape."""
        xy = np.asarray(xy_N2, dtype=np.float64)
        columns = self._slope(xy[..., 0].ravel(), xy[..., 1].ravel())
        return columns[1:].T.reshape(xy.shape)

    def hessian(self, xy_N2: ArrayLike) -> NDArray[np.float64]:
        """Second derivatives at points of shape (..., 2), in shape (..., 2, 2)."""
        xy = np.asarray(xy_N2, dtype=np.float64)
        x, y = (np.ascontiguousarray(xy[..., axis].ravel()) for axis in (0, 1))
        xx, xy_, yy = columns = np.empty((3, x.size))
        hessian_kernel(self.formula)(x.size, x, y, *columns)
        return np.stack([xx, xy_, xy_, yy], axis=-1).reshape(*xy.shape, 2)

    @cached_property
    def critical_points(self) -> tuple[CriticalPoint, ...]:
        """Where the gradient vanishes inside the window, the lowest first: see `critical.find`."""
        return find(self)

    @property
    def latex(self) -> str:
        """The formula as LaTeX, without dollar signs."""
        return to_latex(check(self.formula))

    def _slope(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Value and gradient as rows, at points given as two vectors."""
        columns = np.empty((3, x.size))
        slope_kernel(self.formula)(x.size, np.ascontiguousarray(x), np.ascontiguousarray(y), *columns)
        return columns
