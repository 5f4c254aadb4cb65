"""The passes over all voxels of ``index_blocks`` compiled for the CPU; imported only where it is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparse_s4r.geometry.compiled import compiled, inlined
from sparse_s4r.render.blocks import BLOCK_BITS, BLOCK_VOXELS, REGION_BITS, REGION_BLOCKS, number_present
from sparse_s4r.structures.parallel import run_ranges

_VOXELS_PER_PART = 1 << 16


def place_voxels_numba(
    coordinates: Tensor, lower: Tensor, shape: tuple[int, int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What ``place_voxels`` computes, on the CPU, on ``torch.get_num_threads()`` threads."""
    voxels, corner, count = coordinates.contiguous().numpy(), tuple(lower.tolist()), len(coordinates)
    # Threads may set the same flag at once: all of them write True.
    present = np.zeros(shape[0] * shape[1] * shape[2], dtype=np.bool_)
    run_ranges(lambda start, stop: _flag_regions(present, voxels, start, stop, corner, shape), count, _VOXELS_PER_PART)
    regions, region_count = number_present(torch.from_numpy(present))
    present = np.zeros(region_count * REGION_BLOCKS, dtype=np.bool_)
    table = regions.numpy()
    run_ranges(
        lambda start, stop: _flag_blocks(present, voxels, start, stop, corner, shape, table), count, _VOXELS_PER_PART
    )
    blocks, block_count = number_present(torch.from_numpy(present))
    tables = (table, blocks.numpy())
    rows = torch.full(((block_count + 1) * BLOCK_VOXELS,), -1, dtype=torch.int32)
    slots = torch.empty(count, dtype=torch.int64)
    run_ranges(
        lambda start, stop: _fill(rows.numpy(), slots.numpy(), voxels, start, stop, corner, shape, tables),
        count,
        _VOXELS_PER_PART,
    )
    return regions, blocks, rows, slots


@inlined
def _region(x: int, y: int, z: int, shape: Any) -> Any:
    whole = BLOCK_BITS + REGION_BITS
    return ((x >> whole) * shape[1] + (y >> whole)) * shape[2] + (z >> whole)


@inlined
def _join(x: int, y: int, z: int, bits: int) -> Any:
    mask = (1 << bits) - 1
    return (x & mask) << (2 * bits) | (y & mask) << bits | z & mask


@inlined
def _block(x: int, y: int, z: int, shape: Any, regions: Any) -> Any:
    within = _join(x >> BLOCK_BITS, y >> BLOCK_BITS, z >> BLOCK_BITS, REGION_BITS)
    return np.int64(regions[_region(x, y, z, shape)]) * REGION_BLOCKS + within


@compiled
def _flag_regions(present: Any, voxels: Any, start: int, stop: int, lower: Any, shape: Any) -> None:
    for i in range(start, stop):
        present[_region(voxels[i, 0] - lower[0], voxels[i, 1] - lower[1], voxels[i, 2] - lower[2], shape)] = True


@compiled
def _flag_blocks(present: Any, voxels: Any, start: int, stop: int, lower: Any, shape: Any, regions: Any) -> None:
    for i in range(start, stop):
        x, y, z = voxels[i, 0] - lower[0], voxels[i, 1] - lower[1], voxels[i, 2] - lower[2]
        present[_block(x, y, z, shape, regions)] = True


@compiled
def _fill(rows: Any, slots: Any, voxels: Any, start: int, stop: int, lower: Any, shape: Any, tables: Any) -> None:
    for i in range(start, stop):
        x, y, z = voxels[i, 0] - lower[0], voxels[i, 1] - lower[1], voxels[i, 2] - lower[2]
        block = np.int64(tables[1][_block(x, y, z, shape, tables[0])])
        slot = block * BLOCK_VOXELS + _join(x, y, z, BLOCK_BITS)
        slots[i] = slot
        rows[slot] = i
