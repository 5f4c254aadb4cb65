"""Exact pictures of a home: colour, z-depth and labels, ray-cast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import open3d as o3d
import torch
from numpy.typing import NDArray

from sparse_s4r.data.homes.classes import LabelMap
from sparse_s4r.data.homes.home import Home
from sparse_s4r.data.homes.shading import Shader, make_shader
from sparse_s4r.data.homes.surface import Surface, make_surface
from sparse_s4r.structures import IGNORE_LABEL, Camera, RGBDFrame

_MISS = np.uint32(0xFFFFFFFF)
# Rays of a pixel on an edge, as shifts of its centre in pixels: a turned square.
_EDGE_RAYS = ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375))
_CREASE = 0.05

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Shot:
    """What a perfect camera sees.

    Attributes:
        color: (H, W, 3) float32 in [0, 1].
        depth: (H, W) float64 z-depth, metres; 0 where a ray meets nothing.
        triangle: (H, W) int64 triangle of the surface, -1 where it meets nothing.
        cosine: (H, W) float64 between ray and surface normal.
    """

    color: NDArray[np.float32]
    depth: Doubles
    triangle: NDArray[np.int64]
    cosine: Doubles


@dataclass(frozen=True)
class HomeScene:
    """A home ready to be looked at: its surface, ray-casting scene and colours."""

    home: Home
    surface: Surface
    shader: Shader
    scene: o3d.t.geometry.RaycastingScene

    def shoot(self, camera: Camera, threads: int = 0) -> Shot:
        """Take an exact picture; ``threads`` 0 = all.

        Depth is that of the ray through the pixel's centre. Colour is, too, except on edges, where it is the mean of
        four rays.
        """
        size = (camera.height, camera.width)
        directions = camera.ray_directions().reshape(-1, 3).numpy()
        depth, triangle = self._cast(camera, directions, threads)
        length = np.sqrt(np.einsum("ij,ij->i", directions, directions))
        normals = self.surface.normals[triangle]
        cosine = np.where(triangle >= 0, -np.einsum("ij,ij->i", normals, directions) / length, 0.0)
        color = self._color(camera, directions, depth, triangle)
        image = color.reshape(*size, 3)
        shot = Shot(image, depth.reshape(size), triangle.reshape(size), cosine.reshape(size))
        rows = np.flatnonzero(_edges(shot, normals.reshape(*size, 3)).ravel())
        if len(rows):
            to_world = (camera.camera_to_world[:3, :3] @ torch.linalg.inv(camera.intrinsics)).numpy()
            mean = np.zeros((len(rows), 3), dtype=np.float32)
            for du, dv in _EDGE_RAYS:
                shifted = directions[rows] + du * to_world[:, 0] + dv * to_world[:, 1]
                mean += self._color(camera, shifted, *self._cast(camera, shifted, threads)) / len(_EDGE_RAYS)
            color[rows] = mean
        return shot

    def frame(self, camera: Camera, labels: LabelMap, name: str = "frame") -> RGBDFrame:
        """An exact picture as a frame, labelled in a taxonomy."""
        shot = self.shoot(camera)
        return RGBDFrame(
            name,
            camera,
            torch.from_numpy(shot.color),
            torch.from_numpy(shot.depth).float(),
            torch.from_numpy(self.labels(shot, labels)).long(),
        )

    def labels(self, shot: Shot, labels: LabelMap) -> NDArray[np.uint8]:
        """Label image (H, W) of a picture."""
        fine = self.surface.owners.label[self.surface.owner[shot.triangle]]
        image: NDArray[np.uint8] = np.where(shot.triangle >= 0, labels.labels[fine], IGNORE_LABEL).astype(np.uint8)
        return image

    def _cast(self, camera: Camera, directions: Doubles, threads: int) -> tuple[Doubles, NDArray[np.int64]]:
        """z-depth and triangle (P,) along ``directions`` (P, 3) of z-depth 1; a back face counts as nothing.

        A ray can slip between two triangles whose edges meet only to single precision; it then sees a back face.
        """
        rays = np.empty((len(directions), 6), dtype=np.float32)
        rays[:, :3] = camera.center.numpy()
        rays[:, 3:] = directions
        hits = self.scene.cast_rays(o3d.core.Tensor(rays), nthreads=threads)
        triangle = hits["primitive_ids"].numpy()
        met = triangle != _MISS
        index = np.where(met, triangle, 0).astype(np.int64)
        met &= np.einsum("ij,ij->i", self.surface.normals[index], directions) < 0
        depth = np.where(met, hits["t_hit"].numpy(), 0.0).astype(np.float64)
        return depth, np.where(met, index, -1)

    def _color(
        self, camera: Camera, directions: Doubles, depth: Doubles, triangle: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        points = camera.center.numpy() + depth[:, None] * directions
        footprint = depth / float(camera.intrinsics[0, 0])
        return self.shader.colors(points, triangle, footprint)


def open_home(home: Home) -> HomeScene:
    """Prepare a home for pictures."""
    surface = make_surface(home)
    scene = o3d.t.geometry.RaycastingScene()
    corners = surface.triangles.reshape(-1, 3).astype(np.float32)
    faces = np.arange(len(corners), dtype=np.uint32).reshape(-1, 3)
    scene.add_triangles(o3d.core.Tensor(corners), o3d.core.Tensor(faces))
    return HomeScene(home, surface, make_shader(home, surface), scene)


def _edges(shot: Shot, normals: Doubles) -> NDArray[np.bool_]:
    """Pixels where depth jumps or a face ends within a pixel."""
    depth = shot.depth
    jump = np.zeros(depth.shape, dtype=bool)
    for axis in (0, 1):
        step = np.abs(np.diff(depth, axis=axis)) > 0.02 * np.minimum(*_neighbors(depth, axis)) + 0.01
        first, second = _neighbors(normals, axis)
        crease = np.einsum("ijk,ijk->ij", first, second) < 1 - _CREASE
        joint = step | crease
        for part in _neighbors(jump, axis):
            part |= joint
    return jump


def _neighbors(image: NDArray[Any], axis: int) -> tuple[NDArray[Any], NDArray[Any]]:
    return (image[:-1], image[1:]) if axis == 0 else (image[:, :-1], image[:, 1:])
