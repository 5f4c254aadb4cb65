from __future__ import annotations

import numpy as np
import pytest
import torch

from sparse_s4r.geometry.fusion import BAND, fuse_frames, touched_blocks
from sparse_s4r.structures import Camera, GridSpec, RGBDFrame
from sparse_s4r.structures.errors import DataError
from tests.oracles.fusion import fuse_voxel

GRID = GridSpec(0.05, origin=(-0.8, -0.8, 0.0))


def camera(width: int = 40, height: int = 30, turn: float = 0.0, shift: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Camera:
    intrinsics = torch.tensor([[35.0, 0.0, 19.2], [0.0, 34.0, 14.7], [0.0, 0.0, 1.0]], dtype=torch.float64)
    c, s = np.cos(turn), np.sin(turn)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    pose[:3, 3] = torch.tensor(shift)
    return Camera(intrinsics, pose, width, height)


def plane_frame(view: Camera, normal: tuple[float, float, float], offset: float) -> RGBDFrame:
    """Depth of the plane ``normal . x = offset``, colour a ramp over the pixels."""
    n = torch.tensor(normal, dtype=torch.float64)
    depth = (offset - view.center @ n) / (view.ray_directions() @ n)
    rows, columns = torch.meshgrid(torch.arange(view.height), torch.arange(view.width), indexing="ij")
    color = torch.stack([rows / view.height, columns / view.width, 0.5 * torch.ones_like(rows)], dim=-1)
    return RGBDFrame("plane", view, color.float(), depth.float())


def as_arrays(frame: RGBDFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    view = frame.camera
    return view.intrinsics.numpy(), view.camera_to_world.numpy(), frame.depth.double().numpy(), frame.color.numpy()


def test_fronto_parallel_plane_is_exact() -> None:
    scan = fuse_frames([plane_frame(camera(), (0.0, 0.0, 1.0), 1.0)], GRID)
    expected = 1.0 - GRID.centers(scan.coordinates)[:, 2]
    # The depth image is constant, so only float32 rounding remains.
    torch.testing.assert_close(scan.tsdf, expected, atol=2e-6, rtol=0.0)
    assert float(scan.tsdf.abs().max()) < BAND * GRID.truncation


def test_slanted_plane_stays_within_half_a_pixel() -> None:
    normal = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64)
    view = camera()
    scan = fuse_frames([plane_frame(view, (0.3, -0.2, 1.0), 1.0)], GRID)
    centers = GRID.centers(scan.coordinates, dtype=torch.float64)
    _, z = view.project(centers)
    # Depth along the voxel's own ray; the pixel taken is at most half a pixel away, and moves the depth by at most
    # that times the slope of the depth image.
    exact = z / (centers @ normal) - z
    slope = (normal[:2].abs() / torch.tensor([35.0, 34.0])).sum() * (z + exact) ** 2
    assert bool(((scan.tsdf.double() - exact).abs() <= 0.5 * slope * 1.05 + 1e-6).all())
    # A bias of the pixel centre would show as a mean error of the size of that bound.
    assert float((scan.tsdf.double() - exact).mean().abs()) < 0.05 * float(slope.mean())


def test_equals_brute_force() -> None:
    torch.manual_seed(0)
    frames = []
    for number, (turn, shift) in enumerate([(0.1, (0.0, 0.0, 0.0)), (-0.15, (0.2, -0.05, 0.1))]):
        frame = plane_frame(camera(turn=turn, shift=shift), (0.3, -0.2, 1.0), 1.1)
        depth = frame.depth + 0.02 * torch.randn_like(frame.depth)
        depth[torch.rand_like(depth) < 0.2] = 0.0
        frames.append(RGBDFrame(str(number), frame.camera, torch.rand_like(frame.color), depth))
    scan = fuse_frames(iter(frames), GRID, depth_max=1.3)
    assert scan.color is not None
    arrays = [as_arrays(frame) for frame in frames]
    rows = {tuple(c): i for i, c in enumerate(scan.coordinates.tolist())}
    differing = 0
    for index in np.ndindex(32, 32, 32):
        point = np.array(GRID.origin) + (np.array(index) + 0.5) * GRID.voxel_size
        tsdf, weight, color = fuse_voxel(point, arrays, GRID.truncation, 1.3)
        row = rows.get(index)
        if weight == 0 or abs(tsdf) >= BAND * GRID.truncation:
            differing += row is not None
            continue
        same = row is not None and abs(float(scan.tsdf[row]) - tsdf) < 1e-5 and float(scan.weight[row]) == weight
        differing += not (same and np.abs(scan.color[row].numpy() - color).max() < 1e-5)
    # A projection within float32 rounding of a pixel's edge may fall to the other side: the oracle is in float64.
    assert len(scan) > 1000
    assert differing <= 2


def test_coordinates_are_sorted_and_types_are_single() -> None:
    scan = fuse_frames([plane_frame(camera(), (0.0, 0.0, 1.0), 1.0)], GRID)
    assert scan.coordinates.tolist() == sorted(scan.coordinates.tolist())
    assert (scan.tsdf.dtype, scan.weight.dtype) == (torch.float32, torch.float32)
    assert scan.color is not None
    assert float(scan.color.min()) >= 0.0
    assert float(scan.color.max()) <= 1.0


def test_touched_blocks_hold_every_voxel_of_the_band() -> None:
    frame = plane_frame(camera(), (0.3, -0.2, 1.0), 1.0)
    blocks = {tuple(b) for b in touched_blocks(frame.depth, frame.camera, GRID, 6.0).tolist()}
    arrays = [as_arrays(frame)]
    for index in np.ndindex(32, 32, 32):
        point = np.array(GRID.origin) + (np.array(index) + 0.5) * GRID.voxel_size
        tsdf, weight, _ = fuse_voxel(point, arrays, GRID.truncation, 6.0)
        if weight and abs(tsdf) < GRID.truncation:
            assert tuple(i // 8 for i in index) in blocks


def test_rejects_nothing_to_fuse() -> None:
    with pytest.raises(DataError, match="at least one RGB-D frame"):
        fuse_frames([], GRID)
    view = camera()
    empty = RGBDFrame("empty", view, torch.zeros(30, 40, 3), torch.zeros(30, 40))
    with pytest.raises(DataError, match="depth scale"):
        fuse_frames([empty], GRID)
    with pytest.raises(ValueError, match="depth_max"):
        fuse_frames([empty], GRID, depth_max=0.0)
