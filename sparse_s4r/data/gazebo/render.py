"""Exact pictures of a world: colour with shading, z-depth and labels by ray casting."""

from __future__ import annotations

import numpy as np
import torch

from sparse_s4r.data.gazebo.scene import Hits, WorldScene
from sparse_s4r.structures import IGNORE_LABEL, Camera, RGBDFrame

# Colour is averaged over this many rays per pixel and axis.
_SUPERSAMPLES = 2
# Towards the lamps; light depends on the surface alone, so that it does not change with the view.
_LAMPS = (((0.35, 0.5, 0.79), 0.30), ((-0.6, -0.25, 0.76), 0.16))
_AMBIENT, _SKY = 0.50, 0.16


def render_frame(scene: WorldScene, camera: Camera, name: str = "frame") -> RGBDFrame:
    """Take a picture of a world.

    Depth and label are those of the ray through the pixel's centre, colour is the mean of four rays. Where a ray
    leaves the world, depth is 0, colour black and the label ``IGNORE_LABEL``.

    Args:
        scene: The world.
        camera: Where from.
        name: Name of the frame.
    """
    camera = camera.to("cpu")
    directions = camera.ray_directions().reshape(-1, 3).numpy().astype(np.float32)
    hits = scene.cast(camera.center.numpy(), directions)
    hit = hits.triangle >= 0
    depth = np.where(hit, hits.distance, 0.0).astype(np.float32)
    labels = np.where(hit, scene.labels[hits.triangle], IGNORE_LABEL)
    size = (camera.height, camera.width)
    return RGBDFrame(
        name,
        camera,
        torch.from_numpy(_colors(scene, camera)),
        torch.from_numpy(depth).reshape(size),
        torch.from_numpy(labels).reshape(size),
    )


def shade(normals: np.ndarray) -> np.ndarray:
    """Brightness (P, 1) of surfaces with unit normals (P, 3): ambient light, light from above and two far lamps."""
    light = _AMBIENT + _SKY * (0.5 + 0.5 * normals[:, 2:])
    for direction, strength in _LAMPS:
        light = light + strength * np.maximum(normals @ np.array(direction, dtype=np.float32)[:, None], 0.0)
    return np.asarray(light, dtype=np.float32)


def _colors(scene: WorldScene, camera: Camera) -> np.ndarray:
    """Colour (H, W, 3) float32, averaged over rays spread evenly within each pixel."""
    n = _SUPERSAMPLES
    fine = camera.resized(camera.width * n, camera.height * n)
    directions = fine.ray_directions().reshape(-1, 3).numpy().astype(np.float32)
    hits = scene.cast(fine.center.numpy(), directions)
    hit = hits.triangle >= 0
    normals = scene.normals[hits.triangle]
    cosine = (normals * directions).sum(axis=1)
    normals = np.where(cosine[:, None] > 0, -normals, normals)
    width = _footprint(hits, np.abs(cosine) / np.linalg.norm(directions, axis=1), float(fine.intrinsics[0, 0]))
    color = np.where(hit[:, None], shade(normals) * scene.albedo(hits, width), 0.0)
    tiles = color.reshape(camera.height, n, camera.width, n, 3)
    mean: np.ndarray = np.clip(tiles.mean(axis=(1, 3)), 0.0, 1.0).astype(np.float32)
    return mean


def _footprint(hits: Hits, cosine: np.ndarray, focal: float) -> np.ndarray:
    """Width (P,) in metres of what a ray stands for: wider far away and where the surface is seen at a slant."""
    distance = np.where(np.isfinite(hits.distance), hits.distance, 0.0)
    width: np.ndarray = distance / focal / np.sqrt(np.maximum(cosine, 0.05))
    return width
