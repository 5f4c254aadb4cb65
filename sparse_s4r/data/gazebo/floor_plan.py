"""The floor plan of a world: where a person can walk, and which rooms that makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sparse_s4r.data.gazebo.scene import WorldScene
from sparse_s4r.structures import GridSpec
from sparse_s4r.structures.errors import DataError

CELL = 0.05
EYE_HEIGHT = 1.5
# What stands between these heights above the floor is in a person's way; carpets and sills are not.
_STEP, _HEAD = 0.12, 1.8
_HEADROOM, _SAMPLES, _ROUNDING = 1.2, 4000, 0.001
# Half a person's width.
CLEARANCE = 0.25
# Rooms are parted by what stands this far below the top of the walls, also above doors, and by passages narrower than
# twice the clearance.
LINTEL = 0.5
_ROOM_CLEARANCE = 0.55
_SMALLEST_AREA, _SMALLEST_ROOM = 0.5, 1.5
# Cells whose rays are cast at once; about 100 MB.
_CHUNK = 1 << 16
_INDOOR_DIRECTIONS, _INDOOR_REACH, _INDOOR_SHARE = 16, 15.0, 0.65
# Cells.
_SURROUNDINGS = 11


@dataclass(frozen=True)
class FloorPlan:
    """Cells of 5 cm; cell (i, j) has its centre at ``origin + (i + 0.5, j + 0.5) * CELL``.

    Attributes:
        origin: (2,) lower corner, metres.
        floor: Height of the floor, metres.
        top: Height to which the rooms are closed all around, metres.
        blocked: (X, Y) bool, something stands there.
        clearance: (X, Y) distance to what blocks, metres.
        rooms: (X, Y) int, room of each cell where a person can walk, -1 elsewhere.
    """

    origin: np.ndarray
    floor: float
    top: float
    blocked: np.ndarray
    clearance: np.ndarray
    rooms: np.ndarray

    @property
    def walkable(self) -> np.ndarray:
        """(X, Y) bool: a person can stand there, indoors."""
        return self.rooms >= 0

    @property
    def room_count(self) -> int:
        """Number of rooms."""
        return int(self.rooms.max()) + 1

    @property
    def area(self) -> float:
        """Floor on which a person can stand, square metres."""
        return float(self.walkable.sum()) * CELL**2

    def points(self, cells: np.ndarray) -> np.ndarray:
        """Centres (P, 2) in metres of cells (P, 2)."""
        result: np.ndarray = self.origin + (cells + 0.5) * CELL
        return result

    def cells(self, points: np.ndarray) -> np.ndarray:
        """Cells (P, 2) that hold points (P, 2), cut to the plan."""
        cells = np.floor((points - self.origin) / CELL).astype(np.int64)
        inside: np.ndarray = np.clip(cells, 0, np.array(self.rooms.shape) - 1)
        return inside


def make_floor_plan(scene: WorldScene, coordinates: np.ndarray, grid: GridSpec) -> FloorPlan:
    """Find where a person can walk.

    Args:
        scene: The world.
        coordinates: (N, 3) its surface voxels.
        grid: Their placement.

    Raises:
        DataError: Nowhere is there room for a person.
    """
    floor = floor_height(scene)
    centers = np.array(grid.origin) + (coordinates + 0.5) * grid.voxel_size
    border = 2 * CELL + grid.voxel_size
    origin = centers[:, :2].min(axis=0) - border
    shape = np.ceil((centers[:, :2].max(axis=0) + border - origin) / CELL).astype(int)
    height = centers[:, 2] - floor
    voxel = grid.voxel_size
    blocked = _marked(centers[(height > _STEP) & (height < _HEAD)], voxel, origin, shape)
    ground = _marked(centers[np.abs(height) <= max(_STEP, voxel)], voxel, origin, shape)
    # Distance to the edge of the nearest blocked cell, from this cell's edge.
    clearance = np.maximum(ndimage.distance_transform_edt(ground & ~blocked) - 1.0, 0.0) * CELL
    standing = clearance >= CLEARANCE
    indoors = _indoors(scene, standing, origin, floor + EYE_HEIGHT)
    walkable = _large(indoors if indoors.any() else standing, _SMALLEST_AREA)
    if not walkable.any():
        raise DataError(
            f"world: expected a floor at {floor:.2f} m with room for a person ({2 * CLEARANCE:.1f} m wide, {_HEAD} m "
            "tall), got none; is the floor missing?"
        )
    top = _closed_height(scene, walkable, origin, floor)
    height = centers[:, 2] - top
    lintels = _marked(centers[(height > -LINTEL) & (height < -2 * CELL)], voxel, origin, shape)
    rooms = _rooms(walkable, clearance, lintels)
    return FloorPlan(origin, floor, top, blocked, clearance, rooms)


def floor_height(scene: WorldScene) -> float:
    """Height in metres of the floor: the lowest large level surface that has room above it.

    Of surfaces with class floor, if there are any; the underside of a slab has no room above.

    Raises:
        DataError: No such surface.
    """
    level = np.abs(scene.normals[:, 2]) > 0.95
    if "floor" in scene.class_names:
        own = level & (scene.labels == scene.class_names.index("floor"))
        level = own if own.any() else level
    if not level.any():
        raise DataError("world: expected a floor, got no level surface at all")
    points = _spread(scene.triangles[level].astype(np.float64))
    above = points + np.array([0.0, 0.0, 2 * _ROUNDING])
    up = scene.cast(above, np.broadcast_to(np.array([0.0, 0.0, 1.0]), above.shape))
    height = points[up.distance > _HEADROOM, 2]
    if len(height) == 0:
        raise DataError(f"world: expected a floor with {_HEADROOM} m of room above it, got none")
    steps = np.round(height / _STEP).astype(np.int64)
    _, inverse, total = np.unique(steps, return_inverse=True, return_counts=True)
    lowest = int(np.flatnonzero(total >= 0.5 * total.max())[0])
    # Carpets lie on the floor: the median is the floor's unless they cover most of it.
    return float(np.median(height[inverse == lowest]))


def _spread(triangles: np.ndarray) -> np.ndarray:
    """Points (P, 3) on triangles, in proportion to their area."""
    sides = triangles[:, 1:] - triangles[:, :1]
    area = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(triangles), _SAMPLES, p=area / area.sum())
    weights = rng.random((_SAMPLES, 2, 1))
    weights = np.where(weights.sum(axis=1, keepdims=True) > 1, 1 - weights, weights)
    points: np.ndarray = triangles[chosen, 0] + (sides[chosen] * weights).sum(axis=1)
    return points


def _marked(centers: np.ndarray, voxel_size: float, origin: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Cells (X, Y) bool that voxels about ``centers`` (P, 3) cover, however sizes and places of both compare."""
    marked = np.zeros(tuple(shape), dtype=bool)
    offsets = np.linspace(-0.499, 0.499, int(np.ceil(voxel_size / CELL)) + 1) * voxel_size
    for dx in offsets:
        for dy in offsets:
            cells = np.floor((centers[:, :2] + (dx, dy) - origin) / CELL).astype(np.int64)
            marked[cells[:, 0], cells[:, 1]] = True
    return marked


