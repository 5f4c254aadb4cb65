"""The convex solids that homes are made of, as polygons that face outwards."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from sparse_s4r.data.homes.materials import Material

Vector = tuple[float, float, float]
_BALL_RINGS = 8


class Form(Enum):
    """Kinds of solid; all fill the cube [-0.5, 0.5]^3 before scaling."""

    BOX = "box"
    PRISM = "prism"
    BALL = "ball"


@dataclass(frozen=True)
class Solid:
    """One convex, textured solid.

    Attributes:
        form: Kind of solid; a PRISM is an upright cylinder with ``sides`` sides, perhaps tapered.
        center: Centre, metres.
        size: Extent along its own axes, metres.
        material: Colour of its surface, in its own coordinates.
        class_name: What it is, a name of ``classes.yaml``.
        yaw: Rotation about z, radians.
        tilt: Rotation about its own x before the yaw, radians.
        sides: Sides of a PRISM or around a BALL.
        taper: Width of a PRISM's top over that of its bottom.
    """

    form: Form
    center: Vector
    size: Vector
    material: Material
    class_name: str
    yaw: float = 0.0
    tilt: float = 0.0
    sides: int = 16
    taper: float = 1.0

    def rotation(self) -> np.ndarray:
        """Rotation (3, 3) from its own axes to the surrounding ones."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        ct, st = math.cos(self.tilt), math.sin(self.tilt)
        turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        rotation: np.ndarray = turn @ np.array([[1.0, 0.0, 0.0], [0.0, ct, -st], [0.0, st, ct]])
        return rotation

    def moved(self, x: float, y: float, z: float, yaw: float = 0.0) -> Solid:
        """The solid turned by ``yaw`` about the z axis through the origin, then shifted."""
        c, s = math.cos(yaw), math.sin(yaw)
        px, py, pz = self.center
        return replace(self, center=(x + c * px - s * py, y + s * px + c * py, z + pz), yaw=self.yaw + yaw)

    def polygons(self) -> list[np.ndarray]:
        """Its faces: planar convex polygons (V, 3) in metres, counter-clockwise seen from outside."""
        vertices, faces = _unit_faces(self.form, self.sides, self.taper)
        world = (vertices * np.array(self.size)) @ self.rotation().T + np.array(self.center)
        return [world[face] for face in faces]


def box(
    center: Vector, size: Vector, material: Material, class_name: str, yaw: float = 0.0, tilt: float = 0.0
) -> Solid:
    """A cuboid."""
    return Solid(Form.BOX, center, size, material, class_name, yaw, tilt)


def rod(center: Vector, size: Vector, material: Material, class_name: str, taper: float = 1.0) -> Solid:
    """An upright cylinder; thick ones have more sides."""
    return Solid(Form.PRISM, center, size, material, class_name, sides=_sides(max(size[:2])), taper=taper)


def bar(center: Vector, size: Vector, material: Material, class_name: str, yaw: float = 0.0) -> Solid:
    """A cylinder that lies along its own y axis before ``yaw``; ``size`` = (thickness, thickness, length)."""
    return Solid(Form.PRISM, center, size, material, class_name, yaw, math.pi / 2, _sides(max(size[:2])))


def ball(center: Vector, size: Vector, material: Material, class_name: str, yaw: float = 0.0) -> Solid:
    """An ellipsoid."""
    return Solid(Form.BALL, center, size, material, class_name, yaw, sides=2 * _BALL_RINGS)


def _sides(width: float) -> int:
    return 8 if width < 0.05 else 12 if width < 0.1 else 16 if width < 0.3 else 32


def _unit_faces(form: Form, sides: int, taper: float) -> tuple[np.ndarray, list[list[int]]]:
    if form is Form.BOX:
        corners = [[x, y, z] for z in (-0.5, 0.5) for x, y in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))]
        around = [[i, (i + 1) % 4, (i + 1) % 4 + 4, i + 4] for i in range(4)]
        return np.array(corners), [[3, 2, 1, 0], [4, 5, 6, 7], *around]
    angles = [2 * math.pi * (i + 0.5) / sides for i in range(sides)]
    circle = np.array([[0.5 * math.cos(a), 0.5 * math.sin(a)] for a in angles])
    if form is Form.PRISM:
        # The wider end fills the cube.
        bottom, top = (1.0, taper) if taper <= 1 else (1 / taper, 1.0)
        ends = [np.column_stack([circle * width, np.full(sides, z)]) for width, z in ((bottom, -0.5), (top, 0.5))]
        around = [[i, (i + 1) % sides, (i + 1) % sides + sides, i + sides] for i in range(sides)]
        return np.concatenate(ends), [list(range(sides))[::-1], list(range(sides, 2 * sides)), *around]
    return _unit_ball(circle, sides)


def _unit_ball(circle: np.ndarray, sides: int) -> tuple[np.ndarray, list[list[int]]]:
    """A ball of rings; every quadrilateral between two rings is a planar trapezium."""
    rings = [math.pi * i / _BALL_RINGS for i in range(1, _BALL_RINGS)]
    levels = [np.column_stack([circle * math.sin(a), np.full(sides, -0.5 * math.cos(a))]) for a in rings]
    vertices = np.concatenate([*levels, [[0.0, 0.0, -0.5], [0.0, 0.0, 0.5]]])
    last = (len(rings) - 1) * sides
    south, north = len(vertices) - 2, len(vertices) - 1
    faces: list[list[int]] = []
    for i in range(sides):
        j = (i + 1) % sides
        faces += [[south, j, i], [north, last + i, last + j]]
        faces += [[k + i, k + j, k + sides + j, k + sides + i] for k in range(0, last, sides)]
    return vertices, faces
