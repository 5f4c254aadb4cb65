"""The compiled loops of ``evaluate_numba.py``: hit by hit, in float64 whatever the images are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparse_s4r.geometry.compiled import compiled, inlined
from sparse_s4r.render.cell_numba import read_corners, read_rows
from sparse_s4r.render.corners import ALL_PRESENT
from sparse_s4r.render.search_numba import pixel_direction

# Lines of the workbench of a hit, 8 corners each: weight and slopes of the distance, weight of the attributes; and for
# a hit that moves its attributes the slope of their weights along the ray, and the slopes of the distance's slopes.
WEIGHT, SLOPE, SHARE, LEAN, BEND, LINES = 0, 1, 4, 5, 6, 9
# This many consecutive voxels belong to one thread, so that threads do not share lines of the cache.
_SPAN_BITS = 5


@inlined
def _lay_out(bench: Any, x: float, y: float, z: float) -> None:
    """Trilinear weights and slopes of all corners, as if all were there."""
    for i in range(2):
        u, a = (x, 1.0) if i else (1.0 - x, -1.0)
        for j in range(2):
            v, b = (y, 1.0) if j else (1.0 - y, -1.0)
            uv, av, ub = u * v, a * v, u * b
            for k in range(2):
                w, e = (z, 1.0) if k else (1.0 - z, -1.0)
                c = 4 * i + 2 * j + k
                bench[WEIGHT, c] = bench[SHARE, c] = uv * w
                bench[SLOPE, c], bench[SLOPE + 1, c], bench[SLOPE + 2, c] = av * w, ub * w, uv * e


@compiled
def _lay_out_motion(bench: Any, x: float, y: float, z: float, d: Any) -> None:
    """How weights and slopes change along the ray, as if all corners were there."""
    dx, dy, dz = d
    for c in range(8):
        a, b, e = 1.0 if c & 4 else -1.0, 1.0 if c & 2 else -1.0, 1.0 if c & 1 else -1.0
        u = x if c & 4 else 1.0 - x
        v = y if c & 2 else 1.0 - y
        w = z if c & 1 else 1.0 - z
        bench[LEAN, c] = a * v * w * dx + u * b * w * dy + u * v * e * dz
        bench[BEND, c] = a * b * w * dy + a * v * e * dz
        bench[BEND + 1, c] = a * b * w * dx + u * b * e * dz
        bench[BEND + 2, c] = a * v * e * dx + u * b * e * dy


@compiled
def _mix(bench: Any, line: int, fills: Any, mask: int) -> None:
    """Weights of filled corners as weights of the present ones."""
    old = (
        bench[line, 0],
        bench[line, 1],
        bench[line, 2],
        bench[line, 3],
        bench[line, 4],
        bench[line, 5],
        bench[line, 6],
        bench[line, 7],
    )
    for c in range(8):
        total = 0.0
        for other in range(8):
            total += old[other] * fills[mask, other, c]
        bench[line, c] = total


@compiled
def _surround(bench: Any, corner: Any, around: Any, slot: int, alongs: Any, r: int, tables: Any) -> Any:
    """Fill the bench, the distances and the rows of the corners of the cell at ``slot``; the mask of those present."""
    neighbors, values, slot_rows, distance, attribute = tables
    mask = read_corners(corner, slot, neighbors, values)
    read_rows(around, slot, neighbors, slot_rows)
    _lay_out(bench, alongs[r, 0], alongs[r, 1], alongs[r, 2])
    if mask != ALL_PRESENT:
        for line in range(LEAN):
            _mix(bench, line, attribute if line == SHARE else distance, mask)
    return mask


@compiled
def _set_in_motion(bench: Any, mask: int, alongs: Any, r: int, d: Any, tables: Any) -> None:
    """Fill the lines of the bench that a hit which moves its attributes needs."""
    _lay_out_motion(bench, alongs[r, 0], alongs[r, 1], alongs[r, 2], d)
    if mask != ALL_PRESENT:
        for line in range(LEAN, LINES):
            _mix(bench, line, tables[4] if line == LEAN else tables[3], mask)


@inlined
def _total(bench: Any, line: int, corner: Any) -> float:
    total = 0.0
    for c in range(8):
        total += bench[line, c] * corner[c]
    return total


@inlined
def _camera_of(r: int, camera: int, starts: Any) -> int:
    while r >= starts[camera + 1]:
        camera += 1
    return camera


@compiled
def _blend(images: Any, r: int, values: Any, around: Any, bench: Any) -> None:
    """Add the corners' ``values`` by their shares to pixel ``r`` of ``images`` (R, C)."""
    for c in range(8):
        row = around[c]
        if row >= 0:
            weight = images.dtype.type(bench[SHARE, c])
            for k in range(images.shape[1]):
                images[r, k] += weight * values[row, k]


