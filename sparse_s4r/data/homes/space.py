"""The floor and walls of one room while it is furnished: what is taken, and whether one can still walk."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.floor_plan import FloorPlan, Opening, Use
from sparse_s4r.data.homes.piece import Piece, Thing, Top, moved
from sparse_s4r.data.homes.shell import zone
from sparse_s4r.data.synthetic_layout import Footprint, overlap, wall_footprint

# Half the width of the person who walks, and the cell of the map that shows where, metres.
CLEARANCE = 0.26
CELL = 0.05
_APART = 0.03
_TRIES = 30
# Height that small things on a piece may have, metres.
_SMALL = 0.75


@dataclass
class Placed:
    """A piece that stands: where, on which wall (-1: none) and how far along it; ``lift`` above the floor."""

    piece: Piece
    place: Footprint
    wall: int = -1
    along: float = 0.0
    lift: float = 0.0

    @property
    def rise(self) -> tuple[float, float]:
        """From .. to upwards, metres."""
        return self.lift, self.lift + self.piece.size[2]

    def things(self) -> list[Thing]:
        """Its things in the world."""
        at = self.place
        return [moved(thing, at.x, at.y, self.lift, at.yaw) for thing in self.piece.things]

    def tops(self) -> list[Top]:
        """Its surfaces in the world."""
        at, made = self.place, []
        c, s = math.cos(at.yaw), math.sin(at.yaw)
        for top in self.piece.tops:
            x, y, z = top.center
            center = (at.x + c * x - s * y, at.y + s * x + c * y, z + self.lift)
            made.append(Top(center, top.size, top.clear, top.use, top.yaw + at.yaw))
        return made


@dataclass(frozen=True)
class Stretch:
    """A rectangle of a wall that is taken: from .. to along the wall and upwards, metres."""

    wall: int
    span: tuple[float, float]
    rise: tuple[float, float]


@dataclass
class RoomSpace:
    """One room while it is furnished.

    Attributes:
        plan: The home's floor plan.
        number: The room's number in it.
        dice: Source of every choice.
        standing: Pieces on the floor.
        hanging: Pieces on walls.
        kept: Floor on which nothing may stand.
        above: Floor on which nothing taller than a height may stand.
        stretches: Rectangles of wall that are taken.
    """

    plan: FloorPlan
    number: int
    dice: Dice
    standing: list[Placed] = field(default_factory=list)
    hanging: list[Placed] = field(default_factory=list)
    kept: list[Footprint] = field(default_factory=list)
    above: list[tuple[Footprint, float]] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.room = self.plan.rooms[self.number]
        self.size = self.room.size
        self._doors: list[tuple[float, float]] = []
        shape = tuple(max(1, int(extent / CELL)) for extent in self.size)
        cells = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
        self._points = (cells + 0.5) * CELL + np.array(self.room.low)
        edge = np.minimum(self._points - self.room.low, np.array(self.room.high) - self._points).min(axis=-1)
        self._blocked = edge < CLEARANCE
        for opening in self.plan.openings:
            if self.number in opening.rooms:
                self._add_opening(opening)

    def _add_opening(self, opening: Opening) -> None:
        wall, middle = self.wall_of(opening)
        half = opening.width / 2 + 0.08
        low = 0.0 if opening.use is not Use.WINDOW else opening.rise[0] - 0.05
        self.stretches.append(Stretch(wall, (middle - half, middle + half), (low, opening.rise[1] + 0.1)))
        if opening.use is Use.WINDOW:
            self.above.append((zone(opening, self.number, opening.width + 0.12, 0.05), low))
        else:
            self.kept.append(zone(opening, self.number, opening.width + 0.1, 0.8))
            if opening.use is not Use.ENTRANCE:
                door = zone(opening, self.number, 0.1, 0.9)
                self._doors.append((door.x, door.y))

    def wall_of(self, opening: Opening) -> tuple[int, float]:
        """The wall that an opening is in, and how far along it its middle is."""
        x, y, sign = opening.face(self.number)
        wall = (3 if sign > 0 else 1) if opening.axis == 0 else (0 if sign > 0 else 2)
        return wall, self.along(wall, x, y)

    def add_leaf(self, place: Footprint, opening: Opening) -> bool:
        """Keep the floor of an open door's leaf, if it lies in the room, off other doors, and leaves a way."""
        others = [
            o for o in self.plan.openings if self.number in o.rooms and o is not opening and o.use is not Use.WINDOW
        ]
        zones = [zone(other, self.number, other.width + 0.3, 0.8) for other in others]
        curtains = [kept for kept in self.kept if kept.depth < 0.5]
        inside = self.inside(place, -1e-6) and min(self.size) > place.depth + 0.9
        if not inside or any(overlap(place, taken) for taken in (*zones, *curtains)) or not self._can_walk(place):
            return False
        self.kept.append(place)
        self.block(place)
        # Nothing on a wall may be in its way, either.
        self.hanging.append(Placed(Piece("open door", (place.width, place.depth, opening.rise[1]), ()), place))
        return True

    def along(self, wall: int, x: float, y: float) -> float:
        """How far along ``wall`` a point of the world is, metres."""
        dx, dy = x - self.room.low[0], y - self.room.low[1]
        return (dx, dy, self.size[0] - dx, self.size[1] - dy)[wall]

    def length(self, wall: int) -> float:
        """Length of ``wall``, metres."""
        return self.size[wall % 2]

    def at_wall(self, wall: int, along: float, width: float, depth: float, gap: float) -> Footprint:
        """A rectangle with its back to ``wall``, in the world."""
        local = wall_footprint(wall, along, width, depth, self.size, gap)
        return Footprint(local.x + self.room.low[0], local.y + self.room.low[1], width, depth, local.yaw)

    def against_wall(
        self, piece: Piece, walls: Iterable[int] | None = None, along: float | None = None, ends: float = 0.4
    ) -> Placed | None:
        """Stand a piece against a wall; None if it fits nowhere.

        Args:
            piece: What.
            walls: Which walls may be used; None: all.
            along: Where its middle should be; None: anywhere.
            ends: Share of tries at the ends of a wall.
        """
        width, depth, _ = piece.size
        options = self.dice.shuffled(list(range(4) if walls is None else walls))
        for attempt in range(_TRIES):
            wall = options[attempt % len(options)]
            slack = self.length(wall) - width - 0.04
            if slack < 0:
                continue
            if along is not None:
                at = along + self.dice.uniform(-0.02, 0.02) * attempt
            elif self.dice.chance(ends):
                at = width / 2 + 0.02 + slack * self.dice.integer(2)
            else:
                at = width / 2 + 0.02 + slack * self.dice.uniform()
            placed = Placed(piece, self.at_wall(wall, at, width, depth, self.dice.uniform(0.01, 0.04)), wall, at)
            if self.add(placed):
                return placed
        return None

    def beside(self, other: Placed, piece: Piece, side: int, gap: float = 0.05) -> Placed | None:
        """Stand a piece against the same wall, next to another one."""
        at = other.along + side * ((other.piece.size[0] + piece.size[0]) / 2 + gap)
        placed = Placed(piece, self.at_wall(other.wall, at, *piece.size[:2], 0.02), other.wall, at)
        return placed if self.add(placed) else None

    def before(self, other: Placed, piece: Piece, gap: float, turn: float = 0.0, shift: float = 0.0) -> Placed | None:
        """Stand a piece in front of another one, turned by ``turn`` against it and shifted to its left."""
        at = other.place
        reach = other.piece.size[1] / 2 + gap + piece.size[1] / 2
        x = at.x - math.sin(at.yaw) * reach + math.cos(at.yaw) * shift
        y = at.y + math.cos(at.yaw) * reach + math.sin(at.yaw) * shift
        placed = Placed(piece, Footprint(x, y, *piece.size[:2], at.yaw + turn))
        return placed if self.add(placed) else None

    def anywhere(self, piece: Piece, margin: float = 0.1, aligned: bool = True) -> Placed | None:
        """Stand a piece somewhere on the floor."""
        for _ in range(_TRIES):
            yaw = self.dice.integer(4) * math.pi / 2 if aligned else self.dice.uniform(0, 2 * math.pi)
            spot = [
                low + extent * self.dice.uniform(0.1, 0.9) for low, extent in zip(self.room.low, self.size, strict=True)
            ]
            placed = Placed(piece, Footprint(spot[0], spot[1], *piece.size[:2], yaw))
            if self.inside(placed.place.grown(margin)) and self.add(placed):
                return placed
        return None

    def add(self, placed: Placed) -> bool:
        """Stand a piece if there it touches nothing, covers no door or window, and leaves a way; False if not."""
        place, front = placed.place, placed.piece.front
        if not self.inside(place) or not self.free(place.grown(_APART)):
            return False
        if any(overlap(place, kept) for kept in self.kept) or self._hides(placed):
            return False
        if any(placed.piece.size[2] > z and overlap(place, sill) for sill, z in self.above):
            return False
        top = placed.piece.size[2] + (_SMALL if placed.piece.tops else _APART)
        if any(other.lift < top and overlap(place, other.place) for other in self.hanging):
            return False
        before: list[Footprint] = []
        if front > 0:
            reach = (place.depth + front) / 2
            x, y = place.x - math.sin(place.yaw) * reach, place.y + math.cos(place.yaw) * reach
            before = [Footprint(x, y, 0.8 * place.width, front - 0.01, place.yaw)]
            if not self.inside(before[0]) or not self.free(before[0]):
                return False
        if not self._can_walk(place):
            return False
        self.standing.append(placed)
        self.kept += before
        self.block(place)
        if placed.wall >= 0:
            half = place.width / 2
            span = (placed.along - half, placed.along + half)
            self.stretches.append(Stretch(placed.wall, span, (0.0, placed.piece.size[2])))
        return True

    def block(self, place: Footprint) -> None:
        """Nobody walks here."""
        self._blocked |= self._near(place)

    def inside(self, place: Footprint, margin: float = 0.009) -> bool:
        """Whether a rectangle lies in the room, ``margin`` metres from its walls."""
        low, high = np.array(self.room.low) + margin, np.array(self.room.high) - margin
        corners = place.corners()
        return bool((corners >= low).all() and (corners <= high).all())

    def free(self, place: Footprint) -> bool:
        """Whether nothing stands on a rectangle."""
        return not any(overlap(place, other.place) for other in self.standing)

    def hang(
        self,
        piece: Piece,
        low: float,
        walls: Iterable[int] | None = None,
        along: float | None = None,
        headroom: float = 0.04,
    ) -> Placed | None:
        """Fix a piece to a wall, its lower edge at ``low``, where the wall is bare and nothing below reaches it."""
        width, depth, high = piece.size
        options = self.dice.shuffled(list(range(4) if walls is None else walls))
        for attempt in range(_TRIES):
            wall = options[attempt % len(options)]
            slack = self.length(wall) - width - 0.1
            if slack < 0 or low + high > self.plan.height - 0.05:
                continue
            at = along if along is not None else width / 2 + 0.05 + slack * self.dice.uniform()
            span, rise = (at - width / 2 - 0.04, at + width / 2 + 0.04), (low - 0.04, low + high + 0.04)
            place = self.at_wall(wall, at, width, depth, 0.0)
            if not 0.05 <= at - width / 2 <= slack + 0.05:
                continue
            if any(_meet(rise, o.rise) and overlap(place.grown(0.02), o.place) for o in self.hanging):
                continue
            below = any(o.piece.size[2] + headroom > low and overlap(place, o.place) for o in self.standing)
            if below or any(s.wall == wall and _meet(s.span, span) and _meet(s.rise, rise) for s in self.stretches):
                continue
            self.stretches.append(Stretch(wall, span, rise))
            placed = Placed(piece, place, wall, at, low)
            self.hanging.append(placed)
            return placed
        return None

    def _hides(self, placed: Placed) -> bool:
        """Whether a piece at a wall stands before something on that wall, at any height that both have."""
        half, rise = placed.place.width / 2, (0.0, placed.piece.size[2])
        span = (placed.along - half, placed.along + half)
        if placed.wall < 0:
            return False
        return any(s.wall == placed.wall and _meet(s.span, span) and _meet(s.rise, rise) for s in self.stretches)

    def _near(self, place: Footprint) -> np.ndarray:
        near: np.ndarray = place.distance(self._points.reshape(-1, 2)).reshape(self._points.shape[:2]) < CLEARANCE
        return near

    def _can_walk(self, place: Footprint) -> bool:
        """Whether with this piece all doors are connected, and most of the floor that is left can be reached."""
        walkable = ~(self._blocked | self._near(place))
        areas, count = ndimage.label(walkable)
        if count == 0:
            return False
        sizes = np.bincount(areas.ravel())[1:]
        main = int(sizes.argmax()) + 1
        if sizes[main - 1] * CELL**2 < min(0.6, 0.1 * self.size[0] * self.size[1]):
            return False
        for x, y in self._doors:
            i, j = (int((value - low) / CELL) for value, low in zip((x, y), self.room.low, strict=True))
            if areas[min(i, areas.shape[0] - 1), min(j, areas.shape[1] - 1)] != main:
                return False
        return bool(sizes[main - 1] >= 0.8 * sizes.sum())


def _meet(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return first[0] < second[1] and second[0] < first[1]
