"""Floor plans: a rectangle cut into rooms, and the doors and windows in their walls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.structures.errors import UserError

MAX_ROOMS = 16
_TRIES = 400
_SAME = 1e-6
# Wall to keep beside an opening.
_JAMB = 0.22


class Kind(str, Enum):
    """What a room is for."""

    LIVING = "living room"
    BEDROOM = "bedroom"
    OFFICE = "office"
    KITCHEN = "kitchen"
    BATHROOM = "bathroom"
    HALL = "hall"


# Area from .. to, square metres, and the least width, metres.
_AREAS: dict[Kind, tuple[float, float, float]] = {
    Kind.LIVING: (16.0, 30.0, 3.5),
    Kind.BEDROOM: (10.0, 18.0, 2.7),
    Kind.OFFICE: (7.5, 14.0, 2.4),
    Kind.KITCHEN: (8.0, 16.0, 2.4),
    Kind.BATHROOM: (4.6, 8.5, 1.8),
    Kind.HALL: (4.5, 9.0, 1.5),
}
_SINGLE = (Kind.LIVING,) * 3 + (Kind.BEDROOM,) * 3 + (Kind.OFFICE,) * 2 + (Kind.KITCHEN,) * 2 + (Kind.BATHROOM,) * 2
_FIRST = (Kind.LIVING, Kind.BEDROOM, Kind.KITCHEN, Kind.BATHROOM, Kind.HALL)
_FURTHER = (Kind.BEDROOM, Kind.OFFICE, Kind.BEDROOM, Kind.BATHROOM, Kind.OFFICE, Kind.LIVING)


@dataclass(frozen=True)
class Room:
    """A rectangular room.

    Attributes:
        kind: What it is for.
        low: Its corner (x, y) nearest to the origin, metres.
        high: The opposite corner.
    """

    kind: Kind
    low: tuple[float, float]
    high: tuple[float, float]

    @property
    def size(self) -> tuple[float, float]:
        """Extent (x, y), metres."""
        return self.high[0] - self.low[0], self.high[1] - self.low[1]

    @property
    def middle(self) -> tuple[float, float]:
        """Centre (x, y), metres."""
        return (self.low[0] + self.high[0]) / 2, (self.low[1] + self.high[1]) / 2


class Use(str, Enum):
    """What an opening is."""

    DOOR = "door"
    PASSAGE = "passage"
    ENTRANCE = "entrance"
    WINDOW = "window"


@dataclass(frozen=True)
class Opening:
    """A cuboid taken out of a wall.

    Attributes:
        use: What it is.
        axis: Axis across the wall, 0 = x, 1 = y.
        depth: From .. to across the wall, metres.
        span: From .. to along the wall, metres.
        rise: From .. to upwards, metres.
        rooms: The room on each side, by number; a closed one has one room.
        side: +1 if its first room lies at the low end of ``axis``, else -1.
    """

    use: Use
    axis: int
    depth: tuple[float, float]
    span: tuple[float, float]
    rise: tuple[float, float]
    rooms: tuple[int, ...]
    side: int = 1

    @property
    def width(self) -> float:
        """Extent along the wall, metres."""
        return self.span[1] - self.span[0]

    def face(self, room: int) -> tuple[float, float, float]:
        """Where it opens into ``room``: middle (x, y) at the wall, and the sign of the way into the room."""
        sign = -self.side if room == self.rooms[0] else self.side
        across = self.depth[0] if sign < 0 else self.depth[1]
        along = (self.span[0] + self.span[1]) / 2
        return (across, along, float(sign)) if self.axis == 0 else (along, across, float(sign))


@dataclass(frozen=True)
class FloorPlan:
    """Rooms of one height that open into each other; the floor is at z = 0."""

    rooms: tuple[Room, ...]
    openings: tuple[Opening, ...]
    height: float


def make_plan(dice: Dice, rooms: int) -> FloorPlan:
    """A plan of ``rooms`` rooms, each reachable from each through doors.

    Raises:
        UserError: Less than one room or more than 16.
    """
    if not 1 <= rooms <= MAX_ROOMS:
        raise UserError(f"rooms of a home: expected 1 to {MAX_ROOMS}, got {rooms}; make several homes")
    kinds = [dice.choice(_SINGLE)] if rooms == 1 else _kinds(dice, rooms)
    height, wall = dice.uniform(2.35, 2.8), dice.uniform(0.09, 0.16)
    for attempt in range(_TRIES):
        areas = [(kind, dice.uniform(*_AREAS[kind][:2]) * (1 + 0.004 * attempt)) for kind in dice.shuffled(kinds)]
        total = sum(area for _, area in areas) * 1.06
        width = round((total * dice.uniform(0.7, 1.5)) ** 0.5, 3)
        made = _split(dice, ((0.0, 0.0), (width, round(total / width, 3))), areas, wall)
        if any(min(room.size) < _AREAS[room.kind][2] for room in made):
            continue
        if any(max(room.size) > 2.6 * min(room.size) and room.kind is not Kind.HALL for room in made):
            continue
        doors = _doors(dice, made, wall)
        if doors is not None:
            return FloorPlan(tuple(made), (*doors, *_outer(dice, made, wall)), height)
    raise RuntimeError(f"no floor plan of {rooms} rooms in {_TRIES} tries")


def _kinds(dice: Dice, rooms: int) -> list[Kind]:
    if rooms == 4:
        return [*_FIRST[:3], dice.choice((Kind.BATHROOM, Kind.HALL))]
    kinds = list(_FIRST[:rooms])
    while len(kinds) < rooms:
        kinds.append(dice.choice(_FURTHER))
    return kinds


_Box = tuple[tuple[float, float], tuple[float, float]]


def _split(dice: Dice, rect: _Box, areas: list[tuple[Kind, float]], wall: float) -> list[Room]:
    """Cut a rectangle across its longer side, in the ratio of the areas wanted, until each part is one room."""
    if len(areas) == 1:
        return [Room(areas[0][0], *rect)]
    (x0, y0), (x1, y1) = rect
    cut = 1 + dice.integer(len(areas) - 1)
    share = sum(area for _, area in areas[:cut]) / sum(area for _, area in areas)
    axis = 0 if (x1 - x0) > (y1 - y0) else 1
    low, high = rect[0][axis], rect[1][axis]
    at = round(low + (high - low - wall) * share, 4)
    if axis == 0:
        halves: tuple[_Box, _Box] = ((rect[0], (at, y1)), ((round(at + wall, 4), y0), rect[1]))
    else:
        halves = ((rect[0], (x1, at)), ((x0, round(at + wall, 4)), rect[1]))
    return _split(dice, halves[0], areas[:cut], wall) + _split(dice, halves[1], areas[cut:], wall)


def _doors(dice: Dice, rooms: list[Room], wall: float) -> list[Opening] | None:
    """Openings that connect all rooms, and a few more; None if the walls are too short for that."""
    found: list[tuple[float, int, int, int, float, float]] = []
    for a, first in enumerate(rooms):
        for b, second in enumerate(rooms):
            for axis in (0, 1):
                if abs(first.high[axis] + wall - second.low[axis]) > _SAME:
                    continue
                low = max(first.low[1 - axis], second.low[1 - axis])
                high = min(first.high[1 - axis], second.high[1 - axis])
                if high - low > 0.8 + 2 * _JAMB:
                    found.append((_liking(first, second) + dice.uniform(), a, b, axis, low, high))
    group = list(range(len(rooms)))
    doors: list[Opening] = []
    for _, a, b, axis, low, high in sorted(found):
        joins = group[a] != group[b]
        private = Kind.BATHROOM in (rooms[a].kind, rooms[b].kind)
        if joins or (not private and dice.chance(0.3)):
            group = [group[a] if g == group[b] else g for g in group]
            doors.append(_door(dice, (a, b), (rooms[a], rooms[b]), axis, (low, high)))
    return doors if len(set(group)) == 1 else None


def _liking(first: Room, second: Room) -> float:
    """Low for a door that a home would rather have."""
    kinds = {first.kind, second.kind}
    if Kind.HALL in kinds:
        return 0.0
    if Kind.BATHROOM in kinds:
        return 2.0 if Kind.KITCHEN in kinds else 1.0
    return 0.3 if Kind.LIVING in kinds else 1.2


def _door(
    dice: Dice, numbers: tuple[int, int], rooms: tuple[Room, Room], axis: int, shared: tuple[float, float]
) -> Opening:
    kinds = {room.kind for room in rooms}
    room_for = shared[1] - shared[0] - 2 * _JAMB
    open_plan = kinds <= {Kind.LIVING, Kind.KITCHEN, Kind.HALL, Kind.OFFICE} and dice.chance(0.45)
    width = dice.uniform(1.0, 2.0) if open_plan else dice.uniform(0.8, 0.95)
    width = round(min(width, room_for), 4)
    use = Use.PASSAGE if open_plan or dice.chance(0.2) else Use.DOOR
    slack = room_for - width
    # Doors stand near a corner more often than not.
    along = slack * dice.choice((0.0, 1.0, dice.uniform()))
    low = round(shared[0] + _JAMB + along, 4)
    depth = (rooms[0].high[axis], rooms[1].low[axis])
    return Opening(use, axis, depth, (low, round(low + width, 4)), (0.0, dice.uniform(1.98, 2.12)), numbers)


def _outer(dice: Dice, rooms: list[Room], wall: float) -> list[Opening]:
    """The entrance, and windows in outer walls."""
    outer: list[tuple[int, int, int]] = []
    for number, room in enumerate(rooms):
        for axis in (0, 1):
            if all(
                abs(room.low[axis] - other.low[axis]) < _SAME or room.low[axis] < other.low[axis] for other in rooms
            ):
                outer.append((number, axis, 1))
            if all(
                abs(room.high[axis] - other.high[axis]) < _SAME or room.high[axis] > other.high[axis] for other in rooms
            ):
                outer.append((number, axis, -1))
    order = (Kind.HALL, Kind.LIVING, Kind.KITCHEN, Kind.OFFICE, Kind.BEDROOM, Kind.BATHROOM)
    walls = sorted(dice.shuffled(outer), key=lambda at: order.index(rooms[at[0]].kind))
    found = [_entrance(dice, rooms, walls[0], wall)]
    for at in walls[1:]:
        kind = rooms[at[0]].kind
        if dice.chance(0.2 if kind is Kind.HALL else 0.5 if kind is Kind.BATHROOM else 0.55):
            found.append(_window(dice, rooms, at))
    return found


def _closed(room: Room, number: int, axis: int, side: int, deep: float, span: tuple[float, float]) -> Opening:
    """A recess in the wall at the low (side = 1) or high end of ``axis``; use and rise are set by the caller."""
    at = room.low[axis] if side > 0 else room.high[axis]
    depth = (round(at - deep, 4), at) if side > 0 else (at, round(at + deep, 4))
    return Opening(Use.WINDOW, axis, depth, span, (0.0, 1.0), (number,), -side)


def _entrance(dice: Dice, rooms: list[Room], at: tuple[int, int, int], wall: float) -> Opening:
    number, axis, side = at
    room = rooms[number]
    width = dice.uniform(0.85, 0.98)
    low = round(room.low[1 - axis] + _JAMB + (room.size[1 - axis] - 2 * _JAMB - width) * dice.uniform(), 4)
    made = _closed(room, number, axis, side, round(0.7 * wall, 4), (low, round(low + width, 4)))
    return Opening(Use.ENTRANCE, axis, made.depth, made.span, (0.0, dice.uniform(1.98, 2.12)), made.rooms, made.side)


def _window(dice: Dice, rooms: list[Room], at: tuple[int, int, int]) -> Opening:
    number, axis, side = at
    room = rooms[number]
    length = room.size[1 - axis]
    small = room.kind in (Kind.BATHROOM, Kind.HALL)
    width = round(min(dice.uniform(0.5, 0.8) if small else dice.uniform(0.9, 2.0), length - 1.1), 4)
    low = round(room.low[1 - axis] + 0.55 + (length - 1.1 - width) * dice.uniform(0.2, 0.8), 4)
    # Above a worktop's tap, above people's shoulders, or above a desk.
    sill = (1.25, 1.4) if small else (1.12, 1.2) if room.kind is Kind.KITCHEN else (0.85, 1.0)
    rise = (dice.uniform(*sill), dice.uniform(1.8, 2.0) if small else dice.uniform(1.95, 2.15))
    made = _closed(room, number, axis, side, dice.uniform(0.08, 0.16), (low, round(low + width, 4)))
    return Opening(Use.WINDOW, axis, made.depth, made.span, rise, made.rooms, made.side)
