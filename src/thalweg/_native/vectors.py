"""Loops over vectors of numbers, written as LLVM's assembly: for kernels whose sums must stay in registers.

Numba leaves it to LLVM which loop becomes vectors. Where one vector of channels is multiplied with many others, and
their sums are wanted at the end, LLVM keeps the sums in memory. Here vectors are named one by one.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_INT64, _INT32, _INT16, _FLOAT = ir.IntType(64), ir.IntType(32), ir.IntType(16), ir.FloatType()
_NAN = 0x7FC00000
_HALF_OF_LAST = 0x7FFF  # of the bits that bf16 drops; one more rounds a tie to the even number


@dataclass(frozen=True, slots=True)
class Index:
    """An integer of the program that is built; `+`, `-`, `*`, `//` build its instructions."""

    builder: Any
    value: Any

    def __add__(self, other: Index | int) -> Index:
        return self._with("add", other)

    def __sub__(self, other: Index | int) -> Index:
        return self._with("sub", other)

    def __mul__(self, other: Index | int) -> Index:
        return self._with("mul", other)

    def __floordiv__(self, other: Index | int) -> Index:
        return self._with("sdiv", other)

    def up_to(self, most: Index) -> Index:
        """The smaller of both."""
        smaller = self.builder.icmp_signed("<", self.value, most.value)
        return Index(self.builder, self.builder.select(smaller, self.value, most.value))

    def is_in(self, stop: Index) -> Any:
        """Whether `0 <= self < stop`, as a condition of the program."""
        return self.builder.icmp_unsigned("<", self.value, stop.value)

    def _with(self, operation: str, other: Index | int) -> Index:
        right = ir.Constant(_INT64, other) if isinstance(other, int) else other.value
        return Index(self.builder, getattr(self.builder, operation)(self.value, right))


@dataclass(frozen=True, slots=True)
class Numbers:
    """A pointer argument to numbers: `float32`, or `bfloat16`, which are read and written as float32."""

    value: Any
    kind: str


class VectorLoops:
    """A function of one record of 64-bit integers, built instruction by instruction.

    The record holds the function's integers, the addresses of its numbers, and what `team.run_on_team` adds.

    Args:
        symbol: its name.
        integers: names of the first fields.
        pointers: names of the next, each with `float32` or `bfloat16`.
        lanes: numbers in a vector.

    Attributes:
        arguments: integers (`Index`) and pointers (`Numbers`) by name.
        zero: the vector of zeros.
    """

    def __init__(self, symbol: str, integers: Sequence[str], pointers: dict[str, str], *, lanes: int) -> None:
        self.lanes: Final = lanes
        self._float, self._int, self._half = (ir.VectorType(kind, lanes) for kind in (_FLOAT, _INT32, _INT16))
        self._module = ir.Module()
        self._function = ir.Function(self._module, ir.FunctionType(ir.VoidType(), [_INT64.as_pointer()]), symbol)
        self._function.attributes.add("nounwind")
        self._fused = ir.Function(
            self._module, ir.FunctionType(self._float, [self._float] * 3), f"llvm.fma.v{lanes}f32"
        )
        self._builder = ir.IRBuilder(self._function.append_basic_block())
        self.arguments: dict[str, Any] = {name: self._field(at) for at, name in enumerate(integers)}
        for at, (name, kind) in enumerate(pointers.items(), len(integers)):
            to = (_FLOAT if kind == "float32" else _INT16).as_pointer()
            self.arguments[name] = Numbers(self._builder.inttoptr(self._field(at).value, to), kind)
        self._own = len(self.arguments)
        self.zero = ir.Constant(self._float, [0.0] * lanes)

    def share(self, blocks: Index) -> tuple[Index, Index, Index]:
        """Return this thread's number, its first block, and the block after its last."""
        count, number = (self._asked(self._own + at, self._own + 2 + at) for at in range(2))
        return number, blocks * number // count, blocks * (number + 1) // count

    def _asked(self, function: int, known: int) -> Index:
        """What a function of OpenMP says, or without one what the record says."""
        builder, address, place = self._builder, self._field(function).value, self._slot(_INT64)
        with builder.if_else(builder.icmp_unsigned("!=", address, ir.Constant(_INT64, 0))) as (ask, read):
            with ask:
                called = builder.inttoptr(address, ir.FunctionType(_INT32, []).as_pointer())
                builder.store(builder.sext(builder.call(called, []), _INT64), place)
            with read:
                builder.store(self._field(known).value, place)
        return Index(builder, builder.load(place))

    def _field(self, at: int) -> Index:
        place = self._builder.gep(self._function.args[0], [ir.Constant(_INT64, at)])
        return Index(self._builder, self._builder.load(place))

    def beyond(self, numbers: Numbers, offset: Index) -> Numbers:
        """The numbers that begin at an offset."""
        return Numbers(self._builder.gep(numbers.value, [offset.value]), numbers.kind)

    def text(self) -> str:
        """End the function; return its assembly."""
        self._builder.ret_void()
        return str(self._module)

    def index(self, value: int) -> Index:
        """An integer that is known now."""
        return Index(self._builder, ir.Constant(_INT64, value))

    @contextmanager
    def loop(self, stop: Index, start: Index | None = None) -> Iterator[Index]:
        """Repeat what is built inside, for the integers from `start`, or 0, below `stop`."""
        builder, place = self._builder, self._slot(_INT64)
        builder.store((start or self.index(0)).value, place)
        test, body, end = (self._function.append_basic_block() for _ in range(3))
        builder.branch(test)
        builder.position_at_end(test)
        current = Index(builder, builder.load(place))
        builder.cbranch(builder.icmp_signed("<", current.value, stop.value), body, end)
        builder.position_at_end(body)
        yield current
        builder.store((current + 1).value, place)
        builder.branch(test)
        builder.position_at_end(end)

    @contextmanager
    def only_if(self, condition: Any) -> Iterator[None]:
        """Do what is built inside if a condition of the program holds."""
        with self._builder.if_then(condition):
            yield

    def sums(self, count: int) -> list[Any]:
        """Vectors that can change; LLVM keeps them in registers, if there are as many."""
        return [self._slot(self._float) for _ in range(count)]

    def set(self, sums: Sequence[Any], vector: Any) -> None:
        """Give all of them one value."""
        for one in sums:
            self._builder.store(vector, one)

    def value(self, one: Any) -> Any:
        """The value of a sum."""
        return self._builder.load(one)

    def accumulate(self, one: Any, left: Any, right: Any | None = None) -> None:
        """Add `left`, or `left * right` rounded once, to a sum."""
        before = self._builder.load(one)
        self._builder.store(self._builder.fadd(before, left) if right is None else self.fused(left, right, before), one)

    def fused(self, left: Any, right: Any, added: Any) -> Any:
        """`left * right + added`, rounded once."""
        return self._builder.call(self._fused, [left, right, added])

    def load(self, numbers: Numbers, *offsets: Index) -> Any:
        """The vector that begins at the sum of some offsets."""
        builder, place = self._builder, self._place(numbers, offsets)
        if numbers.kind == "float32":
            return builder.load(builder.bitcast(place, self._float.as_pointer()), align=4)
        bits = builder.load(builder.bitcast(place, self._half.as_pointer()), align=2)
        return builder.bitcast(builder.shl(builder.zext(bits, self._int), self._all(16)), self._float)

    def store(self, vector: Any, numbers: Numbers, *offsets: Index) -> None:
        """Write a vector; bfloat16 is rounded to the nearest, ties to even."""
        builder, place = self._builder, self._place(numbers, offsets)
        if numbers.kind == "float32":
            builder.store(vector, builder.bitcast(place, self._float.as_pointer()), align=4)
            return
        bits = builder.bitcast(vector, self._int)
        is_odd = builder.and_(builder.lshr(bits, self._all(16)), self._all(1))
        rounded = builder.add(bits, builder.add(is_odd, self._all(_HALF_OF_LAST)))
        is_nan = builder.fcmp_unordered("uno", vector, vector)  # whose bits rounding could carry away
        rounded = builder.select(is_nan, self._all(_NAN), rounded)
        half = builder.trunc(builder.lshr(rounded, self._all(16)), self._half)
        builder.store(half, builder.bitcast(place, self._half.as_pointer()), align=2)

    def _place(self, numbers: Numbers, offsets: Sequence[Index]) -> Any:
        return self._builder.gep(numbers.value, [reduce(add, offsets).value])

    def _all(self, number: int) -> Any:
        return ir.Constant(self._int, [number] * self.lanes)

    def _slot(self, kind: Any) -> Any:
        with self._builder.goto_entry_block():
            return self._builder.alloca(kind)
