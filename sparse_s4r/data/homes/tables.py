"""Tables, desks, and the chairs that stand at them."""

from __future__ import annotations

import math

from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.materials import Material, Pattern, cloth, lacquer, metal, wood
from sparse_s4r.data.homes.piece import Piece, Thing, Top, legs, moved
from sparse_s4r.data.homes.seating import dining_chair, office_chair
from sparse_s4r.data.homes.solids import Solid, box, rod

_HIGH = 0.74
# From a table's edge to the middle of a chair before it: no part of the chair is then below the edge.
_PUSHED = 0.26


def dining_table(dice: Dice) -> Piece:
    """A table with two to six chairs that face it."""
    return _round_table(dice) if dice.chance(0.3) else _long_table(dice)


def small_table(dice: Dice) -> Piece:
    """A table for two."""
    return _long_table(dice, small=True)


def _long_table(dice: Dice, small: bool = False) -> Piece:
    frame, seat, style = wood(dice), cloth(dice), dice.integer(4)
    if dice.chance(0.4):
        seat = frame
    long = dice.uniform(0.8, 1.0) if small else dice.uniform(1.2, 1.9)
    deep = dice.uniform(0.7, 0.8) if small else dice.uniform(0.75, 0.95)
    solids: list[Solid] = [box((0, 0, _HIGH - 0.02), (long, deep, 0.04), frame, "table")]
    solids += legs(dice, (long, deep), _HIGH - 0.04, frame, "table", dice.uniform(0.05, 0.09))
    if dice.chance(0.5):
        for y in (-1, 1):
            place = (0.0, y * (deep / 2 - 0.07), _HIGH - 0.08)
            solids.append(box(place, (long - 0.2, 0.02, 0.08), frame, "table"))
    things: list[Thing] = [tuple(solids)]
    per_side = 1 if small else 1 if long < 1.25 else 2 if long < 1.75 or dice.chance(0.4) else 3
    for side in (-1, 1):
        for i in range(per_side):
            x = (i - (per_side - 1) / 2) * long / per_side + dice.uniform(-0.03, 0.03)
            spot = (x, side * (deep / 2 + _PUSHED + dice.uniform(0.0, 0.06)))
            things.append(_towards(dining_chair(dice, frame, seat, style), spot, (x, 0.0), dice.uniform(-0.08, 0.08)))
    top = Top((0, 0, _HIGH), (long - 0.1, deep - 0.1), 0.6, "table")
    return Piece("table", (long + 0.06, deep + 2 * (_PUSHED + 0.34), 0.95), tuple(things), (top,), 0.0)


def _round_table(dice: Dice) -> Piece:
    frame, seat, style = wood(dice), cloth(dice), dice.integer(4)
    width, count = dice.uniform(0.95, 1.25), dice.choice((2, 3, 4))
    solids = [rod((0, 0, _HIGH - 0.02), (width, width, 0.04), frame, "table")]
    if dice.chance(0.6):
        solids.append(rod((0, 0, _HIGH / 2 - 0.01), (0.12, 0.12, _HIGH - 0.06), frame, "table"))
        solids.append(rod((0, 0, 0.02), (0.55, 0.55, 0.04), frame, "table"))
    else:
        solids += legs(dice, (0.6 * width, 0.6 * width), _HIGH - 0.04, frame, "table")
    things: list[Thing] = [tuple(solids)]
    for i in range(count):
        turn = 2 * math.pi * i / count
        reach = width / 2 + _PUSHED + dice.uniform(0.0, 0.05)
        place = (reach * math.sin(turn), reach * math.cos(turn))
        things.append(_towards(dining_chair(dice, frame, seat, style), place, (0.0, 0.0), dice.uniform(-0.08, 0.08)))
    extent = width + 2 * (_PUSHED + 0.34)
    top = Top((0, 0, _HIGH), (0.6 * width, 0.6 * width), 0.6, "table")
    return Piece("round table", (extent, extent, 0.95), tuple(things), (top,))


def _towards(chair: Thing, place: tuple[float, float], target: tuple[float, float], turn: float) -> Thing:
    """A chair, which looks along +y, moved to ``place`` and turned to look at ``target``, and a little off it."""
    yaw = math.atan2(-(target[0] - place[0]), target[1] - place[1]) + turn
    return moved(chair, place[0], place[1], 0.0, yaw)


