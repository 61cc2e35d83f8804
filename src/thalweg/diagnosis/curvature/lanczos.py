"""The ends of a symmetric operator's spectrum, by Lanczos' method, with an error bound.

Shape suffixes: P entries of a vector, K steps so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import torch

from thalweg.errors import TrainingError, UsageError


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

Which = Literal["both", "largest", "smallest"]

ROUNDING = 64.0
"""Rounding errors of a product, in units of the number type's epsilon times the largest eigenvalue."""
LOST = 0.7
"""If orthogonalization shortens a vector below this share of its length, it is repeated."""
STIR = 0.05
"""Length of the random vector added to a start of length 1: a direction missing from the start is never found."""
_BLOCK = 8  # vectors of the basis allocated at a time


class Operator(Protocol):
    """A real symmetric matrix, such as a `HessianOperator`."""

    dtype: torch.dtype
    device: torch.device

    @property
    def size(self) -> int:
        """Length of the vectors."""
        ...

    def matvec(self, vector_P: Tensor) -> Tensor:
        """Multiply the matrix by a vector."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Eigenvalue:
    """An eigenvalue with its error bound.

    Attributes:
        value: the Rayleigh quotient of `vector_P`: never above the largest eigenvalue, never below the smallest.
        residual: `|H v − value v|`; an eigenvalue certainly lies within `residual` of `value`.
        converged: whether `error` is within the requested tolerance.
        vector_P: of length 1.
        error: the smaller of `residual` and `residual² / gap`; an eigenvalue lies within `error` of `value` if no other
            eigenvalue lies between it and the second Ritz value with its residual.
    """

    value: float
    residual: float
    converged: bool
    vector_P: Tensor
    error: float


@dataclass(frozen=True, slots=True, eq=False)
class Extremes:
    """Both ends of a spectrum, after `products` products with the matrix.

    Attributes:
        largest: the upper end.
        smallest: the lower end.
        products: number of products computed.
        rounding: bound of the rounding error of a value.
    """

    largest: Eigenvalue
    smallest: Eigenvalue
    products: int
    rounding: float

    @property
    def negative_certified(self) -> bool:
        """Whether negative curvature is certain.

        No Rayleigh quotient is below the smallest eigenvalue. So a quotient below zero by more than rounding proves
        negative curvature, whether or not the search converged.
        """
        return self.smallest.value + self.rounding < 0

    @property
    def curvature_floor(self) -> float:
        """The lower limit of the search: it saw nothing below `smallest` minus its residual.

        This is not certain: the search cannot see an eigenvector orthogonal to its start.
        """
        return self.smallest.value - self.smallest.residual


def extremes(
    operator: Operator,
    *,
    which: Which = "both",
    tolerance: float = 1e-3,
    most: int = 40,
    start: Extremes | Tensor | None = None,
    seed: int = 0,
    preconditioner_P: Tensor | None = None,
) -> Extremes:
    """The largest and the smallest eigenvalue of a symmetric matrix, each with an error bound.

    After K products `Qᵀ H Q = T` is tridiagonal; for an eigenpair (θ, s) of T, `|H Q s − θ Q s| = β_K |s_K|`. An
    eigenvalue lies within that residual r, which is returned. The search stops when the bound `min(r, r² / gap)` is
    small, not when two estimates agree. The gap is the distance to the second Ritz value, minus that value's residual.
    Every basis vector is made orthogonal to all before it; T is solved in float64. K + 1 vectors of the parameters'
    length are kept.

    Args:
        operator: such as `HessianOperator`.
        which: the end whose convergence stops the search; the other end is returned as it is by then.
        tolerance: relative error at which an end counts as found, in (0, 1). If an end is less than `tolerance` times
            the other, the error is relative to that product.
        most: the maximum number of products, at least 1.
        start: the result of an earlier search, or a vector of shape (P,); a start near an eigenvector saves products.
            None: the operator's `gradient_P` if it has one, which is closer to the steepest eigenvectors than a random
            vector. A random vector is added, so that the start is orthogonal to nothing.
        seed: of that vector; torch's random state is not used.
        preconditioner_P: P > 0, shape (P,): eigenvalues of `P^-1/2 H P^-1/2`, which are those of `P⁻¹ H`.

    Returns:
        Both ends, each with its own residual.

    Raises:
        UsageError: an invalid argument.
        TrainingError: a product has entries that are not finite.

    Example:
        >>> from thalweg.diagnosis import HessianOperator
        >>> layer = torch.nn.Linear(2, 1, bias=False)  # of the loss (w·x)², whose Hessian is 2 x xᵀ
        >>> square = lambda outputs, targets: (outputs - targets).square().mean()
        >>> found = extremes(HessianOperator(layer, square, [(torch.tensor([[1.0, 3.0]]), torch.zeros(1, 1))]))
        >>> round(found.largest.value, 4), found.products, found.negative_certified
        (20.0, 2, False)

    Source: Lanczos 1950, https://doi.org/10.6028/jres.045.026; the bounds: Parlett 1998, The Symmetric Eigenvalue
    Problem, chapters 11 and 13, https://doi.org/10.1137/1.9781611971163.
    """
    _check(operator, tolerance, most, preconditioner_P)
    space = _Krylov(operator, preconditioner_P, seed)
    space.begin(start)
    while True:
        space.extend()
        ends = {name: space.end(name) for name in ("largest", "smallest")}
        scale = max(abs(end.value) for end in ends.values())
        rounding = ROUNDING * torch.finfo(space.dtype).eps * scale
        found = {name: end.error <= tolerance * max(abs(end.value), tolerance * scale) for name, end in ends.items()}
        wanted = ends if which == "both" else (which,)
        if all(found[name] for name in wanted) or space.steps >= min(most, operator.size) or space.exhausted:
            break
    made = {
        name: Eigenvalue(end.value, end.residual + rounding, found[name], space.vector(end), error=end.error + rounding)
        for name, end in ends.items()
    }
    return Extremes(made["largest"], made["smallest"], space.steps, rounding)


@dataclass(frozen=True, slots=True)
class _End:
    """An eigenpair of T."""

    value: float
    residual: float
    error: float
    weights_K: NDArray[np.float64]


class _Krylov:
    """An orthonormal basis of the Krylov space, and the tridiagonal matrix of the operator in it."""

    def __init__(self, operator: Operator, preconditioner_P: Tensor | None, seed: int) -> None:
        self._operator = operator
        self.dtype = torch.promote_types(operator.dtype, torch.float32)
        self._root_P = None if preconditioner_P is None else preconditioner_P.to(operator.device, self.dtype).sqrt()
        self._random = torch.Generator().manual_seed(seed)
        self._blocks: list[Tensor] = []
        self.steps = 0
        self._diagonal: list[float] = []
        self._beside: list[float] = []
        self._values_K = np.zeros(0)
        self._vectors_KK = np.zeros((0, 0))

    @property
    def exhausted(self) -> bool:
        """Whether the space is invariant: this start leads no further."""
        return self._beside[-1] == 0.0

    def begin(self, start: Extremes | Tensor | None) -> None:
        """Set the first vector."""
        first_P = self._random_unit()
        start_P = self._near(start)
        if start_P is not None:
            start_P = start_P.to(self._operator.device, self.dtype)
            norm = float(start_P.norm())
            if 0 < norm < float("inf"):
                first_P = start_P / norm + STIR * first_P
        self._append(first_P / first_P.norm())

    def _near(self, start: Extremes | Tensor | None) -> Tensor | None:
        """A vector that is probably near the eigenvectors."""
        if isinstance(start, Extremes):
            return start.largest.vector_P + start.smallest.vector_P
        if start is not None:
            return start
        gradient_P: Tensor | None = getattr(self._operator, "gradient_P", None)
        return gradient_P if gradient_P is None or self._root_P is None else gradient_P / self._root_P

    def extend(self) -> None:
        """Add one product."""
        latest_P = self._row(self.steps)
        product_P = self._product(latest_P)
        length = float(product_P.norm())
        if not np.isfinite(length):
            raise TrainingError("curvature.product_not_finite")
        self.steps += 1
        along = float(latest_P @ product_P)
        product_P.sub_(latest_P, alpha=along)
        if self._beside:
            product_P.sub_(self._row(self.steps - 2), alpha=self._beside[-1])
        before, beside = float("inf"), float(product_P.norm())
        while beside < LOST * before and beside > 0:  # once, and again if much of it lay in the basis
            before = beside
            self._orthogonalize(product_P)
            beside = float(product_P.norm())
        rounding = (
            ROUNDING * torch.finfo(self.dtype).eps * max(length, *map(abs, (*self._diagonal, *self._beside, 0.0)))
        )
        self._diagonal.append(along)
        self._beside.append(beside if beside > rounding else 0.0)
        if not self.exhausted:
            self._append(product_P.div_(beside))
        self._values_K, self._vectors_KK = _eigen(self._diagonal, self._beside[:-1])

    def end(self, name: str) -> _End:
        """The largest or the smallest eigenpair of T."""
        index, beside = (-1, -2) if name == "largest" else (0, 1)
        residuals_K = self._beside[-1] * np.abs(self._vectors_KK[-1])
        value, residual = float(self._values_K[index]), float(residuals_K[index])
        error = residual
        if self.steps > 1:
            gap = abs(value - float(self._values_K[beside])) - float(residuals_K[beside])
            error = min(residual, residual**2 / gap) if gap > 0 else residual
        return _End(value, residual, error, self._vectors_KK[:, index])

    def vector(self, end: _End) -> Tensor:
        """The operator's vector for an eigenpair of T."""
        weights_K = torch.from_numpy(end.weights_K).to(self._operator.device, self.dtype)
        total_P = torch.zeros_like(self._blocks[0][0])
        for block_BP, weights_B in zip(self._blocks, weights_K.split(_BLOCK), strict=False):
            total_P += weights_B @ block_BP[: len(weights_B)]
        return total_P / total_P.norm()

    def _product(self, vector_P: Tensor) -> Tensor:
        if self._root_P is None:
            return self._operator.matvec(vector_P).to(self.dtype)
        return self._operator.matvec(vector_P / self._root_P).to(self.dtype) / self._root_P

    def _orthogonalize(self, vector_P: Tensor) -> None:
        """Remove from a vector, in place, its part along the basis."""
        left = self.steps
        for block_BP in self._blocks:
            used_BP = block_BP[: min(left, _BLOCK)]
            left -= len(used_BP)
            if len(used_BP):
                vector_P.addmv_(used_BP.T, used_BP @ vector_P, alpha=-1)

    def _append(self, vector_P: Tensor) -> None:
        if self.steps % _BLOCK == 0:
            self._blocks.append(vector_P.new_empty(_BLOCK, len(vector_P)))
        self._row(self.steps).copy_(vector_P)

    def _row(self, index: int) -> Tensor:
        return self._blocks[index // _BLOCK][index % _BLOCK]

    def _random_unit(self) -> Tensor:
        random_P = torch.randn(self._operator.size, generator=self._random, dtype=self.dtype)
        return (random_P / random_P.norm()).to(self._operator.device)


def _eigen(diagonal: Sequence[float], beside: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    matrix_KK = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    return np.linalg.eigh(matrix_KK)


def _check(operator: Operator, tolerance: float, most: int, preconditioner_P: Tensor | None) -> None:
    if not 0 < tolerance < 1:
        raise UsageError("curvature.bad_tolerance", value=tolerance)
    if most < 1:
        raise UsageError("curvature.bad_most", value=most)
    if preconditioner_P is not None:
        if preconditioner_P.shape != (operator.size,):
            raise UsageError("curvature.wrong_vector", got=tuple(preconditioner_P.shape), size=operator.size)
        if not bool((preconditioner_P > 0).all()):
            raise UsageError("curvature.bad_preconditioner")
