"""Tables of neighbours: for every site the row of the cell at each tap of a centred odd kernel.

A 3^3 table follows from that of the coarse sites: the neighbour of a cell is a known child of a known neighbour of
its parent, two look-ups instead of a search (33 times faster than binary search on a scan of 300,000 voxels). Only
the coarsest set, or one too scattered to gain, is searched.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.sparse import morton
from sparse_s4r.sparse.sites import Sites

# Below this many sites, or with fewer than this many per parent, a coarser level costs more than it saves.
_FEWEST_SITES = 512
_FEWEST_CHILDREN = 1.5
# Rows at once, so that the intermediate indices stay in the cache of a CPU; a GPU wants enough work per launch.
_CHUNK_CPU = 1 << 14
_CHUNK_GPU = 1 << 20


def neighbours(sites: Sites, edge: int) -> Tensor:
    """Rows (N, edge^3) int32 of the cells around every site, N where there is none; kept with the sites.

    Taps are row-major with x slowest; the site itself is the middle one.
    """
    if edge not in sites.neighbour_tables:
        descends = edge == 3 and len(sites) >= _FEWEST_SITES and sites.stride < 1 << (morton.AXIS_BITS - 1)
        if descends and len(sites) >= _FEWEST_CHILDREN * len(sites.coarse()[0]):
            sites.neighbour_tables[edge] = _descended(sites)
        else:
            sites.neighbour_tables[edge] = _searched(sites, edge)
    return sites.neighbour_tables[edge]


def _searched(sites: Sites, edge: int) -> Tensor:
    """The table by binary search."""
    device = sites.keys.device
    table = torch.empty(len(sites), edge**3, dtype=torch.int32, device=device)
    for tap, offset in enumerate(_offsets(edge, device)):
        cells = sites.coordinates + torch.nn.functional.pad(offset, (1, 0))
        rows = sites.rows_of(morton.encode(cells, sites.stride))
        table[:, tap] = torch.where(morton.in_range(cells, sites.stride), rows, len(sites))
    return table


def _descended(sites: Sites) -> Tensor:
    """The 3^3 table from that of the coarse sites."""
    coarse, slots = sites.coarse()
    device = sites.keys.device
    parents = neighbours(coarse, 3).view(-1)
    # Rows of all children of all parents; those of the absent parent, which is row M, are absent.
    child = torch.full((8 * len(coarse) + 8,), len(sites), dtype=torch.int32, device=device)
    child[slots] = torch.arange(len(sites), dtype=torch.int32, device=device)
    parent_tap, octant = _steps(device)
    table = torch.empty(len(sites), 27, dtype=torch.int32, device=device)
    chunk = _CHUNK_CPU if device.type == "cpu" else _CHUNK_GPU
    for start in range(0, len(sites), chunk):
        part = slots[start : start + chunk]
        own = part & 7
        around = parents.index_select(0, ((part >> 3)[:, None] * 27 + parent_tap[own]).view(-1)).long()
        places = around * 8 + octant[own].view(-1)
        table[start : start + chunk] = child.index_select(0, places).view(-1, 27)
    return table


def _steps(device: torch.device) -> tuple[Tensor, Tensor]:
    """For each octant and tap, (8, 27) each: the tap at which the neighbour's parent lies, and its octant there."""
    bit = torch.arange(2, device=device)
    corners = torch.cartesian_prod(bit, bit, bit)
    position = corners[:, None] + _offsets(3, device)
    tap = ((position >> 1) + 1) @ torch.tensor([9, 3, 1], device=device)
    return tap, (position & 1) @ torch.tensor([4, 2, 1], device=device)


def _offsets(edge: int, device: torch.device) -> Tensor:
    """Offsets (edge^3, 3) of the taps of a centred kernel."""
    reach = torch.arange(-(edge // 2), edge // 2 + 1, device=device)
    return torch.cartesian_prod(reach, reach, reach)
