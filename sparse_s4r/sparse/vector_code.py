"""Vector instructions that numba's own loops do not give: what the micro-kernels are written in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

I32, I64 = ir.IntType(32), ir.IntType(64)
# Products per step of the loop over channels: amortises the reloads of row addresses, of which there are more than
# registers.
_UNROLL = 4


class VectorCode:
    """Vector instructions for rows of ``vectors`` vectors, the last of which has ``tail`` columns."""

    def __init__(self, builder: Any, number: Any, vectors: int, lanes: int, tail: Any) -> None:
        single = number == types.float32
        self.builder, self.vectors, self.lanes = builder, vectors, lanes
        self.width = vectors * lanes
        self.size = 4 if single else 8
        self.scalar = ir.FloatType() if single else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, lanes)
        self._suffix = f"v{lanes}f{8 * self.size}"
        index = ir.VectorType(I64, lanes)
        self._mask = builder.icmp_signed("<", ir.Constant(index, list(range(lanes))), self._spread(tail, index))

    def bytes(self, count: int) -> Any:
        """Size of ``count`` numbers."""
        return constant(count * self.size)

    def at(self, base: Any, offset: Any, kind: Any) -> Any:
        """Pointer to a ``kind`` that lies ``offset`` bytes after ``base``."""
        return self.builder.inttoptr(self.builder.add(base, offset), kind.as_pointer())

    def accumulators(self, rows: int) -> list[list[Any]]:
        """Variables that start at zero; the compiler turns them into registers."""
        nothing = ir.Constant(self.vector, None)
        return [[cgutils.alloca_once_value(self.builder, nothing) for _ in range(self.vectors)] for _ in range(rows)]

    def broadcast(self, pointer: Any) -> Any:
        """A vector of one number."""
        return self._spread(self.builder.load(pointer), self.vector)

    def add_products(self, sums: list[Any], factor: Any, factors: list[Any]) -> None:
        """``sums += factor * factors``, rounded once."""
        fma = self._function("llvm.fma", self.vector, [self.vector] * 3)
        for place, other in zip(sums, factors, strict=True):
            self.builder.store(self.builder.call(fma, [factor, other, self.builder.load(place)]), place)

    def load_row(self, start: Any, whole: bool = False) -> list[Any]:
        """The vectors of a row; unless it is ``whole``, the last has zeros beyond the tail, which is not read."""
        values = []
        for vector in range(self.vectors):
            pointer = self.at(start, self.bytes(vector * self.lanes), self.vector)
            if whole or vector < self.vectors - 1:
                values.append(self.builder.load(pointer, align=self.size))
                continue
            kinds = [self.vector.as_pointer(), I32, self._mask.type, self.vector]
            load = self._function("llvm.masked.load", self.vector, kinds, ".p0")
            align, nothing = ir.Constant(I32, self.size), ir.Constant(self.vector, None)
            values.append(self.builder.call(load, [pointer, align, self._mask, nothing]))
        return values

    def store_row(self, start: Any, places: list[Any]) -> None:
        """Write a row, of its last vector the tail alone."""
        for vector, place in enumerate(places):
            pointer, value = self.at(start, self.bytes(vector * self.lanes), self.vector), self.builder.load(place)
            if vector < self.vectors - 1:
                self.builder.store(value, pointer, align=self.size)
                continue
            kinds = [self.vector, self.vector.as_pointer(), I32, self._mask.type]
            store = self._function("llvm.masked.store", ir.VoidType(), kinds, ".p0")
            self.builder.call(store, [value, pointer, ir.Constant(I32, self.size), self._mask])

    def _spread(self, value: Any, kind: Any) -> Any:
        nothing = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(nothing, value, ir.Constant(I32, 0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(I32, self.lanes), None))

    def _function(self, name: str, result: Any, arguments: list[Any], suffix: str = "") -> Any:
        kind = ir.FunctionType(result, arguments)
        return cgutils.get_or_insert_function(self.builder.module, kind, f"{name}.{self._suffix}{suffix}")


def unrolled(builder: Any, count: Any, step: Callable[[Any], None]) -> None:
    """``step(i)`` for i in [0, count), several to one round of the loop."""
    rounds = builder.udiv(count, constant(_UNROLL))
    with cgutils.for_range(builder, rounds, intp=I64) as loop:
        first = builder.mul(loop.index, constant(_UNROLL))
        for index in range(_UNROLL):
            step(builder.add(first, constant(index)))
    done = builder.mul(rounds, constant(_UNROLL))
    with cgutils.for_range(builder, builder.sub(count, done), intp=I64) as loop:
        step(builder.add(done, loop.index))


def any_of(builder: Any, conditions: list[Any]) -> Any:
    """Whether one of the conditions holds."""
    result = conditions[0]
    for condition in conditions[1:]:
        result = builder.or_(result, condition)
    return result


def constant(value: int) -> Any:
    """A number of 64 bits."""
    return ir.Constant(I64, value)
