"""Slow reference of the raycaster: one ray at a time through a dense volume, in plain numbers.

It states the rules by themselves: samples at ``min(near + k * spacing, far)``; a sample is valid when all eight
corners around it are present; a hit is the first pair of consecutive valid samples with signs + and -; the root is
found by bisection. It skips nothing.
"""

from __future__ import annotations

import math

import numpy as np


def trilinear(volume: np.ndarray, point: np.ndarray) -> np.ndarray | float:
    """Value at continuous index ``point`` of ``volume`` (X, Y, Z) or (X, Y, Z, C); NaN where a corner is absent."""
    low = np.floor(point).astype(int)
    absent = np.full(volume.shape[3:], np.nan)
    if (low < 0).any() or (low + 1 >= volume.shape[:3]).any():
        return absent
    total = np.zeros(volume.shape[3:])
    for offset in np.ndindex(2, 2, 2):
        weight = 1.0
        for axis in range(3):
            part = point[axis] - low[axis]
            weight *= part if offset[axis] else 1.0 - part
        corner = volume[tuple(low + offset)]
        if np.isnan(corner).any():
            return absent
        total = total + weight * corner
    return total


def first_front_face(
    volume: np.ndarray, origin: np.ndarray, direction: np.ndarray, limits: tuple[float, float], spacing: float
) -> tuple[float, bool]:
    """Parameter of the first + to - crossing, NaN for a miss; and whether absent voxels leave the answer open.

    Args:
        volume: (X, Y, Z) distances, NaN where absent.
        origin: (3,) continuous index of the camera.
        direction: (3,) indices per unit of the parameter.
        limits: Near and far parameter.
        spacing: Parameter between samples.
    """
    near, far = limits
    before, t_before = math.nan, math.nan
    for k in range(math.ceil((far - near) / spacing) + 1):
        t = min(near + k * spacing, far)
        value = float(trilinear(volume, origin + t * direction))
        if before > 0 and value <= 0:
            inner = [float(trilinear(volume, origin + s * direction)) for s in np.linspace(t_before, t, 41)]
            return _bisect(volume, origin, direction, t_before, t), bool(np.isnan(inner).any())
        before, t_before = value, t
    return math.nan, False


def _bisect(volume: np.ndarray, origin: np.ndarray, direction: np.ndarray, left: float, right: float) -> float:
    for _ in range(100):
        middle = 0.5 * (left + right)
        if float(trilinear(volume, origin + middle * direction)) > 0:
            left = middle
        else:
            right = middle
    return 0.5 * (left + right)
