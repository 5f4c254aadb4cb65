"""The voxel grid against hand numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_s4r.structures import CELL, GridSpec


def test_centres_by_hand() -> None:
    grid = GridSpec(0.25, (4.0, -8.0, 0.0))
    assert grid.centers(torch.tensor([[0, 0, 0], [-1, 2, 3]])).tolist() == [
        [4.125, -7.875, 0.125],
        [3.875, -7.375, 0.875],
    ]
    # A cell of 4 voxels is 1 m wide.
    assert grid.centers(torch.tensor([[1, 0, -1]]), stride=4).tolist() == [[5.5, -7.5, -0.5]]


def test_voxel_coordinates_by_hand() -> None:
    grid = GridSpec(0.25, (4.0, -8.0, 0.0))
    corner, centre = torch.tensor([[4.0, -8.0, 0.0]]), torch.tensor([[4.125, -7.875, 0.125]])
    assert grid.to_voxels(corner).tolist() == [[-0.5] * 3]
    assert grid.to_voxels(centre).tolist() == [[0.0] * 3]
    # A voxel holds its lower faces, not its upper ones.
    assert grid.indices(corner).tolist() == [[0, 0, 0]]
    assert grid.indices(corner + 0.25).tolist() == [[1, 1, 1]]
    assert grid.indices(corner - 0.001).tolist() == [[-1, -1, -1]]


@given(
    st.lists(st.tuples(*[st.integers(-5000, 5000)] * 3), min_size=1, max_size=20),
    st.floats(0.005, 0.5),
    st.tuples(*[st.integers(-20, 20)] * 3),
)
def test_indices_invert_centres(cells: list[tuple[int, int, int]], voxel: float, corner: tuple[int, int, int]) -> None:
    grid = GridSpec(voxel, (corner[0] * voxel * CELL, corner[1] * voxel * CELL, corner[2] * voxel * CELL))
    coordinates = torch.tensor(cells)
    assert torch.equal(grid.indices(grid.centers(coordinates, dtype=torch.float64)), coordinates)


@given(st.tuples(*[st.floats(-100.0, 100.0)] * 3), st.floats(0.005, 0.5))
def test_around_snaps_to_the_coarse_lattice(lower: tuple[float, float, float], voxel: float) -> None:
    grid = GridSpec.around(torch.tensor(lower, dtype=torch.float64), voxel)
    for origin, value in zip(grid.origin, lower, strict=True):
        # At or below, by less than a cell; 1e-9 covers the rounding of 100 m.
        assert -1e-9 <= value - origin < voxel * CELL + 1e-9


def test_truncation_is_metres() -> None:
    assert GridSpec(0.02, truncation_voxels=4.0).truncation == pytest.approx(0.08)


@pytest.mark.parametrize("voxel", [0.0, -0.1, float("nan"), float("inf")])
def test_refuses_voxels_without_size(voxel: float) -> None:
    with pytest.raises(ValueError, match=r"GridSpec\.voxel_size: expected metres > 0"):
        GridSpec(voxel)


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"multiples of 16 voxels \(0.32 m\).*GridSpec.around"):
        GridSpec(0.02, (0.1, 0.0, 0.0))
    with pytest.raises(ValueError, match="multiples of 16 voxels"):
        GridSpec(0.02, (float("nan"), 0.0, 0.0))
    with pytest.raises(ValueError, match="truncation_voxels"):
        GridSpec(0.02, truncation_voxels=0.0)
