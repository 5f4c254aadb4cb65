"""Polygons cut by convex solids, compiled: what remains of each face when hidden parts are taken away.

Imported only where it is used. Polygons are convex and kept one after another: ``points`` (V, 3) and ``starts``
(P + 1,). Solids are kept as planes (n, d) with n . x <= d inside, likewise one after another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_s4r.geometry.compiled import compiled

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

# A face is hidden by a solid that reaches this far beyond it, metres; also what counts as touching.
TOUCH = 1e-5
_TOLERANCE = 1e-7
_LEAST_AREA = 1e-9
_CORNERS = 96
_PIECES = 2048


@compiled
def _split(piece: Any, count: Any, plane: Any, shift: Any, inner: Any, outer: Any) -> Any:
    """Cut a polygon by a plane that is moved by ``shift``; corners inside and outside, 0 for none."""
    low, high = 0.0, 0.0
    for i in range(count):
        side = plane[0] * piece[i, 0] + plane[1] * piece[i, 1] + plane[2] * piece[i, 2] - plane[3] + shift
        low, high = min(low, side), max(high, side)
    if high <= _TOLERANCE:
        inner[:count] = piece[:count]
        return count, 0
    if low >= -_TOLERANCE:
        outer[:count] = piece[:count]
        return 0, count
    n_in, n_out = 0, 0
    for i in range(count):
        j = (i + 1) % count
        a = plane[0] * piece[i, 0] + plane[1] * piece[i, 1] + plane[2] * piece[i, 2] - plane[3] + shift
        b = plane[0] * piece[j, 0] + plane[1] * piece[j, 1] + plane[2] * piece[j, 2] - plane[3] + shift
        if a <= _TOLERANCE:
            inner[n_in] = piece[i]
            n_in += 1
        if a >= -_TOLERANCE:
            outer[n_out] = piece[i]
            n_out += 1
        if (a < -_TOLERANCE and b > _TOLERANCE) or (a > _TOLERANCE and b < -_TOLERANCE):
            part = a / (a - b)
            for axis in range(3):
                value = piece[i, axis] + part * (piece[j, axis] - piece[i, axis])
                inner[n_in, axis] = value
                outer[n_out, axis] = value
            n_in += 1
            n_out += 1
    return n_in, n_out


@compiled
def _area(piece: Any, count: Any) -> Any:
    x, y, z = 0.0, 0.0, 0.0
    for i in range(1, count - 1):
        ax, ay, az = piece[i, 0] - piece[0, 0], piece[i, 1] - piece[0, 1], piece[i, 2] - piece[0, 2]
        bx, by, bz = piece[i + 1, 0] - piece[0, 0], piece[i + 1, 1] - piece[0, 1], piece[i + 1, 2] - piece[0, 2]
        x += ay * bz - az * by
        y += az * bx - ax * bz
        z += ax * by - ay * bx
    return 0.5 * np.sqrt(x * x + y * y + z * z)


@compiled
def _cut(pieces: Any, counts: Any, number: Any, planes: Any, normal: Any, shift: Any, keep_inside: Any) -> Any:
    """Cut each of ``number`` polygons, moved by ``shift`` along ``normal``, by a convex solid; the new number.

    Kept is what lies outside, or inside if ``keep_inside``.
    """
    here, inner = np.empty((_CORNERS, 3)), np.empty((_CORNERS, 3))
    outside = np.empty((len(planes), _CORNERS, 3))
    outside_counts = np.empty(len(planes), dtype=np.int64)
    result = 0
    old = pieces[:number].copy()
    old_counts = counts[:number].copy()
    for index in range(number):
        count = old_counts[index]
        here[:count] = old[index, :count]
        made = 0
        for k in range(len(planes)):
            move = shift * (planes[k, 0] * normal[0] + planes[k, 1] * normal[1] + planes[k, 2] * normal[2])
            n_in, n_out = _split(here, count, planes[k], move, inner, outside[made])
            if n_out > 0 and n_in > 0:
                outside_counts[made] = n_out
                made += 1
            count = n_in
            if n_in == 0:
                break
            here[:n_in] = inner[:n_in]
        if keep_inside:
            if count > 0 and _area(here, count) > _LEAST_AREA and result < len(pieces):
                pieces[result, :count] = here[:count]
                counts[result] = count
                result += 1
        elif count == 0:
            if result < len(pieces):
                pieces[result] = old[index]
                counts[result] = old_counts[index]
                result += 1
        else:
            for k in range(made):
                if _area(outside[k], outside_counts[k]) > _LEAST_AREA and result < len(pieces):
                    pieces[result] = outside[k]
                    counts[result] = outside_counts[k]
                    result += 1
    return result


@compiled
def _apart(low: Any, high: Any, other_low: Any, other_high: Any) -> Any:
    for axis in range(3):
        if low[axis] > other_high[axis] + 2 * TOUCH or other_low[axis] > high[axis] + 2 * TOUCH:
            return True
    return False


@compiled
def _in_air(corners: Any, low: Any, high: Any, normal: Any, own: Any, rooms: Any, pieces: Any, counts: Any) -> Any:
    """Write what of a face lies before the air of a room or opening; the number of pieces.

    ``own`` is the air box that it is a side of, whose other side must be no air; -1 for a face of a solid.
    """
    planes, starts, lows, highs = rooms
    part, part_count = np.empty((1, _CORNERS, 3)), np.empty(1, dtype=np.int64)
    number = 0
    if own >= 0:
        pieces[0, : len(corners)] = corners
        counts[0] = len(corners)
        number = 1
    for r in range(len(starts) - 1):
        if r == own or _apart(low, high, lows[r], highs[r]):
            continue
        cutter = planes[starts[r] : starts[r + 1]]
        if own >= 0:
            number = _cut(pieces, counts, number, cutter, normal, -TOUCH, False)
            continue
        part[0, : len(corners)] = corners
        part_count[0] = len(corners)
        if _cut(part, part_count, 1, cutter, normal, TOUCH, True) == 1:
            pieces[number] = part[0]
            counts[number] = part_count[0]
            number += 1
    return number


@compiled
def exposed(
    polygons: Any, owners: Any, is_shell: Any, solids: Any, rooms: Any, out_points: Any, out_counts: Any, out_owner: Any
) -> Any:
    """What is in touch with air of every polygon.

    Args:
        polygons: ``points``, ``starts``.
        owners: (P,) number of the solid or air box that a polygon is a face of.
        is_shell: (P,) whether it is a face of an air box, seen from inside.
        solids: ``planes`` (., 4), ``starts``, lower and upper corners (S, 3).
        rooms: The same of the air boxes, which touch but do not overlap.
        out_points: (M, corners, 3) to fill.
        out_counts: (M,) to fill.
        out_owner: (M,) to fill with the polygon that a piece comes from.

    Returns:
        Number of pieces; M if there may be more.
    """
    points, starts = polygons
    planes, plane_starts, lows, highs = solids
    pieces, counts = np.empty((_PIECES, _CORNERS, 3)), np.empty(_PIECES, dtype=np.int64)
    total = 0
    for p in range(len(starts) - 1):
        corners = points[starts[p] : starts[p + 1]]
        low, high = corners[0].copy(), corners[0].copy()
        for i in range(1, len(corners)):
            low, high = np.minimum(low, corners[i]), np.maximum(high, corners[i])
        a, b = corners[1] - corners[0], corners[2] - corners[0]
        normal = np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
        normal /= np.sqrt((normal * normal).sum())
        own = owners[p] if is_shell[p] else -1
        number = _in_air(corners, low, high, normal, own, rooms, pieces, counts)
        for s in range(len(plane_starts) - 1):
            if number == 0:
                break
            if (not is_shell[p] and s == owners[p]) or _apart(low, high, lows[s], highs[s]):
                continue
            cutter = planes[plane_starts[s] : plane_starts[s + 1]]
            number = _cut(pieces, counts, number, cutter, normal, TOUCH, False)
            if not is_shell[p] and s < owners[p]:
                # Of two faces that coincide and look the same way, the first solid's remains.
                number = _cut(pieces, counts, number, cutter, normal, -TOUCH, False)
        for k in range(number):
            if total == len(out_points) or number == len(pieces):
                return len(out_points)
            out_points[total] = pieces[k]
            out_counts[total] = counts[k]
            out_owner[total] = p
            total += 1
    return total
