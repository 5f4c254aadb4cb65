"""Tables of neighbours: for every site the row of the cell at each tap of a centred odd kernel.

A 3^3 table follows from that of the coarse sites: the neighbour of a cell is a known child of a known neighbour of
its parent, two look-ups instead of a search. Only the coarsest set, or one too scattered to gain, is searched.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.sparse import morton
from sparse_s4r.sparse.backend import kernels
from sparse_s4r.sparse.kernel_map_torch import offsets
from sparse_s4r.sparse.sites import Sites

# Below this many sites, or with fewer than this many per parent, a coarser level costs more than it saves.
_FEWEST_SITES = 512
_FEWEST_CHILDREN = 1.5


def neighbours(sites: Sites, edge: int) -> Tensor:
    """Rows (N, edge^3) int32 of the cells around every site, N where there is none; kept with the sites.

    Taps are row-major with x slowest; the site itself is the middle one.
    """
    if edge not in sites.neighbour_tables:
        sites.neighbour_tables[edge] = _descended(sites) if edge == 3 and _descends(sites) else _searched(sites, edge)
    return sites.neighbour_tables[edge]


def _descends(sites: Sites) -> bool:
    """Whether the table of the coarse cells is known or worth its cost."""
    if len(sites) < _FEWEST_SITES or sites.stride >= 1 << (morton.AXIS_BITS - 1):
        return False
    coarse, _ = sites.ancestors()
    return (sites.order is None and 3 in coarse.neighbour_tables) or len(sites) >= _FEWEST_CHILDREN * len(coarse)


def _searched(sites: Sites, edge: int) -> Tensor:
    """The table by binary search."""
    device = sites.keys.device
    table = torch.empty(len(sites), edge**3, dtype=torch.int32, device=device)
    for tap, offset in enumerate(offsets(edge, device)):
        cells = sites.coordinates + torch.nn.functional.pad(offset, (1, 0))
        rows = sites.rows_of(morton.encode(cells, sites.stride))
        table[:, tap] = torch.where(morton.in_range(cells, sites.stride), rows, len(sites))
    return table


def _descended(sites: Sites) -> Tensor:
    """The 3^3 table from that of the coarse sites."""
    if sites.order is not None:
        # In the order of keys first, in which neighbours lie close together in memory.
        in_order = neighbours(Sites(sites.sorted_keys, sites.stride), 3)
        permuted: Tensor = kernels("kernel_map", sites.keys).permute(in_order, sites.order)
        return permuted
    coarse, slots = sites.ancestors()
    parents = neighbours(coarse, 3)
    table: Tensor = kernels("kernel_map", slots).descend(slots, parents, sites.by_slot_of(coarse))
    return table
