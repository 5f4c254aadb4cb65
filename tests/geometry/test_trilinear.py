"""Trilinear sampling against torch's ``grid_sample``, linear fields and finite differences."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.trilinear import sample_trilinear

_SHAPE = (5, 6, 7)
_LOWER = torch.tensor([-3, 2, -1])


def _box() -> torch.Tensor:
    """Coordinates of a full box off the origin, rows shuffled."""
    cells = torch.cartesian_prod(*[torch.arange(size) for size in _SHAPE]) + _LOWER
    return cells[torch.randperm(len(cells))]


def _inside(count: int) -> torch.Tensor:
    span = torch.tensor(_SHAPE, dtype=torch.float64) - 1
    return torch.rand(count, 3, dtype=torch.float64) * span + _LOWER


def test_equals_grid_sample_on_a_full_box() -> None:
    cells, positions = _box(), _inside(200)
    values = torch.randn(len(cells), 4, dtype=torch.float64)
    grid = torch.zeros(*_SHAPE, 4, dtype=torch.float64)
    grid[tuple((cells - _LOWER).T)] = values
    # grid_sample wants (z, y, x) order and the range -1 to 1 between the outermost centres.
    span = torch.tensor(_SHAPE, dtype=torch.float64) - 1
    normalised = ((positions - _LOWER) / span * 2 - 1).flip(1).view(1, 1, 1, -1, 3)
    expected = F.grid_sample(grid.permute(3, 0, 1, 2)[None], normalised, align_corners=True)[0, :, 0, 0].T
    result, valid = sample_trilinear(VoxelHash(cells), values, positions)
    assert bool(valid.all())
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_reproduces_linear_fields_and_their_slope(plane: list[float]) -> None:
    cells, positions = _box(), _inside(20).requires_grad_()
    slope, height = torch.tensor(plane[:3], dtype=torch.float64), plane[3]
    result, _ = sample_trilinear(VoxelHash(cells), (cells.double() @ slope + height)[:, None], positions)
    # Sums of eight terms of up to 100: some 1e-14.
    torch.testing.assert_close(result[:, 0], positions @ slope + height, rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(result.sum(), positions)
    torch.testing.assert_close(gradient, slope.expand(20, 3), rtol=0, atol=1e-12)


def test_is_the_value_at_centres() -> None:
    cells = _box()
    values = torch.randn(len(cells), 2)
    lower = (cells < _LOWER + torch.tensor(_SHAPE) - 1).all(dim=1)
    result, valid = sample_trilinear(VoxelHash(cells), values, cells.float())
    # The upper faces lack the next voxel.
    assert torch.equal(valid, lower)
    assert torch.equal(result[valid], values[lower])


@pytest.mark.parametrize("missing", range(8))
def test_every_corner_is_needed(missing: int) -> None:
    corners = torch.cartesian_prod(*[torch.tensor([-1, 0])] * 3)
    kept = torch.arange(8) != missing
    positions = torch.full((1, 3), -0.3)
    result, valid = sample_trilinear(VoxelHash(corners[kept]), torch.ones(7, 1), positions)
    assert not bool(valid)
    assert not result.any()
    assert bool(sample_trilinear(VoxelHash(corners), torch.ones(8, 1), positions)[1])


def test_gradients() -> None:
    cells = _box()[:190]
    voxels = VoxelHash(cells)
    values = torch.randn(len(cells), 2, dtype=torch.float64, requires_grad=True)
    positions = _inside(40).requires_grad_()
    valid = sample_trilinear(voxels, values, positions)[1]
    assert 0 < int(valid.sum()) < 40
    assert gradcheck(lambda v, p: sample_trilinear(voxels, v, p)[0], (values, positions))


def test_positions_that_are_nowhere() -> None:
    cells = _box()
    positions = torch.tensor([[0.5, 3.5, torch.nan], [torch.inf, 3.5, 0.5], [1e30, 0, 0], [-1.5, 3.5, 0.5]])
    positions.requires_grad_()
    values = torch.ones(len(cells), 1, requires_grad=True)
    result, valid = sample_trilinear(VoxelHash(cells), values, positions)
    assert valid.tolist() == [False, False, False, True]
    assert result[:, 0].tolist() == [0, 0, 0, 1]
    result.sum().backward()
    assert positions.grad is not None
    assert not positions.grad[:3].any()
    assert float(values.grad.sum()) == pytest.approx(1) if values.grad is not None else False


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_to_sample_from_or_at(count: int) -> None:
    none = VoxelHash(torch.zeros(0, 3, dtype=torch.int64))
    values = torch.zeros(0, 2, requires_grad=True)
    result, valid = sample_trilinear(none, values, torch.zeros(count, 3))
    assert result.shape == (count, 2)
    assert not valid.any()
    result.sum().backward()


def test_wrong_shapes_are_named() -> None:
    voxels = VoxelHash(_box())
    with pytest.raises(ValueError, match=r"values: expected shape \(210, C\).* got \(3, 1\)"):
        sample_trilinear(voxels, torch.zeros(3, 1), torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"positions: expected shape \(P, 3\), got \(3,\)"):
        sample_trilinear(voxels, torch.zeros(210, 1), torch.zeros(3))
