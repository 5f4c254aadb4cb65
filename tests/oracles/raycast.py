"""Slow reference of the raycaster: one ray at a time through a dense volume, in plain numbers.

It states the rules by themselves. The ray is cut at all planes of the grid that it meets; the middle of a piece tells
its cell. A cell counts when at least ``min_corners`` of its corners are there and they have both signs; an absent
corner has the value of the affine function that fits the present ones best. The polynomial of the piece is fitted to
four values and its roots are eigenvalues. It skips nothing.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

_OFFSETS = np.array(list(np.ndindex(2, 2, 2)), dtype=float)


def cell_corners(volume: np.ndarray, cell: np.ndarray, min_corners: int) -> np.ndarray | None:
    """The eight distances of ``cell``, absent ones filled; None for a cell without surface."""
    corners = np.full(8, np.nan)
    for number, offset in enumerate(np.ndindex(2, 2, 2)):
        place = cell + offset
        if (place >= 0).all() and (place < volume.shape).all():
            corners[number] = volume[tuple(place)]
    there = ~np.isnan(corners)
    if there.sum() < min_corners or not (corners[there] > 0).any() or not (corners[there] <= 0).any():
        return None
    places = np.column_stack([np.ones(8), _OFFSETS])
    plane = np.linalg.lstsq(places[there], corners[there], rcond=None)[0]
    return np.where(there, corners, places @ plane)


def trilinear(corners: np.ndarray, along: np.ndarray) -> float:
    """Value at ``along`` (3,) in [0, 1] between ``corners`` (8,), x slowest."""
    parts = np.where(_OFFSETS == 1, along, 1 - along)
    return float((corners * parts.prod(axis=1)).sum())


def first_front_face(
    volume: np.ndarray, origin: np.ndarray, direction: np.ndarray, limits: tuple[float, float], min_corners: int
) -> tuple[float, tuple[int, ...]]:
    """Parameter and cell of the first fall through zero, (NaN, ()) for a miss.

    Args:
        volume: (X, Y, Z) distances, NaN where absent.
        origin: (3,) continuous index of the camera.
        direction: (3,) indices per unit of the parameter.
        limits: Near and far parameter.
        min_corners: Least number of corners of a cell.
    """
    before = math.nan
    for start, end in pairwise(_cuts(volume, origin, direction, limits)):
        cell = np.floor(origin + 0.5 * (start + end) * direction).astype(int)
        corners = cell_corners(volume, cell, min_corners)
        if corners is None:
            before = math.nan
            continue
        values = [
            trilinear(corners, origin + (start + share * (end - start)) * direction - cell)
            for share in (0.0, 1 / 3, 2 / 3, 1.0)
        ]
        if before > 0 and values[0] <= 0:
            return start, tuple(cell.tolist())
        share = _first_fall(np.polyfit([0.0, 1 / 3, 2 / 3, 1.0], values, 3))
        if share is not None:
            return start + share * (end - start), tuple(cell.tolist())
        before = values[-1]
    return math.nan, ()


def _cuts(volume: np.ndarray, origin: np.ndarray, direction: np.ndarray, limits: tuple[float, float]) -> list[float]:
    cuts = set(limits)
    for axis in range(3):
        if direction[axis] != 0:
            planes = (np.arange(volume.shape[axis]) - origin[axis]) / direction[axis]
            cuts.update(float(t) for t in planes if limits[0] < t < limits[1])
    return sorted(cuts)


def _first_fall(cubic: np.ndarray) -> float | None:
    slope = np.polyder(cubic)
    roots = [root.real for root in np.roots(cubic) if abs(root.imag) < 1e-9 and 0 <= root.real <= 1]
    falls = [float(root) for root in roots if np.polyval(slope, root) < 0]
    return min(falls, default=None)
