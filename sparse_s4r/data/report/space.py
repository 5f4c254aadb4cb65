"""Up, extent and size of what was seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.readers.generic import AXES
from sparse_s4r.data.report.facts import SpaceFacts, UpFacts
from sparse_s4r.data.up_axis import estimate_up, rotation_to_z
from sparse_s4r.structures import RGBDFrame

_OUTERMOST = 0.001
_QUANTILES = 200_000


def up_facts(capture: Capture, frames: Sequence[RGBDFrame], choice: str) -> UpFacts:
    """The up direction as asked for, else as declared, else estimated.

    Args:
        capture: The capture.
        frames: Spread over the capture.
        choice: "auto" or an axis: x, -x, y, -y, z, -z.
    """
    estimated, source = estimate_up(frames)
    up = estimated
    if choice != "auto":
        up, source = torch.tensor(AXES[choice], dtype=torch.float64), f"{choice}, as asked for"
    elif capture.up is not None:
        up, source = capture.up.double(), f"{_axis(capture.up)}, declared by the capture"
    off = math.degrees(math.acos(max(-1.0, min(1.0, float(up @ estimated)))))
    x, y, z = up.tolist()
    return UpFacts((x, y, z), source.removeprefix("up: "), off)


def space_facts(frames: Sequence[RGBDFrame], up: UpFacts, depth_max: float, voxel_size: float) -> SpaceFacts:
    """Extent and voxels of the sampled frames.

    Args:
        frames: Spread over the capture.
        up: The up direction.
        depth_max: Largest depth that is fused, metres.
        voxel_size: Edge of a voxel, metres.
    """
    turn = rotation_to_z(torch.tensor(up.direction, dtype=torch.float64))[:3, :3].float()
    keys, thinned = [], []
    for frame in frames:
        points = visible_points(frame, depth_max) @ turn.T
        keys.append(torch.unique(_keys(points, voxel_size)))
        thinned.append(points[:: max(1, len(points) * len(frames) // _QUANTILES)])
    points = torch.cat(thinned)
    if len(points) == 0:
        return SpaceFacts((0.0, 0.0, 0.0), voxel_size, 0)
    ends = torch.stack([points[:, axis].quantile(torch.tensor([_OUTERMOST, 1 - _OUTERMOST])) for axis in range(3)])
    x, y, z = (ends[:, 1] - ends[:, 0]).tolist()
    return SpaceFacts((x, y, z), voxel_size, len(torch.unique(torch.cat(keys))))


def visible_points(frame: RGBDFrame, depth_max: float) -> Tensor:
    """Points (P, 3) float32 in the capture's world of depth up to ``depth_max``."""
    return frame.camera.unproject(frame.depth)[(frame.depth > 0) & (frame.depth <= depth_max)].float()


def _keys(points: Tensor, voxel_size: float) -> Tensor:
    """One number per voxel (P,) int64; voxels farther out than 10 km share some."""
    cell = torch.floor(points.double() / voxel_size).long() + (1 << 20)
    x, y, z = cell.clamp(0, (1 << 21) - 1).unbind(dim=1)
    return (x << 42) | (y << 21) | z


def _axis(up: Tensor) -> str:
    for name, axis in AXES.items():
        if torch.equal(up.double(), torch.tensor(axis, dtype=torch.float64)):
            return name if name.startswith("-") else f"+{name}"
    return "(" + ", ".join(f"{value:.3f}" for value in up.tolist()) + ")"