def _hit_share(scene: WorldScene, cells: np.ndarray, origin: np.ndarray, height: float) -> np.ndarray:
    """Share (P,) of level directions in which something stands within reach of cells (P, 2)."""
    angles = np.arange(_INDOOR_DIRECTIONS) * (2 * np.pi / _INDOOR_DIRECTIONS)
    directions = np.column_stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)])
    share = np.zeros(len(cells))
    for first in range(0, len(cells), _CHUNK):
        some = cells[first : first + _CHUNK]
        points = np.column_stack([origin + (some + 0.5) * CELL, np.full(len(some), height)])
        rays = np.repeat(points, _INDOOR_DIRECTIONS, axis=0), np.tile(directions, (len(some), 1))
        hits = scene.cast(*rays).distance.reshape(len(some), -1)
        share[first : first + _CHUNK] = (hits < _INDOOR_REACH).mean(axis=1)
    return share


def _indoors(scene: WorldScene, standing: np.ndarray, origin: np.ndarray, height: float) -> np.ndarray:
    """Cells from which, on average over their surroundings, something stands in most directions."""
    cells = np.argwhere(standing)
    if len(cells) == 0:
        return standing
    share = np.zeros(standing.shape)
    share[tuple(cells.T)] = _hit_share(scene, cells, origin, height)
    weight = ndimage.uniform_filter(standing.astype(np.float64), _SURROUNDINGS, mode="constant")
    mean = ndimage.uniform_filter(share, _SURROUNDINGS, mode="constant") / np.maximum(weight, 1e-9)
    indoors: np.ndarray = standing & (mean >= _INDOOR_SHARE)
    return indoors


def _closed_height(scene: WorldScene, walkable: np.ndarray, origin: np.ndarray, floor: float) -> float:
    """Height up to which walls stand around the rooms, for worlds without a ceiling."""
    cells = np.argwhere(walkable)
    cells = cells[:: max(1, len(cells) // 200)]
    at_eye = float(_hit_share(scene, cells, origin, floor + EYE_HEIGHT).mean())
    top = floor + EYE_HEIGHT
    for height in np.arange(top, scene.bounds[1][2], CELL):
        if float(_hit_share(scene, cells, origin, float(height)).mean()) < 0.9 * at_eye:
            break
        top = float(height)
    return top


def _large(mask: np.ndarray, area: float) -> np.ndarray:
    """The connected parts of a mask that have at least ``area`` square metres."""
    labels, _ = ndimage.label(mask)
    keep = np.bincount(labels.ravel()) * CELL**2 >= area
    keep[0] = False
    result: np.ndarray = keep[labels]
    return result


def _rooms(walkable: np.ndarray, clearance: np.ndarray, lintels: np.ndarray) -> np.ndarray:
    """Room of each walkable cell: cores away from walls and not under lintels, grown until they meet in the doors."""
    spaces, _ = ndimage.label(_large(~lintels, _SMALLEST_ROOM))
    rooms = np.zeros(walkable.shape, dtype=np.int64)
    for space in np.unique(spaces[walkable & (spaces > 0)]):
        core = _large((spaces == space) & walkable & (clearance >= _ROOM_CLEARANCE), _SMALLEST_ROOM)
        labels, _ = ndimage.label(core)
        rooms = np.where(labels > 0, labels + rooms.max(), rooms)
    rooms = _grown(rooms, walkable)
    # An area too narrow for a core is a room of its own.
    narrow, _ = ndimage.label(walkable & (rooms == 0))
    rooms = np.where(narrow > 0, narrow + rooms.max(), rooms)
    return rooms - 1


def _grown(rooms: np.ndarray, walkable: np.ndarray) -> np.ndarray:
    while True:
        spread = ndimage.grey_dilation(rooms, footprint=ndimage.generate_binary_structure(2, 1))
        grown = np.where(walkable & (rooms == 0), spread, rooms)
        if (grown == rooms).all():
            return rooms
        rooms = grown
