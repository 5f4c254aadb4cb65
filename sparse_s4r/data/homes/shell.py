"""What belongs to the walls: doors, casings, windows and curtains, in the openings of a floor plan."""

from __future__ import annotations

import math

from sparse_s4r.data.homes.decor import curtains
from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.floor_plan import FloorPlan, Kind, Opening
from sparse_s4r.data.homes.materials import Material, Pattern, lacquer, metal, plain, shade, wood
from sparse_s4r.data.homes.piece import Thing, moved
from sparse_s4r.data.homes.solids import Solid, box
from sparse_s4r.data.synthetic_layout import Footprint

LEAF = 0.04
# How far the boards around a door stand off the wall, metres.
CASING_DEPTH = 0.015
_CASING = (0.07, CASING_DEPTH)


def yaw_into(opening: Opening, room: int) -> float:
    """Rotation that turns +y into the direction from an opening into ``room``."""
    sign = opening.face(room)[2]
    return (-math.pi / 2 if sign > 0 else math.pi / 2) if opening.axis == 0 else (0.0 if sign > 0 else math.pi)


def at_opening(thing: Thing, opening: Opening, room: int) -> Thing:
    """A thing made for a wall at y = 0 whose room is at y > 0, put at the middle of an opening's side in ``room``."""
    x, y, _ = opening.face(room)
    return moved(thing, x, y, 0.0, yaw_into(opening, room))


def zone(opening: Opening, room: int, width: float, depth: float) -> Footprint:
    """Floor before an opening in ``room``."""
    x, y, sign = opening.face(room)
    half = sign * depth / 2
    x, y = (x + half, y) if opening.axis == 0 else (x, y + half)
    return Footprint(x, y, width, depth, yaw_into(opening, room))


def casing(opening: Opening, room: int, skin: Material) -> Thing:
    """Boards around a door's opening on the wall of ``room``."""
    (wide, thick), top, half = _CASING, opening.rise[1], opening.width / 2
    solids = [box((s * (half + wide / 2), thick / 2, top / 2), (wide, thick, top), skin, "door") for s in (-1, 1)]
    solids.append(box((0, thick / 2, top + wide / 2), (2 * (half + wide), thick, wide), skin, "door"))
    return at_opening(tuple(solids), opening, room)


def entrance(dice: Dice, opening: Opening) -> list[Thing]:
    """A closed door at the bottom of its recess."""
    skin, grip = wood(dice), metal(dice)
    deep = opening.depth[1] - opening.depth[0]
    wide, high = opening.width, opening.rise[1]
    solids = [box((0, -deep + LEAF / 2, high / 2), (wide, LEAF, high), skin, "door"), *_panels(wide, high, skin)]
    solids = [s.moved(0, -deep + LEAF, 0) if i else s for i, s in enumerate(solids)]
    solids.append(box((0.38 * wide, -deep + LEAF + 0.02, 1.02), (0.11, 0.04, 0.03), grip, "door"))
    return [at_opening(tuple(solids), opening, opening.rooms[0])]


def _panels(wide: float, high: float, skin: Material) -> list[Solid]:
    """Two raised panels on the face of a leaf at y = 0."""
    face = Material(skin.pattern, shade(skin.base, 0.9), skin.accent, skin.scale, skin.seed + 1)
    return [
        box((0, 0.005, z * high), (0.7 * wide, 0.01, h * high), face, "door") for z, h in ((0.27, 0.36), (0.73, 0.42))
    ]


def open_leaf(dice: Dice, opening: Opening, room: int, side: int) -> tuple[Thing, Footprint]:
    """The leaf of a door that stands open at a right angle to the wall in ``room``; ``side`` is that of its hinge.

    Returns:
        The leaf and the floor that it covers.
    """
    skin, grip = (lacquer(dice) if dice.chance(0.6) else wood(dice)), metal(dice)
    wide, high = opening.width - 0.01, opening.rise[1] - 0.015
    x = side * (opening.width / 2 - LEAF / 2)
    start = _CASING[1]
    solids = [box((x, start + wide / 2, 0.008 + high / 2), (LEAF, wide, high), skin, "door")]
    for s in (-1, 1):
        solids.append(box((x + s * (LEAF / 2 + 0.02), start + 0.88 * wide, 1.02), (0.04, 0.12, 0.025), grip, "door"))
    # Two hinges hold it at the casing.
    for z in (0.25, high - 0.25):
        solids.append(box((x, start / 2, z), (LEAF, start + 0.002, 0.1), grip, "door"))
    strip = zone(opening, room, 0.14, start + wide + 0.01)
    shift = side * (opening.width / 2 - LEAF / 2)
    yaw = yaw_into(opening, room)
    place = Footprint(strip.x + shift * math.cos(yaw), strip.y + shift * math.sin(yaw), strip.width, strip.depth, yaw)
    return at_opening(tuple(solids), opening, room), place


def window(dice: Dice, opening: Opening, plan: FloorPlan) -> tuple[list[Thing], bool]:
    """Frame and panes at the bottom of a recess and a sill; perhaps curtains, and whether there are any."""
    room = opening.rooms[0]
    deep, wide = opening.depth[1] - opening.depth[0], opening.width
    low, high = opening.rise
    pane = Material(Pattern.PANE, (0.72, 0.86, 0.97), (0.9, 0.93, 0.95), wide, dice.integer(1000), (high - low) / wide)
    white = plain((0.93, 0.93, 0.9))
    y, edge, z = -deep + 0.02, 0.05, (low + high) / 2
    solids: list[Solid] = [box((0, -deep + 0.01, z), (wide, 0.02, high - low), pane, "window")]
    bars = [(s * (wide - edge) / 2, z, edge, high - low) for s in (-1, 1)]
    bars += [(0.0, z + s * (high - low - edge) / 2, wide - 2 * edge, edge) for s in (-1, 1)]
    if wide > 0.9:
        bars.append((0.0, z, edge, high - low - 2 * edge))
    solids += [box((x, y + 0.015, at), (w, 0.03, h), white, "window") for x, at, w, h in bars]
    solids.append(box((0, 0.02, low - 0.015), (wide + 0.1, 0.04, 0.03), white, "window"))
    things: list[Thing] = [at_opening(tuple(solids), opening, room)]
    if plan.rooms[room].kind not in (Kind.BATHROOM, Kind.KITCHEN, Kind.HALL) and dice.chance(0.5):
        top = min(plan.height - 0.1, high + 0.12)
        drape = curtains(dice, wide, dice.choice((0.03, low - 0.12)), top)
        things.append(at_opening(drape, opening, room))
        return things, True
    return things, False
