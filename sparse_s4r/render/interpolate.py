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
        rows: (P, 8) int64 voxel rows of the cell around each point, in the order of ``CORNERS``; two cells never
            share their first corner, nor any other of the same place.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    @cached_property
    def by_cell(self) -> tuple[Tensor, Tensor, Tensor]:
        """Points (P,) ordered by cell, where each of the U cells starts (U,), and the rows (U, 8) of the cells.

        A stable sort: every cell adds up its points in one order, so backward is repeatable bit by bit.
        """
        first, point = torch.sort(self.rows[:, 0], stable=True)
        _, count = torch.unique_consecutive(first, return_counts=True)
        start = count.cumsum(0) - count
        return point, start, self.rows[point[start]]


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
        point, start, rows = ctx.corners.by_cell
        total = grad.new_zeros(ctx.count)
        if len(rows):
            parts = embedding_bag(point, grad, start, mode="sum")
            for corner in range(rows.shape[1]):
                # No row twice among one corner of all cells, so this adds without a race.
                total[rows[:, corner]] += parts[:, corner]
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
            to_values = _add_to_voxels(grad, weights, ctx.corners, torch.zeros_like(values))
        if ctx.needs_input_grad[1]:
            to_weights = torch.stack([(grad * values[rows[:, c]]).sum(1) for c in range(rows.shape[1])], dim=1)
        return to_values, to_weights, None


def _add_to_voxels(grad: Tensor, weights: Tensor, corners: CornerMap, total: Tensor) -> Tensor:
    """Add ``grad`` (P, C) by ``weights`` (P, 8) to the voxels of ``total`` (N, C), cell by cell."""
    point, start, rows = corners.by_cell
    ordered = weights[point].T.contiguous()
    for corner in range(rows.shape[1] if len(rows) else 0):
        part = embedding_bag(point, grad, start, per_sample_weights=ordered[corner], mode="sum")
        total[rows[:, corner]] += part
    return total
