"""Fusion and observation frame by frame, as an import does them, against all at once and against plain numpy."""

import math

import numpy as np
import pytest
import torch

from sparse_s4r.geometry.fusion import Fusion, fuse_frames, surface_box, touched_blocks
from sparse_s4r.geometry.observation import Observation, observe
from sparse_s4r.structures import RGBDFrame
from tests.geometry.test_fusion import GRID, camera, plane_frame


@pytest.fixture(scope="module")
def frames() -> list[RGBDFrame]:
    found = [plane_frame(camera(turn=0.1 * n, shift=(0.05 * n, 0.0, 0.0)), (0.3, -0.2, 1.0), 1.1) for n in range(4)]
    found[1].depth[4:9, 3:11] = 0.0
    return found


def test_blocks_known_before_and_room_made_before_change_nothing(frames: list[RGBDFrame]) -> None:
    expected = fuse_frames(frames, GRID, 1.4)
    for room in (8, 4096):
        fusion = Fusion(GRID, 1.4, room)
        for number, frame in enumerate(frames):
            fusion.add(frame, touched_blocks(frame.depth, frame.camera, GRID, 1.4) if number % 2 else None)
        scan = fusion.scan()
        assert torch.equal(scan.coordinates, expected.coordinates)
        assert torch.equal(scan.tsdf, expected.tsdf)
        assert torch.equal(scan.weight, expected.weight)


def test_a_scan_may_be_read_between_frames(frames: list[RGBDFrame]) -> None:
    fusion = Fusion(GRID)
    fusion.add(frames[0])
    assert torch.equal(fusion.scan().tsdf, fuse_frames(frames[:1], GRID).tsdf)
    fusion.add(frames[1])
    assert torch.equal(fusion.scan().tsdf, fuse_frames(frames[:2], GRID).tsdf)


def test_observation_frame_by_frame(frames: list[RGBDFrame]) -> None:
    scan = fuse_frames(frames, GRID)
    lower = torch.tensor(GRID.origin) + 1e-3
    expected = observe(frames, scan, lower, lower + 1.59)
    observation = Observation(scan, lower, lower + 1.59)
    # The order does not matter, and seeing a frame twice changes nothing.
    for frame in (*frames[::-1], frames[0]):
        observation.add(frame)
    found = observation.grid()
    assert torch.equal(found.block_state, expected.block_state)
    assert torch.equal(found.voxel_state, expected.voxel_state)


def test_the_box_of_a_depth_image(frames: list[RGBDFrame]) -> None:
    for frame in frames:
        depth, pose = frame.depth.numpy(), frame.camera.camera_to_world.numpy()
        rows, columns = np.nonzero((depth > 0) & (depth <= 1.2))
        rays = np.stack([columns, rows, np.ones_like(rows)], axis=1) @ np.linalg.inv(frame.camera.intrinsics.numpy()).T
        points = (rays * depth[rows, columns, None]) @ pose[:3, :3].T + pose[:3, 3]
        lower, upper = surface_box(frame.depth, frame.camera, 1.2)
        np.testing.assert_allclose(lower.numpy(), points.min(axis=0), atol=1e-6)
        np.testing.assert_allclose(upper.numpy(), points.max(axis=0), atol=1e-6)
    lower, upper = surface_box(torch.zeros_like(frames[0].depth), frames[0].camera, 1.2)
    assert lower.tolist() == [math.inf] * 3
    assert upper.tolist() == [-math.inf] * 3


def test_touched_blocks_are_those_near_the_truncated_rays(frames: list[RGBDFrame]) -> None:
    """Every block that a plain search along the rays finds, sorted, and none that lies far from all of them."""
    frame = frames[1]
    blocks = touched_blocks(frame.depth, frame.camera, GRID, 1.2)
    found = [tuple(block) for block in blocks.tolist()]
    assert found == sorted(set(found))
    depth, pose = frame.depth.numpy(), frame.camera.camera_to_world.numpy()
    rows, columns = np.nonzero((depth > 0) & (depth <= 1.2))
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=1) @ np.linalg.inv(frame.camera.intrinsics.numpy()).T
    reach = depth[rows, columns, None] + np.linspace(-GRID.truncation, GRID.truncation, 61)
    points = (rays[:, None] * reach[..., None]) @ pose[:3, :3].T + pose[:3, 3]
    voxels = ((points - np.array(GRID.origin)) / GRID.voxel_size).reshape(-1, 3)
    hit = {tuple(block) for block in np.floor(voxels / 8).astype(int).tolist()}
    assert hit <= set(found)
    for block in blocks.numpy():
        outside = np.maximum(np.maximum(block * 8 - voxels, voxels - (block + 1) * 8), 0)
        assert np.abs(outside).max(axis=1).min() <= 2
