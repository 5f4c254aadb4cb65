"""Rotations as capture files write them."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

# Quaternions written with few digits are off by less than this.
_UNIT_TOLERANCE = 0.01


def pose_of_quaternion(xyzw: tuple[float, ...], position: tuple[float, ...]) -> Tensor:
    """Pose (4, 4) float64 of a unit quaternion with the real part last and a position.

    A quaternion of another length gives NaN, as numbers that are not finite do: tracking was lost, and the frame is
    refused where its pose is read.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        is_unit = abs(float(np.linalg.norm(xyzw)) - 1) < _UNIT_TOLERANCE
    return _pose(Rotation.from_quat(xyzw).as_matrix() if is_unit else np.full((3, 3), np.nan), position)


def pose_of_rotation_vector(vector: tuple[float, ...], position: tuple[float, ...]) -> Tensor:
    """Pose (4, 4) float64 of an axis times an angle in radians, and a position; as ``pose_of_quaternion``."""
    # Nobody writes more than a turn; numbers whose square overflows would not come back.
    is_angle = all(abs(part) < 1e3 for part in vector)
    return _pose(Rotation.from_rotvec(vector).as_matrix() if is_angle else np.full((3, 3), np.nan), position)


def _pose(rotation: np.ndarray, position: tuple[float, ...]) -> Tensor:
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.from_numpy(np.asarray(rotation, dtype=np.float64))
    pose[:3, 3] = torch.tensor(position, dtype=torch.float64)
    return pose
