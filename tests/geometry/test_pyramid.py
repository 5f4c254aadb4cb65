"""The observation pyramid against a dictionary of voxels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_s4r.geometry.pyramid import FREE_BIT, SURFACE_BIT, UNKNOWN_BIT, ObservationPyramid
from sparse_s4r.structures import BLOCK, GridSpec, ObservationGrid, VoxelState

Voxel = tuple[int, ...]
STRIDES = (1, 2, 4, 8, 16)


def make_observation(seed: int, count: int = 6) -> tuple[ObservationGrid, dict[Voxel, int]]:
    """Random blocks around zero, uniform and mixed, and the state of every voxel in them."""
    rng = np.random.default_rng(seed)
    places = sorted({tuple(int(v) for v in rng.integers(-2, 2, 3)) for _ in range(count)})
    states, mixed, voxels = [], [], {}
    for place in places:
        uniform = bool(rng.random() < 0.5)
        # A mixed block of few states, so that coarse cells are not all alike.
        block = rng.choice([0, 1, 2], size=(BLOCK,) * 3, p=[0.02, 0.97, 0.01]) if not uniform else None
        state = int(rng.integers(0, 3))
        states.append(state if block is None else ObservationGrid.MIXED)
        if block is not None:
            mixed.append(torch.from_numpy(block.reshape(-1)).to(torch.uint8))
        for local in itertools.product(range(BLOCK), repeat=3):
            voxel = tuple(p * BLOCK + o for p, o in zip(place, local, strict=True))
            voxels[voxel] = state if block is None else int(block[local])
    return (
        ObservationGrid(
            GridSpec(0.02),
            torch.tensor(places).view(-1, 3),
            torch.tensor(states, dtype=torch.uint8),
            torch.stack(mixed) if mixed else torch.empty(0, BLOCK**3, dtype=torch.uint8),
        ),
        voxels,
    )


def expected_bits(voxels: dict[Voxel, int], cell: tuple[int, ...], stride: int) -> int:
    """The or of 1 << state over the voxels of a cell, unknown where the dictionary has none."""
    corners = itertools.product(*(range(index * stride, (index + 1) * stride) for index in cell))
    bits = 0
    for voxel in corners:
        bits |= 1 << voxels.get(voxel, 0)
    return bits


@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_equals_the_dictionary_at_every_stride(seed: int) -> None:
    observation, voxels = make_observation(seed)
    pyramid = ObservationPyramid(observation)
    rng = np.random.default_rng(seed)
    for stride in STRIDES:
        # Blocks lie in [-16, 16) voxels: a cell more on either side is outside.
        reach = 2 * BLOCK // stride + 1
        cells = torch.from_numpy(rng.integers(-reach, reach, (40, 3)))
        expected = [expected_bits(voxels, tuple(cell), stride) for cell in cells.tolist()]
        assert pyramid.bits(cells, stride).tolist() == expected
        assert pyramid.surface(cells, stride).tolist() == [bits & 4 != 0 for bits in expected]
        assert pyramid.entirely_free(cells, stride).tolist() == [bits == 2 for bits in expected]


def test_bits_follow_the_states() -> None:
    assert (UNKNOWN_BIT, FREE_BIT, SURFACE_BIT) == (
        1 << VoxelState.UNKNOWN,
        1 << VoxelState.FREE,
        1 << VoxelState.SURFACE,
    )


@pytest.mark.parametrize("stride", STRIDES)
def test_what_is_not_stored_is_unknown(stride: int) -> None:
    empty = ObservationGrid(
        GridSpec(0.02),
        torch.empty(0, 3, dtype=torch.int64),
        torch.empty(0, dtype=torch.uint8),
        torch.empty(0, BLOCK**3, dtype=torch.uint8),
    )
    cells = torch.tensor([[0, 0, 0], [-5, 3, 9]])
    assert ObservationPyramid(empty).bits(cells, stride).tolist() == [UNKNOWN_BIT] * 2
    far = torch.tensor([[1000, -1000, 0]])
    assert ObservationPyramid(make_observation(0)[0]).bits(far, stride).tolist() == [UNKNOWN_BIT]


@pytest.mark.parametrize("stride", STRIDES)
def test_no_cells_give_no_bits(stride: int) -> None:
    none = torch.empty(0, 3, dtype=torch.int64)
    assert ObservationPyramid(make_observation(0)[0]).bits(none, stride).shape == (0,)


@pytest.mark.parametrize("stride", [0, 3, 32])
def test_refuses_other_strides(stride: int) -> None:
    with pytest.raises(ValueError, match=f"stride: expected 1, 2, 4, 8 or 16, got {stride}"):
        ObservationPyramid(make_observation(0)[0]).bits(torch.zeros(1, 3, dtype=torch.int64), stride)
