"""Between which depths the surface may lie in every tile of an image, from the blocks that hold surface.

A block is projected as a box, so a tile's range is wider than need be, never narrower: rays that start at it skip the
empty space before, and find what they would have found from the camera on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparse_s4r.geometry.compiled import compiled, inlined
from sparse_s4r.render.rays import Rays
from sparse_s4r.structures import BLOCK
from sparse_s4r.structures.parallel import run_parts

# Pixels along the edge of a tile.
TILE_BITS = 4
# Ranges are widened by this many pixels and metres: far more than the rounding of the projection.
_MARGIN = 1e-3


def tile_ranges(rays: Rays, blocks: Any) -> tuple[Any, Any]:
    """Ranges of z-depth in which the rays of every tile may meet surface.

    Args:
        rays: Rays of V cameras.
        blocks: (B, 3) int64 local voxel coordinates, divided by ``BLOCK``, of the blocks with marked cells.

    Returns:
        (T, 2) float64 metres, first above last for a tile without surface; (V + 1,) int64 first tile of every camera.
        Tiles stand row by row, camera by camera.
    """
    starts, widths = rays.starts.numpy(), rays.widths.numpy()
    heights = (starts[1:] - starts[:-1]) // widths
    edge = 1 << TILE_BITS
    counts = -(-widths // edge) * -(-heights // edge)
    firsts = np.concatenate([[0], np.cumsum(counts)])
    ranges = np.empty((firsts[-1], 2))
    ranges[:, 0], ranges[:, 1] = np.inf, -np.inf
    origins, inverses = rays.origins.numpy(), np.linalg.inv(rays.matrices.numpy())

    def project(camera: int) -> None:
        size = (int(widths[camera]), int(heights[camera]))
        part = ranges[firsts[camera] : firsts[camera + 1]]
        _project(part, blocks, origins[camera], inverses[camera], size, (rays.near, rays.far))

    run_parts(project, len(widths))
    return ranges, firsts


@inlined
def _tile(pixel: float, last: int) -> int:
    return min(max(int(np.floor(pixel)), 0), last) >> TILE_BITS


@compiled
def _project(ranges: Any, blocks: Any, origin: Any, inverse: Any, size: Any, limits: Any) -> None:
    across = ((size[0] - 1) >> TILE_BITS) + 1
    box = np.empty((3, 2))
    for b in range(len(blocks)):
        if not _bound(box, blocks, b, origin, inverse, size, limits[0]):
            continue
        near, far = box[2, 0] - _MARGIN, box[2, 1] + _MARGIN
        if near > limits[1]:
            continue
        for row in range(_tile(box[1, 0], size[1] - 1), _tile(box[1, 1], size[1] - 1) + 1):
            for column in range(_tile(box[0, 0], size[0] - 1), _tile(box[0, 1], size[0] - 1) + 1):
                tile = row * across + column
                ranges[tile, 0] = min(ranges[tile, 0], near)
                ranges[tile, 1] = max(ranges[tile, 1], far)


@compiled
def _bound(box: Any, blocks: Any, b: int, origin: Any, inverse: Any, size: Any, near: float) -> bool:
    """Write the bounds of a block in columns, rows and z-depth; False if no pixel can see it."""
    left = right = above = below = behind = 0
    for axis in range(3):
        box[axis, 0], box[axis, 1] = np.inf, -np.inf
    for corner in range(8):
        x = (blocks[b, 0] + (corner >> 2)) * BLOCK - origin[0]
        y = (blocks[b, 1] + (corner >> 1 & 1)) * BLOCK - origin[1]
        z = (blocks[b, 2] + (corner & 1)) * BLOCK - origin[2]
        u = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2] * z
        v = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2] * z
        depth = inverse[2, 0] * x + inverse[2, 1] * y + inverse[2, 2] * z
        # Outside one side of the picture, which holds in front of the camera and behind it.
        left += u < -_MARGIN * depth
        right += u > (size[0] - 1 + _MARGIN) * depth
        above += v < -_MARGIN * depth
        below += v > (size[1] - 1 + _MARGIN) * depth
        behind += depth < near
        box[2, 0], box[2, 1] = min(box[2, 0], depth), max(box[2, 1], depth)
        if depth >= near:
            box[0, 0], box[0, 1] = min(box[0, 0], u / depth - _MARGIN), max(box[0, 1], u / depth + _MARGIN)
            box[1, 0], box[1, 1] = min(box[1, 0], v / depth - _MARGIN), max(box[1, 1], v / depth + _MARGIN)
    if behind == 8 or left == 8 or right == 8 or above == 8 or below == 8:
        return False
    if behind:
        # A box through the near plane may reach anywhere in the picture.
        box[0, 0], box[0, 1], box[1, 0], box[1, 1] = 0.0, size[0] - 1.0, 0.0, size[1] - 1.0
    return True
