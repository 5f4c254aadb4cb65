"""Exact pictures of a synthetic room: colour, z-depth and labels by ray casting, and the noise of a depth camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import open3d as o3d
import torch
from torch import Tensor

from sparse_s4r.data.synthetic import SyntheticRoom
from sparse_s4r.structures import IGNORE_LABEL, Camera, RGBDFrame

# Colour is averaged over this many rays per pixel and axis, so that textures do not flicker.
_SUPERSAMPLES = 2
_AMBIENT = 0.45
_MISS = np.uint32(0xFFFFFFFF)


@dataclass(frozen=True)
class _Hits:
    """Where rays met the room: (P,) z-depth (inf for a miss), (P,) part, (P, 3) normal towards the camera."""

    depth: Tensor
    part: Tensor
    normal: Tensor


def render_frame(room: SyntheticRoom, camera: Camera, name: str = "frame", noise_seed: int | None = None) -> RGBDFrame:
    """Take a picture of a room.

    Depth and labels are those of the ray through the pixel's centre; colour is the mean of four rays, lit by one lamp
    below the ceiling and ambient light, so it does not change with the view.

    Args:
        room: The room.
        camera: Where from.
        name: Name of the frame.
        noise_seed: Seed of the depth noise; None for exact depth.

    Returns:
        Float32 colour and depth; labels are classes of the room, ``IGNORE_LABEL`` where there is none.
    """
    camera = camera.to("cpu")
    hits = _cast(room, camera.center, camera.ray_directions().reshape(-1, 3))
    hit = torch.isfinite(hits.depth)
    depth = torch.where(hit, hits.depth, 0.0)
    if noise_seed is not None:
        cosine = (hits.normal * torch.nn.functional.normalize(camera.ray_directions().reshape(-1, 3).float())).sum(1)
        depth = add_depth_noise(depth, cosine.abs(), noise_seed)
    labels = torch.where(hit, room.part_labels[hits.part], IGNORE_LABEL)
    size = (camera.height, camera.width)
    return RGBDFrame(name, camera, _render_color(room, camera), depth.reshape(size), labels.reshape(size))


def add_depth_noise(depth: Tensor, cosine: Tensor, seed: int) -> Tensor:
    """Noise of a structured-light camera: Gaussian growing with z^2, quantised disparity, holes at grazing angles.

    Args:
        depth: Exact z-depth, metres, 0 = missing; any shape.
        cosine: Cosine between ray and surface normal, same shape.
        seed: Seed of the noise.

    Returns:
        Depth of the same shape; 0 where the measurement fails.

    Source:
        Nguyen, Izadi and Lovell, "Modeling Kinect sensor noise for improved 3D reconstruction and tracking", 2012
        (axial noise).
    """
    generator = torch.Generator().manual_seed(seed)
    sigma = 0.0012 + 0.0019 * (depth - 0.4) ** 2
    noisy = depth + sigma * torch.randn(depth.shape, generator=generator)
    # Focal length 580 pixels, baseline 75 mm, disparity in eighths of a pixel.
    steps = 8 * 580 * 0.075
    quantised = steps / (steps / noisy.clamp_min(0.05)).round()
    # Beyond about 75 degrees most of the light leaves; a few pixels fail anywhere.
    failure = 0.004 + ((0.26 - cosine) / 0.16).clamp(0.0, 1.0)
    lost = torch.rand(depth.shape, generator=generator) < failure
    return torch.where((depth > 0) & ~lost, quantised, 0.0)


def _cast(room: SyntheticRoom, origin: Tensor, directions: Tensor) -> _Hits:
    """Cast rays (P, 3) whose parameter is z-depth."""
    rays = torch.cat([origin.expand_as(directions), directions], dim=1).float().numpy()
    result = room.scene.cast_rays(o3d.core.Tensor(np.ascontiguousarray(rays)))
    part = result["geometry_ids"].numpy()
    part = np.where(part == _MISS, 0, part).astype(np.int64)
    normal = torch.from_numpy(result["primitive_normals"].numpy())
    facing = (normal * directions.float()).sum(dim=1, keepdim=True) < 0
    return _Hits(
        torch.from_numpy(result["t_hit"].numpy()), torch.from_numpy(part), torch.where(facing, normal, -normal)
    )


def _render_color(room: SyntheticRoom, camera: Camera) -> Tensor:
    """Colour (H, W, 3), averaged over rays spread evenly within each pixel."""
    n = _SUPERSAMPLES
    fine = camera.resized(camera.width * n, camera.height * n)
    directions = fine.ray_directions().reshape(-1, 3)
    hits = _cast(room, fine.center, directions)
    points = fine.center.float() + torch.where(torch.isfinite(hits.depth), hits.depth, 0.0).unsqueeze(1) * (
        directions.float()
    )
    color = _shade(room, points, hits.normal) * _albedo(room, points, hits)
    color = torch.where(torch.isfinite(hits.depth).unsqueeze(1), color, 0.0)
    tiles = color.reshape(camera.height, n, camera.width, n, 3)
    return tiles.mean(dim=(1, 3)).clamp(0.0, 1.0)


def _albedo(room: SyntheticRoom, points: Tensor, hits: _Hits) -> Tensor:
    """Texture colour (P, 3) at the hit points."""
    color = torch.zeros_like(points)
    order = torch.argsort(hits.part)
    present, counts = torch.unique_consecutive(hits.part[order], return_counts=True)
    for index, rows in zip(present.tolist(), torch.split(order, counts.tolist()), strict=True):
        part = room.parts[index]
        rotation = torch.tensor(part.rotation(), dtype=torch.float32)
        local = (points[rows] - torch.tensor(part.center, dtype=torch.float32)) @ rotation
        color[rows] = part.texture.colors(local, hits.normal[rows] @ rotation)
    return color


def _shade(room: SyntheticRoom, points: Tensor, normals: Tensor) -> Tensor:
    """Brightness (P, 1): ambient light and a lamp below the ceiling, wrapped so that nothing is black."""
    lamp = torch.tensor([0.55 * room.size[0], 0.45 * room.size[1], room.size[2] - 0.25])
    towards = lamp - points
    distance = towards.norm(dim=1, keepdim=True).clamp_min(0.3)
    cosine = (normals * towards).sum(dim=1, keepdim=True) / distance
    wrapped = (0.5 + 0.5 * cosine).clamp(0.0, 1.0)
    light: Tensor = _AMBIENT + (1.25 - _AMBIENT) * wrapped / (1.0 + 0.06 * distance**2)
    return light


def pinhole(width: int, height: int, horizontal_degrees: float, camera_to_world: Tensor) -> Camera:
    """A camera with square pixels and its axis through the middle of the picture."""
    focal = 0.5 * width / math.tan(math.radians(horizontal_degrees) / 2)
    intrinsics = torch.tensor(
        [[focal, 0.0, 0.5 * (width - 1)], [0.0, focal, 0.5 * (height - 1)], [0.0, 0.0, 1.0]], dtype=torch.float64
    )
    return Camera(intrinsics, camera_to_world, width, height)
