from __future__ import annotations

import torch

from sparse_s4r.render.interpolate import CornerMap, gather_corners, interpolate_corners


def cells(points: int, count: int) -> torch.Tensor:
    """Rows (points, 8) of random cells on a line of voxels: cell c has the corners c, c + 1, ..., c + 7."""
    return torch.randint(0, count, (points, 1)) + torch.arange(8)


def test_interpolation_and_its_gradients_equal_plain_indexing() -> None:
    rows = cells(50, 30)
    values = torch.randn(40, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(50, 8, dtype=torch.float64, requires_grad=True)
    toward = torch.randn(50, 5, dtype=torch.float64)
    result = interpolate_corners(values, weights, CornerMap(rows))
    plain = (values[rows] * weights.unsqueeze(2)).sum(1)
    # float64 sums of at most 50 products: only the order differs.
    torch.testing.assert_close(result, plain, rtol=1e-12, atol=1e-12)
    ours = torch.autograd.grad(result, (values, weights), toward)
    theirs = torch.autograd.grad(plain, (values, weights), toward)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_gather_and_its_gradient_equal_plain_indexing() -> None:
    rows = cells(50, 30)
    values = torch.randn(40, dtype=torch.float64, requires_grad=True)
    toward = torch.randn(50, 8, dtype=torch.float64)
    assert torch.equal(gather_corners(values, CornerMap(rows)), values[rows])
    (ours,) = torch.autograd.grad(gather_corners(values, CornerMap(rows)), values, toward)
    (theirs,) = torch.autograd.grad(values[rows], values, toward)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_no_points_give_zero_gradients() -> None:
    corners = CornerMap(torch.empty(0, 8, dtype=torch.int64))
    values = torch.randn(4, 3, requires_grad=True)
    result = interpolate_corners(values, torch.empty(0, 8), corners)
    (gradient,) = torch.autograd.grad(result.sum(), values)
    assert result.shape == (0, 3)
    assert not gradient.any()


def test_gradients_repeat_bit_by_bit() -> None:
    # 80,000 additions into 10 voxels in float32: any other order of summing would show.
    rows = cells(10_000, 3)
    values = torch.randn(10, 3, requires_grad=True)
    weights, toward = torch.rand(10_000, 8), torch.randn(10_000, 3)
    first, second = (
        torch.autograd.grad(interpolate_corners(values, weights, CornerMap(rows)), values, toward)[0] for _ in range(2)
    )
    assert torch.equal(first, second)
