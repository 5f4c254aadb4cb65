from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_s4r.geometry.fusion import BAND, fuse_frames
from sparse_s4r.geometry.observation import observe
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.structures import BLOCK, ObservationGrid, RGBDFrame, SparseTSDF, VoxelState
from tests.geometry.test_fusion import GRID, as_arrays, camera, plane_frame
from tests.oracles.fusion import seen_free


@pytest.fixture(scope="module")
def case() -> tuple[list[RGBDFrame], SparseTSDF, ObservationGrid]:
    frames = [
        plane_frame(camera(turn=0.1), (0.3, -0.2, 1.0), 1.1),
        plane_frame(camera(turn=-0.15, shift=(0.2, -0.05, 0.1)), (0.3, -0.2, 1.0), 1.1),
    ]
    frames[0].depth[5:12, 5:15] = 0.0
    scan = fuse_frames(frames, GRID)
    lower = torch.tensor(GRID.origin) + 1e-3
    return frames, scan, observe(iter(frames), scan, lower, lower + 1.59)


def voxels_of_box() -> torch.Tensor:
    return torch.cartesian_prod(*[torch.arange(32)] * 3)


def test_surface_is_the_scan(case: tuple[list[RGBDFrame], SparseTSDF, ObservationGrid]) -> None:
    _, scan, observation = case
    voxels = voxels_of_box()
    surface = voxels[ObservationPyramid(observation).states(voxels) == VoxelState.SURFACE]
    inside = ((scan.coordinates >= 0) & (scan.coordinates < 32)).all(dim=1)
    assert surface.tolist() == scan.coordinates[inside].tolist()


def test_equals_brute_force(case: tuple[list[RGBDFrame], SparseTSDF, ObservationGrid]) -> None:
    frames, scan, observation = case
    arrays = [as_arrays(frame) for frame in frames]
    states = ObservationPyramid(observation).states(voxels_of_box()).reshape(32, 32, 32)
    mixed = observation.block_coordinates[observation.block_state == ObservationGrid.MIXED].tolist()
    surface = {tuple(c) for c in scan.coordinates.tolist()}
    differing = checked = 0
    for index in np.ndindex(32, 32, 32):
        if index in surface or [i // BLOCK for i in index] not in mixed:
            continue
        point = np.array(GRID.origin) + (np.array(index) + 0.5) * GRID.voxel_size
        free = seen_free(point, arrays, BAND * GRID.truncation, 6.0)
        differing += int(states[index]) != (VoxelState.FREE if free else VoxelState.UNKNOWN)
        checked += 1
    assert checked > 5000
    # Float32 rounding at the edge of a pixel or of the band.
    assert differing <= 2


def test_uniform_blocks_agree_with_their_corners() -> None:
    frames = [plane_frame(camera(shift=(x, 0.0, 0.0)), (0.0, 0.0, 1.0), 2.4) for x in (-0.2, 0.2)]
    lower = torch.tensor(GRID.origin) + 1e-3
    observation = observe(frames, fuse_frames(frames, GRID), lower, lower + 1.59)
    arrays = [as_arrays(frame) for frame in frames]
    edge = BLOCK * GRID.voxel_size
    rows = (observation.block_state == VoxelState.FREE).nonzero().squeeze(1)
    assert len(rows) > 0
    for block in observation.block_coordinates[rows].numpy():
        for corner in np.ndindex(2, 2, 2):
            # Just inside, since a corner may lie on the edge of the picture.
            point = np.array(GRID.origin) + (block + 0.5 + 0.99 * (np.array(corner) - 0.5)) * edge
            assert seen_free(point, arrays, BAND * GRID.truncation, 6.0)


def test_outside_is_unknown(case: tuple[list[RGBDFrame], SparseTSDF, ObservationGrid]) -> None:
    outside = torch.tensor([[-1, 0, 0], [32, 5, 5], [0, 100, 0], [-1000, -1000, 1000]])
    assert ObservationPyramid(case[2]).states(outside).tolist() == [VoxelState.UNKNOWN] * 4
    assert ObservationPyramid(case[2]).states(outside * 2, 16).tolist() == [VoxelState.UNKNOWN] * 4


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_cells_hold_the_largest_state_of_their_voxels(seed: int, share: float) -> None:
    observation, voxels, states = random_observation(seed, share)
    pyramid = ObservationPyramid(observation)
    assert pyramid.states(voxels, 1).tolist() == states.tolist()
    for stride in (2, 4, 8, 16):
        cells, parent = torch.unique(torch.div(voxels, stride, rounding_mode="floor"), dim=0, return_inverse=True)
        largest = [int(states[parent == row].max()) for row in range(0, len(cells), 7)]
        assert pyramid.states(cells[::7], stride).tolist() == largest


def random_observation(seed: int, share: float) -> tuple[ObservationGrid, torch.Tensor, torch.Tensor]:
    """Some blocks around the origin, a ``share`` of them mixed; with all their voxels and states."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.cartesian_prod(*[torch.arange(-2, 1)] * 3)
    blocks = blocks[torch.rand(27, generator=generator) < 0.7]
    mixed = torch.rand(len(blocks), generator=generator) < share
    uniform = torch.randint(0, 3, (len(blocks),), generator=generator, dtype=torch.uint8)
    detail = torch.randint(0, 3, (int(mixed.sum()), BLOCK**3), generator=generator, dtype=torch.uint8)
    detail[: len(detail) // 2].clamp_(max=1)
    observation = ObservationGrid(GRID, blocks, torch.where(mixed, ObservationGrid.MIXED, uniform), detail)
    local = torch.cartesian_prod(*[torch.arange(BLOCK)] * 3)
    states = uniform.unsqueeze(1).repeat(1, BLOCK**3)
    states[mixed] = detail
    return observation, (blocks.unsqueeze(1) * BLOCK + local).reshape(-1, 3), states.reshape(-1)


def test_rejects_an_empty_box_and_an_unprepared_stride(
    case: tuple[list[RGBDFrame], SparseTSDF, ObservationGrid],
) -> None:
    frames, scan, observation = case
    with pytest.raises(ValueError, match="upper > lower"):
        observe(frames, scan, torch.ones(3), torch.zeros(3))
    with pytest.raises(ValueError, match="expected 1, 2, 4, 8 or 16, got 3"):
        ObservationPyramid(observation).states(torch.zeros(1, 3), 3)
