"""Convolution as gathered rows times one matrix, chunk by chunk, and moves of rows without atomics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# Gathered rows of one chunk, bytes: on a CPU few enough to stay in the cache between gather and product (measured
# flat from 0.25 to 4 MiB); a GPU wants enough work per launch.
_CHUNK_CPU = 1 << 21
_CHUNK_GPU = 1 << 28


def convolve(features: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """Sum over taps t of ``features[table[i, t]] @ weight[t]`` for every row i.

    The table must be that of a centred odd kernel on one set of sites: site j is seen by i at tap t exactly if i is
    seen by j at tap K-1-t. The gradients then gather, too: no atomics, the same bits in every run.

    Args:
        features: (N, C_in); differentiable.
        weight: (K, C_in, C_out); differentiable.
        table: (N, K) int32 rows, N for an absent cell, which counts as zeros.

    Returns:
        (N, C_out).
    """
    device = features.device.type
    if torch.is_autocast_enabled(device):
        features, weight = (value.to(torch.get_autocast_dtype(device)) for value in (features, weight))
    result: Tensor = _Convolve.apply(features, weight, table)  # type: ignore[no-untyped-call]
    return result


def take(features: Tensor, rows: Tensor) -> Tensor:
    """``features[rows]`` for rows (M,) int64 that occur at most once, zeros where a row is N, the number of rows."""
    result: Tensor = _Take.apply(features, rows)  # type: ignore[no-untyped-call]
    return result


def place(features: Tensor, rows: Tensor, count: int) -> Tensor:
    """``count`` rows of zeros with ``features`` (N, C) put at distinct ``rows`` (N,) int64; the reverse of ``take``."""
    result: Tensor = _Place.apply(features, rows, count)  # type: ignore[no-untyped-call]
    return result


class _Convolve(Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(features, weight, table)
        matrix = weight.reshape(-1, weight.shape[2])
        result = features.new_empty(len(table), weight.shape[2])
        for rows, gathered in _gathered(features, table):
            torch.mm(gathered, matrix, out=result[rows])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight, table = ctx.saved_tensors
        taps, inputs, outputs = weight.shape
        # Gathered column block t holds the gradient at tap t's neighbour, which saw this row at the opposite tap.
        opposite = weight.flip(0).transpose(1, 2).reshape(-1, inputs)
        by_features = features.new_empty(features.shape) if ctx.needs_input_grad[0] else None
        by_weight = _accumulator(features, inputs, taps * outputs) if ctx.needs_input_grad[1] else None
        for rows, gathered in _gathered(gradient, table):
            if by_features is not None:
                torch.mm(gathered, opposite, out=by_features[rows])
            if by_weight is not None and by_weight.dtype == features.dtype:
                by_weight.addmm_(features[rows].T, gathered)
            elif by_weight is not None:
                by_weight += features[rows].T @ gathered
        if by_weight is not None:
            by_weight = by_weight.view(inputs, taps, outputs).flip(1).transpose(0, 1).to(weight.dtype)
        return by_features, by_weight, None


class _Take(Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.count = len(features)
        return _padded(features).index_select(0, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # The gradients of absent cells all go to one more row, which _placed drops.
        (rows,) = ctx.saved_tensors
        return _placed(gradient, rows, ctx.count), None


class _Place(Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, rows: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(rows)
        return _placed(features, rows, count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (rows,) = ctx.saved_tensors
        return gradient.index_select(0, rows), None, None


def _accumulator(like: Tensor, rows: int, columns: int) -> Tensor:
    """Zeros to sum chunks in; half types would lose the small terms of a long sum."""
    dtype = torch.float32 if like.element_size() < 4 else like.dtype
    return torch.zeros(rows, columns, dtype=dtype, device=like.device)


def _placed(features: Tensor, rows: Tensor, count: int) -> Tensor:
    result = features.new_zeros(count + 1, features.shape[1])
    return result.index_copy_(0, rows, features)[:count]


def _padded(features: Tensor) -> Tensor:
    """Features with one more row, of zeros."""
    result = features.new_empty(len(features) + 1, features.shape[1])
    result[:-1] = features
    result[-1] = 0
    return result


def _gathered(features: Tensor, table: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Chunks of rows with what they see, (rows, K * C); the tensor is reused from chunk to chunk."""
    taps, channels = table.shape[1], features.shape[1]
    source = _padded(features)
    size = _CHUNK_CPU if features.device.type == "cpu" else _CHUNK_GPU
    chunk = max(size // max(taps * channels * features.element_size(), 1), 256)
    room = source.new_empty(min(chunk, len(table)) * taps, channels)
    for start in range(0, len(table), chunk):
        part = table[start : start + chunk]
        gathered = room[: part.numel()]
        torch.index_select(source, 0, part.reshape(-1), out=gathered)
        yield slice(start, start + len(part)), gathered.view(len(part), taps * channels)
