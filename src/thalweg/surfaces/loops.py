"""The surface in compiled loops: a function of one point, and the loop that evaluates it at many.

Importing this module imports Numba, so it is loaded only for a loop that is not yet on disk.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.cgutils import alloca_once, get_or_insert_function
from numba.extending import intrinsic


_POINT = "point"  # the symbol by which `kernels` links the function of a surface


def at_points(  # noqa: PLR0917 - compiled code has no keywords
    n: Any, x_N: Any, y_N: Any, first_N: Any, second_N: Any, third_N: Any
) -> None:
    """Evaluate the surface at n points."""
    for i in range(n):
        first, second, third = point(x_N[i], y_N[i])
        first_N[i] = first
        second_N[i] = second
        third_N[i] = third


def _call_point(_typing: Any, _x: Any, _y: Any) -> Any:
    """(x, y) → three numbers, from the surface's function that the caller is linked with.

    Until it is linked, a weak symbol that does nothing takes its place.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        number, nothing = (
            ir.DoubleType(),
            ir.IntType(8).as_pointer(),
        )  # Numba's type of no result
        prototype = ir.FunctionType(nothing, [number, number, number.as_pointer()])
        function: Any = get_or_insert_function(builder.module, prototype, _POINT)
        if function.is_declaration:
            function.linkage = "weak"
            ir.IRBuilder(function.append_basic_block()).ret(nothing(None))
        results = alloca_once(builder, number, size=3)
        builder.call(function, [*arguments, results])
        loaded = [builder.load(builder.gep(results, [ir.IntType(64)(k)])) for k in range(3)]
        return context.make_tuple(builder, signature.return_type, loaded)

    return types.UniTuple(types.float64, 3)(types.float64, types.float64), generate


point: Any = intrinsic(_call_point)
