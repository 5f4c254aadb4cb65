"""Where a person with a camera can go in a home: a map of free cells, and shortest ways on it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sparse_s4r.data.homes.home import Home
from sparse_s4r.data.homes.space import CELL
from sparse_s4r.data.homes.surface import Surface

# The camera keeps this far from everything between the person's ankles and the top of the head, metres.
REACH = 0.2
_HEIGHTS = (0.06, 1.85)

Cell = tuple[int, int]


@dataclass(frozen=True)
class WalkMap:
    """Cells of 5 cm.

    Attributes:
        free: (X, Y) whether a person can stand there and get to every room.
        room: (X, Y) int64 number of the room, -1 in doorways and walls.
        low: World corner (2,) of cell (0, 0), metres.
    """

    free: NDArray[np.bool_]
    room: NDArray[np.int64]
    low: NDArray[np.float64]

    def point(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        """World centres (..., 2) of cells."""
        return self.low + (cells + 0.5) * CELL

    def steps_from(self, start: Cell) -> NDArray[np.int64]:
        """Number of steps to every free cell, -1 where there is no way."""
        steps = np.full(self.free.shape, -1, dtype=np.int64)
        steps[start] = 0
        queue = deque([start])
        while queue:
            x, y = queue.popleft()
            for cell in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                # The outermost cells are never free.
                if self.free[cell] and steps[cell] < 0:
                    steps[cell] = steps[x, y] + 1
                    queue.append(cell)
        return steps

    def way(self, start: Cell, goal: Cell) -> list[Cell]:
        """Cells from ``start`` (not included) to ``goal``, changing direction as evenly as a straight line would."""
        steps = self.steps_from(goal)
        x, y = start
        way: list[Cell] = []
        while steps[x, y] > 0:
            near = [(x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)]
            nearer = [cell for cell in near if 0 <= steps[cell] < steps[x, y]]
            x, y = min(nearer, key=lambda cell: abs((cell[0] - goal[0]) ** 2 + (cell[1] - goal[1]) ** 2))
            way.append((x, y))
        return way


def make_map(home: Home, surface: Surface) -> WalkMap:
    """The map of a home.

    Raises:
        RuntimeError: A room cannot be reached; the arrangement should not let that happen.
    """
    low = surface.air.low.min(axis=0)[:2] - 2 * CELL
    high = surface.air.high.max(axis=0)[:2] + 2 * CELL
    shape = tuple(int(np.ceil(extent / CELL)) for extent in high - low)
    taken = np.ones(shape, dtype=bool)
    room = np.full(shape, -1, dtype=np.int64)
    for number, (a, b) in enumerate(zip(surface.air.low, surface.air.high, strict=True)):
        # Windows and recesses are no floor.
        if number < len(home.plan.rooms) or (
            a[2] == 0 and len(home.plan.openings[number - len(home.plan.rooms)].rooms) == 2
        ):
            first, last = np.ceil((a[:2] - low) / CELL - 0.5), np.floor((b[:2] - low) / CELL - 0.5)
            where = slice(int(first[0]), int(last[0]) + 1), slice(int(first[1]), int(last[1]) + 1)
            taken[where] = False
            if number < len(home.plan.rooms):
                room[where] = number
    solids = surface.solids
    tall = (solids.high[:, 2] > _HEIGHTS[0]) & (solids.low[:, 2] < _HEIGHTS[1])
    for a, b in zip(solids.low[tall], solids.high[tall], strict=True):
        first, last = np.floor((a[:2] - low) / CELL), np.floor((b[:2] - low) / CELL)
        taken[int(first[0]) : int(last[0]) + 1, int(first[1]) : int(last[1]) + 1] = True
    free = ndimage.distance_transform_edt(~taken) * CELL > REACH
    areas, count = ndimage.label(free)
    if count == 0:
        raise RuntimeError(f"home {home.seed}: no floor is left to walk on")
    main = areas == 1 + int(np.bincount(areas.ravel())[1:].argmax())
    for number in range(len(home.plan.rooms)):
        if not (main & (room == number)).any():
            raise RuntimeError(f"home {home.seed}: room {number} cannot be reached on foot")
    return WalkMap(main, room, low)
