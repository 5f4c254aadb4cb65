"""Motion blur from depth and the camera's motion, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparse_s4r.geometry.compiled import compiled
from sparse_s4r.structures import Camera

_TAPS = 5


def smear(
    color: NDArray[np.float32], depth: NDArray[np.float64], camera: Camera, following: Camera, share: float, most: float
) -> NDArray[np.float32]:
    """A picture (H, W, 3) taken while the camera moves.

    Every pixel becomes the mean of five along the way that its point goes in the picture.

    Args:
        color: Sharp picture.
        depth: (H, W) z-depth, metres; pixels without depth stay sharp.
        camera: Where it was taken.
        following: Where the camera is one frame later.
        share: Part of the time between two frames during which the shutter is open.
        most: Longest way, pixels.
    """
    # From pixels of one camera to those of the next, as a homogeneous matrix of z-depth.
    motion = torch.linalg.inv(following.camera_to_world) @ camera.camera_to_world
    turn = (following.intrinsics @ motion[:3, :3] @ torch.linalg.inv(camera.intrinsics)).numpy()
    shift = (following.intrinsics @ motion[:3, 3]).numpy()
    blurred = np.empty_like(color)
    _smear(blurred, color, depth, turn, shift, share, most)
    return blurred


@compiled
def _smear(blurred: Any, color: Any, depth: Any, turn: Any, shift: Any, share: Any, most: Any) -> None:
    rows, columns = depth.shape
    for i in range(rows):
        for j in range(columns):
            z = depth[i, j]
            blurred[i, j] = color[i, j]
            if z <= 0.0:
                continue
            w = z * (turn[2, 0] * j + turn[2, 1] * i + turn[2, 2]) + shift[2]
            if w < 0.05:
                continue
            du = (z * (turn[0, 0] * j + turn[0, 1] * i + turn[0, 2]) + shift[0]) / w - j
            dv = (z * (turn[1, 0] * j + turn[1, 1] * i + turn[1, 2]) + shift[1]) / w - i
            length = share * np.sqrt(du * du + dv * dv)
            if length < 0.3:
                continue
            scale = share * min(1.0, most / length)
            for channel in range(3):
                total = 0.0
                for tap in range(_TAPS):
                    part = scale * (tap / (_TAPS - 1) - 0.5)
                    y = min(rows - 1.001, max(0.0, i + part * dv))
                    x = min(columns - 1.001, max(0.0, j + part * du))
                    r, c = int(y), int(x)
                    a, b = y - r, x - c
                    upper = (1.0 - b) * color[r, c, channel] + b * color[r, c + 1, channel]
                    lower = (1.0 - b) * color[r + 1, c, channel] + b * color[r + 1, c + 1, channel]
                    total += (1.0 - a) * upper + a * lower
                blurred[i, j, channel] = total / _TAPS
