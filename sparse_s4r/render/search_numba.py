"""The search of ``search.py`` compiled for the CPU: the same cells in the same order with the same rounding.

Imported only where it is used. The kernel is serial and releases the interpreter lock; Python threads share the
rays out. So it needs no OpenMP pool, which neither a forked process nor a second thread could use.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from sparse_s4r.geometry.compiled import compiled, inlined
from sparse_s4r.render.blocks import BLOCK_BITS, BLOCK_VOXELS, REGION_BITS, REGION_BLOCKS
from sparse_s4r.render.cell_numba import search_cell
from sparse_s4r.render.corners import distance_fills
from sparse_s4r.render.field import SearchField
from sparse_s4r.render.rays import Rays
from sparse_s4r.render.search import NO_SLOPE, Found
from sparse_s4r.render.tiles_numba import TILE_BITS, tile_ranges
from sparse_s4r.structures import BLOCK
from sparse_s4r.structures.parallel import run_ranges

# Rays that meet nothing are quick, so the images are cut finer than there are threads.
RAYS_PER_PART = 4096
_MASK = BLOCK - 1


def ray_arrays(rays: Rays) -> tuple[Any, ...]:
    """The rays as the compiled loops take them."""
    return tuple(part.numpy() for part in (rays.origins, rays.matrices, rays.widths, rays.starts))


@torch.no_grad()
def search_numba(field: SearchField, rays: Rays) -> Found:
    """What ``search`` finds, on the CPU, on ``torch.get_num_threads()`` threads."""
    count = len(rays)
    found = (np.empty(count), np.empty(count, dtype=np.int64), np.empty((count, 3)))
    index = field.index
    ways = tuple(part.numpy() for part in (index.regions, field.ways))
    cells = tuple(part.numpy() for part in (index.neighbors, field.values, field.cells, distance_fills()))
    shape = (*index.shape, *index.size.tolist())
    lines, numbers = ray_arrays(rays), (rays.near, rays.far, field.tolerance)
    tiles = tile_ranges(rays, field.blocks.numpy())
    run_ranges(
        lambda start, stop: _search(*found, start, stop, lines, tiles, ways, cells, shape, numbers),
        count,
        RAYS_PER_PART,
    )
    depth, slot, along = (torch.from_numpy(part) for part in found)
    return Found(depth, slot, along)


@inlined
def pixel_direction(r: int, camera: int, lines: Any) -> Any:
    """Direction of ray ``r``, which is of ``camera``, voxels per metre of z-depth."""
    _origins, matrices, widths, starts = lines
    pixel = r - starts[camera]
    column, row = float(pixel % widths[camera]), float(pixel // widths[camera])
    m, i = matrices, camera
    return (
        m[i, 0, 0] * column + m[i, 0, 1] * row + m[i, 0, 2],
        m[i, 1, 0] * column + m[i, 1, 1] * row + m[i, 1, 2],
        m[i, 2, 0] * column + m[i, 2, 1] * row + m[i, 2, 2],
    )


@inlined
def _way(x: int, y: int, z: int, regions: Any, ways: Any, shape: Any) -> Any:
    """Entry of ``ways`` at the block of a voxel within the box."""
    whole, mask = BLOCK_BITS + REGION_BITS, (1 << REGION_BITS) - 1
    region = regions[((x >> whole) * shape[1] + (y >> whole)) * shape[2] + (z >> whole)]
    if region < 0:
        return -1 - REGION_BITS
    x, y, z = x >> BLOCK_BITS & mask, y >> BLOCK_BITS & mask, z >> BLOCK_BITS & mask
    return ways[region * REGION_BLOCKS + (x << (2 * REGION_BITS) | y << REGION_BITS | z)]


@inlined
def _unit(share: float) -> float:
    return min(max(share, 0.0), 1.0)


@inlined
def _slot(block: int, x: int, y: int, z: int) -> int:
    """Place of a cell, negative outside the blocks that hold surface."""
    if block < 0:
        return -1
    return block * BLOCK_VOXELS + ((x & _MASK) << (2 * BLOCK_BITS) | (y & _MASK) << BLOCK_BITS | z & _MASK)


@inlined
def _land(position: float, voxel: int, bits: int, last: int) -> int:
    """The voxel of ``position``, kept within the box and the cube of 2**bits voxels per edge that ``voxel`` is in."""
    low = voxel >> bits << bits
    return min(max(math.floor(position), low), low + (1 << bits) - 1, last)


@inlined
def _place(position: float, low: int, last: int) -> int:
    return min(max(math.floor(position), low), last)


@inlined
def _clip(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, shape: Any, near: float, far: float) -> Any:
    """Depths between which a ray is in the box of the voxels and between the limits."""
    x0, x1 = (0 - ox) / dx, (shape[3] - 1 - ox) / dx
    y0, y1 = (0 - oy) / dy, (shape[4] - 1 - oy) / dy
    z0, z1 = (0 - oz) / dz, (shape[5] - 1 - oz) / dz
    enter = max(near, min(x0, x1), min(y0, y1), min(z0, z1))
    return enter, min(far, max(x0, x1), max(y0, y1), max(z0, z1))


@compiled
def _search(
    depths: Any,
    slots: Any,
    alongs: Any,
    start: int,
    stop: int,
    lines: Any,
    tiles: Any,
    ways: Any,
    cells: Any,
    shape: Any,
    numbers: Any,
) -> None:
    corner, place = np.empty(8), np.empty(3)
    camera = np.searchsorted(lines[3], start, side="right") - 1
    for r in range(start, stop):
        while r >= lines[3][camera + 1]:
            camera += 1
        dx, dy, dz = pixel_direction(r, camera, lines)
        dx, dy, dz = dx if dx != 0 else NO_SLOPE, dy if dy != 0 else NO_SLOPE, dz if dz != 0 else NO_SLOPE
        width, pixel = lines[2][camera], r - lines[3][camera]
        across = ((width - 1) >> TILE_BITS) + 1
        tile = tiles[1][camera] + (pixel // width >> TILE_BITS) * across + (pixel % width >> TILE_BITS)
        limits = (max(numbers[0], tiles[0][tile, 0]), min(numbers[1], tiles[0][tile, 1]), numbers[2])
        depths[r], slots[r] = _walk(corner, place, lines[0], camera, dx, dy, dz, ways, cells, shape, limits)
        for axis in range(3):
            alongs[r, axis] = place[axis] if slots[r] >= 0 else 0.0


@compiled
def _walk(
    corner: Any,
    place: Any,
    origins: Any,
    camera: int,
    dx: float,
    dy: float,
    dz: float,
    ways: Any,
    cells: Any,
    shape: Any,
    numbers: Any,
) -> Any:
    """Depth and cell of the hit of one ray, (NaN, -1) for a miss; the position within the cell goes to ``place``."""
    ox, oy, oz = origins[camera, 0], origins[camera, 1], origins[camera, 2]
    lx, ly, lz = shape[3] - 2, shape[4] - 2, shape[5] - 2
    t, leave = _clip(ox, oy, oz, dx, dy, dz, shape, numbers[0], numbers[1])
    if not t < leave or lx < 0 or ly < 0 or lz < 0:
        return np.nan, -1
    ix, iy, iz = 1 / dx, 1 / dy, 1 / dz
    x, y, z = _place(ox + t * dx, 0, lx), _place(oy + t * dy, 0, ly), _place(oz + t * dz, 0, lz)
    px, py, pz = dx > 0, dy > 0, dz > 0
    bx, by, bz, block, bits = -1, -1, -1, -1, 0
    before = np.nan
    while True:
        if x >> BLOCK_BITS != bx or y >> BLOCK_BITS != by or z >> BLOCK_BITS != bz:
            bx, by, bz = x >> BLOCK_BITS, y >> BLOCK_BITS, z >> BLOCK_BITS
            block = _way(x, y, z, ways[0], ways[1], shape)
            bits = BLOCK_BITS - 1 - block if block < 0 else 0
        wx, wy, wz = (x >> bits) + px << bits, (y >> bits) + py << bits, (z >> bits) + pz << bits
        tx, ty, tz = (wx - ox) * ix, (wy - oy) * iy, (wz - oz) * iz
        wall = min(tx, ty, tz)
        end = max(t, min(wall, leave))
        slot = _slot(block, x, y, z)
        if slot >= 0 and cells[2][slot] > 0:
            start = (_unit(ox + t * dx - x), _unit(oy + t * dy - y), _unit(oz + t * dz - z))
            span = end - t
            shift = (span * dx, span * dy, span * dz)
            share, before = search_cell(corner, slot, start, shift, before, cells, numbers[2])
            if not math.isnan(share):
                for axis in range(3):
                    place[axis] = _unit(start[axis] + share * shift[axis])
                return t + share * span, slot
        else:
            before = np.nan
        if not wall < leave:
            return np.nan, -1
        t = end
        if bits:
            x, y = _land(ox + t * dx, x, bits, lx), _land(oy + t * dy, y, bits, ly)
            z = _land(oz + t * dz, z, bits, lz)
        if tx == wall:
            x = wx if px else wx - 1
        elif ty == wall:
            y = wy if py else wy - 1
        else:
            z = wz if pz else wz - 1
        if x < 0 or y < 0 or z < 0 or x > lx or y > ly or z > lz:
            return np.nan, -1
