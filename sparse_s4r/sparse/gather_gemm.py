"""Convolutions and their gradients as sums of gathered products, without atomics: the same bits in every run.

A sum is always gathered by the rows of its result, never scattered: ``gather_gemm`` over a table of rows gives the
convolution and the gradient by its input, ``weight_gradient`` over the same table the gradient by its weight.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from sparse_s4r.sparse.backend import kernels


def convolve(features: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    """Sum over taps t of ``features[table[i, t]] @ weight[t]`` for every row i.

    The table must be that of a centred odd kernel on one set of sites: site j is seen by i at tap t exactly if i is
    seen by j at tap K-1-t. So the gradient gathers by the same table.

    Args:
        features: (N, C_in); differentiable.
        weight: (K, C_in, C_out); differentiable.
        table: (N, K) int32 rows, N for an absent cell, which counts as zeros.

    Returns:
        (N, C_out).
    """
    result: Tensor = _Convolve.apply(*_autocast(features, weight), table)  # type: ignore[no-untyped-call]
    return result


def fold(features: Tensor, weight: Tensor, children: Tensor, slots: Tensor) -> Tensor:
    """Sum over octants o of ``features[children[i, o]] @ weight[o]`` for every coarse row i.

    Args:
        features: (N, C_in); differentiable.
        weight: (8, C_in, C_out); differentiable.
        children: (M, 8) int32 rows of fine cells, N where absent.
        slots: (N,) int64, 8 * coarse row + octant of every fine cell: the inverse of ``children``.

    Returns:
        (M, C_out).
    """
    result: Tensor = _Fold.apply(*_autocast(features, weight), children, slots)  # type: ignore[no-untyped-call]
    return result


def unfold(features: Tensor, weight: Tensor, children: Tensor, slots: Tensor) -> Tensor:
    """``features[slots[i] // 8] @ weight[slots[i] % 8]`` for every fine row i; the transpose of ``fold``.

    Args:
        features: (M, C_in) of the coarse cells; differentiable.
        weight: (8, C_in, C_out); differentiable.
        children: (M, 8) int32 rows of fine cells, N where absent.
        slots: (N,) int64, 8 * coarse row + octant; 8 M for zeros, where the coarse cell is absent.

    Returns:
        (N, C_out).
    """
    result: Tensor = _Unfold.apply(*_autocast(features, weight), children, slots)  # type: ignore[no-untyped-call]
    return result


def take(features: Tensor, rows: Tensor) -> Tensor:
    """``features[rows]`` for rows (M,) int64 that occur at most once, zeros where a row is N, the number of rows."""
    result: Tensor = _Take.apply(features, rows)  # type: ignore[no-untyped-call]
    return result


class _Convolve(Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(features, weight, table)
        return _gather_gemm(features, weight, table)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight, table = ctx.saved_tensors
        # My neighbour at tap t saw me at the opposite tap.
        opposite = weight.flip(0).transpose(1, 2)
        by_features = _gather_gemm(gradient, opposite, table) if ctx.needs_input_grad[0] else None
        by_weight = _weight_gradient(features, gradient, table) if ctx.needs_input_grad[1] else None
        return by_features, None if by_weight is None else by_weight.to(weight.dtype), None


class _Fold(Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, children: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(features, weight, children, slots)
        return _gather_gemm(features, weight, children)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, weight, children, slots = ctx.saved_tensors
        by_features = _spread(gradient, weight.transpose(1, 2), slots) if ctx.needs_input_grad[0] else None
        by_weight = _weight_gradient(features, gradient, children) if ctx.needs_input_grad[1] else None
        return by_features, None if by_weight is None else by_weight.to(weight.dtype), None, None


class _Unfold(Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, children: Tensor, slots: Tensor) -> Tensor:
        ctx.save_for_backward(features, weight, children)
        return _spread(features, weight, slots)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, weight, children = ctx.saved_tensors
        by_features = by_weight = None
        if ctx.needs_input_grad[0]:
            by_features = _gather_gemm(gradient, weight.transpose(1, 2), children)
        if ctx.needs_input_grad[1]:
            by_weight = _weight_gradient(gradient, features, children).transpose(1, 2).to(weight.dtype)
        return by_features, by_weight, None, None


class _Take(Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.count = len(features)
        result: Tensor = kernels("rows", features).take(features, rows)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return kernels("rows", gradient).place(gradient, rows, ctx.count), None


def _gather_gemm(features: Tensor, weight: Tensor, table: Tensor) -> Tensor:
    result: Tensor = kernels("gather_gemm", features).gather_gemm(features, weight, table)
    return result


def _weight_gradient(features: Tensor, gradient: Tensor, table: Tensor) -> Tensor:
    result: Tensor = kernels("gather_gemm", features).weight_gradient(features, gradient, table)
    return result


def _spread(features: Tensor, weight: Tensor, slots: Tensor) -> Tensor:
    result: Tensor = kernels("gather_gemm", features).spread(features, weight, slots)
    return result


def _autocast(features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Both in autocast's type where that is on."""
    device = features.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        features, weight = features.to(dtype), weight.to(dtype)
    if features.dtype != weight.dtype:
        raise ValueError(f"weight: expected {features.dtype} as the features have, got {weight.dtype}")
    return features, weight
