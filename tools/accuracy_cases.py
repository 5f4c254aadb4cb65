"""Bodies whose depth a formula gives, as sparse fields and with cameras around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sparse_s4r.structures import Camera, GridSpec, ScenePrediction

_SIZE = (320, 256)
# Fusion keeps this share of the truncation.
_BAND = 0.95
_SLANTED = (0.3, -0.2, 1.0)
_RADIUS = 0.4
_BOX = (0.25, 0.2, 0.15)


@dataclass(frozen=True)
class AnalyticCase:
    """A body at the world's origin.

    Attributes:
        name: For the table.
        distance: Signed distances (P,) float64 of world points (P, 3), positive outside.
        depth: z-depth (H, W) float64 that a camera must see, 0 where it sees nothing.
        half: The field fills the cube [-half, half]^3, metres.
        cameras: From where to look.
    """

    name: str
    distance: Callable[[Tensor], Tensor]
    depth: Callable[[Camera], Tensor]
    half: float
    cameras: tuple[Camera, ...]

    def field(self, grid: GridSpec, dtype: torch.dtype = torch.float32) -> ScenePrediction:
        """The body's band on ``grid``."""
        corners = grid.indices(torch.tensor([[-self.half] * 3, [self.half] * 3], dtype=torch.float64))
        coordinates = torch.cartesian_prod(*(torch.arange(int(low), int(high)) for low, high in corners.T))
        tsdf = self.distance(grid.centers(coordinates, dtype=torch.float64))
        band = tsdf.abs() < _BAND * grid.truncation
        return ScenePrediction(grid, coordinates[band], tsdf[band].to(dtype))


def analytic_cases() -> tuple[AnalyticCase, ...]:
    """A plane in front and a slanted one, a ball, a box."""
    walls = tuple(camera_at(eye, (0.013, -0.021, 0.0), 380) for eye in ((0.1, 0.05, 1.2), (-0.07, 0.13, 1.0)))
    around = ((1.2, 0.3, -0.4), (-0.5, 1.0, 0.6), (0.4, -0.9, 0.9))
    bodies = tuple(camera_at(eye, (0.0, 0.0, 0.0), 300) for eye in around)
    frontal = tuple(_frontal(camera) for camera in walls)
    return (
        AnalyticCase("plane, frontal", _plane((0.0, 0.0, 1.0)), _plane_depth((0.0, 0.0, 1.0)), 1.0, frontal),
        AnalyticCase("plane, slanted", _plane(_SLANTED), _plane_depth(_SLANTED), 1.0, walls),
        AnalyticCase("sphere", lambda points: points.norm(dim=1) - _RADIUS, _sphere_depth, 0.5, bodies),
        AnalyticCase("box", _box_distance, _box_depth, 0.4, bodies),
    )


def camera_at(eye: tuple[float, ...], target: tuple[float, ...], focal: float) -> Camera:
    """A camera at ``eye`` metres that looks at ``target``, +y being up in the picture of one that looks along z."""
    position = torch.tensor(eye, dtype=torch.float64)
    forward = normalize(torch.tensor(target, dtype=torch.float64) - position, dim=0)
    up = torch.tensor([0.0, 1.0, 0.0] if abs(float(forward[2])) > 0.9 else [0.0, 0.0, 1.0], dtype=torch.float64)
    right = normalize(torch.linalg.cross(forward, up), dim=0)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
    pose[:3, 3] = position
    width, height = _SIZE
    rows = [[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]]
    return Camera(torch.tensor(rows, dtype=torch.float64), pose, width, height)


def _frontal(camera: Camera) -> Camera:
    """The same camera turned straight down."""
    eye = camera.center.tolist()
    return camera_at(tuple(eye), (eye[0], eye[1], eye[2] - 1), float(camera.intrinsics[0, 0]))


# Planes off the voxel centres, where any interpolation would do.
_OFFSET = 0.0137


def _plane(normal: tuple[float, float, float]) -> Callable[[Tensor], Tensor]:
    unit = normalize(torch.tensor(normal, dtype=torch.float64), dim=0)
    return lambda points: points @ unit - _OFFSET


def _plane_depth(normal: tuple[float, float, float]) -> Callable[[Camera], Tensor]:
    unit = normalize(torch.tensor(normal, dtype=torch.float64), dim=0)
    return lambda camera: (_OFFSET - camera.center @ unit) / (camera.ray_directions() @ unit)


def _sphere_depth(camera: Camera) -> Tensor:
    direction, center = camera.ray_directions(), camera.center
    a, b, c = (direction**2).sum(-1), direction @ center, center @ center - _RADIUS**2
    root = b**2 - a * c
    return torch.where(root > 0, (-b - root.clamp(min=0).sqrt()) / a, 0.0)


def _box_distance(points: Tensor) -> Tensor:
    outside = points.abs() - torch.tensor(_BOX, dtype=points.dtype)
    distance: Tensor = outside.clamp(min=0).norm(dim=1) + outside.amax(dim=1).clamp(max=0)
    return distance


def _box_depth(camera: Camera) -> Tensor:
    half, direction = torch.tensor(_BOX, dtype=torch.float64), camera.ray_directions()
    one, two = (-half - camera.center) / direction, (half - camera.center) / direction
    enter, leave = torch.minimum(one, two).amax(-1), torch.maximum(one, two).amin(-1)
    return torch.where(enter < leave, enter, 0.0)
