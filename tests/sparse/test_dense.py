"""The dense engine's box, and the baseline in which every cell is a site."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from sparse_s4r.sparse.box import Box
from sparse_s4r.sparse.factory import make_voxels
from tests.sparse.scenes import scattered_cells


def test_box_is_snapped_to_whole_coarse_cells() -> None:
    cells = torch.tensor([[0, -1, 5, 16], [1, 7, 5, 31]])
    assert Box.around(cells, 1, levels=4) == Box(2, (-16, 0, 16), (32, 16, 16), 1)
    # Cells of two voxels: multiples of eight of them.
    assert Box.around(cells, 2, levels=4) == Box(2, (-8, 0, 16), (16, 8, 16), 2)
    assert Box.around(cells, 32, levels=4) == Box(2, (-1, 5, 16), (9, 1, 16), 32)


def test_box_of_given_bounds() -> None:
    cells = torch.tensor([[0, 1, 1, 1]])
    bounds = torch.tensor([-3, 0, 0]), torch.tensor([20, 4, 5])
    assert Box.around(cells, 1, 2, bounds) == Box(1, (-4, 0, 0), (24, 4, 8), 1)
    with pytest.raises(ValueError, match="box: expected all cells in"):
        Box.around(cells + 4, 1, 2, bounds)
    # Bounds are voxels, whatever the stride of the cells.
    assert Box.around(cells * 0, 4, 2, bounds) == Box(1, (-1, 0, 0), (6, 1, 2), 4)


def test_halving_and_doubling_are_inverse_where_possible() -> None:
    box = Box(2, (-4, 0, 8), (4, 8, 12), 2)
    assert box.halved() == Box(2, (-2, 0, 4), (2, 4, 6), 4)
    assert box.halved().doubled() == box
    with pytest.raises(ValueError, match="make the voxels with more levels"):
        Box(1, (0, 0, 0), (2, 3, 2), 1).halved()
    with pytest.raises(ValueError, match="there are no finer cells"):
        Box(1, (0, 0, 0), (2, 2, 2), 1).doubled()


def test_cells_and_positions_agree() -> None:
    box = Box(2, (-2, 3, 0), (2, 3, 4), 1)
    cells = box.cells(torch.device("cpu"))
    positions, inside = box.positions(cells)
    assert torch.equal(positions, torch.arange(2 * 2 * 3 * 4))
    assert bool(inside.all())
    outside = torch.tensor([[2, -2, 3, 0], [0, -3, 3, 0], [0, 0, 3, 0], [0, -2, 6, 0], [0, -2, 3, -1]])
    assert not box.positions(outside)[1].any()


def test_baseline_is_a_plain_convolution_of_the_box() -> None:
    cells = scattered_cells(100)
    features = torch.randn(len(cells), 2, dtype=torch.float64)
    voxels = make_voxels("dense", cells, features, levels=2)
    grid = torch.zeros(2, 8, 8, 8, 2, dtype=torch.float64)
    grid[tuple((cells + torch.tensor([0, 4, 4, 4])).T)] = features
    assert torch.equal(voxels.features, grid.view(-1, 2))
    weights = [torch.randn(taps, 2, 2, dtype=torch.float64) for taps in (27, 8, 8)]
    kernels = [
        weight.view(edge, edge, edge, 2, 2).permute(4, 3, 0, 1, 2)
        for weight, edge in zip(weights, (3, 2, 2), strict=True)
    ]
    expected = F.conv3d(grid.permute(0, 4, 1, 2, 3), kernels[0], padding=1)
    result = voxels.conv(weights[0])
    torch.testing.assert_close(result.features, expected.permute(0, 2, 3, 4, 1).reshape(-1, 2))
    expected = F.conv3d(expected, kernels[1], stride=2)
    result = result.down(weights[1])
    torch.testing.assert_close(result.features, expected.permute(0, 2, 3, 4, 1).reshape(-1, 2))
    expected = F.conv_transpose3d(expected, kernels[2].transpose(0, 1), stride=2)
    result = result.up(weights[2])
    torch.testing.assert_close(result.features, expected.permute(0, 2, 3, 4, 1).reshape(-1, 2))
    assert torch.equal(result.coordinates, voxels.coordinates)
    # Beyond the masked engine: a site count that pruning cannot change.
    assert result.prune(torch.zeros(1024, dtype=torch.bool)) is result


def test_baseline_differs_from_the_masked_engine() -> None:
    cells, weight = scattered_cells(100), torch.randn(27, 1, 1)
    features = torch.randn(len(cells), 1)
    once, twice = (make_voxels(engine, cells, features, levels=2).conv(weight) for engine in ("dense", "dense-masked"))
    sites = make_voxels("dense", cells, features, levels=2).lookup(twice) != 0
    # Equal at the sites after one step, since what surrounded them was zero; no more after a second one.
    torch.testing.assert_close(once.features[sites], twice.lookup(once)[:, 0][torch.argsort(_order(cells))])
    again, masked = once.conv(weight), twice.conv(weight)
    assert not torch.allclose(masked.lookup(again), masked.features)


def _order(cells: torch.Tensor) -> torch.Tensor:
    """Rank of every cell in (batch, x, y, z) order."""
    key = ((cells[:, 0] * 64 + cells[:, 1] + 32) * 64 + cells[:, 2] + 32) * 64 + cells[:, 3] + 32
    return torch.argsort(torch.argsort(key))
