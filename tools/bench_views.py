"""What the raycaster is timed on: a furnished synthetic room, parts and rows of it, and a camera in it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sparse_s4r.structures import CELL, Camera, GridSpec, ScenePrediction

ROOM = (6.5, 6.5, 2.7)
# Boxes as (lower corner, upper corner), metres: a table, a shelf, a sofa and a bed.
FURNITURE = (
    ((2.0, 2.0, 0.0), (3.2, 2.8, 0.8)),
    ((0.0, 3.8, 0.0), (0.4, 5.8, 2.0)),
    ((3.8, 0.4, 0.0), (5.8, 1.3, 0.7)),
    ((4.5, 4.1, 0.0), (6.5, 6.1, 0.5)),
)
# Share of the truncation that is kept, and voxels by which it reaches beyond the walls.
_BAND, _BEYOND = 0.95, 8
# Rays at the rim of an image use voxels just outside it, pixels.
_RIM = 24


def make_room(voxel_size: float, classes: int) -> ScenePrediction:
    """The band of the room, with random colours and logits, float32; 2.5 million voxels of 2 cm."""
    grid = GridSpec(voxel_size)
    counts = [round(length / voxel_size) + _BEYOND for length in ROOM]
    x, y = torch.meshgrid(torch.arange(-_BEYOND, counts[0]), torch.arange(-_BEYOND, counts[1]), indexing="ij")
    coordinates, distances = [], []
    for z in range(-_BEYOND, counts[2]):
        layer = torch.stack([x, y, torch.full_like(x, z)], dim=-1).view(-1, 3)
        distance = _room_distance(grid.centers(layer))
        band = distance.abs() < _BAND * grid.truncation
        coordinates.append(layer[band])
        distances.append(distance[band])
    tsdf = torch.cat(distances)
    return with_classes(ScenePrediction(grid, torch.cat(coordinates), tsdf, torch.rand(len(tsdf), 3)), classes)


def _room_distance(points: Tensor) -> Tensor:
    walls = torch.minimum(points, torch.tensor(ROOM) - points).amin(dim=1)
    for lower, upper in FURNITURE:
        outside = torch.maximum(torch.tensor(lower) - points, points - torch.tensor(upper))
        walls = torch.minimum(walls, outside.clamp(min=0).norm(dim=1) + outside.amax(dim=1).clamp(max=0))
    return walls


def with_classes(prediction: ScenePrediction, classes: int) -> ScenePrediction:
    """The same field with ``classes`` random logits per voxel, or with none."""
    logits = torch.randn(len(prediction), classes, device=prediction.tsdf.device) if classes else None
    return replace(prediction, semantic_logits=logits)


def part_in_view(room: ScenePrediction, camera: Camera) -> ScenePrediction:
    """The voxels that ``camera`` looks at, whether or not something stands before them."""
    pixel, depth = camera.project(room.grid.centers(room.coordinates, dtype=torch.float64))
    size = pixel.new_tensor([camera.width, camera.height])
    return room.select((depth > 0) & ((pixel > -_RIM) & (pixel < size + _RIM)).all(dim=1))


def row_of_rooms(room: ScenePrediction, count: int) -> ScenePrediction:
    """``count`` copies side by side along x; the first stays in place, so what is seen in it stays the same."""
    width = int(room.coordinates[:, 0].max() - room.coordinates[:, 0].min()) + 1
    step = room.coordinates.new_tensor([-(-(width + _BEYOND) // CELL) * CELL, 0, 0])
    return replace(
        room,
        coordinates=torch.cat([room.coordinates + i * step for i in range(count)]),
        tsdf=room.tsdf.repeat(count),
        color=None if room.color is None else room.color.repeat(count, 1),
        semantic_logits=None if room.semantic_logits is None else room.semantic_logits.repeat(count, 1),
    )


def room_camera(width: int, height: int) -> Camera:
    """A camera in one corner at eye height that looks across the room, 60 degrees wide."""
    eye = torch.tensor([0.9, 0.9, 1.6], dtype=torch.float64)
    target = torch.tensor([0.7 * ROOM[0], 0.7 * ROOM[1], 0.7], dtype=torch.float64)
    forward = torch.nn.functional.normalize(target - eye, dim=0)
    right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    right = torch.nn.functional.normalize(right, dim=0)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
    pose[:3, 3] = eye
    focal = 0.866 * width
    rows = [[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]
    return Camera(torch.tensor(rows, dtype=torch.float64), pose, width, height)
