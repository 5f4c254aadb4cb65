"""Signed distances made ready for the search: in blocks, with the cells marked that can hold surface."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.render.blocks import BLOCK_VOXELS, BlockIndex, mark_empty_cubes
from sparse_s4r.render.corners import CORNERS

# Marks of cells: nothing to find; surface with all corners there; surface with some corners absent.
NOTHING, WHOLE, PARTIAL = 0, 1, 2
# A code per voxel, so that sums over the corners of a cell count both signs at once, in eight bits.
FRONT, BEHIND = 1, 16


@dataclass(frozen=True)
class SearchField:
    """Distances in blocks, and where among them the surface may lie.

    A cell is the cube between eight voxel centres; it belongs to the voxel at its lowest corner.

    Attributes:
        index: Which voxels there are.
        values: ((B + 1) * 512,) float32 or float64 metres, NaN where absent.
        cells: (B * 512,) uint8, the mark of the cell of every voxel.
        ways: As ``index.blocks``, with the blocks without a marked cell as empty ones.
        blocks: (S, 3) int64 local voxel coordinates, divided by ``BLOCK``, of the blocks with a marked cell.
        tolerance: Metres; a crossing is refined until the distance is below it.
    """

    index: BlockIndex
    values: Tensor
    cells: Tensor
    ways: Tensor
    blocks: Tensor
    tolerance: float


@torch.no_grad()
def make_search_field(
    index: BlockIndex, tsdf: Tensor, voxel_size: float, min_corners: int, compiled: bool = False
) -> SearchField:
    """Lay the distances out in the blocks of ``index`` and mark the cells.

    A cell is marked when at least ``min_corners`` of its corners are there and they have both signs; a distance of
    exactly 0 counts as behind the surface.

    Args:
        index: Of N voxels.
        tsdf: (N,) finite metres.
        voxel_size: Metres.
        min_corners: From ``FEWEST_CORNERS`` to 8.
        compiled: Mark by the compiled loop, on the CPU only.
    """
    double = tsdf.dtype == torch.float64
    values = torch.full_like(index.rows, torch.nan, dtype=torch.float64 if double else torch.float32)
    values[index.slots] = tsdf.detach().to(values.dtype)
    if compiled:
        from sparse_s4r.render.field_numba import mark_cells_numba

        cells = mark_cells_numba(index, values, min_corners)
    else:
        cells = mark_cells(index, values, min_corners)
    occupied = (cells.view(-1, BLOCK_VOXELS) > NOTHING).any(dim=1)
    # The last entry is read by the marks of empty blocks, which are negative and stay.
    passable = torch.cat([occupied, occupied.new_zeros(1)])[index.blocks.clamp(min=-1).long()]
    ways = mark_empty_cubes(torch.where(passable, index.blocks, -1))
    return SearchField(index, values, cells, ways, index.places_of(ways), 1e-12 * voxel_size)


def mark_cells(index: BlockIndex, values: Tensor, min_corners: int) -> Tensor:
    """The (B * 512,) uint8 marks of ``SearchField.cells``, by torch operations."""
    code = (values > 0).byte() * FRONT + (values <= 0).byte() * BEHIND
    blocks = torch.arange(len(index.neighbors), device=values.device).unsqueeze(1)
    inner = torch.arange(BLOCK_VOXELS, device=values.device)
    total = torch.zeros(len(blocks), BLOCK_VOXELS, dtype=torch.uint8, device=values.device)
    for corner in CORNERS:
        total += code[index.corner_slot(blocks, inner, corner)]
    total = total.flatten()
    front, behind = total % BEHIND, torch.div(total, BEHIND, rounding_mode="floor")
    count = front + behind
    marked = (front > 0) & (behind > 0) & (count >= min_corners)
    return torch.where(marked, torch.where(count == len(CORNERS), WHOLE, PARTIAL), NOTHING).byte()
