"""Gathered matrix products in torch operations: the reference, on every device and for every type."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

# Gathered rows of one chunk, bytes: on a CPU few enough to stay in the cache between gather and product (measured
# flat from 0.25 to 4 MiB); a GPU wants enough work per launch.
_CHUNK_CPU = 1 << 21
_CHUNK_GPU = 1 << 28


def supports(features: Tensor) -> bool:
    """Always."""
    return features.dtype.is_floating_point


def gather_gemm(features: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """Sum over taps t of ``features[table[i, t]] @ weight[t]`` for every row i. Not differentiable.

    Args:
        features: (N, C_in).
        weight: (K, C_in, C_out) of the same type.
        table: (M, K) int32 rows, N for an absent cell, which counts as zeros.

    Returns:
        (M, C_out).
    """
    matrix = weight.reshape(-1, weight.shape[2])
    result = features.new_empty(len(table), weight.shape[2])
    for rows, gathered in _gathered(features, table):
        torch.mm(gathered, matrix, out=result[rows])
    return result


def weight_gradient(features: Tensor, gradient: Tensor, table: Tensor) -> Tensor:
    """Sum over rows i of ``features[table[i, t]]^T gradient[i]`` for every tap t: the gradient of ``gather_gemm``.

    Args:
        features: (N, C_in).
        gradient: (M, C_out) of the same type.
        table: (M, K) int32 rows, N for an absent cell.

    Returns:
        (K, C_in, C_out), float32 for half types, whose own sums would lose the small terms; the same bits in every run.
    """
    taps, inputs, outputs = table.shape[1], features.shape[1], gradient.shape[1]
    dtype = torch.float32 if features.element_size() < 4 else features.dtype
    total = torch.zeros(taps * inputs, outputs, dtype=dtype, device=features.device)
    for rows, gathered in _gathered(features, table):
        if dtype == features.dtype:
            total.addmm_(gathered.T, gradient[rows])
        else:
            total += gathered.T @ gradient[rows]
    return total.view(taps, inputs, outputs)


def spread(features: Tensor, weight: Tensor, slots: Tensor) -> Tensor:
    """``features[slots[i] // 8] @ weight[slots[i] % 8]`` for every row i. Not differentiable.

    Args:
        features: (N, C_in).
        weight: (8, C_in, C_out) of the same type.
        slots: (M,) int64 up to 8 N, which stands for an absent cell and gives zeros.

    Returns:
        (M, C_out).
    """
    _, inputs, outputs = weight.shape
    # All eight children of every row by one product, then those that are asked for.
    matrix = weight.transpose(0, 1).reshape(inputs, 8 * outputs)
    children = (features @ matrix).view(8 * len(features), outputs)
    return padded(children).index_select(0, slots)


def padded(features: Tensor) -> Tensor:
    """Features with one more row, of zeros."""
    result = features.new_empty(len(features) + 1, features.shape[1])
    result[:-1] = features
    result[-1] = 0
    return result


def _gathered(features: Tensor, table: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Chunks of rows with what they see, (rows, K * C); the tensor is reused from chunk to chunk."""
    taps, channels = table.shape[1], features.shape[1]
    source = padded(features)
    size = _CHUNK_CPU if features.device.type == "cpu" else _CHUNK_GPU
    chunk = max(size // max(taps * channels * features.element_size(), 1), 256)
    room = source.new_empty(min(chunk, len(table)) * taps, channels)
    for start in range(0, len(table), chunk):
        part = table[start : start + chunk]
        gathered = room[: part.numel()]
        torch.index_select(source, 0, part.reshape(-1), out=gathered)
        yield slice(start, start + len(part)), gathered.view(len(part), taps * channels)
