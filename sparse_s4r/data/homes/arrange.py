"""Which furniture a room of each kind gets, and what stands where: beds at walls, screens opposite sofas, ..."""

from __future__ import annotations

import math
from collections.abc import Callable

from sparse_s4r.data.homes import decor, seating, storage, tables, wet_rooms
from sparse_s4r.data.homes.floor_plan import Kind
from sparse_s4r.data.homes.piece import Piece, Thing, moved
from sparse_s4r.data.homes.shell import CASING_DEPTH
from sparse_s4r.data.homes.small_things import stand_on
from sparse_s4r.data.homes.space import Placed, RoomSpace
from sparse_s4r.data.synthetic_layout import Footprint, overlap

_RUG = 0.008


def furnish(space: RoomSpace) -> list[Thing]:
    """Fill a room with what it is for, then with rugs, small things, pictures and lamps; everything that was added."""
    _ROOMS[space.room.kind](space)
    things = _rugs(space)
    things += [thing for placed in space.standing for thing in placed.things()]
    _on_walls(space)
    things += [thing for placed in space.hanging for thing in placed.things()]
    for placed in (*space.standing, *space.hanging):
        for top in placed.tops():
            things += stand_on(space.dice, top)
    things += _ceiling(space)
    return things


def _living(space: RoomSpace) -> None:
    dice = space.dice
    sofa = space.against_wall(seating.sofa(dice), ends=0.15) or space.against_wall(seating.armchair(dice))
    if sofa is not None:
        _opposite(space, sofa)
        table = space.before(sofa, tables.coffee_table(dice), dice.uniform(0.35, 0.5))
        for side in dice.shuffled((-1, 1))[: 1 + dice.integer(2)]:
            space.beside(sofa, tables.side_table(dice) if dice.chance(0.5) else decor.floor_lamp(dice), side)
        if table is not None and dice.chance(0.6):
            side = dice.choice((-1, 1))
            shift = side * (sofa.piece.size[0] / 2 + dice.uniform(0.3, 0.6))
            space.before(sofa, seating.armchair(dice), dice.uniform(0.3, 0.7), side * math.pi / 2, shift)
    if space.size[0] * space.size[1] > 17 or dice.chance(0.3):
        space.anywhere(tables.dining_table(dice), 0.3) or space.anywhere(tables.small_table(dice), 0.2)
    for build in dice.shuffled((storage.bookshelf, storage.dresser, storage.bookshelf, seating.armchair)):
        space.against_wall(build(dice))
    _extras(space, (decor.plant, decor.floor_lamp, seating.pouf, decor.plant))


def _opposite(space: RoomSpace, sofa: Placed) -> None:
    """A television on the wall that the sofa faces: on a stand, or on the wall."""
    wall = (sofa.wall + 2) % 4
    along = space.length(wall) - sofa.along
    if space.against_wall(storage.tv_stand(space.dice), (wall,), along) is None:
        space.hang(decor.wall_tv(space.dice), space.dice.uniform(0.9, 1.1), (wall,), along, 0.75)


def _bedroom(space: RoomSpace) -> None:
    dice = space.dice
    bed = space.against_wall(storage.bed(dice), ends=0.25) or space.against_wall(storage.narrow_bed(dice), ends=0.9)
    if bed is not None:
        stand = storage.nightstand if dice.chance(0.75) else tables.side_table
        seed_piece = stand(dice)
        for side in (-1, 1):
            space.beside(bed, seed_piece, side)
    space.against_wall(storage.wardrobe(dice), ends=0.7)
    wishes = (storage.dresser, tables.desk, storage.bookshelf, seating.armchair, storage.dresser)
    for build in dice.shuffled(wishes)[: 2 + dice.integer(3)]:
        space.against_wall(build(dice))
    _extras(space, (decor.plant, decor.floor_lamp, seating.pouf, storage.bin_, seating.side_chair))


def _office(space: RoomSpace) -> None:
    dice = space.dice
    for _ in range(1 + dice.integer(3)):
        space.against_wall(tables.desk(dice), ends=0.3)
    for build in dice.shuffled((storage.bookshelf, storage.bookshelf, storage.dresser, storage.wardrobe)):
        space.against_wall(build(dice))
    if dice.chance(0.4):
        space.anywhere(tables.small_table(dice), 0.2)
    _extras(space, (storage.bin_, decor.plant, decor.floor_lamp, seating.side_chair, seating.armchair))


def _kitchen(space: RoomSpace) -> None:
    dice = space.dice
    run = None
    for length in (3.6, 3.0, 2.4, 1.8, 1.2):
        long = length * dice.uniform(0.94, 1.06)
        run = space.against_wall(wet_rooms.kitchen_run(dice, long), ends=0.8)
        if run is not None:
            break
    if run is not None:
        fridge = wet_rooms.refrigerator(dice)
        first = dice.choice((-1, 1))
        space.beside(run, fridge, first, 0.03) or space.beside(run, fridge, -first, 0.03) or space.against_wall(fridge)
        width = run.piece.size[0]
        for share, shift in ((1.0, 0.0), (0.5, -0.25), (0.5, 0.25)):
            above = wet_rooms.upper_cabinets(dice, share * width)
            upper = space.hang(above, dice.uniform(1.45, 1.5), (run.wall,), run.along + shift * width, 0.1)
            if upper is not None:
                break
    if dice.chance(0.85):
        space.anywhere(tables.dining_table(dice), 0.25) or space.anywhere(tables.small_table(dice), 0.1)
    _extras(space, (storage.bin_, seating.stool, decor.plant, storage.dresser, storage.bookshelf))


