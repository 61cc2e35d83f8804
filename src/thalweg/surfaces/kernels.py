"""The compiled loops of a formula; SymPy and Numba are imported only when a loop is on no disk."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg._native import Kernel, get_kernel
from thalweg.surfaces.syntax import check


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thalweg.surfaces.symbolic import Derivatives


@lru_cache(maxsize=256)
def slope_kernel(formula: str) -> Kernel:
    """`(n, x, y, value, slope_x, slope_y)`: value and gradient at n points."""
    return _kernel("slope", formula, "ippppp", lambda exact: [exact.value, *exact.gradient])


@lru_cache(maxsize=256)
def hessian_kernel(formula: str) -> Kernel:
    """`(n, x, y, xx, xy, yy)`: second derivatives at n points."""
    return _kernel("hessian", formula, "ippppp", lambda exact: exact.hessian)


def _kernel(name: str, formula: str, signature: str, select: Callable[[Derivatives], Sequence[Any]]) -> Kernel:
    def build() -> Callable[..., None]:
        from thalweg.surfaces.codegen import build_loop

        return build_loop(select(_derivatives(formula)))

    return get_kernel(name, f"{_generation()}\n{name}\n{formula}", signature, build)


@lru_cache(maxsize=8)
def _derivatives(formula: str) -> Derivatives:
    from thalweg.surfaces.symbolic import derivatives, expression

    return derivatives(expression(check(formula), formula))


@cache
def _generation() -> str:
    """What a loop depends on besides its formula: how this package writes it."""
    here = Path(__file__).parent
    files = ("functions.py", "symbolic.py", "codegen.py")
    return "\n".join([version("sympy"), *((here / file).read_text(encoding="utf-8") for file in files)])
