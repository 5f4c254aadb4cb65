"""The compiled loops of ``evaluate_numba.py``: hit by hit, in float64 whatever the images are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparse_s4r.geometry.compiled import compiled, inlined
from sparse_s4r.render.cell_numba import read_corners, read_rows
from sparse_s4r.render.corners import ALL_PRESENT
from sparse_s4r.render.search_numba import pixel_direction

# Lines of the workbench of a hit, 8 corners each: weight and slopes of the distance; weight and slope along the ray of
# the attributes; slopes of the slopes along the ray, which only a hit that moves its attributes needs.
WEIGHT, SLOPE, SHARE, SHARE_SLOPE, BEND, LINES = 0, 1, 4, 5, 6, 9
# This many consecutive voxels belong to one thread, so that threads do not share lines of the cache.
_SPAN_BITS = 5


@compiled
def _lay_out(bench: Any, along: Any, dx: float, dy: float, dz: float) -> None:
    """Trilinear weights, slopes and bends of all corners, as if all were there."""
    for c in range(8):
        i, j, k = c >> 2, c >> 1 & 1, c & 1
        x = along[0] if i else 1.0 - along[0]
        y = along[1] if j else 1.0 - along[1]
        z = along[2] if k else 1.0 - along[2]
        a, b, e = 2.0 * i - 1.0, 2.0 * j - 1.0, 2.0 * k - 1.0
        sx, sy, sz = a * y * z, x * b * z, x * y * e
        bench[WEIGHT, c] = bench[SHARE, c] = x * y * z
        bench[SLOPE, c], bench[SLOPE + 1, c], bench[SLOPE + 2, c] = sx, sy, sz
        bench[SHARE_SLOPE, c] = sx * dx + sy * dy + sz * dz
        bench[BEND, c] = a * b * z * dy + a * y * e * dz
        bench[BEND + 1, c] = a * b * z * dx + x * b * e * dz
        bench[BEND + 2, c] = a * y * e * dx + x * b * e * dy


@compiled
def _mix(line: Any, matrix: Any) -> None:
    """Weights of filled corners as weights of the present ones."""
    w0, w1, w2, w3, w4, w5, w6, w7 = line[0], line[1], line[2], line[3], line[4], line[5], line[6], line[7]
    for c in range(8):
        low = w0 * matrix[0, c] + w1 * matrix[1, c] + w2 * matrix[2, c] + w3 * matrix[3, c]
        line[c] = low + w4 * matrix[4, c] + w5 * matrix[5, c] + w6 * matrix[6, c] + w7 * matrix[7, c]


@compiled
def _surround(bench: Any, corner: Any, around: Any, slot: int, along: Any, d: Any, tables: Any) -> None:
    """Fill the bench, the distances and the rows of the corners of the cell at ``slot``."""
    neighbors, values, slot_rows, distance, attribute = tables
    mask = read_corners(corner, slot, neighbors, values)
    read_rows(around, slot, neighbors, slot_rows)
    _lay_out(bench, along, d[0], d[1], d[2])
    if mask != ALL_PRESENT:
        for line in range(LINES):
            _mix(bench[line], attribute[mask] if line in (SHARE, SHARE_SLOPE) else distance[mask])


@inlined
def _total(line: Any, corner: Any) -> float:
    total = 0.0
    for c in range(8):
        total += line[c] * corner[c]
    return total


@inlined
def _camera_of(r: int, camera: int, starts: Any) -> int:
    while r >= starts[camera + 1]:
        camera += 1
    return camera


@compiled
def _blend(image: Any, values: Any, around: Any, share: Any) -> None:
    """Add the corners' ``values`` by their shares to the pixel ``image`` (C,)."""
    for c in range(8):
        if around[c] >= 0:
            weight, row = image.dtype.type(share[c]), values[around[c]]
            for k in range(len(image)):
                image[k] += weight * row[k]


@compiled
def see(images: Any, attributes: Any, start: int, stop: int, hits: Any, lines: Any, tables: Any) -> None:
    """Write depth, normal, voxel, colour and logits of the hits ``start`` to ``stop``."""
    depth, normal, voxel, color_image, logit_image = images
    ray, depths, slots, alongs = hits
    bench, corner, around = np.empty((LINES, 8)), np.empty(8), np.empty(8, dtype=np.int64)
    camera = 0
    for p in range(start, stop):
        r = ray[p]
        camera = _camera_of(r, camera, lines[3])
        _surround(bench, corner, around, slots[r], alongs[r], pixel_direction(r, camera, lines), tables)
        gx, gy, gz = _total(bench[SLOPE], corner), _total(bench[SLOPE + 1], corner), _total(bench[SLOPE + 2], corner)
        length = max(math.sqrt(gx * gx + gy * gy + gz * gz), 1e-12)
        depth[r] = depths[r]
        normal[r, 0], normal[r, 1], normal[r, 2] = gx / length, gy / length, gz / length
        heaviest = 0
        for c in range(1, 8):
            if bench[SHARE, c] > bench[SHARE, heaviest]:
                heaviest = c
        voxel[r] = around[heaviest]
        _blend(color_image[r], attributes[0], around, bench[SHARE])
        _blend(logit_image[r], attributes[1], around, bench[SHARE])


