"""A furnished box room that depth cameras have looked at: everything from its signed distance, nothing rendered."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.geometry.observation import observe
from sparse_s4r.structures import Camera, GridSpec, ObservationGrid, RGBDFrame, SparseTSDF
from tests.render.fields import BAND, look_at

SIZE = (4.8, 4.0, 2.4)
VOXEL = 0.04
Box = tuple[tuple[float, float, float], tuple[float, float, float]]
Distance = Callable[[Tensor], Tensor]
# Lower and upper corner, metres: a table, a cupboard and a sofa.
FURNITURE: tuple[Box, ...] = (
    ((1.9, 1.5, 0.0), (2.9, 2.2, 0.72)),
    ((0.0, 3.4, 0.0), (1.6, 4.0, 1.9)),
    ((3.9, 0.3, 0.0), (4.8, 1.8, 0.7)),
)
# A wall across the room, to its ceiling.
PARTITION: Box = ((2.6, 0.0, 0.0), (2.8, 4.0, 2.4))
EYES = ((0.6, 0.6), (4.2, 3.4), (0.7, 2.8), (4.0, 2.3), (2.4, 0.6), (2.4, 3.2))


@dataclass(frozen=True)
class Room:
    """Scan, observation and real cameras of a room, and the signed distance that all come from."""

    distance: Distance
    scan: SparseTSDF
    observation: ObservationGrid
    cameras: tuple[Camera, ...]


def room_distance(*boxes: Box) -> Distance:
    """Signed distance to walls and boxes, metres, positive in the open; exact where it is positive."""

    def distance(points: Tensor) -> Tensor:
        result = torch.minimum(points, torch.tensor(SIZE, dtype=points.dtype) - points).amin(dim=-1)
        for lower, upper in boxes:
            low, high = torch.tensor(lower, dtype=points.dtype), torch.tensor(upper, dtype=points.dtype)
            outside = torch.maximum(low - points, points - high)
            box = outside.clamp(min=0).norm(dim=-1) + outside.amax(dim=-1).clamp(max=0)
            result = torch.minimum(result, box)
        return result

    return distance


def trace(camera: Camera, distance: Distance, steps: int = 80) -> Tensor:
    """Z-depth (H, W) of the surface by sphere tracing from a camera in the open."""
    direction = camera.ray_directions()
    length = direction.norm(dim=-1)
    depth = torch.zeros(length.shape, dtype=torch.float64)
    for _ in range(steps):
        step = distance(camera.center + depth.unsqueeze(-1) * direction) / length
        depth = depth + step
        if float(step.max()) < 1e-7:
            break
    return depth


def real_cameras(eyes: tuple[tuple[float, float], ...] = EYES, turns: int = 6, height: float = 1.5) -> list[Camera]:
    """Cameras at eye height that look around and a little down, 73 degrees wide."""
    cameras = []
    for x, y in eyes:
        for turn in range(turns):
            angle = 2 * math.pi * (turn + 0.3) / turns
            target = (x + math.cos(angle), y + math.sin(angle), height - 0.35)
            cameras.append(look_at((x, y, height), target, (64, 48), 43))
    return cameras


def make_room(
    boxes: tuple[Box, ...] = FURNITURE,
    cameras: list[Camera] | None = None,
    unseen: Callable[[Tensor], Tensor] | None = None,
) -> Room:
    """A room as its cameras saw it.

    Args:
        boxes: What stands in it.
        cameras: Real cameras; by default ``real_cameras()``.
        unseen: True (P,) for surface points (P, 3) that give neither depth nor voxels, such as glass.
    """
    cameras = real_cameras() if cameras is None else cameras
    distance = room_distance(*boxes)
    grid = GridSpec(VOXEL)
    axes = [torch.arange(-4, math.ceil(length / VOXEL) + 4) for length in SIZE]
    coordinates = torch.cartesian_prod(*axes)
    centers = grid.centers(coordinates, dtype=torch.float64)
    tsdf = distance(centers)
    band = tsdf.abs() < BAND * grid.truncation
    if unseen is not None:
        band &= ~unseen(centers)
    scan = SparseTSDF(grid, coordinates[band], tsdf[band].float(), torch.ones(int(band.sum())))
    frames = []
    for number, camera in enumerate(cameras):
        depth = trace(camera, distance)
        if unseen is not None:
            depth[unseen(camera.unproject(depth).view(-1, 3)).view_as(depth)] = 0
        color = torch.zeros(camera.height, camera.width, 3)
        frames.append(RGBDFrame(str(number), camera, color, depth.float()))
    lower, upper = torch.full((3,), -0.3), torch.tensor(SIZE) + 0.3
    return Room(distance, scan, observe(frames, scan, lower, upper), tuple(cameras))
