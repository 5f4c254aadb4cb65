"""The innermost loops of the CPU's convolution, written as vector instructions.

Numba's own loops leave sums in memory; these keep a tile of them in vector registers, as matrix products do, while the
rows of the left factor are read where they lie. Source of the idea: M. Dukhan, The Indirect Convolution Algorithm,
arXiv 1907.02129.

Sizes that must be constants of the machine code are given as tuples, of which only the length counts: the length is
part of a tuple's type, and numba compiles once per combination of types. Addresses are integers, sizes count elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sparse_s4r.geometry.compiled import compiled
from sparse_s4r.sparse.vector_code import I32, I64, VectorCode, any_of, constant, unrolled

# Pairs of rows at once: the gradients of so many stay in the cache from tap to tap.
_PAIRS = 512


@intrinsic
def sum_tile(
    context: Any,
    result: Any,
    result_stride: Any,
    features: Any,
    inputs: Any,
    zeros: Any,
    weight: Any,
    table: Any,
    taps: Any,
    absent: Any,
    tail: Any,
    rows: Any,
    vectors: Any,
    lanes: Any,
    zero: Any,
) -> Any:
    """``result[m, n] = sum over t, c of features[table[m, t], c] * weight[t, c, n]`` for a tile of m and n.

    Args:
        context: Numba's.
        result: Address of the tile's first element; its rows lie ``result_stride`` apart.
        result_stride: Columns of the whole result.
        features: Address of rows of ``inputs`` channels.
        inputs: Channels.
        zeros: Address of a row of ``inputs`` zeros, read for ``absent`` rows.
        weight: Address of (taps, inputs, vectors * lanes), contiguous.
        table: Address of the tile's first row of (rows, taps) int32.
        taps: Taps.
        absent: The number of an absent row; a tap at which the whole tile has none is passed over.
        tail: Columns to write of the last vector.
        rows: Tuple as long as the tile has rows.
        vectors: Tuple as long as the tile has vectors per row.
        lanes: Tuple as long as a vector.
        zero: A number of the features' type.
    """
    signature = types.void(*[types.intp] * 10, rows, vectors, lanes, zero)

    def generate(target: Any, builder: Any, _: Any, arguments: Any) -> Any:
        code = VectorCode(builder, zero, vectors.count, lanes.count, arguments[9])
        _sum_tile(code, rows.count, *arguments[:9])
        return target.get_dummy_value()

    return signature, generate


@intrinsic
def add_outer_products(
    context: Any,
    result: Any,
    result_stride: Any,
    left: Any,
    left_stride: Any,
    right: Any,
    right_stride: Any,
    left_rows: Any,
    right_rows: Any,
    count: Any,
    tail: Any,
    rows: Any,
    vectors: Any,
    lanes: Any,
    zero: Any,
) -> Any:
    """``result[m, n] += sum over p of left[left_rows[p], m] * right[right_rows[p], n]`` for a tile of m and n.

    Args:
        context: Numba's.
        result: Address of the tile's first element; its rows lie ``result_stride`` apart.
        result_stride: Columns of the whole result.
        left: Address of the tile's first column of rows that lie ``left_stride`` apart.
        left_stride: Columns of the whole left factor.
        right: Address of the tile's first column of rows that lie ``right_stride`` apart.
        right_stride: Columns of the whole right factor.
        left_rows: Address of (count,) int32.
        right_rows: Address of (count,) int32.
        count: Products to add.
        tail: Columns that the last vector has.
        rows: Tuple as long as the tile has rows.
        vectors: Tuple as long as the tile has vectors per row.
        lanes: Tuple as long as a vector.
        zero: A number of the factors' type.
    """
    signature = types.void(*[types.intp] * 10, rows, vectors, lanes, zero)

    def generate(target: Any, builder: Any, _: Any, arguments: Any) -> Any:
        code = VectorCode(builder, zero, vectors.count, lanes.count, arguments[9])
        _add_outer_products(code, rows.count, *arguments[:9])
        return target.get_dummy_value()

    return signature, generate


def _sum_tile(
    code: VectorCode,
    rows: int,
    result: Any,
    result_stride: Any,
    features: Any,
    inputs: Any,
    zeros: Any,
    weight: Any,
    table: Any,
    taps: Any,
    absent: Any,
) -> None:
    builder = code.builder
    sums = code.accumulators(rows)
    row_bytes, step_bytes = builder.mul(inputs, code.bytes(1)), code.bytes(code.width)
    absent32 = builder.trunc(absent, I32)
    with cgutils.for_range(builder, taps, intp=I64) as loop:
        seen = []
        for row in range(rows):
            place = builder.mul(builder.add(builder.mul(constant(row), taps), loop.index), constant(4))
            seen.append(builder.load(code.at(table, place, I32)))
        present = [builder.icmp_signed("!=", row, absent32) for row in seen]
        with builder.if_then(any_of(builder, present)):
            bases = [
                builder.select(here, builder.add(features, builder.mul(builder.sext(row, I64), row_bytes)), zeros)
                for here, row in zip(present, seen, strict=True)
            ]
            tap_weight = builder.add(weight, builder.mul(builder.mul(loop.index, inputs), step_bytes))

            def multiply(channel: Any) -> None:
                offset = builder.mul(channel, code.bytes(1))
                factors = code.load_row(builder.add(tap_weight, builder.mul(channel, step_bytes)), whole=True)
                for row, base in enumerate(bases):
                    code.add_products(sums[row], code.broadcast(code.at(base, offset, code.scalar)), factors)

            unrolled(builder, inputs, multiply)
    for row in range(rows):
        start = builder.add(result, builder.mul(builder.mul(constant(row), result_stride), code.bytes(1)))
        code.store_row(start, sums[row])


def _add_outer_products(
    code: VectorCode,
    rows: int,
    result: Any,
    result_stride: Any,
    left: Any,
    left_stride: Any,
    right: Any,
    right_stride: Any,
    left_rows: Any,
    right_rows: Any,
    count: Any,
) -> None:
    builder = code.builder
    starts = [
        builder.add(result, builder.mul(builder.mul(constant(row), result_stride), code.bytes(1)))
        for row in range(rows)
    ]
    sums = code.accumulators(rows)
    for start, row in zip(starts, sums, strict=True):
        for value, place in zip(code.load_row(start), row, strict=True):
            builder.store(value, place)
    left_bytes, right_bytes = builder.mul(left_stride, code.bytes(1)), builder.mul(right_stride, code.bytes(1))
    with cgutils.for_range(builder, count, intp=I64) as loop:
        place = builder.mul(loop.index, constant(4))
        one, other = (builder.sext(builder.load(code.at(base, place, I32)), I64) for base in (left_rows, right_rows))
        factors = code.load_row(builder.add(right, builder.mul(other, right_bytes)))
        base = builder.add(left, builder.mul(one, left_bytes))
        for channel, products in enumerate(sums):
            code.add_products(products, code.broadcast(code.at(base, code.bytes(channel), code.scalar)), factors)
    for start, row in zip(starts, sums, strict=True):
        code.store_row(start, row)


@compiled
def sum_rows(
    result: Any,
    features: Any,
    weight: Any,
    table: Any,
    zeros: Any,
    start: int,
    stop: int,
    rows: Any,
    vectors: Any,
    lanes: Any,
    zero: Any,
) -> None:
    """Rows [start, stop) of ``result[i, n] = sum over t, c of features[table[i, t], c] * weight[t, c, n]``.

    Args:
        result: (M, outputs).
        features: (N, inputs).
        weight: (blocks, taps, inputs, columns of a tile): the columns, in blocks as wide as a tile, padded by zeros.
        table: (M, taps) int32, N for an absent row.
        zeros: (inputs,) zeros.
        start: First row.
        stop: Behind the last row; at least a tile after ``start``.
        rows, vectors, lanes, zero: See ``sum_tile``.
    """
    size, outputs, inputs, taps = result.itemsize, result.shape[1], features.shape[1], table.shape[1]
    width = weight.shape[3]
    for first in range(start, stop, len(rows)):
        # The last tile overlaps the one before it: the same sums once more.
        row = min(first, stop - len(rows))
        for block in range(weight.shape[0]):
            column = block * width
            sum_tile(
                result.ctypes.data + (row * outputs + column) * size,
                outputs,
                features.ctypes.data,
                inputs,
                zeros.ctypes.data,
                weight.ctypes.data + block * taps * inputs * width * size,
                table.ctypes.data + row * taps * 4,
                taps,
                features.shape[0],
                min(len(lanes), outputs - column - width + len(lanes)),
                rows,
                vectors,
                lanes,
                zero,
            )


@compiled
def spread_rows(
    result: Any,
    features: Any,
    weight: Any,
    slots: Any,
    zeros: Any,
    start: int,
    stop: int,
    vectors: Any,
    lanes: Any,
    zero: Any,
) -> None:
    """Rows [start, stop) of ``result[i, n] = sum over c of features[slots[i] // 8, c] * weight[slots[i] % 8, c, n]``.

    Arguments as of ``sum_rows``, with 8 taps and ``slots`` (M,) int64; rows of absent coarse cells become zeros.
    """
    size, outputs, inputs, width = result.itemsize, result.shape[1], features.shape[1], weight.shape[3]
    coarse = np.empty(1, np.int32)
    for row in range(start, stop):
        coarse[0] = slots[row] >> 3
        for block in range(weight.shape[0]):
            column = block * width
            sum_tile(
                result.ctypes.data + (row * outputs + column) * size,
                outputs,
                features.ctypes.data,
                inputs,
                zeros.ctypes.data,
                weight.ctypes.data + (8 * block + (slots[row] & 7)) * inputs * width * size,
                coarse.ctypes.data,
                1,
                features.shape[0],
                min(len(lanes), outputs - column - width + len(lanes)),
                (0,),
                vectors,
                lanes,
                zero,
            )


@compiled
def add_weight_gradient(
    result: Any,
    features: Any,
    gradient: Any,
    table: Any,
    start: int,
    stop: int,
    channels: Any,
    first_channel: int,
    last_channel: int,
    vectors: Any,
    lanes: Any,
    zero: Any,
) -> None:
    """``result[t, c, n] += sum over i of features[table[i, t], c] * gradient[i, n]`` for rows [start, stop).

    Args:
        result: (taps, inputs, outputs).
        features: (N, inputs).
        gradient: (M, outputs).
        table: (M, taps) int32, N for an absent row.
        start: First row.
        stop: Behind the last row.
        channels: Tuple as long as a tile has channels.
        first_channel: Channels [first_channel, last_channel), whole tiles of them, are worked on.
        last_channel: See there.
        vectors, lanes, zero: See ``add_outer_products``.
    """
    size, inputs, outputs = result.itemsize, result.shape[1], result.shape[2]
    width = len(vectors) * len(lanes)
    left_rows = np.empty(_PAIRS, np.int32)
    right_rows = np.empty(_PAIRS, np.int32)
    for first in range(start, stop, _PAIRS):
        for tap in range(result.shape[0]):
            count = 0
            for row in range(first, min(first + _PAIRS, stop)):
                # Written always and counted if present: without a branch, which would be guessed wrong too often.
                left_rows[count] = table[row, tap]
                right_rows[count] = row
                count += table[row, tap] != features.shape[0]
            for channel in range(first_channel, last_channel, len(channels)):
                for column in range(0, outputs, width):
                    add_outer_products(
                        result.ctypes.data + ((tap * inputs + channel) * outputs + column) * size,
                        outputs,
                        features.ctypes.data + channel * size,
                        inputs,
                        gradient.ctypes.data + column * size,
                        outputs,
                        left_rows.ctypes.data,
                        right_rows.ctypes.data,
                        count,
                        min(len(lanes), outputs - column - width + len(lanes)),
                        channels,
                        vectors,
                        lanes,
                        zero,
                    )
