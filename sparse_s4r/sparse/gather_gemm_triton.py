"""Convolution on a GPU, in Triton, and the sizes of its tiles.

These depend on shapes and dtype alone and are never tuned while running, as they decide the order of sums: the same
bits in every run on one device. They follow from registers, shared memory and padding, not from timing on a GPU.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import triton
from torch import Tensor

from sparse_s4r.sparse.gather_gemm_torch import spread
from sparse_s4r.sparse.gemm_kernels_triton import gather_gemm_kernel, packed_gemm_kernel, weight_gradient_kernel
from sparse_s4r.sparse.kernel_map_triton import on_device_of, tiles_of

# Eight children by one product: torch's own is as good.
__all__ = ["gather_gemm", "spread", "supports", "weight_gradient"]
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# Oldest NVIDIA architecture: before it there is no asynchronous copy, and Triton's products in half types spill.
_OLDEST = (8, 0)
# Below this many channels the taps share one block of the product's inner dimension, whose least size is 16.
_FEWEST_CHANNELS = 16
# Programs that the weight gradient is split into: some waves on a large GPU. Not asked from the device, so that the
# order of sums does not depend on it.
_GRADIENT_PROGRAMS = 1024
# Rows that a part of the weight gradient has at least, as each part is written and read once more.
_FEWEST_ROWS = 512


# In the interpreter the kernels are no longer what the compiler takes; its products know no bfloat16.
_INTERPRETED = not isinstance(gather_gemm_kernel, triton.JITFunction)


def supports(features: Tensor) -> bool:
    """Whether device and dtype of ``features`` are served; float64 is not, as GPUs differ in what they have for it."""
    if features.dtype not in _DTYPES:
        return False
    if not features.is_cuda:
        return _INTERPRETED and features.device.type == "cpu"
    # On AMD's GPUs, which torch calls cuda, too, the numbers mean something else.
    return torch.version.hip is not None or torch.cuda.get_device_capability(features.device) >= _OLDEST


def gather_gemm(features: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """Sum over taps t of ``features[table[i, t]] @ weight[t]`` for every row i, summed in float32.

    Args:
        features: (N, C_in) float32, float16 or bfloat16, where ``supports`` says so.
        weight: (K, C_in, C_out) of the same dtype.
        table: (M, K) int32 rows, N for an absent cell, which counts as zeros.

    Returns:
        (M, C_out) of the same dtype.

    Raises:
        ValueError: A device or dtype that is not served, or shapes that do not belong together.
    """
    _expect_served(features)
    taps, inputs, outputs = weight.shape if weight.dim() == 3 else (0, 0, 0)
    _expect("weight", weight, features.dtype, (taps, features.shape[1], outputs))
    _expect("table", table, torch.int32, (len(table), taps))
    if not table.numel() or not features.numel() or not outputs:
        return features.new_zeros(len(table), outputs)
    features, weight, table = features.contiguous(), weight.contiguous(), table.contiguous()
    result = features.new_empty(len(table), outputs)
    with on_device_of(features):
        (_multiply if inputs >= _FEWEST_CHANNELS else _multiply_packed)(features, weight, table, result)
    return result


def weight_gradient(features: Tensor, gradient: Tensor, table: Tensor) -> Tensor:
    """For every tap t the sum over rows i of ``features[table[i, t]]^T gradient[i]``, in a fixed order.

    Args:
        features: (N, C_in) float32, float16 or bfloat16, where ``supports`` says so.
        gradient: (M, C_out) of the same dtype.
        table: (M, K) int32 rows, N for an absent cell.

    Returns:
        (K, C_in, C_out) float32.

    Raises:
        ValueError: A device or dtype that is not served, or shapes that do not belong together.
    """
    _expect_served(features)
    inputs, (rows, outputs), taps = features.shape[1], gradient.shape, table.shape[1]
    _expect("gradient", gradient, features.dtype, (rows, outputs))
    _expect("table", table, torch.int32, (rows, taps))
    if not table.numel() or not features.numel() or not outputs:
        return features.new_zeros(taps, inputs, outputs, dtype=torch.float32)
    precision = _precision(features.dtype)
    exact = _is_exact(features.dtype, precision)
    block_n = _columns_of_tile(outputs, exact)
    block_t, block_c = _taps_and_channels(taps, inputs, 64 if exact or inputs < 64 else 128)
    tiles = triton.cdiv(taps, block_t) * triton.cdiv(inputs, block_c) * triton.cdiv(outputs, block_n)
    block_r = 32
    parts = max(min(_GRADIENT_PROGRAMS // tiles, rows // _FEWEST_ROWS), 1)
    rows_per_part = triton.cdiv(triton.cdiv(rows, parts), block_r) * block_r
    parts = triton.cdiv(rows, rows_per_part)
    partial = features.new_empty(parts, taps, inputs, outputs, dtype=torch.float32)
    with on_device_of(features):
        weight_gradient_kernel[(tiles, parts)](
            features.contiguous(), gradient.contiguous(), table.contiguous(), partial, rows, len(features),
            rows_per_part, taps, inputs, outputs, block_t=block_t, block_c=block_c, block_n=block_n, block_r=block_r,
            precision=precision, widen=_INTERPRETED, **_options(block_t * block_c * block_n, few=block_n <= 32),
        )  # fmt: skip
    return partial.sum(dim=0)


def _multiply(features: Tensor, weight: Tensor, table: Tensor, result: Tensor) -> None:
    """``result`` tap by tap."""
    inputs, outputs = weight.shape[1:]
    block_m, block_n, common = _result_tile(len(table), outputs, features.dtype)
    block_k = _fitting(inputs, (32, 16) if features.dtype == torch.float32 else (64, 32, 16))
    tiles = tiles_of(table, len(features), block_m)
    grid = (triton.cdiv(len(table), block_m) * triton.cdiv(outputs, block_n),)
    gather_gemm_kernel[grid](
        features, weight, table, tiles.order, tiles.taps, tiles.counts, result, len(table), len(features),
        *weight.shape, block_k=block_k, **common, **_options(block_m * block_n, few=block_n * block_k <= 1024),
    )  # fmt: skip


def _multiply_packed(features: Tensor, weight: Tensor, table: Tensor, result: Tensor) -> None:
    """``result`` for few input channels, some taps at once."""
    block_c = triton.next_power_of_2(weight.shape[1])
    block_m, block_n, common = _result_tile(len(table), weight.shape[2], features.dtype)
    grid = (triton.cdiv(len(table), block_m) * triton.cdiv(weight.shape[2], block_n),)
    packed_gemm_kernel[grid](
        features, weight, table, result, len(table), len(features), *weight.shape,
        block_t=32 // block_c, block_c=block_c, **common, **_options(block_m * block_n, few=False),
    )  # fmt: skip


def _result_tile(rows: int, outputs: int, dtype: torch.dtype) -> tuple[int, int, dict[str, Any]]:
    """Edges of a tile of the result, and these and the precision as the kernels want them."""
    precision = _precision(dtype)
    exact = _is_exact(dtype, precision)
    block_m, block_n = _rows_of_tile(rows, exact), _columns_of_tile(outputs, exact)
    return block_m, block_n, {"block_m": block_m, "block_n": block_n, "precision": precision, "widen": _INTERPRETED}


def _precision(dtype: torch.dtype) -> str:
    """Of products in float32: what torch's own matrix products are allowed; AMD's compiler takes ieee alone."""
    if dtype != torch.float32 or torch.version.hip is not None:
        return "ieee"
    rules = torch.backends.cuda.matmul
    # Newer versions of torch refuse the old question after an answer to the new one.
    allowed = rules.fp32_precision == "tf32" if hasattr(rules, "fp32_precision") else rules.allow_tf32
    return "tf32" if allowed else "ieee"


def _is_exact(dtype: torch.dtype, precision: str) -> bool:
    """Whether products go through the ordinary units, whose time padding costs, rather than the tensor cores."""
    return dtype == torch.float32 and precision == "ieee"


def _rows_of_tile(rows: int, exact: bool) -> int:
    """Fewer where there would be too few tiles for the device; ordinary units have no registers for more than 64."""
    if rows < 1 << 13:
        return 32
    return 64 if exact or rows < 1 << 16 else 128


def _columns_of_tile(outputs: int, exact: bool) -> int:
    """On tensor cores all of them if possible, as every further tile gathers the rows once more."""
    return _fitting(outputs, (64, 32, 16)) if exact else min(128, max(16, int(triton.next_power_of_2(outputs))))


def _taps_and_channels(taps: int, inputs: int, room: int) -> tuple[int, int]:
    """Taps and channels, powers of two, of a tile with at most ``room`` and at least 16 pairs of the two."""
    if inputs < _FEWEST_CHANNELS:
        block_c = triton.next_power_of_2(inputs)
    else:
        block_c = _fitting(inputs, tuple(size for size in (128, 64, 32, 16) if size <= room))
    block_t = max(min(room // block_c, triton.next_power_of_2(taps)), math.ceil(16 / block_c))
    return block_t, block_c


def _fitting(size: int, blocks: tuple[int, ...]) -> int:
    """The block that covers ``size`` with the least padding, of equals the largest."""
    return min(blocks, key=lambda block: (triton.cdiv(size, block) * block, -block))


def _options(accumulators: int, few: bool) -> dict[str, Any]:
    """How to compile for a tile of so many sums.

    Three stages fetch rows one step ahead. With few channels a step is over before its successor's rows arrive:
    there seven (a chain of three loads, each two steps ahead), which cost little memory. Fusing products with sums
    is said outright, because its default differs between versions of Triton.
    """
    warps = 4 if accumulators <= 8192 else 8
    return {"num_warps": warps, "num_stages": 7 if few else 3, "enable_fp_fusion": True}


def _expect_served(features: Tensor) -> None:
    if features.dim() != 2 or not supports(features):
        raise ValueError(
            "features: expected (N, C) float32, float16 or bfloat16 on a GPU that Triton compiles for, "
            f"got {features.dtype} of shape {tuple(features.shape)} on {features.device}; use the torch operations"
        )


def _expect(name: str, value: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    if value.dtype != dtype or tuple(value.shape) != shape:
        raise ValueError(f"{name}: expected {dtype} of shape {shape}, got {value.dtype} of shape {tuple(value.shape)}")
