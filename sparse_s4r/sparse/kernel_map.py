"""Tables of neighbours: for every site the row of the cell at each tap of a centred odd kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.sparse import morton
from sparse_s4r.sparse.sites import Sites


def neighbours(sites: Sites, edge: int) -> Tensor:
    """Rows (N, edge^3) int32 of the cells around every site, N where there is none; kept with the sites.

    Taps are row-major with x slowest; the site itself is the middle one.
    """
    if edge not in sites.neighbour_tables:
        sites.neighbour_tables[edge] = _searched(sites, edge)
    return sites.neighbour_tables[edge]


def _searched(sites: Sites, edge: int) -> Tensor:
    table = torch.empty(len(sites), edge**3, dtype=torch.int32, device=sites.keys.device)
    reach = torch.arange(-(edge // 2), edge // 2 + 1, device=sites.keys.device)
    zero = torch.zeros(1, dtype=torch.int64, device=sites.keys.device)
    for tap, offset in enumerate(torch.cartesian_prod(zero, reach, reach, reach)):
        cells = sites.coordinates + offset
        rows = sites.rows_of(morton.encode(cells, sites.stride))
        table[:, tap] = torch.where(morton.in_range(cells, sites.stride), rows, len(sites))
    return table
