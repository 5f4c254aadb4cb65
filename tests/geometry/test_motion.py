"""Exact motions of a scene: what is moved looks the same from a camera that was moved with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse_s4r.data.synthetic import make_room
from sparse_s4r.data.synthetic_path import make_trajectory
from sparse_s4r.data.synthetic_render import render_frame
from sparse_s4r.geometry.fusion import fuse_frames
from sparse_s4r.geometry.observation import observe
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.render import Raycaster
from sparse_s4r.structures import (
    BLOCK,
    GridSpec,
    ObservationGrid,
    RGBDFrame,
    SampleMotion,
    ScenePrediction,
    SceneTruth,
    SparseTSDF,
)

GRID = GridSpec(0.05, origin=(-0.8, 1.6, 0.0))
ROOM_GRID = GridSpec(0.08, origin=(-1.28, -1.28, -1.28))
MOTIONS = st.builds(
    SampleMotion, st.integers(0, 3), st.booleans(), st.tuples(*[st.integers(-20, 20) for _ in range(3)])
)
SOME = [SampleMotion(1, False, (0, 0, 0)), SampleMotion(0, True, (8, 0, 3)), SampleMotion(3, True, (5, 13, 2))]


@pytest.fixture(scope="module")
def frames() -> list[RGBDFrame]:
    room = make_room(seed=3)
    views = make_trajectory(room, 5, seed=3, width=56, height=42)
    found = [render_frame(room, view, str(index)) for index, view in enumerate(views)]
    return [replace(frame, confidence=torch.rand(frame.depth.shape)) for frame in found]


def some_cells() -> Tensor:
    return torch.tensor([[0, 0, 0], [3, -7, 11], [-1, 2, 5], [15, 16, -17]])


def by_voxel(scan: SparseTSDF) -> dict[tuple[int, ...], tuple[float, float]]:
    rows = zip(scan.coordinates.tolist(), scan.tsdf.tolist(), scan.weight.tolist(), strict=True)
    return {tuple(cell): (tsdf, weight) for cell, tsdf, weight in rows}


@given(MOTIONS)
def test_voxels_move_as_their_centres_do(motion: SampleMotion) -> None:
    cells = some_cells()
    moved = motion.coordinates(cells)
    centres = motion.points(GRID.centers(cells, dtype=torch.float64), GRID)
    assert torch.equal(GRID.indices(centres), moved)
    torch.testing.assert_close(GRID.centers(moved, dtype=torch.float64), centres)
    # Written out for one voxel: mirrored, turned counter-clockwise, shifted.
    x, y, z = 3, -7, 11
    x = -1 - x if motion.mirror else x
    for _ in range(motion.turns):
        x, y = -1 - y, x
    assert moved[1].tolist() == [x + motion.shift[0], y + motion.shift[1], z + motion.shift[2]]


@given(MOTIONS)
def test_there_and_back_is_nothing(motion: SampleMotion) -> None:
    cells = some_cells()
    back = motion.inverse()
    assert torch.equal(back.coordinates(motion.coordinates(cells)), cells)
    product = back.matrix(GRID) @ motion.matrix(GRID)
    torch.testing.assert_close(product, torch.eye(4, dtype=torch.float64), atol=1e-12, rtol=0)
    box = (torch.tensor([-3, 0, 2]), torch.tensor([5, 16, 7]))
    assert all(torch.equal(one, other) for one, other in zip(back.box(motion.box(box)), box, strict=True))


@given(MOTIONS)
def test_boxes_hold_the_moved_voxels_and_no_others(motion: SampleMotion) -> None:
    lower, upper = torch.tensor([-3, 0, 2]), torch.tensor([5, 2, 4])
    cells = torch.cartesian_prod(*(torch.arange(int(a), int(b)) for a, b in zip(lower, upper, strict=True)))
    low, high = motion.box((lower, upper))
    moved = motion.coordinates(cells)
    assert torch.equal(moved.amin(0), low)
    assert torch.equal(moved.amax(0) + 1, high)


def random_observation(seed: int, holes: bool) -> ObservationGrid:
    """3 x 2 x 2 blocks of all kinds, some of them not held where there are ``holes``."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(2), torch.arange(3, 5))
    if holes:
        blocks = blocks[torch.rand(len(blocks), generator=generator) < 0.6]
    kinds = torch.tensor([0, 1, 2, ObservationGrid.MIXED], dtype=torch.uint8)
    state = kinds[torch.randint(4, (len(blocks),), generator=generator)]
    mixed = int((state == ObservationGrid.MIXED).sum())
    return ObservationGrid(
        GRID, blocks, state, torch.randint(3, (mixed, BLOCK**3), generator=generator, dtype=torch.uint8)
    )


def states(observation: ObservationGrid) -> dict[tuple[int, ...], int]:
    """Every voxel that is not unknown, one by one."""
    found, mixed = {}, iter(observation.voxel_state.numpy())
    for block, state in zip(observation.block_coordinates.numpy(), observation.block_state.tolist(), strict=True):
        values = next(mixed) if state == ObservationGrid.MIXED else np.full(BLOCK**3, state)
        for local, value in zip(np.ndindex(BLOCK, BLOCK, BLOCK), values, strict=True):
            if value:
                found[tuple((block * BLOCK + local).tolist())] = int(value)
    return found


