"""Triton kernels of the convolution: products of gathered rows, nothing gathered kept in memory.

One program owns a tile of the result and walks through the taps that any of its rows has, in ascending order; one
program of the weight gradient owns a tile of the gradient and a fixed range of rows. Nothing is added by atomics.

The kernels call nothing of Triton's own library of jitted functions (``tl.zeros``, ``tl.sum``, ...). So they run in
Triton's interpreter even where Triton itself was imported without it. Offsets of features have 64 bits: a scene of
40 million voxels with 64 channels has more than 2^31 of them.

Arguments of all kernels: ``rows_out`` rows of the table, ``rows_in`` rows of the features, which also stands in the
table for an absent cell; ``inputs`` and ``outputs`` channels; ``precision`` of products in float32; ``widen`` both
factors to float32 first, as the interpreter's products know no bfloat16.
"""

# What triton.jit makes of a function has no type, and its arguments are pointers and numbers to the compiler alone.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import triton
import triton.language as tl


@triton.jit
def gather_gemm_kernel(
    features, weight, table, order, tile_taps, counts, result, rows_out, rows_in,
    taps: tl.constexpr, inputs: tl.constexpr, outputs: tl.constexpr,
    block_m: tl.constexpr, block_n: tl.constexpr, block_k: tl.constexpr,
    precision: tl.constexpr, widen: tl.constexpr,
):  # fmt: skip
    """A tile of (block_m, block_n) of the result; loop over pairs (tap of the tile, block of input channels)."""
    across: tl.constexpr = (outputs + block_n - 1) // block_n
    deep: tl.constexpr = (inputs + block_k - 1) // block_k
    tile = tl.program_id(0) // across
    position = tile * block_m + tl.arange(0, block_m)
    inside = position < rows_out
    row = tl.load(order + position, mask=inside, other=0).to(tl.int64)
    entries = table + row * taps
    column = tl.program_id(0) % across * block_n + tl.arange(0, block_n)
    total = tl.full((block_m, block_n), 0.0, tl.float32)
    for step in range(tl.load(counts + tile) * deep):
        tap = tl.load(tile_taps + tile * taps + step // deep)
        channel = step % deep * block_k + tl.arange(0, block_k)
        seen = tl.load(entries + tap, mask=inside, other=rows_in)
        gathered = tl.load(
            features + (seen.to(tl.int64) * inputs)[:, None] + channel[None, :],
            mask=(seen < rows_in)[:, None] & (channel < inputs)[None, :],
            other=0.0,
        )
        matrix = tl.load(
            weight + ((tap * inputs + channel) * outputs)[:, None] + column[None, :],
            mask=(channel < inputs)[:, None] & (column < outputs)[None, :],
            other=0.0,
        )
        if widen:
            gathered, matrix = gathered.to(tl.float32), matrix.to(tl.float32)
        total = tl.dot(gathered, matrix, total, input_precision=precision)
    tl.store(
        result + (row * outputs)[:, None] + column[None, :],
        total.to(result.dtype.element_ty),
        mask=inside[:, None] & (column < outputs)[None, :],
    )


@triton.jit
def packed_gemm_kernel(
    features, weight, table, result, rows_out, rows_in,
    taps: tl.constexpr, inputs: tl.constexpr, outputs: tl.constexpr,
    block_m: tl.constexpr, block_n: tl.constexpr, block_t: tl.constexpr, block_c: tl.constexpr,
    precision: tl.constexpr, widen: tl.constexpr,
):  # fmt: skip
    """The same for few input channels: the inner dimension of a product holds block_t taps of block_c channels."""
    across: tl.constexpr = (outputs + block_n - 1) // block_n
    row = (tl.program_id(0) // across).to(tl.int64) * block_m + tl.arange(0, block_m)
    inside = row < rows_out
    column = tl.program_id(0) % across * block_n + tl.arange(0, block_n)
    channel = tl.arange(0, block_c)
    inner = tl.arange(0, block_t * block_c)
    total = tl.full((block_m, block_n), 0.0, tl.float32)
    for first in range(0, taps, block_t):
        tap = first + tl.arange(0, block_t)
        seen = tl.load(
            table + (row * taps)[:, None] + tap[None, :],
            mask=inside[:, None] & (tap < taps)[None, :], other=rows_in,
        )  # fmt: skip
        gathered = tl.load(
            features + (seen.to(tl.int64) * inputs)[:, :, None] + channel[None, None, :],
            mask=(seen < rows_in)[:, :, None] & (channel < inputs)[None, None, :],
            other=0.0,
        )
        gathered = tl.reshape(gathered, (block_m, block_t * block_c))
        own_tap = first + inner // block_c
        own_channel = inner % block_c
        matrix = tl.load(
            weight + ((own_tap * inputs + own_channel) * outputs)[:, None] + column[None, :],
            mask=((own_tap < taps) & (own_channel < inputs))[:, None] & (column < outputs)[None, :],
            other=0.0,
        )
        if widen:
            gathered, matrix = gathered.to(tl.float32), matrix.to(tl.float32)
        total = tl.dot(gathered, matrix, total, input_precision=precision)
    tl.store(
        result + (row * outputs)[:, None] + column[None, :],
        total.to(result.dtype.element_ty),
        mask=inside[:, None] & (column < outputs)[None, :],
    )


@triton.jit
def weight_gradient_kernel(
    features, gradient, table, partial, rows_out, rows_in, rows_per_part,
    taps: tl.constexpr, inputs: tl.constexpr, outputs: tl.constexpr,
    block_t: tl.constexpr, block_c: tl.constexpr, block_n: tl.constexpr, block_r: tl.constexpr,
    precision: tl.constexpr, widen: tl.constexpr,
):  # fmt: skip
    """A tile of (block_t taps of block_c input channels, block_n output channels), summed over one part's rows."""
    across: tl.constexpr = (outputs + block_n - 1) // block_n
    deep: tl.constexpr = (inputs + block_c - 1) // block_c
    first_tap = tl.program_id(0) // (across * deep) * block_t
    first_channel = tl.program_id(0) // across % deep * block_c
    column = tl.program_id(0) % across * block_n + tl.arange(0, block_n)
    part = tl.program_id(1).to(tl.int64)
    tap = first_tap + tl.arange(0, block_t)
    channel = first_channel + tl.arange(0, block_c)
    total = tl.full((block_t * block_c, block_n), 0.0, tl.float32)
    for start in range(0, rows_per_part, block_r):
        row = part * rows_per_part + start + tl.arange(0, block_r)
        inside = row < rows_out
        seen = tl.load(
            table + (row * taps)[:, None] + tap[None, :],
            mask=inside[:, None] & (tap < taps)[None, :], other=rows_in,
        )  # fmt: skip
        gathered = tl.load(
            features + (seen.to(tl.int64) * inputs)[:, :, None] + channel[None, None, :],
            mask=(seen < rows_in)[:, :, None] & (channel < inputs)[None, None, :],
            other=0.0,
        )
        gathered = tl.trans(tl.reshape(gathered, (block_r, block_t * block_c)))
        against = tl.load(
            gradient + (row * outputs)[:, None] + column[None, :],
            mask=inside[:, None] & (column < outputs)[None, :],
            other=0.0,
        )
        if widen:
            gathered, against = gathered.to(tl.float32), against.to(tl.float32)
        total = tl.dot(gathered, against, total, input_precision=precision)
    inner = tl.arange(0, block_t * block_c)
    own_tap = first_tap + inner // block_c
    own_channel = first_channel + inner % block_c
    tl.store(
        partial + part * (taps * inputs * outputs) + ((own_tap * inputs + own_channel) * outputs)[:, None]
        + column[None, :],
        total,
        mask=((own_tap < taps) & (own_channel < inputs))[:, None] & (column < outputs)[None, :],
    )  # fmt: skip
