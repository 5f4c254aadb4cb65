"""Checks against the true box room of ``tests.data.captures``, whose colours encode where a point lies."""

from __future__ import annotations

import numpy as np

from sparse_s4r.structures import RGBDFrame
from tests.data.captures import ROOM_LOWER, ROOM_UPPER


def off_surface(points: np.ndarray) -> np.ndarray:
    """Distance (N,) metres of points (N, 3) from the nearest of the room's planes."""
    return np.minimum(np.abs(points - ROOM_LOWER), np.abs(points - ROOM_UPPER)).min(axis=1)


def unprojected(frame: RGBDFrame) -> tuple[np.ndarray, np.ndarray]:
    """World points (N, 3) of the frame's valid depth, computed here, and where its colours say that they lie."""
    rows, columns = np.nonzero(frame.depth.numpy())
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=1) @ np.linalg.inv(frame.camera.intrinsics.numpy()).T
    pose = frame.camera.camera_to_world.numpy()
    points = (rays * frame.depth.numpy()[rows, columns, None]) @ pose[:3, :3].T + pose[:3, 3]
    return points, ROOM_LOWER + frame.color.numpy()[rows, columns] * (ROOM_UPPER - ROOM_LOWER)
