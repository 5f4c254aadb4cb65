from __future__ import annotations

import torch

from sparse_s4r.render.interpolate import CornerMap, gather_corners, interpolate_corners


def cells(points: int, count: int) -> CornerMap:
    """Points in random cells on a line of voxels: cell c has the corners c, c + 1, ..., c + 7."""
    first = torch.randint(0, count, (points, 1))
    return CornerMap(first + torch.arange(8), first.squeeze(1))


def test_interpolation_and_its_gradients_equal_plain_indexing() -> None:
    corners = cells(50, 30)
    rows = corners.rows
    values = torch.randn(40, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(50, 8, dtype=torch.float64, requires_grad=True)
    toward = torch.randn(50, 5, dtype=torch.float64)
    result = interpolate_corners(values, weights, corners)
    plain = (values[rows] * weights.unsqueeze(2)).sum(1)
    # float64 sums of at most 50 products: only the order differs.
    torch.testing.assert_close(result, plain, rtol=1e-12, atol=1e-12)
    ours = torch.autograd.grad(result, (values, weights), toward)
    theirs = torch.autograd.grad(plain, (values, weights), toward)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_gather_and_its_gradient_equal_plain_indexing() -> None:
    corners = cells(50, 30)
    rows = corners.rows
    values = torch.randn(40, dtype=torch.float64, requires_grad=True)
    toward = torch.randn(50, 8, dtype=torch.float64)
    assert torch.equal(gather_corners(values, corners), values[rows])
    (ours,) = torch.autograd.grad(gather_corners(values, corners), values, toward)
    (theirs,) = torch.autograd.grad(values[rows], values, toward)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_absent_corners_neither_give_nor_get() -> None:
    corners = cells(50, 30)
    # Voxel 7 is absent, in whichever cell it would be a corner.
    corners = CornerMap(torch.where(corners.rows == 7, -1, corners.rows), corners.rows[:, 0].clone())
    values = torch.randn(40, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.where(corners.rows >= 0, torch.rand(50, 8, dtype=torch.float64), 0)
    result = interpolate_corners(values, weights, corners)
    plain = (values[corners.rows.clamp(min=0)] * weights.unsqueeze(2)).sum(1)
    torch.testing.assert_close(result, plain, rtol=1e-12, atol=1e-12)
    toward = torch.randn(50, 5, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad(each, values, toward)[0] for each in (result, plain))
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    (gradient,) = torch.autograd.grad(gather_corners(values[:, 0], corners).sum(), values)
    counts = torch.bincount(corners.rows[corners.rows >= 0], minlength=40).double()
    assert torch.equal(gradient[:, 0], counts)
    assert not gather_corners(values[:, 0], corners)[corners.rows < 0].any()


def test_no_points_give_zero_gradients() -> None:
    corners = CornerMap(torch.empty(0, 8, dtype=torch.int64), torch.empty(0, dtype=torch.int64))
    values = torch.randn(4, 3, requires_grad=True)
    result = interpolate_corners(values, torch.empty(0, 8), corners)
    (gradient,) = torch.autograd.grad(result.sum(), values)
    assert result.shape == (0, 3)
    assert not gradient.any()


def test_gradients_repeat_bit_by_bit() -> None:
    # 80,000 additions into 10 voxels in float32: any other order of summing would show.
    corners = cells(10_000, 3)
    values = torch.randn(10, 3, requires_grad=True)
    weights, toward = torch.rand(10_000, 8), torch.randn(10_000, 3)
    first, second = (
        torch.autograd.grad(interpolate_corners(values, weights, corners), values, toward)[0] for _ in range(2)
    )
    assert torch.equal(first, second)
