from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparse_s4r.render.free_space import FreeSpace
from sparse_s4r.structures import BLOCK, GridSpec, ObservationGrid, VoxelState

GRID = GridSpec(0.05, origin=(0.8, -0.8, 0.0))
EDGE = 4 * BLOCK


def observed(states: Tensor) -> ObservationGrid:
    """States (EDGE, EDGE, EDGE) of the voxels from 0, all of them in mixed blocks but for uniform ones."""
    n = EDGE // BLOCK
    blocks = states.view(n, BLOCK, n, BLOCK, n, BLOCK).permute(0, 2, 4, 1, 3, 5).reshape(n**3, BLOCK**3).byte()
    uniform = blocks.amin(dim=1) == blocks.amax(dim=1)
    block_state = torch.where(uniform, blocks[:, 0], ObservationGrid.MIXED)
    axis = torch.arange(n)
    return ObservationGrid(GRID, torch.cartesian_prod(axis, axis, axis), block_state, blocks[~uniform])


def random_states(obstacles: int, seed: int) -> Tensor:
    """Free space with single voxels of surface or of unseen space in it."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.full((EDGE,) * 3, int(VoxelState.FREE))
    at = torch.randint(0, EDGE, (obstacles, 3), generator=generator)
    kinds = torch.tensor([int(VoxelState.UNKNOWN), int(VoxelState.SURFACE)])
    states[at[:, 0], at[:, 1], at[:, 2]] = kinds[torch.randint(0, 2, (obstacles,), generator=generator)]
    return states


def gap(place: Tensor, states: Tensor) -> float:
    """Metres from a place to the nearest voxel that is not free, or to the end of what was seen, by brute force."""
    corner = torch.tensor(GRID.origin, dtype=torch.float64)
    lower = (states != int(VoxelState.FREE)).nonzero() * GRID.voxel_size + corner
    outside = torch.maximum(lower - place, place - lower - GRID.voxel_size).clamp(min=0)
    end = torch.minimum(place - corner, corner + EDGE * GRID.voxel_size - place).amin()
    return min(float(outside.norm(dim=1).min()), float(end))


@pytest.mark.parametrize("clearance", [0.0, 0.02, 0.12, 0.2])
def test_a_place_is_clear_where_the_ball_meets_only_free_voxels(clearance: float) -> None:
    states = random_states(150, 0)
    space = FreeSpace(observed(states), clearance)
    generator = torch.Generator().manual_seed(1)
    random = torch.rand(400, 3, generator=generator, dtype=torch.float64)
    places = torch.tensor(GRID.origin) + (random * 1.1 - 0.05) * EDGE * GRID.voxel_size
    gaps = [gap(place, states) for place in places]
    # No random place lies just at the clearance, where rounding decides; one in a voxel that is not free has no gap.
    expected = [one > clearance for one in gaps]
    assert [space.is_clear(place) for place in places] == expected
    assert 10 < sum(expected) < 390


def test_a_line_is_seen_where_no_voxel_on_it_is_unknown() -> None:
    states = torch.full((EDGE,) * 3, int(VoxelState.FREE))
    states[10, :, :] = int(VoxelState.SURFACE)
    states[20, 5, :] = int(VoxelState.UNKNOWN)
    space = FreeSpace(observed(states), 0.1)

    def seen(start: tuple[int, int, int], end: tuple[int, int, int]) -> bool:
        first, last = GRID.centers(torch.tensor([start, end]), dtype=torch.float64)
        assert space.is_seen_between(first, last) == space.is_seen_between(last, first)
        return space.is_seen_between(first, last)

    assert seen((3, 3, 3), (18, 9, 20))
    assert seen((3, 4, 3), (30, 4, 3))
    assert not seen((3, 5, 3), (30, 5, 3))
    assert not seen((18, 3, 3), (22, 7, 3))
    # What was not looked at ends the line, too.
    assert not seen((3, 4, 3), (40, 4, 3))
    assert seen((3, 4, 3), (3, 4, 3))
    assert not seen((20, 5, 3), (20, 5, 3))


def test_free_blocks_are_those_without_anything_else() -> None:
    states = random_states(20, 3)
    space = FreeSpace(observed(states), 0.1)
    assert space.block_edge == pytest.approx(BLOCK * GRID.voxel_size)
    n = EDGE // BLOCK
    free = (states == int(VoxelState.FREE)).view(n, BLOCK, n, BLOCK, n, BLOCK).all(5).all(3).all(1)
    expected = GRID.centers(free.nonzero(), BLOCK, torch.float64)
    assert 0 < len(expected) < n**3
    assert torch.equal(space.block_centers, expected)


def test_a_negative_clearance_is_refused() -> None:
    with pytest.raises(ValueError, match="clearance"):
        FreeSpace(observed(random_states(1, 0)), -0.1)
