from __future__ import annotations

import pytest
import torch
from scipy.spatial import cKDTree

from sparse_s4r.render import overlap, select_views
from sparse_s4r.render.near_surface import NearSurface
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


def share(one: RGBDFrame, scan: SparseTSDF, distance: float = 0.02) -> float:
    return overlap(one, NearSurface(scan.grid, scan.coordinates, distance))


def share_by_tree(one: RGBDFrame, scan: SparseTSDF, distance: float = 0.02) -> float:
    """The definition, pixel by pixel in numpy, with a search tree over the voxel centres."""
    row, column = (one.depth > 0).nonzero(as_tuple=True)
    depth = one.depth[row, column].double()
    inverse = torch.linalg.inv(one.camera.intrinsics)
    local = torch.stack([column, row, torch.ones_like(row)], dim=1).double() @ inverse.T * depth.unsqueeze(1)
    points = local @ one.camera.camera_to_world[:3, :3].T + one.camera.camera_to_world[:3, 3]
    centers = (scan.coordinates.double() + 0.5) * scan.grid.voxel_size
    nearest, _ = cKDTree(centers.numpy()).query(points.numpy())
    return float((nearest <= distance).mean())


def random_frames(count: int, seed: int) -> list[RGBDFrame]:
    """Cameras all around the wall; noisy depth of its plane, a fifth of it missing."""
    generator = torch.Generator().manual_seed(seed)
    frames = []
    for number in range(count):
        eye = torch.rand(3, generator=generator) * torch.tensor([1.6, 1.6, 0.8]) - torch.tensor([0.8, 0.8, -0.4])
        target = torch.rand(2, generator=generator) - 0.5
        camera = look_at(eye.tolist(), (*target.tolist(), 0.0), (40, 30), 30)
        depth = ((0.01 - camera.center[2]) / camera.ray_directions()[..., 2]).clamp(0, 3)
        depth = depth + 0.08 * torch.randn(depth.shape, generator=generator, dtype=torch.float64)
        kept = (torch.rand(depth.shape, generator=generator) > 0.2) & (depth > 0)
        frames.append(frame(str(number), camera, (depth * kept).float()))
    return frames


def crop_of(scan: SparseTSDF) -> SparseTSDF:
    return scan.select((scan.coordinates[:, 0] >= 3) & (scan.coordinates[:, 1] < 7))


@pytest.mark.parametrize("cropped", [False, True])
def test_overlap_is_that_of_a_search_tree(cropped: bool) -> None:
    scan = crop_of(wall(0.5)) if cropped else wall(0.5)
    shares = [share(one, scan) for one in random_frames(12, 0)]
    assert shares == [share_by_tree(one, scan) for one in random_frames(12, 0)]
    assert len(set(shares)) > 6


@pytest.mark.parametrize("cropped", [False, True])
def test_the_views_chosen_are_those_of_a_search_tree(cropped: bool) -> None:
    scan, frames = (crop_of(wall(0.5)) if cropped else wall(0.5)), random_frames(12, 1)
    shares = {one.name: share_by_tree(one, scan) for one in frames}
    limit = sorted(shares.values())[7]
    best = sorted((name for name in shares if shares[name] >= limit), key=lambda name: -shares[name])
    assert [one.name for one in select_views(frames, scan, minimum=limit)] == best
    assert [one.name for one in select_views(iter(frames), scan, count=3, minimum=limit)] == best[:3]


def test_overlap_is_the_share_of_samples_on_the_wall() -> None:
    scan = wall(0.2)
    assert share(facing("inside", 0.0), scan) == 1.0
    # Shifted by half its width along x: 20 of its 40 columns, 1 cm apart, see the wall, and one more lies 1.5 cm
    # beside the outermost centres, at the height of one of them.
    assert share(facing("half", 0.2), scan) == 21 / 40
    assert share(facing("outside", 1.0), scan) == 0.0


def test_the_distance_counts_from_the_outermost_voxels_of_the_band() -> None:
    scan = wall(0.2)
    # The band is 0.95 * 6 cm wide, so its outermost centres lie 4 cm from the wall.
    assert scan.tsdf.abs().max() < 0.041
    for distance in (0.02, 0.03):
        # Samples lie between the centres, up to 1 cm aside on both axes.
        assert share(facing("near", 0.0, 1 - 0.04 - 0.7 * distance + 0.003), scan, distance) > 0.4
        assert share(facing("beyond", 0.0, 1 - 0.04 - distance - 1e-6), scan, distance) == 0.0


def test_overlap_leaves_missing_depth_out() -> None:
    scan = wall(0.2)
    half = facing("half", 0.2)
    seen = half.camera.unproject(torch.ones(20, 40))[..., 0] < 0.2
    assert share(frame("kept", half.camera, half.depth * seen), scan) == 1.0
    assert share(frame("none", half.camera, half.depth * 0), scan) == 0.0
    broken = torch.where(seen, half.depth, torch.tensor([float("nan"), float("inf"), -1.0, 0.0]).repeat(10))
    assert share(frame("broken", half.camera, broken), scan) == 1.0


def test_best_views_come_first_and_poor_ones_are_left_out() -> None:
    frames = [facing("outside", 1.0), facing("half", 0.2), facing("inside", 0.0), facing("also", 0.0)]
    assert [one.name for one in select_views(frames, wall(0.2))] == ["inside", "also", "half"]
    assert [one.name for one in select_views(frames, wall(0.2), count=1)] == ["inside"]
    assert [one.name for one in select_views(frames, wall(0.2), minimum=0.6)] == ["inside", "also"]
    assert [one.name for one in select_views(frames, wall(0.2), minimum=0.0)] == ["inside", "also", "half", "outside"]


def test_nothing_given_is_nothing_chosen() -> None:
    scan = wall(0.2)
    empty = scan.select(torch.zeros(len(scan), dtype=torch.bool))
    assert select_views([], scan) == ()
    assert select_views([facing("inside", 0.0)], empty) == ()
    assert select_views([facing("beyond", 5.0)], scan) == ()


def test_senseless_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="count >= 1"):
        select_views([], wall(0.1), count=0)
    for minimum in (5, -0.1, float("nan")):
        with pytest.raises(ValueError, match="minimum"):
            select_views([], wall(0.1), minimum=minimum)
    with pytest.raises(ValueError, match="distance"):
        select_views([], wall(0.1), distance=0.0)