def _bathroom(space: RoomSpace) -> None:
    dice = space.dice
    tub = space.against_wall(wet_rooms.bathtub(dice), ends=1.0)
    if tub is not None and dice.chance(0.65):
        length, depth, _ = tub.piece.size
        cloth = wet_rooms.shower_curtain(dice, length - 0.06, space.plan.height)
        piece = Piece("shower curtain", (length, depth, space.plan.height), (moved(cloth, 0, depth / 2 - 0.03, 0),))
        space.hanging.append(Placed(piece, tub.place))
    space.against_wall(wet_rooms.toilet(dice), ends=0.3)
    basin = space.against_wall(wet_rooms.washbasin(dice), ends=0.3)
    if basin is not None:
        space.hang(decor.mirror(dice), dice.uniform(1.15, 1.25), (basin.wall,), basin.along, 0.12)
    wishes = (storage.nightstand, storage.dresser, storage.bin_, seating.stool, storage.bin_)
    _extras(space, wishes)


def _hall(space: RoomSpace) -> None:
    dice = space.dice
    for build in dice.shuffled((storage.dresser, storage.bookshelf, storage.wardrobe, seating.side_chair))[:2]:
        space.against_wall(build(dice))
    _extras(space, (decor.plant, seating.stool, decor.floor_lamp))
    space.hang(decor.mirror(dice), dice.uniform(1.0, 1.3), headroom=0.3)


def _extras(space: RoomSpace, builders: tuple[Callable[..., Piece], ...]) -> None:
    """Some of several small pieces, at walls."""
    for build in space.dice.shuffled(builders)[: 2 + space.dice.integer(len(builders) - 1)]:
        space.against_wall(build(space.dice), ends=0.6)


_ROOMS: dict[Kind, Callable[[RoomSpace], None]] = {
    Kind.LIVING: _living,
    Kind.BEDROOM: _bedroom,
    Kind.OFFICE: _office,
    Kind.KITCHEN: _kitchen,
    Kind.BATHROOM: _bathroom,
    Kind.HALL: _hall,
}


# Rugs may lie in doorways, but must not reach below the casings of doors, which stand off the wall.
_OFF_WALLS = CASING_DEPTH + 0.001


def _rugs(space: RoomSpace) -> list[Thing]:
    """Rugs below whole groups, which are lifted by their thickness, or on bare floor."""
    dice, made, covered = space.dice, list[Thing](), list[Footprint]()
    for placed in space.standing:
        if placed.piece.name not in ("coffee table", "table", "round table") or dice.chance(0.45):
            continue
        for margin in (0.45, 0.3, 0.15, 0.08):
            place = placed.place.grown(margin)
            others = (other.place for other in space.standing if other is not placed)
            if space.inside(place, _OFF_WALLS) and not any(overlap(place, other) for other in (*others, *covered)):
                rug = decor.rug(dice, (place.width, place.depth))
                if rug[0].form.value == "box":
                    made.append(moved(rug, place.x, place.y, 0.0, place.yaw))
                    covered.append(place)
                    placed.lift = _RUG
                break
    if dice.chance(0.5):
        for _ in range(8):
            size = (dice.uniform(0.6, 1.8), dice.uniform(0.5, 1.2))
            x, y = (low + extent * dice.uniform() for low, extent in zip(space.room.low, space.size, strict=True))
            place = Footprint(x, y, *size, dice.integer(2) * math.pi / 2)
            bare = space.free(place) and not any(overlap(place, other) for other in covered)
            if space.inside(place, _OFF_WALLS) and bare:
                made.append(moved(decor.rug(dice, size), x, y, 0.0, place.yaw))
                break
    return made


def _on_walls(space: RoomSpace) -> None:
    """Pictures over furniture and on bare wall, a clock, a board."""
    dice = space.dice
    wet = space.room.kind in (Kind.BATHROOM, Kind.KITCHEN)
    for placed in list(space.standing):
        if placed.piece.name in ("bed", "sofa", "cabinet", "desk") and dice.chance(0.6):
            low = max(1.25, placed.piece.size[2] + 0.3)
            space.hang(decor.picture(dice), low, (placed.wall,), placed.along, 0.2)
    for _ in range(dice.integer(2 if wet else 5)):
        space.hang(decor.picture(dice), dice.uniform(1.15, 1.5), headroom=0.2)
    if dice.chance(0.3):
        space.hang(decor.clock(dice), dice.uniform(1.6, 1.8), headroom=0.2)
    if dice.chance(0.2 if wet else 0.4):
        space.hang(storage.wall_shelf(dice), dice.uniform(1.3, 1.5), headroom=0.75)


# Lamps in the middle of a room hang above everybody's head, metres.
_OVERHEAD = 2.15


def _ceiling(space: RoomSpace) -> list[Thing]:
    """A lamp above a table, low, or in the middle of the room, above everybody's head."""
    if space.dice.chance(0.15):
        return []
    for placed in space.standing:
        if placed.piece.name in ("table", "round table"):
            lamp = decor.ceiling_lamp(space.dice, space.plan.height, 1.6)
            return [moved(lamp, placed.place.x, placed.place.y, 0.0)]
    x, y = space.room.middle
    lamp = decor.ceiling_lamp(space.dice, space.plan.height, _OVERHEAD)
    around = Footprint(x, y, decor.WIDEST_LAMP + 0.02, decor.WIDEST_LAMP + 0.02, 0.0)
    # In a small bathroom the rail of the shower's curtain may hang there.
    high = (other.place for other in space.hanging if other.rise[1] > _OVERHEAD)
    return [] if any(overlap(around, place) for place in high) else [moved(lamp, x, y, 0.0)]
