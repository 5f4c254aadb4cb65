"""Which blocks a depth image or a set of voxels touches, and what a depth image saw free; compiled.

Imported only where it is used, and called from any thread: nothing here shares state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparse_s4r.geometry.compiled import compiled, inlined

# Voxels per block, as a shift.
_SHIFT = 3


@inlined
def _ray(to_world: Any, row: Any, column: Any, axis: Any) -> Any:
    return np.float32(to_world[axis, 0] * column + to_world[axis, 1] * row + to_world[axis, 2])


@compiled
def surface_bounds(depth: Any, to_world: Any, center: Any, depth_max: Any, lower: Any, upper: Any) -> None:
    """Widen a box by the surface that a depth image shows.

    Args:
        depth: (H, W) float32 metres, 0 = missing.
        to_world: (3, 3) float64 from pixels (column, row, 1) to directions whose parameter is z-depth.
        center: (3,) float32 optical centre.
        depth_max: Depth beyond which a sample is ignored.
        lower: (3,) float32, changed.
        upper: (3,) float32, changed.
    """
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            z = depth[row, column]
            if not (z > 0 and z <= depth_max):
                continue
            for axis in range(3):
                value = center[axis] + z * _ray(to_world, row, column, axis)
                lower[axis] = min(lower[axis], value)
                upper[axis] = max(upper[axis], value)


@inlined
def _voxel(ray: Any, reach: Any, voxel_size: Any, shift: Any) -> Any:
    return int(np.floor(ray * reach / voxel_size + shift))


@compiled
def band_bounds(
    depth: Any, to_world: Any, shift: Any, voxel_size: Any, truncation: Any, depth_max: Any, lower: Any, upper: Any
) -> None:
    """Widen a box of voxels by the truncated parts of all rays.

    Args:
        depth: (H, W) float32 metres, 0 = missing.
        to_world: See ``surface_bounds``.
        shift: (3,) float32 optical centre in voxels.
        voxel_size: float32 metres.
        truncation: float32 metres.
        depth_max: Depth beyond which a sample is ignored.
        lower: (3,) int64, changed.
        upper: (3,) int64, changed.
    """
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            z = depth[row, column]
            if not (z > 0 and z <= depth_max):
                continue
            near, far = max(z - truncation, np.float32(0)), z + truncation
            for axis in range(3):
                ray = _ray(to_world, row, column, axis)
                first, last = _voxel(ray, near, voxel_size, shift[axis]), _voxel(ray, far, voxel_size, shift[axis])
                lower[axis] = min(lower[axis], first, last)
                upper[axis] = max(upper[axis], first, last)


@compiled
def mark_band(
    depth: Any, to_world: Any, shift: Any, voxel_size: Any, offsets: Any, depth_max: Any, first: Any, marked: Any
) -> None:
    """Mark the blocks that hold or touch a point of the truncated part of a ray.

    Args:
        depth: (H, W) float32 metres, 0 = missing.
        to_world: See ``surface_bounds``.
        shift: (3,) float32 optical centre in voxels.
        voxel_size: float32 metres.
        offsets: (S,) float32 metres, the points of a ray relative to its depth.
        depth_max: Depth beyond which a sample is ignored.
        first: (3,) int64 block of ``marked[0, 0, 0]``.
        marked: (X, Y, Z) bool, changed; must reach one voxel beyond the box of ``band_bounds``.
    """
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            z = depth[row, column]
            if not (z > 0 and z <= depth_max):
                continue
            rays = (_ray(to_world, row, column, 0), _ray(to_world, row, column, 1), _ray(to_world, row, column, 2))
            for offset in offsets:
                reach = max(z + offset, np.float32(0))
                _mark(
                    _voxel(rays[0], reach, voxel_size, shift[0]),
                    _voxel(rays[1], reach, voxel_size, shift[1]),
                    _voxel(rays[2], reach, voxel_size, shift[2]),
                    first,
                    marked,
                )


@inlined
def _mark(x: Any, y: Any, z: Any, first: Any, marked: Any) -> None:
    """Mark the blocks of the 27 voxels around one; those outside of ``marked`` are left out."""
    for i in range(max(((x - 1) >> _SHIFT) - first[0], 0), min(((x + 1) >> _SHIFT) - first[0] + 1, marked.shape[0])):
        for j in range(
            max(((y - 1) >> _SHIFT) - first[1], 0), min(((y + 1) >> _SHIFT) - first[1] + 1, marked.shape[1])
        ):
            for k in range(
                max(((z - 1) >> _SHIFT) - first[2], 0), min(((z + 1) >> _SHIFT) - first[2] + 1, marked.shape[2])
            ):
                marked[i, j, k] = True


@compiled
def mark_around(coordinates: Any, first: Any, marked: Any) -> None:
    """Mark the blocks (X, Y, Z) from ``first`` (3,) on that hold or touch one of the voxels (N, 3) int64."""
    for row in range(len(coordinates)):
        _mark(coordinates[row, 0], coordinates[row, 1], coordinates[row, 2], first, marked)


@inlined
def _seen_free(x: Any, y: Any, z: Any, depth: Any, matrix: Any, margin: Any) -> Any:
    """Whether the depth at the pixel nearest to a world point lies more than ``margin`` behind it."""
    distance = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
    free = False
    if distance > 0:
        column = np.rint((matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / distance)
        row = np.rint((matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / distance)
        if 0 <= column < depth.shape[1] and 0 <= row < depth.shape[0]:
            # A missing depth is 0 and thus never behind anything in front of the camera.
            free = depth[int(row), int(column)] > distance + margin
    return free


@compiled
def look_at_points(points: Any, depth: Any, matrix: Any, margin: Any, seen: Any) -> None:
    """Set ``seen`` (P,) bool where a depth image shows that the point (P, 3) float32 is free.

    Args:
        points: World metres.
        depth: (H, W) float32 metres, 0 = missing.
        matrix: (3, 4) float64 from the world to (column, row, 1) times z-depth.
        margin: How much farther than the point the depth must be, metres.
        seen: Changed; points that are known to be free are not looked at.
    """
    for row in range(len(points)):
        if not seen[row]:
            seen[row] = _seen_free(points[row, 0], points[row, 1], points[row, 2], depth, matrix, margin)


@compiled
def look_at_blocks(rows: Any, centers: Any, offsets: Any, depth: Any, matrix: Any, margin: Any, seen: Any) -> None:
    """As ``look_at_points`` for the voxels of blocks.

    Args:
        rows: (R,) int64, the blocks to look at.
        centers: (B, 3) float32 world centres of all blocks.
        offsets: (V, 3) float32 centres of a block's voxels relative to the block's.
        depth: (H, W) float32 metres, 0 = missing.
        matrix: See ``look_at_points``.
        margin: See ``look_at_points``.
        seen: (B, V) bool, changed.
    """
    for row in rows:
        for voxel in range(len(offsets)):
            if not seen[row, voxel]:
                x = centers[row, 0] + offsets[voxel, 0]
                y = centers[row, 1] + offsets[voxel, 1]
                z = centers[row, 2] + offsets[voxel, 2]
                seen[row, voxel] = _seen_free(x, y, z, depth, matrix, margin)