def coffee_table(dice: Dice) -> Piece:
    """A low table: long with a shelf, or round."""
    frame, high = wood(dice), dice.uniform(0.36, 0.46)
    if dice.chance(0.35):
        width = dice.uniform(0.6, 0.85)
        solids = [rod((0, 0, high - 0.015), (width, width, 0.03), frame, "coffee_table")]
        solids += legs(dice, (0.65 * width, 0.65 * width), high - 0.03, metal(dice), "coffee_table", 0.04)
        top = Top((0, 0, high), (0.6 * width, 0.6 * width), 0.5, "table")
        return Piece("coffee table", (width, width, high), (tuple(solids),), (top,))
    long, deep = dice.uniform(0.8, 1.2), dice.uniform(0.5, 0.65)
    solids = [box((0, 0, high - 0.02), (long, deep, 0.04), frame, "coffee_table")]
    solids += legs(dice, (long, deep), high - 0.04, frame, "coffee_table", 0.06)
    if dice.chance(0.5):
        solids.append(box((0, 0, 0.14), (long - 0.1, deep - 0.1, 0.025), frame, "coffee_table"))
    top = Top((0, 0, high), (long - 0.08, deep - 0.08), 0.5, "table")
    return Piece("coffee table", (long, deep, high), (tuple(solids),), (top,))


def side_table(dice: Dice) -> Piece:
    """A small table for a lamp."""
    frame, high, width = wood(dice), dice.uniform(0.45, 0.62), dice.uniform(0.38, 0.5)
    if dice.chance(0.5):
        solids = [rod((0, 0, high - 0.015), (width, width, 0.03), frame, "coffee_table")]
        solids.append(rod((0, 0, high / 2), (0.05, 0.05, high - 0.03), frame, "coffee_table"))
        solids.append(rod((0, 0, 0.0125), (0.3, 0.3, 0.025), frame, "coffee_table"))
    else:
        solids = [box((0, 0, high - 0.015), (width, width, 0.03), frame, "coffee_table")]
        solids += legs(dice, (width, width), high - 0.03, frame, "coffee_table", 0.035)
    top = Top((0, 0, high), (0.7 * width, 0.7 * width), 0.8, "stand")
    return Piece("side table", (width, width, high), (tuple(solids),), (top,))


def desk(dice: Dice) -> Piece:
    """A desk on legs, panels or drawers, with a swivel chair before it."""
    surface, long, deep = wood(dice), dice.uniform(1.1, 1.7), dice.uniform(0.6, 0.8)
    high = dice.uniform(0.71, 0.75)
    solids: list[Solid] = [box((0, 0, high - 0.015), (long, deep, 0.03), surface, "desk")]
    style = dice.integer(3)
    if style == 0:
        solids += legs(dice, (long, deep), high - 0.03, metal(dice), "desk")
    else:
        for side in (-1, 1):
            if style == 2 and side > 0:
                solids += _drawers(dice, (side * (long / 2 - 0.23), 0.0), (0.4, deep - 0.06), high - 0.03)
                continue
            place = (side * (long / 2 - 0.03), 0.0, (high - 0.03) / 2)
            solids.append(box(place, (0.03, deep - 0.04, high - 0.03), surface, "desk"))
        # Between the panel on the left and the panel or the drawers on the right.
        ends = (-long / 2 + 0.045, long / 2 - (0.43 if style == 2 else 0.045))
        place = (sum(ends) / 2, -deep / 2 + 0.06, 0.5)
        solids.append(box(place, (ends[1] - ends[0], 0.02, 0.3), surface, "desk"))
    gap = 0.3
    y = deep / 2 + gap
    chair = moved(office_chair(dice), dice.uniform(-0.25, 0.1), y, 0.0, math.pi + dice.uniform(-0.4, 0.4))
    shift = (gap + 0.3) / 2
    top = Top((0, -shift, high), (long - 0.08, deep - 0.08), 0.9, "desk")
    things = (moved(solids, 0, -shift, 0), moved(chair, 0, -shift, 0))
    return Piece("desk", (long, deep + gap + 0.3, 0.76), things, (top,), front=0.2)


def _drawers(dice: Dice, at: tuple[float, float], size: tuple[float, float], height: float) -> list[Solid]:
    """A block of three drawers below a desk."""
    skin, grip = lacquer(dice), metal(dice)
    x, y = at
    solids = [box((x, y, height / 2), (*size, height), skin, "desk")]
    face = Material(Pattern.PLAIN, skin.base, skin.accent, 0.2, skin.seed + 1)
    for i in range(3):
        z = (i + 0.5) * height / 3
        solids.append(box((x, y + size[1] / 2 + 0.005, z), (size[0] - 0.02, 0.01, height / 3 - 0.02), face, "desk"))
        solids.append(box((x, y + size[1] / 2 + 0.02, z), (0.1, 0.02, 0.015), grip, "desk"))
    return solids
