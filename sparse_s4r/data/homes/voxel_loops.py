"""Distances of voxels to triangles, compiled. Imported only where it is used."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparse_s4r.geometry.compiled import compiled, inlined


@inlined
def _dot(a: Any, b: Any) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@compiled
def _closest(p: Any, a: Any, ab: Any, ac: Any, q: Any) -> None:
    """Write the point of the triangle (a, a + ab, a + ac) that is nearest to p into q.

    Source:
        Ericson, "Real-time collision detection", 2005, section 5.1.5.
    """
    ap = (p[0] - a[0], p[1] - a[1], p[2] - a[2])
    d1, d2 = _dot(ab, ap), _dot(ac, ap)
    b11, b12, b22 = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac)
    d3, d4, d5, d6 = d1 - b11, d2 - b12, d1 - b12, d2 - b22
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    v, w = 0.0, 0.0
    if d1 <= 0.0 and d2 <= 0.0:
        pass
    elif d3 >= 0.0 and d4 <= d3:
        v = 1.0
    elif d6 >= 0.0 and d5 <= d6:
        w = 1.0
    elif vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        v = d1 / (d1 - d3)
    elif vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        w = d2 / (d2 - d6)
    elif va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        v = 1.0 - w
    else:
        total = va + vb + vc
        v, w = vb / total, vc / total
    for axis in range(3):
        q[axis] = a[axis] + v * ab[axis] + w * ac[axis]


@compiled
def nearest(
    distance: Any, number: Any, corner: Any, size: Any, triangles: Any, normals: Any, rows: Any, band: Any
) -> None:
    """Lower ``distance`` and write ``number`` of a box of voxels wherever a triangle is nearer.

    Args:
        distance: (X, Y, Z) float32 metres; voxels farther than ``band`` stay as they are.
        number: (X, Y, Z) int32.
        corner: (3,) world centre of voxel (0, 0, 0).
        size: Edge of a voxel, metres.
        triangles: (T, 3, 3).
        normals: (T, 3).
        rows: Triangles to look at.
        band: Metres.
    """
    p, q, low, high = np.empty(3), np.empty(3), np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    for t in rows:
        a = triangles[t, 0]
        ab, ac, n = triangles[t, 1] - a, triangles[t, 2] - a, normals[t]
        for axis in range(3):
            least = min(triangles[t, 0, axis], triangles[t, 1, axis], triangles[t, 2, axis]) - band
            most = max(triangles[t, 0, axis], triangles[t, 1, axis], triangles[t, 2, axis]) + band
            low[axis] = max(0, int(np.ceil((least - corner[axis]) / size)))
            high[axis] = min(distance.shape[axis] - 1, int(np.floor((most - corner[axis]) / size)))
        for i in range(low[0], high[0] + 1):
            p[0] = corner[0] + i * size
            for j in range(low[1], high[1] + 1):
                p[1] = corner[1] + j * size
                base = n[0] * (p[0] - a[0]) + n[1] * (p[1] - a[1]) - n[2] * a[2]
                for k in range(low[2], high[2] + 1):
                    p[2] = corner[2] + k * size
                    best = min(distance[i, j, k], band)
                    if abs(base + n[2] * p[2]) > best:
                        continue
                    _closest(p, a, ab, ac, q)
                    found = np.sqrt((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 + (p[2] - q[2]) ** 2)
                    # A hair nearer, so that rounding does not choose between triangles that share an edge.
                    if found < best - 1e-7:
                        distance[i, j, k] = found
                        number[i, j, k] = t


@compiled
def fill(inside: Any, corner: Any, size: Any, planes: Any, starts: Any, lows: Any, highs: Any, value: Any) -> None:
    """Set ``inside`` (X, Y, Z) to ``value`` at all voxels whose centres lie in one of some convex solids."""
    low, high = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    for s in range(len(starts) - 1):
        for axis in range(3):
            low[axis] = max(0, int(np.ceil((lows[s, axis] - corner[axis]) / size)))
            high[axis] = min(inside.shape[axis] - 1, int(np.floor((highs[s, axis] - corner[axis]) / size)))
        for i in range(low[0], high[0] + 1):
            x = corner[0] + i * size
            for j in range(low[1], high[1] + 1):
                y = corner[1] + j * size
                for k in range(low[2], high[2] + 1):
                    z = corner[2] + k * size
                    within = True
                    for f in range(starts[s], starts[s + 1]):
                        if planes[f, 0] * x + planes[f, 1] * y + planes[f, 2] * z > planes[f, 3]:
                            within = False
                            break
                    if within:
                        inside[i, j, k] = value


@compiled
def closest_points(points: Any, triangles: Any, numbers: Any) -> Any:
    """Points (P, 3) on ``triangles[numbers]`` nearest to ``points`` (P, 3)."""
    found = np.empty_like(points)
    for row in range(len(points)):
        t = numbers[row]
        a = triangles[t, 0]
        _closest(points[row], a, triangles[t, 1] - a, triangles[t, 2] - a, found[row])
    return found
