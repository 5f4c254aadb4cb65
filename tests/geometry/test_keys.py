"""Packed keys."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_s4r.geometry.keys import key_offset, pack_keys, unpack_keys

_axis = st.integers(-(1 << 17), (1 << 17) - 1)
_cell = st.tuples(st.integers(0, 511), _axis, _axis, _axis)


@given(st.lists(_cell, min_size=1, max_size=20))
def test_round_trip(cells: list[tuple[int, int, int, int]]) -> None:
    coordinates = torch.tensor(cells)
    assert torch.equal(unpack_keys(pack_keys(coordinates), with_batch=True), coordinates)
    assert torch.equal(unpack_keys(pack_keys(coordinates[:, 1:])), coordinates[:, 1:])


@given(st.lists(_cell, min_size=2, max_size=20))
def test_keys_order_as_the_tuples_do(cells: list[tuple[int, int, int, int]]) -> None:
    keys = pack_keys(torch.tensor(cells)).tolist()
    assert [cell for _, cell in sorted(zip(keys, cells, strict=True))] == sorted(cells)
    assert min(keys) >= 0


@given(_cell, st.tuples(*[st.integers(-3, 3)] * 3))
def test_offset_adds(cell: tuple[int, int, int, int], offset: tuple[int, int, int]) -> None:
    moved = [cell[0], *(value + step for value, step in zip(cell[1:], offset, strict=True))]
    if all(-(1 << 17) <= value < 1 << 17 for value in moved[1:]):
        shifted = pack_keys(torch.tensor([cell])) + key_offset(torch.tensor([offset]))
        assert torch.equal(shifted, pack_keys(torch.tensor([moved])))


def test_small_integer_types_do_not_overflow() -> None:
    coordinates = torch.tensor([[1, 100, -100, 7]])
    assert torch.equal(pack_keys(coordinates.to(torch.int8)), pack_keys(coordinates))
    assert torch.equal(pack_keys(coordinates.to(torch.int32)), pack_keys(coordinates))


def test_no_voxels() -> None:
    assert pack_keys(torch.zeros(0, 4, dtype=torch.int64)).shape == (0,)
    assert unpack_keys(torch.zeros(0, dtype=torch.int64), with_batch=True).shape == (0, 4)


@pytest.mark.parametrize("value", [1 << 17, -(1 << 17) - 1])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_out_of_range_is_refused(value: int, axis: int) -> None:
    coordinates = torch.zeros(2, 3, dtype=torch.int64)
    coordinates[1, axis] = value
    with pytest.raises(ValueError, match=rf"\[-131072, 131072\), got .*{value}.* use a larger voxel"):
        pack_keys(coordinates)


@pytest.mark.parametrize("batch", [-1, 512])
def test_batch_out_of_range_is_refused(batch: int) -> None:
    with pytest.raises(ValueError, match=r"expected a batch index in \[0, 512\)"):
        pack_keys(torch.tensor([[batch, 0, 0, 0]]))


@pytest.mark.parametrize("shape", [(3,), (2, 2), (2, 5), (1, 2, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected shape \(N, 3\) or \(N, 4\)"):
        pack_keys(torch.zeros(shape, dtype=torch.int64))