@inlined
def _heaviest(bench: Any, mask: int, alongs: Any, r: int) -> Any:
    """The corner with the largest share, the first of equal ones."""
    if mask == ALL_PRESENT:
        return (alongs[r, 0] > 0.5) << 2 | (alongs[r, 1] > 0.5) << 1 | (alongs[r, 2] > 0.5)
    heaviest = 0
    for c in range(1, 8):
        if bench[SHARE, c] > bench[SHARE, heaviest]:
            heaviest = c
    return heaviest


@compiled
def see(images: Any, attributes: Any, start: int, stop: int, hits: Any, tables: Any) -> None:
    """Write depth, normal, voxel, colour and logits of the hits ``start`` to ``stop``."""
    depth, normal, voxel, color_image, logit_image = images
    ray, depths, slots, alongs = hits
    bench, corner, around = np.empty((LINES, 8)), np.empty(8), np.empty(8, dtype=np.int64)
    for p in range(start, stop):
        r = ray[p]
        mask = _surround(bench, corner, around, slots[r], alongs, r, tables)
        gx, gy, gz = _total(bench, SLOPE, corner), _total(bench, SLOPE + 1, corner), _total(bench, SLOPE + 2, corner)
        length = max(math.sqrt(gx * gx + gy * gy + gz * gz), 1e-12)
        depth[r] = depths[r]
        normal[r, 0], normal[r, 1], normal[r, 2] = gx / length, gy / length, gz / length
        voxel[r] = around[_heaviest(bench, mask, alongs, r)]
        _blend(color_image, r, attributes[0], around, bench)
        _blend(logit_image, r, attributes[1], around, bench)


@compiled
def _lean(values: Any, around: Any, bench: Any, grads: Any, r: int) -> float:
    """What moving the hit of ray ``r`` along it by 1 m changes, through an attribute, in the loss."""
    total = 0.0
    if not len(grads):
        return total
    for c in range(8):
        row = around[c]
        if row >= 0:
            for k in range(grads.shape[1]):
                total += bench[LEAN, c] * values[row, k] * grads[r, k]
    return total


@compiled
def _across(grads: Any, r: int, gx: float, gy: float, gz: float) -> Any:
    """Gradient of the slope (gx, gy, gz) of the distance from that of the normal, 0 where none is given."""
    if not len(grads):
        return 0.0, 0.0, 0.0
    length = max(math.sqrt(gx * gx + gy * gy + gz * gz), 1e-12)
    ux, uy, uz = gx / length, gy / length, gz / length
    nx, ny, nz = grads[r, 0], grads[r, 1], grads[r, 2]
    # Without its part along the normal, which the length takes away.
    out = nx * ux + ny * uy + nz * uz
    return (nx - out * ux) / length, (ny - out * uy) / length, (nz - out * uz) / length


@compiled
def _turn(bench: Any, corner: Any, nx: float, ny: float, nz: float) -> Any:
    """What moving a hit along its ray by 1 m changes, through the normal, in the loss."""
    bx, by, bz = _total(bench, BEND, corner), _total(bench, BEND + 1, corner), _total(bench, BEND + 2, corner)
    return nx * bx + ny * by + nz * bz


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
    flattest: float,
    moves: Any,
) -> None:
    """Per hit and corner: the row, the gradient of its distance, and its share in colour and logits.

    ``moves`` is None or something else, not False or True: so the compiler drops what is not needed.
    """
    around_out, to_distance, to_attribute = shares
    grad_depth, grad_normal, grad_color, grad_logits = grads
    ray, _depths, slots, alongs = hits
    bench, corner, around = np.empty((LINES, 8)), np.empty(8), np.empty(8, dtype=np.int64)
    camera = 0
    for p in range(start, stop):
        r = ray[p]
        camera = _camera_of(r, camera, lines[3])
        d = pixel_direction(r, camera, lines)
        mask = _surround(bench, corner, around, slots[r], alongs, r, tables)
        gx, gy, gz = _total(bench, SLOPE, corner), _total(bench, SLOPE + 1, corner), _total(bench, SLOPE + 2, corner)
        slope = gx * d[0] + gy * d[1] + gz * d[2]
        slope = min(slope, -flattest * math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]))
        toward = grad_depth[r] if len(grad_depth) else 0.0
        nx, ny, nz = _across(grad_normal, r, gx, gy, gz)
        if moves is not None:
            _set_in_motion(bench, mask, alongs, r, d, tables)
            toward += _turn(bench, corner, nx, ny, nz)
            toward += _lean(attributes[0], around, bench, grad_color, r)
            toward += _lean(attributes[1], around, bench, grad_logits, r)
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
                _add(to_color, row, to_attribute[p, c], grad_color, r)
            if len(to_logits):
                _add(to_logits, row, to_attribute[p, c], grad_logits, r)


@inlined
def _add(totals: Any, row: int, share: Any, grads: Any, r: int) -> None:
    for k in range(totals.shape[1]):
        totals[row, k] += share * grads[r, k]
