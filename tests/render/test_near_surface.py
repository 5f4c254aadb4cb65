from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from sparse_s4r.render.near_surface import NearSurface
from sparse_s4r.structures import GridSpec


def by_tree(grid: GridSpec, coordinates: Tensor, points: Tensor, distance: float) -> Tensor:
    """The definition, by a search tree over all centres; no point of these tests lies at the very distance."""
    nearest, _ = cKDTree(grid.centers(coordinates, dtype=torch.float64).numpy()).query(points.numpy())
    assert np.abs(nearest - distance).min() > 1e-9
    return torch.from_numpy(nearest <= distance)


def scattered(seed: int, count: int = 3000, extent: int = 40) -> Tensor:
    """Unique random voxels on both sides of zero, in no order, dense enough to touch at times."""
    generator = torch.Generator().manual_seed(seed)
    voxels = torch.unique(torch.randint(-extent, extent, (count, 3), generator=generator), dim=0)
    return voxels[torch.randperm(len(voxels), generator=generator)]


@pytest.mark.parametrize("voxel_size", [0.01, 0.02, 0.05])
@pytest.mark.parametrize("distance", [0.004, 0.02, 0.033])
def test_near_points_are_those_of_a_search_tree(voxel_size: float, distance: float) -> None:
    grid = GridSpec(voxel_size, origin=(-16 * voxel_size, 32 * voxel_size, 0.0))
    coordinates = scattered(0)
    generator = torch.Generator().manual_seed(1)
    # Around the voxels, and anywhere, also beyond them.
    around = grid.centers(coordinates[:2000], dtype=torch.float64)
    anywhere = (torch.rand(4000, 3, generator=generator, dtype=torch.float64) - 0.5) * 100 * voxel_size
    anywhere = anywhere + torch.tensor(grid.origin, dtype=torch.float64)
    aside = torch.randn(2000, 3, generator=generator, dtype=torch.float64) * 0.7 * distance
    points = torch.cat([around + aside, anywhere])
    expected = by_tree(grid, coordinates, points, distance)
    assert 0 < int(expected.sum()) < len(points)
    assert torch.equal(NearSurface(grid, coordinates, distance).contains(points), expected)


def test_points_a_hair_within_the_distance_are_near_and_a_hair_beyond_are_not() -> None:
    grid = GridSpec(0.02)
    surface = NearSurface(grid, torch.tensor([[7, -8, 0]]), 0.02)
    center = grid.centers(torch.tensor([[7, -8, 0]]), dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    around = torch.nn.functional.normalize(torch.randn(500, 3, generator=generator, dtype=torch.float64), dim=1)
    assert surface.contains(center + 0.02 * (1 - 1e-9) * around).all()
    assert not surface.contains(center + 0.02 * (1 + 1e-9) * around).any()


def test_far_from_the_origin_float64_still_tells() -> None:
    grid = GridSpec(0.02, origin=(16 * 0.02 * 5000, 0.0, 0.0))
    surface = NearSurface(grid, torch.tensor([[0, 0, 0]]), 0.02)
    center = grid.centers(torch.tensor([[0, 0, 0]]), dtype=torch.float64)
    step = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    assert surface.contains(center + 0.019999 * step).all()
    assert not surface.contains(center + 0.020001 * step).any()


def test_nothing_is_near_no_voxel_and_points_without_a_place() -> None:
    grid = GridSpec(0.02)
    none = NearSurface(grid, torch.zeros(0, 3, dtype=torch.int64))
    assert not none.contains(torch.zeros(3, 3)).any()
    some = NearSurface(grid, torch.zeros(1, 3, dtype=torch.int64))
    inf, nan = float("inf"), float("nan")
    points = torch.tensor([[inf, 0.0, 0.0], [0.0, nan, 0.0], [1e30, 0.0, 0.0], [0.01, 0.01, 0.01]])
    assert some.contains(points).tolist() == [False, False, False, True]
    assert some.contains(torch.zeros(0, 3)).shape == (0,)


@pytest.mark.parametrize(("voxel_size", "expected"), [(0.01, 0.02), (0.02, 0.02), (0.16, 0.16)])
def test_the_distance_is_two_centimetres_or_a_larger_voxel(voxel_size: float, expected: float) -> None:
    assert NearSurface(GridSpec(voxel_size), scattered(0)).distance == expected


@pytest.mark.parametrize("distance", [0.0, -0.02, float("nan"), float("inf"), 0.17])
def test_senseless_distances_are_refused(distance: float) -> None:
    with pytest.raises(ValueError, match=r"NearSurface\.distance: expected metres"):
        NearSurface(GridSpec(0.02), scattered(0), distance)
