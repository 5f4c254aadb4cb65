"""Look-up of rows by voxel, against a Python dictionary."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.keys import pack_keys

_voxel = st.tuples(*[st.integers(-4, 4)] * 3)


@given(st.lists(_voxel, unique=True, max_size=60), st.lists(_voxel, max_size=40), st.integers(0, 2))
def test_rows(voxels: list[tuple[int, int, int]], asked: list[tuple[int, int, int]], batch: int) -> None:
    expected = {voxel: row for row, voxel in enumerate(voxels)}
    coordinates, queries = (torch.tensor(cells).long().view(-1, 3) for cells in (voxels, asked))
    rows = torch.tensor([expected.get(voxel, -1) for voxel in asked], dtype=torch.int64)
    table = VoxelHash(coordinates)
    assert len(table) == len(voxels)
    assert torch.equal(table.rows(queries), rows)
    batched = VoxelHash(torch.nn.functional.pad(coordinates, (1, 0), value=batch))
    assert torch.equal(batched.rows(torch.nn.functional.pad(queries, (1, 0), value=batch)), rows)
    assert bool((batched.rows(torch.nn.functional.pad(queries, (1, 0), value=batch + 1)) == -1).all())


def test_keys_of_any_shape() -> None:
    voxels = torch.tensor([[0, 0, 1], [0, 0, 0], [5, 5, 5]])
    keys = pack_keys(torch.tensor([[0, 0, 0], [5, 5, 5], [5, 5, 6], [0, 0, 1]])).view(2, 2)
    assert VoxelHash(voxels).rows_of_keys(keys).tolist() == [[1, 2], [-1, 0]]


def test_repeated_voxels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected unique voxels, got 1 repeated, e.g. \[7, 0, -2\]; remove repeats"):
        VoxelHash(torch.tensor([[7, 0, -2], [1, 1, 1], [7, 0, -2]]))
