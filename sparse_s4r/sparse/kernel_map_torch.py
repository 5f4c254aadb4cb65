"""The table of neighbours from that of the coarse cells in torch operations: the reference, on every device."""

from __future__ import annotations

import torch
from torch import Tensor

# Rows at once, so that the intermediate indices stay in the cache of a CPU; a GPU wants enough work per launch.
_CHUNK_CPU = 1 << 14
_CHUNK_GPU = 1 << 20


def supports(slots: Tensor) -> bool:
    """Always."""
    return True


def descend(slots: Tensor, parents: Tensor, children: Tensor) -> Tensor:
    """The 3^3 table of fine cells from that of coarse ones that include all their parents.

    Args:
        slots: (N,) int64, 8 * parent's row + octant of every fine cell.
        parents: (M, 27) int32 rows of the coarse cells' neighbours, M where there is none.
        children: (8 M + 8,) int32 rows of the fine cells by slot, N where there is none; the last eight are those of
            the absent parent.

    Returns:
        (N, 27) int32, N where there is none.
    """
    device, count, chunk = slots.device, len(slots), _CHUNK_CPU if slots.device.type == "cpu" else _CHUNK_GPU
    parent_tap, octant = _steps(device)
    table = torch.empty(count, 27, dtype=torch.int32, device=device)
    for start in range(0, count, chunk):
        part = slots[start : start + chunk]
        own = part & 7
        around = parents.reshape(-1).index_select(0, ((part >> 3)[:, None] * 27 + parent_tap[own]).view(-1)).long()
        places = around * 8 + octant[own].view(-1)
        table[start : start + chunk] = children.index_select(0, places).view(-1, 27)
    return table


def permute(table: Tensor, order: Tensor) -> Tensor:
    """The table of sites of which ``table`` (N, K) has those at rows ``order`` (N,) int64, one after the other."""
    rows = torch.nn.functional.pad(order, (0, 1), value=len(order)).int()
    result = torch.empty_like(table)
    for tap in range(table.shape[1]):
        result[order, tap] = rows[table[:, tap].long()]
    return result


def offsets(edge: int, device: torch.device) -> Tensor:
    """Offsets (edge^3, 3) of the taps of a centred kernel."""
    reach = torch.arange(-(edge // 2), edge // 2 + 1, device=device)
    return torch.cartesian_prod(reach, reach, reach)


def _steps(device: torch.device) -> tuple[Tensor, Tensor]:
    """For each octant and tap, (8, 27) each: the tap at which the neighbour's parent lies, and its octant there."""
    bit = torch.arange(2, device=device)
    corners = torch.cartesian_prod(bit, bit, bit)
    position = corners[:, None] + offsets(3, device)
    tap = ((position >> 1) + 1) @ torch.tensor([9, 3, 1], device=device)
    return tap, (position & 1) @ torch.tensor([4, 2, 1], device=device)
