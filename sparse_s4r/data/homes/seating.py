"""Chairs, sofas and stools."""

from __future__ import annotations

import math

from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.materials import Material, cloth, lively, metal, wood
from sparse_s4r.data.homes.piece import Piece, Thing, legs
from sparse_s4r.data.homes.solids import Solid, ball, bar, box, rod

CHAIR_DEPTH = 0.48


def dining_chair(dice: Dice, frame: Material, seat: Material, style: int) -> Thing:
    """A chair on four legs, 0.44 m wide, its back within 0.24 m behind the origin; ``style`` 0 to 3 picks the back."""
    width, depth, high = 0.44, 0.44, 0.45
    solids: list[Solid] = [box((0, 0, high - 0.025), (width, depth, 0.05), seat, "chair")]
    solids += legs(dice, (width, depth), high - 0.05, frame, "chair", 0.04)
    y, top = -depth / 2 + 0.02, dice.uniform(0.82, 0.95)
    if style == 0:
        solids.append(box((0, y, (high + top) / 2), (width, 0.04, top - high), seat, "chair"))
        return tuple(solids)
    for x in (-width / 2 + 0.02, width / 2 - 0.02):
        solids.append(box((x, y, (high + top) / 2), (0.04, 0.04, top - high), frame, "chair"))
    if style == 1:
        solids.append(box((0, y, top - 0.12), (width - 0.08, 0.03, 0.2), seat, "chair"))
    elif style == 2:
        for x in (-0.11, 0.0, 0.11):
            solids.append(box((x, y, (high + top) / 2), (0.03, 0.02, top - high), frame, "chair"))
        solids.append(box((0, y, top - 0.03), (width - 0.08, 0.03, 0.06), frame, "chair"))
    else:
        for z in (high + 0.12, high + 0.24, top - 0.03):
            solids.append(box((0, y, z), (width - 0.08, 0.025, 0.06), frame, "chair"))
    return tuple(solids)


def side_chair(dice: Dice) -> Piece:
    """A dining chair on its own, perhaps with arms."""
    frame = wood(dice)
    solids = list(dining_chair(dice, frame, cloth(dice), dice.integer(4)))
    if dice.chance(0.4):
        for x in (-0.235, 0.235):
            solids.append(box((x, 0, 0.66), (0.04, 0.44, 0.03), frame, "chair"))
            solids.append(box((x, 0.18, 0.52), (0.03, 0.03, 0.26), frame, "chair"))
            solids.append(box((x, -0.2, 0.52), (0.03, 0.03, 0.26), frame, "chair"))
    return Piece("chair", (0.52, CHAIR_DEPTH, 0.95), (tuple(solids),), front=0.3)


def office_chair(dice: Dice) -> Thing:
    """A swivel chair with five feet, within 0.29 m of the origin."""
    dark, seat = metal(dice), cloth(dice)
    solids: list[Solid] = [rod((0, 0, 0.26), (0.06, 0.06, 0.34), dark, "chair")]
    for i in range(5):
        turn = 2 * math.pi * i / 5
        x, y = -0.14 * math.sin(turn), 0.14 * math.cos(turn)
        solids.append(box((x, y, 0.08), (0.045, 0.28, 0.035), dark, "chair", turn))
        solids.append(ball((1.75 * x, 1.75 * y, 0.033), (0.066, 0.066, 0.066), dark, "chair"))
    solids.append(box((0, 0, 0.46), (0.46, 0.46, 0.08), seat, "chair"))
    solids.append(box((0, -0.21, 0.53), (0.06, 0.03, 0.2), dark, "chair"))
    back = dice.uniform(0.4, 0.62)
    solids.append(box((0, -0.22, 0.58 + back / 2), (0.42, 0.06, back), seat, "chair"))
    if dice.chance(0.6):
        for x in (-0.25, 0.25):
            solids.append(box((x, 0, 0.54), (0.04, 0.05, 0.24), dark, "chair"))
            solids.append(box((x, 0.02, 0.67), (0.06, 0.26, 0.03), dark, "chair"))
    return tuple(solids)


def stool(dice: Dice) -> Piece:
    """A round or square stool."""
    frame, high = wood(dice), dice.uniform(0.42, 0.5)
    seat = lively(dice) if dice.chance(0.5) else frame
    if dice.chance(0.5):
        top = rod((0, 0, high - 0.02), (0.36, 0.36, 0.04), seat, "stool")
    else:
        top = box((0, 0, high - 0.02), (0.36, 0.36, 0.04), seat, "stool")
    return Piece("stool", (0.38, 0.38, high), ((top, *legs(dice, (0.28, 0.28), high - 0.04, frame, "stool", 0.035)),))


