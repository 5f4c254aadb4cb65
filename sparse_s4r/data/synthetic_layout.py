"""Where the furniture of a synthetic room stands: no two footprints overlap and the door stays free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparse_s4r.data.synthetic_furniture import (
    Furniture,
    bed,
    bookshelf,
    cabinet,
    desk,
    floor_lamp,
    sofa,
    table_with_chairs,
)

_TRIES = 400
_WALL_GAP = 0.03


@dataclass(frozen=True)
class Footprint:
    """An oriented rectangle on the floor.

    Attributes:
        x: Centre, metres.
        y: Centre, metres.
        width: Extent along its own x, metres.
        depth: Extent along its own y, metres.
        yaw: Rotation, radians.
    """

    x: float
    y: float
    width: float
    depth: float
    yaw: float

    def corners(self) -> np.ndarray:
        """(4, 2) metres, counter-clockwise."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        half = 0.5 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [self.width, self.depth]
        corners: np.ndarray = half @ np.array([[c, s], [-s, c]]) + [self.x, self.y]
        return corners

    def grown(self, margin: float) -> Footprint:
        """The rectangle with ``margin`` metres added on each side."""
        return Footprint(self.x, self.y, self.width + 2 * margin, self.depth + 2 * margin, self.yaw)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Distance (P,) in metres of floor points (P, 2); 0 inside."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        local = (points - [self.x, self.y]) @ np.array([[c, -s], [s, c]])
        outside = np.maximum(np.abs(local) - 0.5 * np.array([self.width, self.depth]), 0.0)
        distance: np.ndarray = np.linalg.norm(outside, axis=1)
        return distance


@dataclass(frozen=True)
class Placement:
    """A piece of furniture and where it stands."""

    furniture: Furniture
    footprint: Footprint


def overlap(first: Footprint, second: Footprint) -> bool:
    """True if two rectangles share area: no axis of either separates them."""
    a, b = first.corners(), second.corners()
    for yaw in (first.yaw, second.yaw):
        for axis in (np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])):
            pa, pb = a @ axis, b @ axis
            if pa.max() <= pb.min() or pb.max() <= pa.min():
                return False
    return True


def wall_footprint(
    wall: int, along: float, width: float, depth: float, size: tuple[float, float], gap: float = 0.0
) -> Footprint:
    """A rectangle with its back (-y) to a wall of a room of ``size`` = (x, y) metres.

    Walls 0 to 3 are at y = 0, x = size, y = size, x = 0; ``along`` runs counter-clockwise from their start.
    """
    inward = gap + depth / 2
    x, y = ((along, inward), (size[0] - inward, along), (size[0] - along, size[1] - inward), (inward, size[1] - along))[
        wall
    ]
    return Footprint(x, y, width, depth, wall * math.pi / 2)


def furnish(
    rng: np.random.Generator, size: tuple[float, float], keep_free: Sequence[Footprint]
) -> tuple[Placement, ...]:
    """Furnish a room of ``size`` metres: a table group, a sofa, a shelf, a bed or a desk, a cabinet and a lamp.

    Args:
        rng: Source of every choice.
        size: Extent of the floor, metres.
        keep_free: Areas where nothing may stand.

    Raises:
        ValueError: The room is too small.
    """
    last = bed if rng.random() < 0.5 else desk
    for _ in range(_TRIES):
        placed: list[Placement] = []
        for build in (table_with_chairs, sofa, last, bookshelf, cabinet, floor_lamp):
            furniture = build(rng)
            taken = [*keep_free, *(other.footprint.grown(0.04) for other in placed)]
            footprint = _find_place(rng, furniture, size, taken)
            if footprint is None:
                break
            placed.append(Placement(furniture, footprint))
        else:
            return tuple(placed)
    raise ValueError(f"size: expected a floor that holds the furniture, got {size[0]:g} x {size[1]:g} m")


def _find_place(
    rng: np.random.Generator, furniture: Furniture, size: tuple[float, float], taken: Sequence[Footprint]
) -> Footprint | None:
    for _ in range(40):
        footprint = _propose(rng, furniture, size)
        corners = footprint.corners()
        inside = bool((corners >= 0.02).all() and (corners <= np.array(size) - 0.02).all())
        if inside and not any(overlap(footprint, other) for other in taken):
            return footprint
    return None


def _propose(rng: np.random.Generator, furniture: Furniture, size: tuple[float, float]) -> Footprint:
    width, depth = furniture.width, furniture.depth
    if furniture.name == "table":
        yaw = float(rng.uniform(-0.35, 0.35)) + (math.pi / 2 if rng.random() < 0.5 else 0.0)
        x, y = (float(rng.uniform(0.2, 0.8)) * extent for extent in size)
        return Footprint(x, y, width, depth, yaw)
    wall = int(rng.integers(4))
    along = float(rng.uniform(width / 2, size[wall % 2] - width / 2))
    return wall_footprint(wall, along, width, depth, size, _WALL_GAP)
