"""Sets of cells: their keys, their relations, and how these are shared."""

from __future__ import annotations

import gc
import itertools
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_s4r.sparse import morton
from sparse_s4r.sparse.kernel_map import neighbours
from sparse_s4r.sparse.sites import Sites
from tests.sparse.scenes import scattered_cells, shell_cells

_axis = st.integers(-(1 << 17), (1 << 17) - 1)
_cells = st.lists(st.tuples(st.integers(0, 511), _axis, _axis, _axis), min_size=1, max_size=20)


@given(_cells)
def test_keys_round_trip(cells: list[tuple[int, int, int, int]]) -> None:
    coordinates = torch.tensor(cells)
    keys = morton.encode(coordinates, 1)
    assert torch.equal(morton.decode(keys, 1), coordinates)
    assert bool((keys >= 0).all())


@given(_cells)
def test_key_of_the_parent_is_a_shift(cells: list[tuple[int, int, int, int]]) -> None:
    coordinates = torch.tensor(cells)
    parents = torch.tensor([(batch, x // 2, y // 2, z // 2) for batch, x, y, z in cells])
    octants = torch.tensor([(x % 2) * 4 + (y % 2) * 2 + z % 2 for _, x, y, z in cells])
    keys = morton.encode(coordinates, 1)
    assert torch.equal(keys >> 3, morton.encode(parents, 2))
    assert torch.equal(keys & 7, octants)


@pytest.mark.parametrize("stride", [0, -2, 3, 12, 1 << 18])
def test_strides_are_powers_of_two(stride: int) -> None:
    with pytest.raises(ValueError, match=f"stride: expected a power of two from 1 to 131072, got {stride}"):
        morton.level_of(stride)


def _expected_table(coordinates: torch.Tensor, edge: int) -> torch.Tensor:
    rows = {tuple(cell): row for row, cell in enumerate(coordinates.tolist())}
    reach = range(-(edge // 2), edge // 2 + 1)
    table = [
        [rows.get((batch, x + i, y + j, z + k), len(rows)) for i, j, k in itertools.product(reach, repeat=3)]
        for batch, x, y, z in coordinates.tolist()
    ]
    return torch.tensor(table, dtype=torch.int32).view(len(coordinates), edge**3)


@pytest.mark.parametrize(
    "coordinates",
    [
        # Searched outright.
        pytest.param(scattered_cells(100), id="few"),
        # Two levels of descent, cells in no order and in two scenes.
        pytest.param(scattered_cells(4000, extent=16), id="dense"),
        # Hardly two cells with one parent: searched.
        pytest.param(scattered_cells(2000, extent=400), id="scattered"),
        pytest.param(shell_cells(12), id="shell"),
    ],
)
@pytest.mark.parametrize("edge", [3, 5])
def test_neighbours(coordinates: torch.Tensor, edge: int) -> None:
    assert torch.equal(neighbours(Sites.of(coordinates, 1), edge), _expected_table(coordinates, edge))


def test_neighbours_of_generated_and_pruned_cells() -> None:
    children = Sites.of(scattered_cells(300), 2).children()
    assert torch.equal(neighbours(children, 3), _expected_table(children.coordinates, 3))
    kept = children.select((torch.arange(len(children)) % 3 != 1).nonzero().squeeze(1))
    assert torch.equal(neighbours(kept, 3), _expected_table(kept.coordinates, 3))


def test_cells_at_the_ends_of_the_range_are_no_neighbours() -> None:
    last = (1 << 17) - 1
    ends = torch.tensor([[batch, x, 0, 0] for batch in (0, 1) for x in (-last - 1, last)])
    assert int((neighbours(Sites.of(ends, 1), 3) < len(ends)).sum()) == len(ends)


def test_order_of_rows_does_not_matter() -> None:
    coordinates = scattered_cells(500)
    sites = Sites.of(coordinates, 1)
    rows = torch.randperm(len(coordinates))
    assert torch.equal(sites.rows_of(sites.keys[rows]), rows)
    shuffled = Sites.of(coordinates[rows], 1)
    assert torch.equal(shuffled.rows_in(sites), rows)
    (coarse, slots), (other, other_slots) = sites.coarse(), shuffled.coarse()
    assert torch.equal(coarse.coordinates, other.coordinates)
    assert torch.equal(slots[rows], other_slots)


def test_relations_are_found_once() -> None:
    sites = Sites.of(scattered_cells(200), 2)
    children = sites.children()
    assert sites.children() is children
    assert children.coarse()[0] is sites
    assert sites.coarse()[0] is sites.coarse()[0]
    assert neighbours(sites, 3) is neighbours(sites, 3)
    assert children.rows_in(children.select(torch.arange(3))).tolist()[:4] == [0, 1, 2, 3]


def test_generated_cells_start_from_what_is_known() -> None:
    sites = Sites.of(scattered_cells(900, extent=12), 2)
    neighbours(sites, 3)
    children = sites.children()
    kept = children.select((torch.arange(len(children)) % 5 > 1).nonzero().squeeze(1))
    again = kept.select(torch.arange(1, len(kept), 2))
    for chosen in (kept, again):
        assert chosen.ancestors()[0] is sites
        assert torch.equal(chosen.slots_in(sites), sites.children().rows_of(chosen.keys))
        assert torch.equal(neighbours(chosen, 3), _expected_table(chosen.coordinates, 3))
        # The cells that it really has parents in are another set.
        assert set(chosen.coarse()[0].keys.tolist()) == set((chosen.keys >> 3).tolist())
        assert chosen.octants_of(sites).shape == (len(sites), 8)
        rows = chosen.octants_of(sites).view(-1)
        present = (rows < len(chosen)).nonzero().squeeze(1)
        assert torch.equal(children.keys[present], chosen.keys[rows[present].long()])


def test_nothing_outlives_its_use() -> None:
    sites = Sites.of(scattered_cells(200), 2)
    gc.disable()
    try:
        children = sites.children()
        pruned = children.select(torch.arange(50))
        pruned.rows_in(children)
        pruned.slots_in(sites)
        neighbours(pruned, 3)
        known = weakref.ref(children), weakref.ref(pruned)
        del children, pruned
        assert [one() for one in known] == [None, None]
    finally:
        gc.enable()


def test_repeated_cells_are_refused() -> None:
    cells = torch.tensor([[0, 1, 2, 3], [0, -1, 2, 3], [1, 1, 2, 3], [0, -1, 2, 3]])
    with pytest.raises(ValueError, match=r"unique cells, got 1 repeated, e.g. \[0, -1, 2, 3\]; remove repeats"):
        Sites.of(cells, 1)


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        (torch.zeros(3, 3, dtype=torch.int64), r"expected integer \(N, 4\) \[batch, x, y, z\], got torch.int64"),
        (torch.zeros(3, 4), "got torch.float32"),
        (torch.tensor([[0, 0, 1 << 17, 0]]), r"got \[0, 0, 131072, 0\]; use a larger voxel"),
        (torch.tensor([[-1, 0, 0, 0]]), r"a batch in \[0, 512\), got \[-1, 0, 0, 0\]"),
        (torch.tensor([[512, 0, 0, 0]]), r"got \[512, 0, 0, 0\]"),
    ],
)
def test_wrong_coordinates_are_named(coordinates: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sites.of(coordinates, 1)


def test_the_coarsest_stride_has_no_coarser() -> None:
    with pytest.raises(ValueError, match="expected a power of two from 1 to 131072, got 262144"):
        Sites.of(torch.zeros(1, 4, dtype=torch.int64), 1 << 17).coarse()
