"""The marks of cells compiled for the CPU; imported only where it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparse_s4r.geometry.compiled import compiled
from sparse_s4r.render.blocks import BLOCK_VOXELS, BlockIndex
from sparse_s4r.render.field import BEHIND, FRONT, PARTIAL, WHOLE
from sparse_s4r.structures import BLOCK
from sparse_s4r.structures.parallel import run_ranges

_BLOCKS_PER_PART = 512
_SIDE = BLOCK + 1


def mark_cells_numba(index: BlockIndex, values: Tensor, min_corners: int) -> Tensor:
    """What ``mark_cells`` computes, on the CPU, on ``torch.get_num_threads()`` threads."""
    count = len(index.neighbors)
    cells = np.empty(count * BLOCK_VOXELS, dtype=np.uint8)
    arguments = (values.numpy(), index.neighbors.numpy(), min_corners)
    run_ranges(lambda start, stop: _mark(cells, start, stop, *arguments), count, _BLOCKS_PER_PART)
    return torch.from_numpy(cells)


@compiled
def _mark(cells: Any, start: int, stop: int, values: Any, neighbors: Any, min_corners: int) -> None:
    code = np.empty((_SIDE, _SIDE, _SIDE), dtype=np.uint8)
    marks = np.zeros(256, dtype=np.uint8)
    for front in range(1, 8):
        for behind in range(1, 9 - front):
            if front + behind >= min_corners:
                marks[front * FRONT + behind * BEHIND] = WHOLE if front + behind == 8 else PARTIAL
    for block in range(start, stop):
        _read(code, block, values, neighbors)
        # Sums over pairs along one axis after the other make sums over the eight corners.
        for x in range(_SIDE):
            for y in range(_SIDE):
                for z in range(BLOCK):
                    code[x, y, z] += code[x, y, z + 1]
        for x in range(_SIDE):
            for y in range(BLOCK):
                for z in range(BLOCK):
                    code[x, y, z] += code[x, y + 1, z]
        at = block * BLOCK_VOXELS
        for x in range(BLOCK):
            for y in range(BLOCK):
                for z in range(BLOCK):
                    cells[at] = marks[np.uint8(code[x, y, z] + code[x + 1, y, z])]
                    at += 1


@compiled
def _read(code: Any, block: int, values: Any, neighbors: Any) -> None:
    """The codes of the voxels of ``block`` and of those next to its upper faces."""
    for x in range(_SIDE):
        for y in range(_SIDE):
            side = (x // BLOCK) * 4 + (y // BLOCK) * 2
            line = (x % BLOCK) * BLOCK * BLOCK + (y % BLOCK) * BLOCK
            at = neighbors[block, side] * BLOCK_VOXELS + line
            for z in range(BLOCK):
                value = values[at + z]
                code[x, y, z] = FRONT if value > 0 else (BEHIND if value <= 0 else 0)
            value = values[neighbors[block, side + 1] * BLOCK_VOXELS + line]
            code[x, y, BLOCK] = FRONT if value > 0 else (BEHIND if value <= 0 else 0)
