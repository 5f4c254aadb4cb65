"""The solids a synthetic room is made of, and their triangles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import open3d as o3d

from sparse_s4r.data.synthetic_textures import Texture

_SEGMENTS = 40


class Shape(Enum):
    """Kinds of solid; all are centred at the origin and fill the cube [-0.5, 0.5]^3 before scaling."""

    BOX = "box"
    CYLINDER = "cylinder"
    SPHERE = "sphere"
    SHEET = "sheet"


@dataclass(frozen=True)
class Part:
    """One textured solid in the world.

    Attributes:
        shape: Kind of solid; a SHEET is a rectangle in its x-y plane, facing +z.
        center: World centre, metres.
        size: Extent along its own axes, metres.
        texture: Colour of its surface, in its own coordinates.
        class_name: What it is.
        yaw: Rotation about the world's z, radians.
        tilt: Rotation about its own x before the yaw, radians.
    """

    shape: Shape
    center: tuple[float, float, float]
    size: tuple[float, float, float]
    texture: Texture
    class_name: str
    yaw: float = 0.0
    tilt: float = 0.0

    def rotation(self) -> np.ndarray:
        """Rotation (3, 3) from the part's axes to the world's."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        ct, st = math.cos(self.tilt), math.sin(self.tilt)
        turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        lean = np.array([[1.0, 0.0, 0.0], [0.0, ct, -st], [0.0, st, ct]])
        rotation: np.ndarray = turn @ lean
        return rotation

    def moved(self, x: float, y: float, z: float, yaw: float) -> Part:
        """The part turned by ``yaw`` about the world's z axis, then shifted."""
        c, s = math.cos(yaw), math.sin(yaw)
        px, py, pz = self.center
        return replace(self, center=(x + c * px - s * py, y + s * px + c * py, z + pz), yaw=self.yaw + yaw)

    def triangles(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) float64 in world metres and faces (F, 3) int64, outward counter-clockwise."""
        vertices, faces = _unit_mesh(self.shape)
        return (vertices * np.array(self.size)) @ self.rotation().T + np.array(self.center), faces


def _unit_mesh(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    if shape is Shape.SHEET:
        corners = np.array([[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]])
        return corners, np.array([[0, 1, 2], [0, 2, 3]])
    if shape is Shape.BOX:
        mesh = o3d.geometry.TriangleMesh.create_box().translate((-0.5, -0.5, -0.5))
    elif shape is Shape.CYLINDER:
        mesh = o3d.geometry.TriangleMesh.create_cylinder(0.5, 1.0, resolution=_SEGMENTS, split=1)
    else:
        mesh = o3d.geometry.TriangleMesh.create_sphere(0.5, resolution=_SEGMENTS // 2)
    return np.asarray(mesh.vertices), np.asarray(mesh.triangles).astype(np.int64)
