"""A home: its floor plan, what its walls and floors look like, and all the things in it."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_s4r.data.homes import shell
from sparse_s4r.data.homes.arrange import furnish
from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.floor_plan import FloorPlan, Kind, Opening, Use, make_plan
from sparse_s4r.data.homes.materials import Material, flooring, paint, plain, tiles, wood
from sparse_s4r.data.homes.piece import Thing
from sparse_s4r.data.homes.space import RoomSpace, Stretch


@dataclass(frozen=True)
class Finish:
    """What the shell of a room looks like.

    Attributes:
        floor: The floor.
        walls: The walls at low x, high x, low y and high y.
        ceiling: The ceiling.
    """

    floor: Material
    walls: tuple[Material, Material, Material, Material]
    ceiling: Material


@dataclass(frozen=True)
class Item:
    """One object and the room that it stands in."""

    thing: Thing
    room: int


@dataclass(frozen=True)
class Home:
    """A furnished home; the floor is at z = 0 and a corner of the first room near the origin.

    Attributes:
        seed: The seed that it was made from; with the number of rooms it says everything.
        plan: Rooms and openings.
        finishes: One for each room.
        items: Everything that is not shell.
    """

    seed: int
    plan: FloorPlan
    finishes: tuple[Finish, ...]
    items: tuple[Item, ...]


def make_home(seed: int, rooms: int = 1) -> Home:
    """Make the home of a seed: the same one on every machine.

    Args:
        seed: Any number >= 0.
        rooms: Number of rooms.

    Raises:
        UserError: Rooms out of range.
        ValueError: A negative seed.
    """
    if seed < 0:
        raise ValueError(f"seed: expected a number >= 0, got {seed}")
    dice = Dice(seed, rooms)
    plan = make_plan(dice, rooms)
    spaces = [RoomSpace(plan, number, Dice(seed, rooms, 1, number)) for number in range(rooms)]
    items = _fixtures(Dice(seed, rooms, 2), plan, spaces)
    for space in spaces:
        items += [Item(thing, space.number) for thing in furnish(space)]
    finishes = tuple(_finish(Dice(seed, rooms, 3, i), room.kind) for i, room in enumerate(plan.rooms))
    return Home(seed, plan, finishes, tuple(items))


def _finish(dice: Dice, kind: Kind) -> Finish:
    wet = kind in (Kind.BATHROOM, Kind.KITCHEN)
    floor = tiles(dice, wall=False) if kind is Kind.BATHROOM or (wet and dice.chance(0.7)) else flooring(dice)
    skin = tiles(dice, wall=True) if kind is Kind.BATHROOM and dice.chance(0.75) else paint(dice)
    walls = [skin] * 4
    if dice.chance(0.3):
        walls[dice.integer(4)] = paint(dice)
    white = dice.choice(((0.95, 0.95, 0.94), (0.92, 0.91, 0.88)))
    return Finish(floor, (walls[0], walls[1], walls[2], walls[3]), plain(white, 0.5))


def _fixtures(dice: Dice, plan: FloorPlan, spaces: list[RoomSpace]) -> list[Item]:
    """Doors, casings, windows and curtains; what they need is kept free in the rooms."""
    items: list[Item] = []
    skin = plain(dice.choice(((0.94, 0.93, 0.9), (0.85, 0.84, 0.8)))) if dice.chance(0.6) else wood(dice)
    for opening in plan.openings:
        first = opening.rooms[0]
        if opening.use is Use.WINDOW:
            things, curtained = shell.window(dice, opening, plan)
            items += [Item(thing, first) for thing in things]
            if curtained:
                _keep_curtains(spaces[first], opening)
            continue
        items += [Item(shell.casing(opening, room, skin), room) for room in opening.rooms]
        if opening.use is Use.ENTRANCE:
            items += [Item(thing, first) for thing in shell.entrance(dice, opening)]
        elif opening.use is Use.DOOR and dice.chance(0.75):
            items += _open_door(dice, opening, spaces)
    return items


def _keep_curtains(space: RoomSpace, opening: Opening) -> None:
    width = opening.width + 0.56
    space.kept.append(shell.zone(opening, space.number, width, 0.17))
    wall, middle = space.wall_of(opening)
    space.stretches.append(Stretch(wall, (middle - width / 2, middle + width / 2), (0.0, space.plan.height)))


def _open_door(dice: Dice, opening: Opening, spaces: list[RoomSpace]) -> list[Item]:
    """A leaf that stands open in one of the two rooms, where it is in no other door's way."""
    for room in dice.shuffled(opening.rooms):
        for side in dice.shuffled((-1, 1)):
            leaf, place = shell.open_leaf(dice, opening, room, side)
            if spaces[room].add_leaf(place, opening):
                return [Item(leaf, room)]
    return []
