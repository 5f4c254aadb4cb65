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
        rows: (P, 8) int64 voxel rows of the cell around each point, in the order of ``CORNERS``, -1 for an absent
            corner; two different cells never share a corner of the same place.
        cell: (P,) int64, the same number for the same cell and for no other.
    """

    def __init__(self, rows: Tensor, cell: Tensor) -> None:
        self.rows = rows
        self._cell = cell

    @cached_property
    def readable(self) -> Tensor:
        """(P, 8) rows that can be read: row 0, whose weight is 0, in the place of an absent one."""
        return self.rows.clamp(min=0)

    @cached_property
    def by_cell(self) -> tuple[Tensor, Tensor, Tensor]:
        """Points (P,) ordered by cell, where each of the U cells starts (U,), and the rows (U, 8) of the cells.

        A stable sort: every cell adds up its points in one order, so backward is repeatable bit by bit.
        """
        ordered, point = torch.sort(self._cell, stable=True)
        _, count = torch.unique_consecutive(ordered, return_counts=True)
        start = count.cumsum(0) - count
        return point, start, self.rows[point[start]]


def gather_corners(values: Tensor, corners: CornerMap) -> Tensor:
    """``values`` (N,) at the corners, (P, 8), 0 at absent ones; differentiable once in ``values``, repeatably."""
    result: Tensor = _Gather.apply(values, corners)  # type: ignore[no-untyped-call]
    return result


def interpolate_corners(values: Tensor, weights: Tensor, corners: CornerMap) -> Tensor:
    """Weighted sums of the corners.

    Args:
        values: (N, C) per voxel.
        weights: (P, 8) per corner; 0 for an absent one.
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
        return torch.where(corners.rows >= 0, values[corners.readable], 0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        total = grad.new_zeros(ctx.count + 1, 1)
        if len(grad):
            point, start, rows = ctx.corners.by_cell
            for corner, column in enumerate(grad.unbind(1)):
                _add(total, rows[:, corner], embedding_bag(point, column.unsqueeze(1), start, mode="sum"))
        return total[: ctx.count, 0], None


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weights: Tensor, corners: CornerMap) -> Tensor:
        ctx.corners = corners
        ctx.save_for_backward(values, weights)
        if not len(corners.rows):
            return values.new_zeros(0, values.shape[1])
        return embedding_bag(corners.readable, values, per_sample_weights=weights, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        values, weights = ctx.saved_tensors
        rows = ctx.corners.readable
        to_values = to_weights = None
        if ctx.needs_input_grad[0]:
            total = grad.new_zeros(len(values) + 1, values.shape[1])
            to_values = _add_weighted(total, grad.contiguous(), weights, ctx.corners)[: len(values)]
        if ctx.needs_input_grad[1]:
            to_weights = torch.stack([(grad * values[rows[:, c]]).sum(1) for c in range(rows.shape[1])], dim=1)
        return to_values, to_weights, None


def _add_weighted(total: Tensor, grad: Tensor, weights: Tensor, corners: CornerMap) -> Tensor:
    """Add ``grad`` (P, C) by ``weights`` (P, 8) to the voxels of ``total`` (N + 1, C), cell by cell."""
    if len(grad):
        point, start, rows = corners.by_cell
        ordered = weights[point].T.contiguous()
        for corner, column in enumerate(ordered):
            part = embedding_bag(point, grad, start, per_sample_weights=column, mode="sum")
            _add(total, rows[:, corner], part)
    return total


def _add(total: Tensor, rows: Tensor, part: Tensor) -> None:
    """Add ``part`` (U, C) to ``rows`` (U,) of ``total``: no present row twice, so without a race.

    Absent corners, which weigh nothing, share the last row.
    """
    total[rows] += part
