"""The surface of a home: every face that air touches, and no other, as triangles with their owners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sparse_s4r.data.homes.classes import FINE_NAMES
from sparse_s4r.data.homes.clipping import exposed
from sparse_s4r.data.homes.home import Home
from sparse_s4r.data.homes.materials import Material, shade
from sparse_s4r.data.homes.solids import Solid, box

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
_CORNERS = 96


@dataclass(frozen=True)
class Polyhedra:
    """Convex solids as planes (n, d), n . x <= d inside, one solid after another.

    Attributes:
        planes: (., 4).
        starts: (S + 1,) first plane of every solid.
        low: (S, 3) lower corners of their boxes, metres.
        high: (S, 3) upper corners.
    """

    planes: Doubles
    starts: Integers
    low: Doubles
    high: Doubles

    @property
    def tables(self) -> tuple[Doubles, Integers, Doubles, Doubles]:
        """As compiled loops take them."""
        return self.planes, self.starts, self.low, self.high


@dataclass(frozen=True)
class Owners:
    """What a face belongs to: a solid, or a side of a room or opening; row by row.

    Attributes:
        label: (O,) int64 fine class.
        instance: (O,) int64 object; the shell of each room is one.
        room: (O,) int64 room.
        frame: (O, 12) origin and axes (columns) in which the material is laid out.
        material: Materials.
    """

    label: Integers
    instance: Integers
    room: Integers
    frame: Doubles
    material: tuple[Material, ...]


@dataclass(frozen=True)
class Surface:
    """The surface of a home.

    Attributes:
        triangles: (T, 3, 3) metres, counter-clockwise seen from the air.
        owner: (T,) int64 row of ``owners``.
        owners: What the triangles belong to.
        solids: All solids.
        air: Rooms and openings: what is neither in one of these boxes nor outside every solid is no air.
    """

    triangles: Doubles
    owner: Integers
    owners: Owners
    solids: Polyhedra
    air: Polyhedra

    @cached_property
    def areas(self) -> Doubles:
        """(T,) square metres."""
        edges = self.triangles[:, 1:] - self.triangles[:, :1]
        areas: Doubles = 0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
        return areas

    @cached_property
    def normals(self) -> Doubles:
        """(T, 3) towards the air, length 1."""
        edges = self.triangles[:, 1:] - self.triangles[:, :1]
        normals: Doubles = np.cross(edges[:, 0], edges[:, 1])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
        return normals


_Faces = list[np.ndarray]


def make_surface(home: Home) -> Surface:
    """Find the surface of a home.

    Raises:
        RuntimeError: The surface has more pieces than any home should.
    """
    boxes = _air_boxes(home)
    air_faces = [box(*_center_size(low, high), home.finishes[0].ceiling, "wall").polygons() for low, high in boxes]
    items = [(solid, item.room, number) for number, item in enumerate(home.items) for solid in item.thing]
    solid_faces = [solid.polygons() for solid, _, _ in items]
    solids, air = _polyhedra(solid_faces), _polyhedra(air_faces)
    faces = [face for group in solid_faces for face in group]
    numbers = [index for index, group in enumerate(solid_faces) for _ in group]
    shell = [face[::-1] for group in air_faces for face in group]
    polygons = [*faces, *shell]
    box_numbers = [index for index, group in enumerate(air_faces) for _ in group]
    points, counts, source = _expose(polygons, np.array(numbers + box_numbers), len(faces), solids, air)
    triangles, piece = _fans(points, counts)
    owner_of = np.array(numbers + [len(items) + k for k in range(len(shell))])
    return Surface(triangles, owner_of[source[piece]], _owners(home, items), solids, air)


def _air_boxes(home: Home) -> list[tuple[np.ndarray, np.ndarray]]:
    """Lower and upper corners of all rooms, then of all openings."""
    high = home.plan.height
    boxes = [(np.array([*room.low, 0.0]), np.array([*room.high, high])) for room in home.plan.rooms]
    for opening in home.plan.openings:
        spans = (opening.depth, opening.span) if opening.axis == 0 else (opening.span, opening.depth)
        low, top = zip(*spans, opening.rise, strict=True)
        boxes.append((np.array(low), np.array(top)))
    return boxes


def _center_size(low: np.ndarray, high: np.ndarray) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    center, size = (low + high) / 2, high - low
    return (center[0], center[1], center[2]), (size[0], size[1], size[2])


def _polyhedra(groups: list[_Faces]) -> Polyhedra:
    planes, starts, low, high = list[np.ndarray](), [0], list[np.ndarray](), list[np.ndarray]()
    for faces in groups:
        for face in faces:
            normal = np.cross(face[1] - face[0], face[2] - face[0])
            normal /= np.linalg.norm(normal)
            planes.append(np.array([*normal, normal @ face[0]]))
        starts.append(len(planes))
        corners = np.concatenate(faces)
        low.append(corners.min(axis=0))
        high.append(corners.max(axis=0))
    return Polyhedra(np.array(planes), np.array(starts), np.array(low), np.array(high))


def _expose(
    polygons: _Faces, numbers: Integers, solid_count: int, solids: Polyhedra, air: Polyhedra
) -> tuple[Doubles, Integers, Integers]:
    starts = np.concatenate([[0], np.cumsum([len(face) for face in polygons])])
    is_shell = np.arange(len(polygons)) >= solid_count
    room = 4 * len(polygons) + 20_000
    points, counts = np.empty((room, _CORNERS, 3)), np.empty(room, dtype=np.int64)
    source = np.empty(room, dtype=np.int64)
    total = exposed(
        (np.concatenate(polygons), starts), numbers, is_shell, solids.tables, air.tables, points, counts, source
    )
    if total == room:
        raise RuntimeError(f"surface: expected fewer than {room} pieces, got more; the solids overlap too often")
    return points[:total], counts[:total], source[:total]


def _fans(points: Doubles, counts: Integers) -> tuple[Doubles, Integers]:
    """Triangles (T, 3, 3) of convex polygons, and the polygon of each."""
    triangles, pieces = list[np.ndarray](), list[np.ndarray]()
    for corners in np.unique(counts):
        rows = np.flatnonzero(counts == corners)
        for k in range(1, corners - 1):
            triangles.append(points[rows][:, [0, k, k + 1]])
            pieces.append(rows)
    piece = np.concatenate(pieces)
    order = np.argsort(piece, kind="stable")
    return np.concatenate(triangles)[order], piece[order]


def _owners(home: Home, items: list[tuple[Solid, int, int]]) -> Owners:
    label, instance, room, frame, material = list[int](), list[int](), list[int](), list[np.ndarray](), list[Material]()
    for solid, where, number in items:
        label.append(FINE_NAMES.index(solid.class_name))
        instance.append(number)
        room.append(where)
        frame.append(np.concatenate([np.array(solid.center)[:, None], solid.rotation()], axis=1).ravel())
        material.append(solid.material)
    upright = np.concatenate([np.zeros((3, 1)), np.eye(3)], axis=1).ravel()
    for where, skins, names in _shell_sides(home):
        for skin, name in zip(skins, names, strict=True):
            label.append(FINE_NAMES.index(name))
            instance.append(len(home.items) + where)
            room.append(where)
            frame.append(upright)
            material.append(skin)
    return Owners(np.array(label), np.array(instance), np.array(room), np.array(frame), tuple(material))


_SIDES = ("floor", "ceiling", "wall", "wall", "wall", "wall")


def _shell_sides(home: Home) -> list[tuple[int, tuple[Material, ...], tuple[str, ...]]]:
    """Room, materials and classes of the sides of every air box, in the order of a box's faces.

    That order is: bottom, top, low y, high x, high y, low x.
    """
    sides: list[tuple[int, tuple[Material, ...], tuple[str, ...]]] = []
    for number, finish in enumerate(home.finishes):
        west, east, south, north = finish.walls
        sides.append((number, (finish.floor, finish.ceiling, south, east, north, west), _SIDES))
    for opening in home.plan.openings:
        first = opening.rooms[0]
        skin = home.finishes[first].walls[0]
        reveal = Material(skin.pattern, shade(skin.base, 0.97), skin.accent, skin.scale, skin.seed)
        walk = opening.rise[0] == 0.0
        floor = home.finishes[first].floor if walk else reveal
        names = ("floor" if walk else "wall", *("wall",) * 5)
        sides.append((first, (floor, *(reveal,) * 5), names))
    return sides
