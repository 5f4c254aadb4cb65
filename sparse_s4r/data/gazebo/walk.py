"""A walk through all rooms of a floor plan: on to the nearest place not yet visited, room by room."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra

from sparse_s4r.data.gazebo.floor_plan import CELL, FloorPlan
from sparse_s4r.structures.errors import DataError

# Every place where one can stand comes within this distance of a stop, metres.
_STOP_DISTANCE = 0.9
# How much farther a stop of another room seems.
_OTHER_ROOM = 4.0
# Cells over which a path is smoothed, half of it each way; less than the clearance.
_SMOOTHING = 4
_PER_METRE = 2.0
_STEPS = ((1, 0), (0, 1), (1, 1), (1, -1))


@dataclass(frozen=True)
class Walk:
    """Places along a walk.

    Attributes:
        points: (P, 2) metres, evenly spaced but for the jumps.
        starts: (P,) bool, True where a new stretch begins, in an area that no way leads to.
    """

    points: np.ndarray
    starts: np.ndarray


def make_walk(plan: FloorPlan, count: int | None = None) -> Walk:
    """Walk through every room.

    Args:
        plan: Where one can walk.
        count: Number of places; every area gets as many as its share of the way, and at least one. None: two for
            every metre.

    Raises:
        DataError: Fewer places than areas.
    """
    areas, number = ndimage.label(plan.walkable, structure=np.ones((3, 3)))
    if count is not None and count < number:
        raise DataError(f"frames: expected at least {number}, one for each separate area of the floor, got {count}")
    paths = [_path(plan, areas == area) for area in range(1, number + 1)]
    lengths = np.array([max(_length(path), CELL) for path in paths])
    count = count or number + round(_PER_METRE * float(lengths.sum()))
    shares = 1 + np.floor((count - number) * lengths / lengths.sum()).astype(int)
    shares[np.argmax(lengths)] += count - shares.sum()
    pieces = [_resampled(plan, path, int(share)) for path, share in zip(paths, shares, strict=True)]
    starts = np.zeros(count, dtype=bool)
    starts[np.cumsum(shares) - shares] = True
    return Walk(np.concatenate(pieces), starts)


def _path(plan: FloorPlan, area: np.ndarray) -> np.ndarray:
    """Points (P, 2) of a way past all stops of an area."""
    cells = np.argwhere(area)
    graph = _graph(plan, cells, area)
    stops = _stops(plan, cells)
    rooms = plan.rooms[tuple(cells.T)]
    # Begin in a corner of the area rather than in its middle.
    here = int(stops[np.argmin(cells[stops].sum(axis=1))])
    open_stops = set(stops.tolist())
    way = [here]
    while open_stops:
        open_stops.discard(here)
        distance, before = dijkstra(graph, directed=False, indices=here, return_predecessors=True)
        if not open_stops:
            break
        rest = np.array(sorted(open_stops))
        seeming = distance[rest] + np.where(rooms[rest] != rooms[here], _OTHER_ROOM, 0.0)
        goal = int(rest[np.argmin(seeming)])
        leg = [goal]
        while leg[-1] != here:
            leg.append(int(before[leg[-1]]))
        leg = leg[-2::-1]
        way += leg
        # Stops passed on the way need no visit of their own.
        open_stops -= set(leg)
        here = goal
    return _smoothed(plan, plan.points(cells[np.array(way)]), area)


def _graph(plan: FloorPlan, cells: np.ndarray, area: np.ndarray) -> csr_array:
    """Steps between neighbouring cells, dearer close to furniture, in seeming metres."""
    number = np.full(area.shape, -1, dtype=np.int64)
    number[tuple(cells.T)] = np.arange(len(cells))
    padded = np.pad(number, 1, constant_values=-1)
    rows, columns, costs = [], [], []
    dear = 1.0 + 0.15 / (plan.clearance[tuple(cells.T)] + 0.05)
    for dx, dy in _STEPS:
        beside = padded[cells[:, 0] + 1 + dx, cells[:, 1] + 1 + dy]
        if dx and dy:
            # No cutting of corners.
            open_x = padded[cells[:, 0] + 1 + dx, cells[:, 1] + 1] >= 0
            open_y = padded[cells[:, 0] + 1, cells[:, 1] + 1 + dy] >= 0
            beside = np.where(open_x & open_y, beside, -1)
        own = np.flatnonzero(beside >= 0)
        rows.append(own)
        columns.append(beside[own])
        costs.append(CELL * np.hypot(dx, dy) * (dear[own] + dear[beside[own]]) / 2)
    entries = np.concatenate(costs), (np.concatenate(rows), np.concatenate(columns))
    return coo_array(entries, shape=(len(cells), len(cells))).tocsr()


def _stops(plan: FloorPlan, cells: np.ndarray) -> np.ndarray:
    """Rows of cells to visit: far from furniture first, and none within reach of another."""
    order = np.argsort(-plan.clearance[tuple(cells.T)], kind="stable")
    reached = np.zeros(len(cells), dtype=bool)
    stops = []
    for row in order:
        if not reached[row]:
            stops.append(row)
            reached |= np.hypot(*(cells - cells[row]).T) * CELL < _STOP_DISTANCE
    return np.array(stops)


def _smoothed(plan: FloorPlan, path: np.ndarray, area: np.ndarray) -> np.ndarray:
    """A running mean of the path; where that would leave the area, the path as it was."""
    padded = np.pad(path, ((_SMOOTHING, _SMOOTHING), (0, 0)), mode="edge")
    width = 2 * _SMOOTHING + 1
    kernel = np.full(width, 1 / width)
    mean = np.stack([np.convolve(padded[:, axis], kernel, mode="valid") for axis in range(2)], axis=1)
    inside = area[tuple(plan.cells(mean).T)]
    return np.where(inside[:, None], mean, path)


def _length(path: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def _resampled(plan: FloorPlan, path: np.ndarray, count: int) -> np.ndarray:
    """``count`` points of a path at even distances, of which each room gets one if there are enough."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    wanted = (np.arange(count) + 0.5) / count * along[-1]
    chosen = np.abs(along[None] - wanted[:, None]).argmin(axis=1)
    rooms = plan.rooms[tuple(plan.cells(path).T)]
    for room in np.setdiff1d(rooms, rooms[chosen]):
        # The nearest point of a room that has more than one moves over.
        own, times = np.unique(rooms[chosen], return_counts=True)
        spare = np.flatnonzero(np.isin(rooms[chosen], own[times > 1]))
        if len(spare):
            inside = np.flatnonzero(rooms == room)
            middle = inside[len(inside) // 2]
            chosen[spare[np.abs(chosen[spare] - middle).argmin()]] = middle
    points: np.ndarray = path[np.sort(chosen)]
    return points
