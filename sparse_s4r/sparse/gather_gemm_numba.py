"""Gathered matrix products on the CPU in compiled loops; see ``micro_kernels``.

Imported only where it is used: numba takes half a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparse_s4r.sparse.micro_kernels import add_weight_gradient, spread_rows, sum_rows
from sparse_s4r.structures.parallel import run_parts, run_ranges


def _has_wide_registers() -> bool:
    """Whether there are 32 registers of 512 bits."""
    try:
        return bool(llvm.get_host_cpu_features().get("avx512vl", False))
    except RuntimeError:
        # LLVM cannot tell on every processor.
        return False


# Numbers of 32 bits per vector register, and registers. Other machines than these have at least 16 registers of 128
# bits, into which the compiler splits longer vectors.
_LANES, _REGISTERS = (16, 32) if _has_wide_registers() else (8, 16)
# Rows of a part of a product, a multiple of every tile's: many more parts than threads, so that threads end together,
# but no more than that, as each costs a call.
_LEAST_ROWS, _MOST_ROWS = 24 * 8, 24 * 128
_SPREAD_ROWS = 1 << 12
# Rows of a part of a weight gradient, each with a sum of its own: the sums, read and written once more, are then a
# thousandth of the work. Their number depends on shapes alone, so that the order of the sum does too.
_GRADIENT_ROWS = 1 << 11
_GRADIENT_PARTS = 64
_GRADIENT_BYTES = 1 << 25


@dataclass(frozen=True)
class _Tile:
    """A tile of sums that fits the registers, with one register per vector of the right factor and one to spare."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes

    def constants(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Tuples of which the lengths count."""
        return (0,) * self.rows, (0,) * self.vectors, (0,) * self.lanes


def supports(features: Tensor) -> bool:
    """Whether these kernels serve the tensor's device and type."""
    return features.device.type == "cpu" and features.dtype in (torch.float32, torch.float64)


def gather_gemm(features: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """See ``gather_gemm_torch.gather_gemm``."""
    count, outputs = len(table), weight.shape[2]
    result = features.new_empty(count, outputs)
    if not result.numel():
        return result
    tile = _tile(outputs, features.element_size())
    if count < tile.rows:
        # A tile is written whole: a table of one tile, its other rows absent.
        padded = torch.nn.functional.pad(table, (0, 0, 0, tile.rows - count), value=len(features))
        return gather_gemm(features, weight, padded)[:count]
    arrays = _arrays(result, features, table)
    packed, zeros = _packed(weight, tile.columns), np.zeros(features.shape[1], arrays[0].dtype)
    step = _LEAST_ROWS
    while step < _MOST_ROWS and count > 8 * step * torch.get_num_threads():
        step *= 2

    def work(part: int) -> None:
        start, stop = part * step, min((part + 1) * step, count)
        # The last part may be shorter than a tile; it then begins in its neighbour, which finds the same sums.
        start = min(start, stop - tile.rows)
        result_, features_, table_ = arrays
        sum_rows(result_, features_, packed, table_, zeros, start, stop, *tile.constants(), features_.dtype.type(0))

    run_parts(work, -(-count // step))
    return result


def spread(features: Tensor, weight: Tensor, slots: Tensor) -> Tensor:
    """See ``gather_gemm_torch.spread``: only the children that are asked for."""
    result = features.new_empty(len(slots), weight.shape[2])
    if not result.numel():
        return result
    vectors, lanes = _vectors(weight.shape[2], features.element_size())
    result_, features_, slots_ = _arrays(result, features, slots)
    zeros = np.zeros(features.shape[1], features_.dtype)
    operands = result_, features_, _packed(weight, vectors * lanes), slots_, zeros
    constants = (0,) * vectors, (0,) * lanes, features_.dtype.type(0)
    run_ranges(lambda start, stop: spread_rows(*operands, start, stop, *constants), len(slots), _SPREAD_ROWS)
    return result


def weight_gradient(features: Tensor, gradient: Tensor, table: Tensor) -> Tensor:
    """See ``gather_gemm_torch.weight_gradient``."""
    count, inputs, outputs = len(table), features.shape[1], gradient.shape[1]
    taps = table.shape[1]
    if not count * taps * inputs * outputs:
        return features.new_zeros(taps, inputs, outputs)
    most = _GRADIENT_BYTES // (taps * inputs * outputs * features.element_size())
    parts = max(min(-(-count // _GRADIENT_ROWS), _GRADIENT_PARTS, most), 1)
    sums = features.new_zeros(parts, taps, inputs, outputs)
    sums_, features_, gradient_, table_ = _arrays(sums, features, gradient, table)
    bounds = np.linspace(0, count, parts + 1).astype(np.int64)
    tile = _outer_tile(inputs, outputs, features.element_size())
    channels, vectors, lanes = tile.constants()
    whole = inputs - inputs % tile.rows

    def work(part: int) -> None:
        span = sums_[part], features_, gradient_, table_, bounds[part], bounds[part + 1]
        zero = features_.dtype.type(0)
        for tile_channels, first, last in ((channels, 0, whole), ((0,), whole, inputs)):
            if first < last:
                add_weight_gradient(*span, tile_channels, first, last, vectors, lanes, zero)

    run_parts(work, parts)
    return sums.sum(dim=0)


def _tile(outputs: int, size: int) -> _Tile:
    """Tile of a product with ``outputs`` columns: by measurement the quickest of those that fit the registers."""
    vectors, lanes = _vectors(outputs, size)
    # More than 12 rows need more addresses than there are registers for them.
    return _Tile((12, 12, 8)[vectors - 1] if _REGISTERS == 32 else (12, 6)[vectors - 1], vectors, lanes)


def _outer_tile(inputs: int, outputs: int, size: int) -> _Tile:
    """Tile of a sum of outer products of ``inputs`` and ``outputs`` columns."""
    vectors, lanes = _vectors(outputs, size)
    most = 8 if _REGISTERS == 32 else 4
    # The largest power of two that is not more than the inputs; they are few in a network's first layer alone.
    return _Tile(min(most, 1 << (inputs.bit_length() - 1)), vectors, lanes)


def _vectors(outputs: int, size: int) -> tuple[int, int]:
    """Vectors of a tile's row and their length: whole tiles where the columns allow, few columns too many."""
    lanes = _LANES * 4 // size
    # Half vectors where the last would be at most half full: two halves are as quick as a whole.
    if 0 < outputs % lanes <= lanes // 2:
        lanes //= 2
    count = -(-outputs // lanes)
    most = 3 if _REGISTERS == 32 else 2
    return next(vectors for vectors in range(most, 0, -1) if count % vectors == 0), lanes


def _packed(weight: Tensor, columns: int) -> NDArray[Any]:
    """Weight (K, C_in, C_out) as (blocks, K, C_in, columns) in the order in which a tile reads it."""
    taps, inputs, outputs = weight.shape
    blocks = -(-outputs // columns)
    padded = torch.nn.functional.pad(weight.detach(), (0, blocks * columns - outputs))
    packed: NDArray[Any] = padded.view(taps, inputs, blocks, columns).permute(2, 0, 1, 3).contiguous().numpy()
    return packed


def _arrays(*tensors: Tensor) -> tuple[NDArray[Any], ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)
