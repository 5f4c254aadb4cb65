from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_s4r.render.blocks import BLOCK_VOXELS, CORNERS, REGION, index_blocks

coordinate = st.tuples(*[st.integers(-300, 300)] * 3)


@given(st.sets(coordinate, min_size=1, max_size=40))
def test_corners_are_found_like_in_a_dictionary(voxels: set[tuple[int, int, int]]) -> None:
    coordinates = torch.tensor(sorted(voxels))
    rows = {tuple(voxel): row for row, voxel in enumerate(coordinates.tolist())}
    index = index_blocks(coordinates)
    local = coordinates - index.lower
    block, _ = index.find_blocks(local >> 3)
    found = index.rows[index.corner_slots(block, local)]
    expected = [[rows.get((x + i, y + j, z + k), -1) for i, j, k in CORNERS] for x, y, z in coordinates.tolist()]
    assert found.tolist() == expected


def test_empty_blocks_and_regions_are_told_apart() -> None:
    index = index_blocks(torch.tensor([[0, 0, 0], [3 * REGION, 0, 0]]))
    places = torch.tensor([[0, 0, 0], [1, 0, 0], [REGION // 8, 0, 0], [-1, 0, 0], [10**6, 0, 0]])
    block, region = index.find_blocks(places)
    assert block.tolist() == [0, -1, -1, -1, -1]
    assert region.tolist() == [0, 0, -1, -1, -1]


def test_memory_follows_the_voxels_not_the_box() -> None:
    # Two voxels 200 m apart at 2 cm: a dense box of blocks would have 1250^3 = 2e9 entries.
    index = index_blocks(torch.tensor([[0, 0, 0], [10_000, 10_000, 10_000]]))
    assert len(index.rows) == 3 * BLOCK_VOXELS
    assert len(index.blocks) == 2 * 4096
    assert len(index.regions) == 79**3


def test_repeated_voxels_are_refused() -> None:
    with pytest.raises(ValueError, match="1 repeated of 3"):
        index_blocks(torch.tensor([[0, 0, 0], [1, 0, 0], [0, 0, 0]]))


def test_stray_voxels_are_refused() -> None:
    with pytest.raises(ValueError, match="remove stray voxels"):
        index_blocks(torch.tensor([[0, 0, 0], [130_000, 130_000, 130_000]]))