@settings(max_examples=15, deadline=None)
@given(MOTIONS, st.integers(0, 1000), st.booleans())
def test_observations_move_voxel_by_voxel(motion: SampleMotion, seed: int, holes: bool) -> None:
    observation = random_observation(seed, holes)
    moved = motion.observation(observation)
    before = states(observation)
    cells = list(before)
    places = motion.coordinates(torch.tensor(cells).view(-1, 3)).tolist()
    assert states(moved) == {tuple(place): before[cell] for cell, place in zip(cells, places, strict=True)}
    blocks = moved.block_coordinates.tolist()
    assert blocks == sorted(blocks)
    # A block of one state is not stored voxel by voxel.
    assert all(len(set(row)) > 1 for row in moved.voxel_state.tolist()) or not any(motion.shift)
    assert states(motion.inverse().observation(moved)) == before


@pytest.mark.parametrize("motion", SOME)
def test_fusing_moved_frames_is_moving_the_fused_scan(motion: SampleMotion, frames: list[RGBDFrame]) -> None:
    scan = fuse_frames(frames, ROOM_GRID)
    moved = motion.scan(scan)
    fused = fuse_frames([motion.frame(frame, ROOM_GRID) for frame in frames], ROOM_GRID)
    assert moved.coordinates.tolist() == sorted(moved.coordinates.tolist())
    one, other = by_voxel(moved), by_voxel(fused)
    # A projection within rounding of the border of two pixels may take the other one.
    assert len(one.keys() ^ other.keys()) < 0.005 * len(one)
    shared = one.keys() & other.keys()
    same = [abs(one[cell][0] - other[cell][0]) < 1e-4 and one[cell][1] == other[cell][1] for cell in shared]
    assert sum(same) > 0.99 * len(one)


@pytest.mark.parametrize("motion", SOME)
def test_what_moved_frames_saw_is_the_moved_observation(motion: SampleMotion, frames: list[RGBDFrame]) -> None:
    scan = fuse_frames(frames, ROOM_GRID)
    lower, upper = torch.tensor([-1.0, -1.0, -0.5]), torch.tensor([5.0, 5.0, 3.0])
    moved = motion.observation(observe(frames, scan, lower, upper))
    frames = [motion.frame(frame, ROOM_GRID) for frame in frames]
    corners = motion.points(torch.stack([lower, upper]), ROOM_GRID)
    seen = observe(frames, motion.scan(scan), corners.amin(0), corners.amax(0))
    cells = motion.coordinates(scan.coordinates)
    near = torch.cat([cells + torch.tensor([0, 0, step]) for step in (-5, 0, 5)])
    one, other = (ObservationPyramid(grid).states(near) for grid in (moved, seen))
    # Blocks far from the surface are uniform, and others after a shift: compared where voxels are decided singly.
    assert float((one == other).double().mean()) > 0.98


@pytest.mark.parametrize("motion", SOME)
def test_a_render_of_the_moved_scan_is_the_moved_picture(motion: SampleMotion, frames: list[RGBDFrame]) -> None:
    scan = fuse_frames(frames, ROOM_GRID)
    raycaster = Raycaster(0.1, 10.0)
    camera = frames[2].camera
    skewed = camera.intrinsics.clone()
    skewed[0, 1], skewed[0, 2] = 3.0, camera.intrinsics[0, 2] + 2.5
    camera = replace(camera, intrinsics=skewed)
    still = raycaster.render_views(raycaster.prepare(ScenePrediction.from_scan(scan)), [camera])[0]
    moved_field = raycaster.prepare(ScenePrediction.from_scan(motion.scan(scan)))
    moved = raycaster.render_views(moved_field, [motion.camera(camera, ROOM_GRID)])[0]
    depth = still.depth.flip(1) if motion.mirror else still.depth
    assert float((moved.depth - depth).abs().lt(1e-3).double().mean()) > 0.98
    assert still.color is not None
    assert moved.color is not None
    color = still.color.flip(1) if motion.mirror else still.color
    assert float((moved.color - color).abs().amax(-1).lt(1e-2).double().mean()) > 0.98


def test_frames_keep_their_pixels_together(frames: list[RGBDFrame]) -> None:
    frame, motion = frames[0], SampleMotion(2, True, (1, 2, 3))
    moved = motion.frame(frame, ROOM_GRID)
    assert frame.labels is not None
    assert moved.labels is not None
    assert frame.confidence is not None
    assert moved.confidence is not None
    row, column = 7, 50
    there = frame.camera.width - 1 - column
    for one, other in (
        (frame.color, moved.color),
        (frame.depth, moved.depth),
        (frame.labels, moved.labels),
        (frame.confidence, moved.confidence),
    ):
        assert torch.equal(one[row, column], other[row, there])
    point = frame.camera.unproject(frame.depth.double())[row, column]
    place = moved.camera.unproject(moved.depth.double())[row, there]
    torch.testing.assert_close(motion.points(point[None], ROOM_GRID)[0], place)
    back = motion.inverse().frame(moved, ROOM_GRID)
    torch.testing.assert_close(back.camera.camera_to_world, frame.camera.camera_to_world)
    torch.testing.assert_close(back.camera.intrinsics, frame.camera.intrinsics)
    assert torch.equal(back.color, frame.color)


def test_labels_of_the_truth_stay_with_their_voxels() -> None:
    cells = some_cells()
    values = torch.arange(4.0)
    truth = SceneTruth(SparseTSDF(GRID, cells, values, torch.ones(4)), torch.arange(4), band=0.1)
    motion = SampleMotion(1, True, (2, 0, 1))
    moved = motion.labelled(truth)
    assert moved.field.coordinates.tolist() == sorted(motion.coordinates(cells).tolist())
    for cell, value, label in zip(moved.field.coordinates, moved.field.tsdf, moved.labels, strict=True):
        row = int(label)
        assert torch.equal(motion.coordinates(cells[row : row + 1])[0], cell)
        assert float(value) == row
    assert moved.band == truth.band
