from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_s4r.render.blocks import BLOCK_VOXELS, REGION, index_blocks
from sparse_s4r.render.corners import CORNERS
from sparse_s4r.structures import BLOCK

both = pytest.mark.parametrize("compiled", [False, True], ids=["torch", "numba"])
coordinate = st.tuples(*[st.integers(-300, 300)] * 3)


@both
@given(st.lists(coordinate, min_size=1, max_size=40, unique=True))
def test_corners_are_found_like_in_a_dictionary(compiled: bool, voxels: list[tuple[int, int, int]]) -> None:
    coordinates = torch.tensor(voxels)
    rows = {tuple(voxel): row for row, voxel in enumerate(coordinates.tolist())}
    index = index_blocks(coordinates, compiled)
    found = index.rows[index.corner_slots(index.slots)]
    expected = [[rows.get((x + i, y + j, z + k), -1) for i, j, k in CORNERS] for x, y, z in coordinates.tolist()]
    assert found.tolist() == expected


def test_empty_blocks_name_the_largest_aligned_empty_cube() -> None:
    index = index_blocks(torch.tensor([[0, 0, 0], [3 * REGION, 0, 0]]))
    # Next to the block; in the cubes of 2, 4 and 8 blocks that do not hold it; in an empty region; out of the box.
    places = [[0, 0, 0], [1, 0, 0], [2, 1, 0], [1, 4, 0], [15, 15, 15], [16, 0, 0], [-1, 0, 0], [10**6, 0, 0]]
    assert index.find_blocks(torch.tensor(places)).tolist() == [0, -1, -2, -3, -4, -5, -5, -5]


@given(st.sets(st.tuples(*[st.integers(0, 15)] * 3), min_size=1, max_size=30))
def test_marked_cubes_are_empty(blocks: set[tuple[int, int, int]]) -> None:
    index = index_blocks(torch.tensor(sorted(blocks)) * BLOCK)
    places = torch.cartesian_prod(*[torch.arange(16)] * 3)
    marks = index.find_blocks(places).view(16, 16, 16)
    occupied = torch.zeros(16, 16, 16, dtype=torch.bool)
    occupied[tuple(torch.tensor(sorted(blocks)).T)] = True
    assert torch.equal(marks >= 0, occupied)
    for (x, y, z), mark in zip(places.tolist(), marks.flatten().tolist(), strict=True):
        if mark < 0:
            edge = 1 << (-1 - mark)
            x, y, z = (value // edge * edge for value in (x, y, z))
            assert not occupied[x : x + edge, y : y + edge, z : z + edge].any()


def test_memory_follows_the_voxels_not_the_box() -> None:
    # Two voxels 200 m apart at 2 cm: a dense box of blocks would have 1250^3 = 2e9 entries.
    index = index_blocks(torch.tensor([[0, 0, 0], [10_000, 10_000, 10_000]]))
    assert len(index.rows) == 3 * BLOCK_VOXELS
    assert len(index.blocks) == 2 * 4096
    assert len(index.regions) == 79**3


def test_compiled_and_torch_make_the_same_index() -> None:
    # More voxels than one part of the compiled loops takes.
    coordinates = torch.unique(torch.randint(-200, 200, (150_000, 3)), dim=0)
    coordinates = coordinates[torch.randperm(len(coordinates))]
    one, two = index_blocks(coordinates), index_blocks(coordinates, compiled=True)
    assert vars(one).keys() == vars(two).keys()
    for name, value in vars(one).items():
        other = getattr(two, name)
        assert torch.equal(value, other) if isinstance(value, torch.Tensor) else value == other, name


@both
def test_repeated_voxels_are_refused(compiled: bool) -> None:
    with pytest.raises(ValueError, match="1 repeated of 3"):
        index_blocks(torch.tensor([[0, 0, 0], [1, 0, 0], [0, 0, 0]]), compiled)


def test_stray_voxels_are_refused() -> None:
    with pytest.raises(ValueError, match="remove stray voxels"):
        index_blocks(torch.tensor([[0, 0, 0], [130_000, 130_000, 130_000]]))
