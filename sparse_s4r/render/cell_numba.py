"""One cell compiled for the CPU: its corners, and the first fall of the distance along a ray; see ``search.py``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparse_s4r.geometry.compiled import compiled, inlined
from sparse_s4r.render.blocks import BLOCK_BITS, BLOCK_VOXELS
from sparse_s4r.render.corners import CORNERS
from sparse_s4r.render.field import PARTIAL
from sparse_s4r.render.search import MAX_REFINEMENTS
from sparse_s4r.structures import BLOCK

_MASK = BLOCK - 1
_UPPER_X, _UPPER_Y = _MASK << (2 * BLOCK_BITS), _MASK << BLOCK_BITS
# Places of the corners relative to the first, where all lie in one block.
_WITHIN = tuple((i << (2 * BLOCK_BITS)) + (j << BLOCK_BITS) + k for i, j, k in CORNERS)


@inlined
def _corner_slot(c: int, slot: int, neighbors: Any) -> Any:
    """Place of corner ``c`` of the cell at ``slot``."""
    block, inner = slot // BLOCK_VOXELS, slot % BLOCK_VOXELS
    i, j, k = (
        (inner >> (2 * BLOCK_BITS)) + (c >> 2),
        (inner >> BLOCK_BITS & _MASK) + (c >> 1 & 1),
        (inner & _MASK) + (c & 1),
    )
    side = (i >> BLOCK_BITS) << 2 | (j >> BLOCK_BITS) << 1 | k >> BLOCK_BITS
    within = (i & _MASK) << (2 * BLOCK_BITS) | (j & _MASK) << BLOCK_BITS | k & _MASK
    return neighbors[block, side] * BLOCK_VOXELS + within


@compiled
def read_corners(corner: Any, slot: int, neighbors: Any, values: Any) -> int:
    """Write the values at the corners of the cell at ``slot``, 0 for an absent one; the mask of those present."""
    mask = 0
    inner = slot % BLOCK_VOXELS
    within = inner & _UPPER_X != _UPPER_X and inner & _UPPER_Y != _UPPER_Y and inner & _MASK != _MASK
    for c in range(8):
        # Two of three cells lie within their block.
        at = slot + _WITHIN[c] if within else _corner_slot(c, slot, neighbors)
        value = values[at]
        there = not math.isnan(value)
        corner[c] = value if there else 0.0
        mask |= there << c
    return mask


@compiled
def read_rows(around: Any, slot: int, neighbors: Any, rows: Any) -> None:
    """Write the rows of the voxels at the corners of the cell at ``slot``, -1 for an absent one."""
    inner = slot % BLOCK_VOXELS
    within = inner & _UPPER_X != _UPPER_X and inner & _UPPER_Y != _UPPER_Y and inner & _MASK != _MASK
    for c in range(8):
        around[c] = rows[slot + _WITHIN[c] if within else _corner_slot(c, slot, neighbors)]


@compiled
def _fill(corner: Any, fills: Any, mask: int) -> None:
    """Give the absent corners the distances that ``distance_fills`` says."""
    for c in range(8):
        if not mask >> c & 1:
            total = 0.0
            for other in range(8):
                total += fills[mask, c, other] * corner[other]
            corner[c] = total


@compiled
def search_cell(corner: Any, slot: int, start: Any, shift: Any, before: float, cells: Any, tolerance: float) -> Any:
    """Share of ``shift`` after which the distance falls through zero in the cell, NaN if nowhere; and its last value.

    Args:
        corner: (8,) room for the distances.
        slot: Place of a marked cell.
        start: Position (x, y, z) in the cell where the ray comes in.
        shift: What it adds (x, y, z) until it leaves.
        before: The distance at the end of the cell before, NaN if that held no surface.
        cells: Neighbours, values and marks of the search field, and ``distance_fills``.
        tolerance: Metres.
    """
    neighbors, values, marks, fills = cells
    mask = read_corners(corner, slot, neighbors, values)
    if marks[slot] == PARTIAL:
        _fill(corner, fills, mask)
    cubic = _cubic(corner, start[0], start[1], start[2], shift[0], shift[1], shift[2])
    return _first_fall(cubic, before, tolerance), _value(cubic, 1.0)


@compiled
def _value(k: Any, share: float) -> float:
    return float(k[0] + share * (k[1] + share * (k[2] + share * k[3])))


@compiled
def _cubic(c: Any, x: float, y: float, z: float, dx: float, dy: float, dz: float) -> Any:
    lx, ly, lz = c[4] - c[0], c[2] - c[0], c[1] - c[0]
    xy, xz, yz = c[6] - c[4] - ly, c[5] - c[4] - lz, c[3] - c[2] - lz
    xyz = c[7] - c[6] - c[5] + c[4] - yz
    gx = lx + xy * y + xz * z + xyz * y * z
    gy = ly + xy * x + yz * z + xyz * x * z
    gz = lz + xz * x + yz * y + xyz * x * y
    hxy, hxz, hyz = xy + xyz * z, xz + xyz * y, yz + xyz * x
    value = c[0] + lx * x + ly * y + lz * z + xy * x * y + xz * x * z + yz * y * z + xyz * x * y * z
    return (
        value,
        gx * dx + gy * dy + gz * dz,
        hxy * dx * dy + hxz * dx * dz + hyz * dy * dz,
        xyz * dx * dy * dz,
    )


@compiled
def _first_fall(k: Any, before: float, tolerance: float) -> Any:
    if before > 0 and k[0] <= 0:
        return 0.0
    end = _value(k, 1.0)
    # Coefficients of Bernstein's form: the polynomial stays between the least and the largest.
    if end > tolerance and k[0] > 0 and k[0] + k[1] / 3 > 0 and k[0] + (2 * k[1] + k[2]) / 3 > 0:
        return np.nan
    if k[1] < 0 and k[1] + k[2] < 0 and k[1] + 2 * k[2] + 3 * k[3] < 0:
        # So does the slope: the distance falls all the way.
        return _fall(k, 0.0, 1.0, k[0], end, tolerance)
    a, b, c = 3 * k[3], k[2], k[1]
    low = high = 1.0
    square = b * b - a * c
    if square >= 0:
        root = -(b + (-1.0 if b < 0 else 1.0) * math.sqrt(square))
        if a != 0 and 0 < root / a < 1:
            low = root / a
        if root != 0 and 0 < c / root < 1:
            high = c / root
        low, high = min(low, high), max(low, high)
    left, above = 0.0, k[0]
    for piece in range(3):
        right = low if piece == 0 else (high if piece == 1 else 1.0)
        below = end if right == 1.0 else _value(k, right)
        share = _fall(k, left, right, above, below, tolerance)
        if not math.isnan(share):
            return share
        left, above = right, below
    return np.nan


@inlined
def _fall(k: Any, left: float, right: float, above: float, below: float, tolerance: float) -> Any:
    """Where the polynomial, which only falls between ``left`` and ``right``, goes through zero; NaN for nowhere."""
    if not (above > 0 and below <= tolerance):
        return np.nan
    return right if below > 0 else _refine(k, left, right, above, below, tolerance)


@compiled
def _refine(k: Any, left: float, right: float, above: float, below: float, tolerance: float) -> Any:
    share = left + (right - left) * (above / (above - below))
    for _ in range(MAX_REFINEMENTS):
        value = _value(k, share)
        if abs(value) <= tolerance:
            break
        if value > 0:
            left = share
        else:
            right = share
        slope = k[1] + share * (2 * k[2] + share * 3 * k[3])
        newton = share - value / slope if slope != 0 else np.inf
        share = newton if left < newton < right else 0.5 * (left + right)
    return share
