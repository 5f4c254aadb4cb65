"""Reading voxels at the corners around points, with a gradient that is summed in a fixed order."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag


class CornerMap:
    """Which voxels surround which points, in both directions.

    Args:
        rows: (P, 8) int64 voxel rows.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    @cached_property
    def by_voxel(self) -> tuple[Tensor, Tensor, Tensor]:
        """Entries (8 P,) of ``rows`` ordered by voxel, the voxels (U,) that occur, and where each one starts (U,).

        A stable sort: every voxel adds up its points in one order, so backward is repeatable bit by bit.
        """
        ordered, entry = torch.sort(self.rows.flatten(), stable=True)
        voxel, count = torch.unique_consecutive(ordered, return_counts=True)
        return entry, voxel, count.cumsum(0) - count


def gather_corners(values: Tensor, corners: CornerMap) -> Tensor:
    """``values`` (N,) at the corners, (P, 8); differentiable once in ``values``, repeatably."""
    result: Tensor = _Gather.apply(values, corners)  # type: ignore[no-untyped-call]
    return result


def interpolate_corners(values: Tensor, weights: Tensor, corners: CornerMap) -> Tensor:
    """Weighted sums of the corners.

    Args:
        values: (N, C) per voxel.
        weights: (P, 8) per corner.
        corners: The corners of P points.

    Returns:
        (P, C); differentiable once in ``values`` and ``weights``, repeatably. No (P, 8, C) tensor is made.
    """
    result: Tensor = _Interpolate.apply(values, weights, corners)  # type: ignore[no-untyped-call]
    return result


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, corners: CornerMap) -> Tensor:
        ctx.corners, ctx.count = corners, len(values)
        return values[corners.rows]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        entry, voxel, start = ctx.corners.by_voxel
        total = grad.new_zeros(ctx.count)
        if len(voxel):
            total[voxel] = embedding_bag(entry, grad.reshape(-1, 1), start, mode="sum").squeeze(1)
        return total, None


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weights: Tensor, corners: CornerMap) -> Tensor:
        ctx.corners = corners
        ctx.save_for_backward(values, weights)
        if not len(corners.rows):
            return values.new_zeros(0, values.shape[1])
        return embedding_bag(corners.rows, values, per_sample_weights=weights, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        values, weights = ctx.saved_tensors
        rows = ctx.corners.rows
        to_values = to_weights = None
        if ctx.needs_input_grad[0]:
            entry, voxel, start = ctx.corners.by_voxel
            to_values = torch.zeros_like(values)
            if len(voxel):
                to_values[voxel] = embedding_bag(
                    entry // rows.shape[1], grad, start, per_sample_weights=weights.flatten()[entry], mode="sum"
                )
        if ctx.needs_input_grad[1]:
            to_weights = torch.stack([(grad * values[rows[:, c]]).sum(1) for c in range(rows.shape[1])], dim=1)
        return to_values, to_weights, None