def pouf(dice: Dice) -> Piece:
    """A round or square footstool without legs."""
    high, width, skin = dice.uniform(0.34, 0.44), dice.uniform(0.45, 0.6), cloth(dice)
    size = (width, width, high)
    make = rod if dice.chance(0.6) else box
    return Piece("pouf", size, ((make((0, 0, high / 2), size, skin, "ottoman"),),))


def armchair(dice: Dice) -> Piece:
    """An upholstered chair with arms."""
    return _upholstered(dice, "armchair", "chair", dice.uniform(0.78, 0.92), 1)


def sofa(dice: Dice) -> Piece:
    """A sofa of two or three seats, sometimes with a long side."""
    seats = 2 + dice.integer(2)
    if dice.chance(0.3):
        return _corner_sofa(dice)
    return _upholstered(dice, "sofa", "sofa", seats * dice.uniform(0.62, 0.72) + 0.36, seats)


def _upholstered(dice: Dice, name: str, label: str, width: float, seats: int) -> Piece:
    skin, cushion, depth = cloth(dice), cloth(dice), dice.uniform(0.8, 0.95)
    lift = dice.choice((0.0, 0.1, 0.14))
    arm, back = dice.choice((0.1, 0.16, 0.2)), dice.uniform(0.74, 0.9)
    solids: list[Solid] = [box((0, 0, (lift + 0.28) / 2 + lift / 2), (width, depth, 0.28), skin, label)]
    if lift:
        solids += legs(dice, (width, depth), lift, wood(dice), label)
    floor, inner = lift + 0.28, (width - 2 * arm) / seats
    solids.append(box((0, -depth / 2 + 0.1, (floor + back) / 2), (width, 0.2, back - floor), skin, label))
    for i in range(seats):
        x = (i - (seats - 1) / 2) * inner
        solids.append(box((x, 0.1, floor + 0.06), (inner - 0.01, depth - 0.2, 0.12), skin, label))
        solids.append(box((x, -depth / 2 + 0.26, floor + 0.29), (inner - 0.02, 0.13, 0.34), skin, label, tilt=-0.12))
    for side in (-1, 1):
        x = side * (width - arm) / 2
        solids.append(box((x, 0, floor + 0.12), (arm, depth, 0.24), skin, label))
        if arm > 0.15 and dice.chance(0.5):
            solids.append(bar((x, 0, floor + 0.24), (arm, arm, depth), skin, label))
    for i in range(seats):
        if dice.chance(0.45):
            x = (i - (seats - 1) / 2) * inner + dice.uniform(-0.06, 0.06)
            pillow = ball((x, -depth / 2 + 0.4, floor + 0.29), (0.38, 0.15, 0.36), cushion, "pillow")
            solids.append(pillow)
    return Piece(name, (width, depth, back), (tuple(solids),), front=0.3)


def _corner_sofa(dice: Dice) -> Piece:
    """An L: a long bench, and a shorter one forwards at one end."""
    skin, width, reach = cloth(dice), dice.uniform(2.2, 2.8), dice.uniform(1.4, 1.75)
    side = dice.choice((-1, 1))
    deep, back = 0.88, dice.uniform(0.74, 0.86)
    y = -reach / 2 + deep / 2
    x = side * (width / 2 - 0.45)
    solids: list[Solid] = [
        box((0, y, 0.16), (width, deep, 0.32), skin, "sofa"),
        box((x, deep / 2, 0.16), (0.9, reach - deep, 0.32), skin, "sofa"),
        box((0, -reach / 2 + 0.1, (0.32 + back) / 2), (width, 0.2, back - 0.32), skin, "sofa"),
        box((side * (width / 2 - 0.08), 0, 0.45), (0.16, reach, 0.26), skin, "sofa"),
        box((-side * (width / 2 - 0.08), y, 0.45), (0.16, deep, 0.26), skin, "sofa"),
        box((side * (width / 2 - 0.53), 0.1, 0.38), (0.74, reach - 0.2, 0.12), skin, "sofa"),
    ]
    low, high = -width / 2 + 0.17, width / 2 - 0.91
    for i in range(2):
        seat = (high - low) / 2
        middle = side * (low + (i + 0.5) * seat)
        solids.append(box((middle, y + 0.1, 0.38), (seat - 0.01, deep - 0.2, 0.12), skin, "sofa"))
        solids.append(box((middle, y - 0.18, 0.6), (seat - 0.02, 0.13, 0.32), skin, "sofa", tilt=-0.12))
    cushion = cloth(dice)
    for _ in range(dice.integer(3)):
        middle = side * (low + dice.uniform(0.25, high - low - 0.25))
        solids.append(ball((middle, y - 0.02, 0.6), (0.36, 0.15, 0.34), cushion, "pillow"))
    return Piece("corner sofa", (width, reach, back), (tuple(solids),), front=0.3)
