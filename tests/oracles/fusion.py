"""Slow references of fusion and observation: one voxel and one frame at a time, in plain numbers."""

from __future__ import annotations

import math

import numpy as np

FREE, UNKNOWN = 1, 0


def samples(
    point: np.ndarray, intrinsics: np.ndarray, pose: np.ndarray, depth: np.ndarray, depth_max: float
) -> tuple[float, int, int] | None:
    """Depth behind a world point, and its pixel (row, column); None where the image says nothing."""
    local = np.linalg.inv(pose) @ np.append(point, 1.0)
    if local[2] <= 0:
        return None
    column = math.floor(intrinsics[0, 0] * local[0] / local[2] + intrinsics[0, 2] + 0.5)
    row = math.floor(intrinsics[1, 1] * local[1] / local[2] + intrinsics[1, 2] + 0.5)
    if not (0 <= row < depth.shape[0] and 0 <= column < depth.shape[1]):
        return None
    if not 0 < depth[row, column] <= depth_max:
        return None
    return float(depth[row, column] - local[2]), row, column


def fuse_voxel(
    point: np.ndarray,
    frames: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    truncation: float,
    depth_max: float,
) -> tuple[float, int, np.ndarray]:
    """Mean truncated distance, number of samples and mean colour of the voxel centred at ``point``.

    ``frames`` holds (intrinsics, pose, depth, color).
    """
    distances, colors = [], []
    for intrinsics, pose, depth, color in frames:
        sample = samples(point, intrinsics, pose, depth, depth_max)
        if sample is not None and sample[0] >= -truncation:
            distances.append(min(sample[0], truncation))
            colors.append(color[sample[1], sample[2]])
    if not distances:
        return math.nan, 0, np.full(3, math.nan)
    return float(np.mean(distances)), len(distances), np.mean(colors, axis=0)


def seen_free(
    point: np.ndarray,
    frames: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]],
    margin: float,
    depth_max: float,
) -> bool:
    """True if one frame's depth lies more than ``margin`` behind ``point``."""
    for intrinsics, pose, depth, _ in frames:
        sample = samples(point, intrinsics, pose, depth, depth_max)
        if sample is not None and sample[0] > margin:
            return True
    return False
