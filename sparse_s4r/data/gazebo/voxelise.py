"""The voxels that triangles pass through, exactly: cells are halved, and only those that a triangle meets go on."""

from __future__ import annotations

import math

import numpy as np

from sparse_s4r.structures import GridSpec
from sparse_s4r.structures.errors import DataError

# Pairs of triangle and cell tested at once; about 300 MB of temporaries.
_CHUNK = 1 << 18
# Boxes are shifted by this share of a voxel, so that a surface on a boundary lies in the upper voxel alone.
_SHIFT = 1e-4
# 1.6 billion cells: 1.6 GB for one byte each.
_MAX_CELLS = 1_600_000_000
_CHILDREN = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), axis=-1).reshape(-1, 3)


def surface_voxels(triangles: np.ndarray, grid: GridSpec) -> np.ndarray:
    """Voxels that hold a point of a triangle.

    Args:
        triangles: (T, 3, 3) corners, metres.
        grid: Placement of the voxels.

    Returns:
        (N, 3) int64 coordinates, unique, sorted by (x, y, z).

    Raises:
        DataError: A box of more than 1.6 billion voxels.

    Source:
        Akenine-Moller, "Fast 3D triangle-box overlap testing", 2001 (the separating axes).
    """
    corners = (triangles.astype(np.float64) - np.array(grid.origin)) / grid.voxel_size + _SHIFT
    lower = np.floor(corners.min(axis=(0, 1))).astype(np.int64)
    size = np.floor(corners.max(axis=(0, 1))).astype(np.int64) - lower + 1
    if math.prod(size.tolist()) > _MAX_CELLS:
        raise DataError(
            f"world of {' x '.join(f'{n * grid.voxel_size:.0f}' for n in size)} m: expected at most {_MAX_CELLS:,} "
            f"voxels, got {math.prod(size.tolist()):,}; use a larger voxel size"
        )
    filled = np.zeros(size, dtype=bool)
    # From each triangle's own size down, so that a large one does not start with millions of cells.
    extent = (corners.max(axis=1) - corners.min(axis=1)).max(axis=1)
    level = np.ceil(np.log2(np.maximum(extent, 1.0))).astype(np.int64)
    for start in np.unique(level):
        rows = np.flatnonzero(level == start)
        for first in range(0, len(rows), _CHUNK // 8):
            chosen = rows[first : first + _CHUNK // 8]
            cells = np.floor(corners[chosen].min(axis=1) / 2**start).astype(np.int64)
            pairs = np.repeat(chosen, 8), (cells[:, None] + _CHILDREN).reshape(-1, 3)
            _refine(corners, *pairs, int(start), lower, filled)
    return np.ascontiguousarray(np.argwhere(filled) + lower)


def _refine(
    corners: np.ndarray, rows: np.ndarray, cells: np.ndarray, level: int, lower: np.ndarray, filled: np.ndarray
) -> None:
    """Keep the pairs that meet, halve their cells, and so on down to voxels, which are marked."""
    stack = [(rows, cells, level)]
    while stack:
        rows, cells, level = stack.pop()
        if len(rows) > _CHUNK:
            middle = len(rows) // 2
            stack += [(rows[:middle], cells[:middle], level), (rows[middle:], cells[middle:], level)]
            continue
        keep = _meet(corners[rows], cells, 2.0**level)
        rows, cells = rows[keep], cells[keep]
        if level == 0:
            place = cells - lower
            filled[place[:, 0], place[:, 1], place[:, 2]] = True
        elif len(rows):
            children = (2 * cells[:, None] + _CHILDREN).reshape(-1, 3)
            stack.append((np.repeat(rows, 8), children, level - 1))


def _meet(triangles: np.ndarray, cells: np.ndarray, edge: float) -> np.ndarray:
    """Whether triangles (P, 3, 3) meet cells (P, 3) of ``edge`` voxels, by separating axes."""
    half = edge / 2
    corners = triangles - ((cells + 0.5) * edge)[:, None]
    keep: np.ndarray = ((corners.min(axis=1) <= half) & (corners.max(axis=1) > -half)).all(axis=1)
    index = np.flatnonzero(keep)
    corners = corners[index]
    sides = np.roll(corners, -1, axis=1) - corners
    normal = np.cross(sides[:, 0], sides[:, 1])
    near = np.abs((normal * corners[:, 0]).sum(axis=1)) <= half * np.abs(normal).sum(axis=1)
    keep[index[~near]] = False
    index, corners, sides = index[near], corners[near], sides[near]
    apart = np.zeros(len(index), dtype=bool)
    for axis in range(3):
        # The cross product of a coordinate axis with a side has two entries; so the projections are short.
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for side in range(3):
            a, b = -sides[:, side, v], sides[:, side, u]
            along = corners[:, :, u] * a[:, None] + corners[:, :, v] * b[:, None]
            radius = half * (np.abs(a) + np.abs(b))
            apart |= (along.min(axis=1) > radius) | (along.max(axis=1) < -radius)
    keep[index[apart]] = False
    return keep