@compiled
def _lean(values: Any, around: Any, share_slope: Any, grad: Any) -> float:
    """What moving a hit along its ray by 1 m changes, through an attribute, in the loss."""
    total = 0.0
    for c in range(8):
        if around[c] >= 0:
            for k in range(len(grad)):
                total += share_slope[c] * values[around[c], k] * grad[k]
    return total


@compiled
def pull_back(
    shares: Any,
    start: int,
    stop: int,
    attributes: Any,
    grads: Any,
    hits: Any,
    lines: Any,
    tables: Any,
    rules: Any,
) -> None:
    """Per hit and corner: the row, the gradient of its distance, and its share in colour and logits."""
    around_out, to_distance, to_attribute = shares
    grad_depth, grad_normal, grad_color, grad_logits = grads
    ray, _depths, slots, alongs = hits
    flattest, moves = rules
    bench, corner, around = np.empty((LINES, 8)), np.empty(8), np.empty(8, dtype=np.int64)
    camera = 0
    for p in range(start, stop):
        r = ray[p]
        camera = _camera_of(r, camera, lines[3])
        d = pixel_direction(r, camera, lines)
        _surround(bench, corner, around, slots[r], alongs[r], d, tables)
        gx, gy, gz = _total(bench[SLOPE], corner), _total(bench[SLOPE + 1], corner), _total(bench[SLOPE + 2], corner)
        slope = gx * d[0] + gy * d[1] + gz * d[2]
        slope = min(slope, -flattest * math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]))
        toward = grad_depth[r] if len(grad_depth) else 0.0
        nx = ny = nz = 0.0
        if len(grad_normal):
            # The gradient of the normal without its part along the normal, which the length takes away.
            length = max(math.sqrt(gx * gx + gy * gy + gz * gz), 1e-12)
            ux, uy, uz = gx / length, gy / length, gz / length
            nx, ny, nz = grad_normal[r, 0], grad_normal[r, 1], grad_normal[r, 2]
            out = nx * ux + ny * uy + nz * uz
            nx, ny, nz = (nx - out * ux) / length, (ny - out * uy) / length, (nz - out * uz) / length
        if moves:
            bx, by, bz = _total(bench[BEND], corner), _total(bench[BEND + 1], corner), _total(bench[BEND + 2], corner)
            toward += nx * bx + ny * by + nz * bz
            if len(grad_color):
                toward += _lean(attributes[0], around, bench[SHARE_SLOPE], grad_color[r])
            if len(grad_logits):
                toward += _lean(attributes[1], around, bench[SHARE_SLOPE], grad_logits[r])
        for c in range(8):
            bent = nx * bench[SLOPE, c] + ny * bench[SLOPE + 1, c] + nz * bench[SLOPE + 2, c]
            around_out[p, c] = around[c]
            to_distance[p, c] = bent - toward * bench[WEIGHT, c] / slope
            to_attribute[p, c] = bench[SHARE, c]


@compiled
def add_gradients(totals: Any, part: int, parts: int, ray: Any, grads: Any, shares: Any) -> None:
    """Add what all hits give to the voxels that belong to ``part`` of ``parts``, in the order of the rays."""
    to_tsdf, to_color, to_logits = totals
    _grad_depth, _grad_normal, grad_color, grad_logits = grads
    around, to_distance, to_attribute = shares
    for p in range(len(ray)):
        r = ray[p]
        for c in range(8):
            row = around[p, c]
            if row < 0 or (row >> _SPAN_BITS) % parts != part:
                continue
            if len(to_tsdf):
                to_tsdf[row] += to_distance[p, c]
            if len(to_color):
                _add(to_color[row], to_attribute[p, c], grad_color[r])
            if len(to_logits):
                _add(to_logits[row], to_attribute[p, c], grad_logits[r])


@inlined
def _add(total: Any, share: Any, grad: Any) -> None:
    for k in range(len(total)):
        total[k] += share * grad[k]
