"""Fields with known surfaces, and cameras to look at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sparse_s4r.structures import Camera, GridSpec, ScenePrediction

# Share of the truncation that is stored, as fusion does.
BAND = 0.95


def make_field(
    distance: Callable[[Tensor], Tensor],
    half: float,
    grid: GridSpec | None = None,
    dtype: torch.dtype = torch.float64,
) -> ScenePrediction:
    """The band of ``distance``, a function of world points (P, 3), within the cube [-half, half]^3 metres."""
    grid = grid or GridSpec(0.02)
    corner = grid.indices(torch.full((2, 3), half, dtype=torch.float64) * torch.tensor([[-1.0], [1.0]]))
    axes = [torch.arange(int(corner[0, a]), int(corner[1, a])) for a in range(3)]
    coordinates = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).view(-1, 3)
    tsdf = distance(grid.centers(coordinates, dtype=torch.float64))
    band = tsdf.abs() < BAND * grid.truncation
    return ScenePrediction(grid, coordinates[band], tsdf[band].to(dtype))


def plane_field(
    normal: Sequence[float], distance: float, half: float = 0.5, dtype: torch.dtype = torch.float64
) -> ScenePrediction:
    """Free space where ``normal . x > distance``."""
    unit = torch.nn.functional.normalize(torch.tensor(normal, dtype=torch.float64), dim=0)
    return make_field(lambda points: points @ unit - distance, half, dtype=dtype)


def sphere_field(radius: float, dtype: torch.dtype = torch.float64, grid: GridSpec | None = None) -> ScenePrediction:
    """A ball around the world's origin."""
    return make_field(lambda points: points.norm(dim=1) - radius, radius + 0.1, grid, dtype)


def box_distance(points: Tensor, half: Sequence[float]) -> Tensor:
    """Signed distance (P,) of an axis-aligned box of half edges ``half`` around the origin."""
    outside = points.abs() - torch.tensor(half, dtype=points.dtype)
    return outside.clamp(min=0).norm(dim=1) + outside.amax(dim=1).clamp(max=0)


def look_at(
    eye: Sequence[float], target: Sequence[float], size: tuple[int, int] = (20, 16), focal: float = 20
) -> Camera:
    """A camera (width, height) at ``eye`` metres that looks at ``target`` with +z up, or +y where it looks along z."""
    position = torch.tensor(eye, dtype=torch.float64)
    forward = torch.nn.functional.normalize(torch.tensor(target, dtype=torch.float64) - position, dim=0)
    up = torch.tensor([0.0, 0.0, 1.0] if abs(float(forward[2])) < 0.99 else [0.0, 1.0, 0.0], dtype=torch.float64)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=0)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
    pose[:3, 3] = position
    width, height = size
    intrinsics = torch.tensor(
        [[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]], dtype=torch.float64
    )
    return Camera(intrinsics, pose, width, height)


def sphere_depth(camera: Camera, radius: float) -> Tensor:
    """Analytic z-depth (H, W) of a ball around the origin seen from outside, NaN where the ray misses it."""
    direction, center = camera.ray_directions(), camera.center
    a, b, c = (direction**2).sum(-1), direction @ center, center @ center - radius**2
    root = b**2 - a * c
    return torch.where(root > 0, (-b - root.clamp(min=0).sqrt()) / a, torch.nan)


def plane_depth(camera: Camera, normal: Sequence[float], distance: float) -> Tensor:
    """Analytic z-depth (H, W) of the plane normal . x = distance."""
    unit = torch.nn.functional.normalize(torch.tensor(normal, dtype=torch.float64), dim=0)
    return (distance - camera.center @ unit) / (camera.ray_directions() @ unit)
