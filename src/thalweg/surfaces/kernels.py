"""The compiled loops of a formula; SymPy and Numba are imported only for a loop that is not yet on disk."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg._native import Kernel, Part, get_kernel
from thalweg.surfaces.syntax import check


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thalweg.surfaces.symbolic import Derivatives


_POINT = "point"
"""The symbol of a surface's function, (x, y, results): it sets three results. `loops` calls it by this symbol."""


def slope_part(formula: str) -> Part:
    """The function of a surface that gives f, ∂f/∂x, ∂f/∂y."""
    return _point("slope", formula, lambda exact: [exact.value, *exact.gradient])


@lru_cache(maxsize=256)
def slope_kernel(formula: str) -> Kernel:
    """`(n, x, y, f, ∂f/∂x, ∂f/∂y)`: value and gradient at n points."""
    return get_kernel(_at_points(), slope_part(formula))


@lru_cache(maxsize=256)
def hessian_kernel(formula: str) -> Kernel:
    """`(n, x, y, ∂²f/∂x², ∂²f/∂x∂y, ∂²f/∂y²)`: second derivatives at n points."""
    return get_kernel(_at_points(), _point("hessian", formula, lambda exact: exact.hessian))


def loops_text() -> str:
    """The source files on which every loop over a surface depends, besides its own."""
    return _text("loops.py")


def _point(what: str, formula: str, select: Callable[[Derivatives], Sequence[Any]]) -> Part:
    def build() -> str:
        from thalweg.surfaces.codegen import build_point

        return build_point(select(_derivatives(formula)))

    source = f"{_text('symbolic.py', 'codegen.py')}\n{version('sympy')}\n{what}\n{formula}"
    return Part(_POINT, "ddp", source, build)


def _at_points() -> Part:
    def build() -> Callable[..., None]:
        from thalweg.surfaces.loops import at_points

        return at_points

    return Part("at_points", "ippppp", loops_text(), build)


@lru_cache(maxsize=8)
def _derivatives(formula: str) -> Derivatives:
    from thalweg.surfaces.symbolic import derivatives, expression

    return derivatives(expression(check(formula), formula))


@cache
def _text(*files: str) -> str:
    """The source files on which a part depends, besides its formula."""
    return "\n".join(Path(__file__).with_name(file).read_text(encoding="utf-8") for file in files)
