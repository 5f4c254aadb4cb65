"""The search of ``search.py`` compiled for the CPU: the same samples in the same order, ray by ray.

Imported only where it is used. The kernel is serial and releases the interpreter lock; Python threads share the
rays out. So it needs no OpenMP pool, which neither a forked process nor a second thread could use.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparse_s4r.geometry.compiled import compiled, inlined
from sparse_s4r.render.blocks import BLOCK_BITS, BLOCK_VOXELS, REGION_BITS, REGION_BLOCKS
from sparse_s4r.render.rays import Rays
from sparse_s4r.render.search import EXIT_SLACK, SearchField
from sparse_s4r.structures import BLOCK
from sparse_s4r.structures.parallel import run_parts

# Rays that meet nothing are quick, so the image is cut finer than there are threads.
PARTS_PER_THREAD = 8


@torch.no_grad()
def search_numba(field: SearchField, rays: Rays) -> Tensor:
    """First front face along every ray, as ``search`` defines it; on ``torch.get_num_threads()`` threads.

    Args:
        field: Distances on the CPU.
        rays: R rays on the CPU.

    Returns:
        (R,) z-depth in metres, NaN for a miss. Not differentiable.
    """
    count = len(rays.spacing)
    result = np.empty(count, dtype=field.values.numpy().dtype)
    scalar = result.dtype.type
    numbers = (scalar(rays.near), scalar(rays.far), scalar(1), scalar(EXIT_SLACK), scalar(field.tolerance))
    lines = tuple(part.numpy() for part in (rays.origin, rays.direction, rays.spacing, rays.first, rays.last))
    index = field.index
    tables = tuple(part.numpy() for part in (index.regions, index.blocks, index.neighbors, field.values))
    bounds = np.linspace(0, count, torch.get_num_threads() * PARTS_PER_THREAD + 1).astype(np.int64)

    def march(part: int) -> None:
        span = (bounds[part], bounds[part + 1])
        _march(result, span, lines, tables, index.shape, numbers, field.refinements)

    run_parts(march, len(bounds) - 1)
    return torch.from_numpy(result)


@inlined
def _find_block(bx: int, by: int, bz: int, regions: Any, blocks: Any, shape: Any) -> Any:
    rx, ry, rz = bx >> REGION_BITS, by >> REGION_BITS, bz >> REGION_BITS
    if rx < 0 or ry < 0 or rz < 0 or rx >= shape[0] or ry >= shape[1] or rz >= shape[2]:
        return -1 - REGION_BITS
    region = regions[(rx * shape[1] + ry) * shape[2] + rz]
    if region < 0:
        return -1 - REGION_BITS
    mask = (1 << REGION_BITS) - 1
    within = ((bx & mask) << (2 * REGION_BITS)) | ((by & mask) << REGION_BITS) | (bz & mask)
    return blocks[region * REGION_BLOCKS + within]


@inlined
def _corner(block: int, x: int, y: int, z: int, neighbors: Any, values: Any) -> Any:
    """Value at coordinates 0..BLOCK relative to ``block``."""
    side = ((x >> BLOCK_BITS) << 2) | ((y >> BLOCK_BITS) << 1) | (z >> BLOCK_BITS)
    mask = BLOCK - 1
    within = ((x & mask) << (2 * BLOCK_BITS)) | ((y & mask) << BLOCK_BITS) | (z & mask)
    return values[neighbors[block, side] * BLOCK_VOXELS + within]


@compiled
def _sample(block: int, px: Any, py: Any, pz: Any, neighbors: Any, values: Any, one: Any) -> Any:
    """Interpolated distance at a position whose cell starts in ``block``; NaN if a corner is absent."""
    fx, fy, fz = np.floor(px), np.floor(py), np.floor(pz)
    x, y, z = int(fx) & (BLOCK - 1), int(fy) & (BLOCK - 1), int(fz) & (BLOCK - 1)
    at = block * BLOCK_VOXELS + ((x << (2 * BLOCK_BITS)) | (y << BLOCK_BITS) | z)
    c000 = values[at]
    # Most samples in an occupied block lie off the band: one read tells.
    if math.isnan(c000):
        return c000
    u, v, w = px - fx, py - fy, pz - fz
    if x < BLOCK - 1 and y < BLOCK - 1 and z < BLOCK - 1:
        dx, dy = BLOCK * BLOCK, BLOCK
        c001, c010, c011 = values[at + 1], values[at + dy], values[at + dy + 1]
        at += dx
        c100, c101, c110, c111 = values[at], values[at + 1], values[at + dy], values[at + dy + 1]
    else:
        c001 = _corner(block, x, y, z + 1, neighbors, values)
        c010 = _corner(block, x, y + 1, z, neighbors, values)
        c011 = _corner(block, x, y + 1, z + 1, neighbors, values)
        c100 = _corner(block, x + 1, y, z, neighbors, values)
        c101 = _corner(block, x + 1, y, z + 1, neighbors, values)
        c110 = _corner(block, x + 1, y + 1, z, neighbors, values)
        c111 = _corner(block, x + 1, y + 1, z + 1, neighbors, values)
    c00, c01 = c000 * (one - u) + c100 * u, c001 * (one - u) + c101 * u
    c10, c11 = c010 * (one - u) + c110 * u, c011 * (one - u) + c111 * u
    return (c00 * (one - v) + c10 * v) * (one - w) + (c01 * (one - v) + c11 * v) * w


@inlined
def _inverse(component: Any, one: Any, values: Any) -> Any:
    """Metres per voxel along one axis; far beyond every wall for a ray across it."""
    return one / component if component != 0 else values.dtype.type(1e30)


@inlined
def _wall(position: Any, inverse: Any, bits: int, values: Any) -> Any:
    """The face of the cube of edge 2**bits around ``position`` that the ray runs towards, along one axis."""
    return values.dtype.type(((int(np.floor(position)) >> bits) + (1 if inverse > 0 else 0)) << bits)


@compiled
def _refine(o: Any, d: Any, bracket: Any, tables: Any, shape: Any, numbers: Any, refinements: int) -> Any:
    regions, blocks, neighbors, values = tables
    one, tolerance = numbers[2], numbers[4]
    half = one / (one + one)
    left, right, above, below = bracket
    side = 0
    middle = left
    for _ in range(refinements):
        middle = left + above / (above - below) * (right - left)
        px, py, pz = o[0] + middle * d[0], o[1] + middle * d[1], o[2] + middle * d[2]
        bx, by, bz = int(np.floor(px)) >> BLOCK_BITS, int(np.floor(py)) >> BLOCK_BITS, int(np.floor(pz)) >> BLOCK_BITS
        block = _find_block(bx, by, bz, regions, blocks, shape)
        if block < 0:
            return values.dtype.type(np.nan)
        found = _sample(block, px, py, pz, neighbors, values, one)
        if math.isnan(found):
            return found
        if abs(found) <= tolerance:
            return middle
        if found > 0:
            if side > 0:
                below *= half
            left, above, side = middle, found, 1
        else:
            if side < 0:
                above *= half
            right, below, side = middle, found, -1
    return middle


@compiled
def _march(result: Any, span: Any, lines: Any, tables: Any, shape: Any, numbers: Any, refinements: int) -> None:
    origin, directions, spacings, firsts, lasts = lines
    regions, blocks, neighbors, values = tables
    near, far, one, slack, _tolerance = numbers
    nan = values.dtype.type(np.nan)
    for r in range(span[0], span[1]):
        d, spacing = directions[r], spacings[r]
        step, before, t_before, hit = firsts[r], nan, nan, nan
        ix, iy, iz = _inverse(d[0], one, values), _inverse(d[1], one, values), _inverse(d[2], one, values)
        while step <= lasts[r]:
            t = min(near + values.dtype.type(step) * spacing, far)
            px, py, pz = origin[0] + t * d[0], origin[1] + t * d[1], origin[2] + t * d[2]
            bx, by = int(np.floor(px)) >> BLOCK_BITS, int(np.floor(py)) >> BLOCK_BITS
            bz = int(np.floor(pz)) >> BLOCK_BITS
            block = _find_block(bx, by, bz, regions, blocks, shape)
            if block < 0:
                bits = BLOCK_BITS - 1 - block
                leave = (_wall(px, ix, bits, values) - origin[0]) * ix
                leave = min(leave, (_wall(py, iy, bits, values) - origin[1]) * iy)
                leave = min(leave, (_wall(pz, iz, bits, values) - origin[2]) * iz)
                step = max(int(np.ceil((leave - near) / spacing - slack)), step + 1)
                before = nan
                continue
            value = _sample(block, px, py, pz, neighbors, values, one)
            if before > 0 and value <= 0:
                bracket = (t_before, t, before, value)
                hit = _refine(origin, d, bracket, tables, shape, numbers, refinements)
                if not math.isnan(hit):
                    break
            before, t_before = value, t
            step += 1
        result[r] = hit
