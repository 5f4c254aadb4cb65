from __future__ import annotations

import pytest
import torch

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.render import overlap, select_views
from sparse_s4r.structures import Camera, RGBDFrame, SparseTSDF
from tests.render.fields import look_at, plane_field


def wall(half: float) -> SparseTSDF:
    """A plane z = 0.01, in a square of half edge ``half``; its voxel centres lie at multiples of 2 cm from it."""
    field = plane_field((0, 0, 1), 0.01, half)
    return SparseTSDF(field.grid, field.coordinates, field.tsdf, torch.ones(len(field)))


def frame(name: str, camera: Camera, depth: torch.Tensor) -> RGBDFrame:
    return RGBDFrame(name, camera, torch.zeros(camera.height, camera.width, 3), depth)


def facing(name: str, x: float, depth: float = 1.0) -> RGBDFrame:
    """A camera at (x, 0) one metre above the wall, 0.4 m wide there; all samples at ``depth``."""
    camera = look_at((x, 0.0, 1.01), (x, 0.0, 0.0), (40, 20), 100)
    return frame(name, camera, torch.full((20, 40), depth))


def test_overlap_is_the_share_of_samples_on_the_wall() -> None:
    scan = wall(0.2)
    voxels = VoxelHash(scan.coordinates)
    assert overlap(facing("inside", 0.0), scan, voxels) == 1.0
    # Shifted by half its width along x: half its 40 columns, 1 cm apart, see the wall.
    assert overlap(facing("half", 0.2), scan, voxels) == 0.5
    assert overlap(facing("outside", 1.0), scan, voxels) == 0.0


def test_overlap_counts_one_voxel_around_the_surface() -> None:
    scan = wall(0.2)
    voxels = VoxelHash(scan.coordinates)
    # The samples lie 1.5 and 2.5 cm before the wall, in the voxels at 2 cm from it; at 3.5 cm they lie in the next.
    assert overlap(facing("near", 0.0, 1 - 0.015), scan, voxels) == 1.0
    assert overlap(facing("edge", 0.0, 1 - 0.025), scan, voxels) == 1.0
    assert overlap(facing("far", 0.0, 1 - 0.035), scan, voxels) == 0.0


def test_overlap_leaves_missing_depth_out() -> None:
    scan = wall(0.2)
    half = facing("half", 0.2)
    seen = half.camera.unproject(torch.ones(20, 40))[..., 0] < 0.2
    assert overlap(frame("kept", half.camera, half.depth * seen), scan, VoxelHash(scan.coordinates)) == 1.0
    assert overlap(frame("none", half.camera, half.depth * 0), scan, VoxelHash(scan.coordinates)) == 0.0


def test_best_views_come_first_and_poor_ones_are_left_out() -> None:
    frames = [facing("outside", 1.0), facing("half", 0.2), facing("inside", 0.0), facing("also", 0.0)]
    assert [one.name for one in select_views(frames, wall(0.2))] == ["inside", "also", "half"]
    assert [one.name for one in select_views(frames, wall(0.2), count=1)] == ["inside"]
    assert [one.name for one in select_views(frames, wall(0.2), minimum=0.6)] == ["inside", "also"]


def test_senseless_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="count >= 1"):
        select_views([], wall(0.1), count=0)
    with pytest.raises(ValueError, match="minimum"):
        select_views([], wall(0.1), minimum=5)
