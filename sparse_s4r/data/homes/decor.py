"""What hangs on walls and ceilings or lies on floors, and lamps and plants that stand on them."""

from __future__ import annotations

import math

from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.materials import Material, Pattern, cloth, lively, metal, plain, shade, wood
from sparse_s4r.data.homes.piece import Piece, Thing
from sparse_s4r.data.homes.solids import Solid, ball, bar, box, rod


def floor_lamp(dice: Dice) -> Piece:
    """A standing lamp."""
    steel, high, wide = metal(dice), dice.uniform(1.4, 1.75), dice.uniform(0.3, 0.42)
    light = plain(dice.choice(((0.98, 0.88, 0.66), (0.95, 0.94, 0.9))))
    solids: list[Solid] = [rod((0, 0, 0.0125), (0.28, 0.28, 0.025), steel, "lamp")]
    solids.append(rod((0, 0, (high - 0.1) / 2), (0.035, 0.035, high - 0.1), steel, "lamp"))
    if dice.chance(0.3):
        solids.append(ball((0, 0, high - 0.16), (wide, wide, 0.32), light, "lamp"))
    else:
        solids.append(rod((0, 0, high - 0.14), (wide, wide, 0.28), light, "lamp", dice.choice((0.55, 0.75, 1.0))))
    return Piece("floor lamp", (wide, wide, high), (tuple(solids),))


def plant(dice: Dice) -> Piece:
    """A large plant in a pot."""
    wide, high, skin = dice.uniform(0.28, 0.4), dice.uniform(0.8, 1.6), lively(dice)
    pot = 0.85 * wide
    base = dice.choice(((0.18, 0.38, 0.15), (0.26, 0.46, 0.2), (0.33, 0.45, 0.22)))
    leaves = Material(Pattern.SPOTS, base, shade(base, 1.5), 0.05, dice.integer(1000))
    trunk = plain((0.4, 0.3, 0.2), 0.04)
    solids: list[Solid] = [rod((0, 0, pot / 2), (wide, wide, pot), skin, "plant", 1.25)]
    solids.append(rod((0, 0, (pot + high - 0.2) / 2), (0.05, 0.05, high - 0.2 - pot + 0.02), trunk, "plant"))
    crowns = 2 + dice.integer(3)
    reach = 0.3
    for i in range(crowns):
        turn = 2 * math.pi * i / crowns + dice.uniform(0, 1)
        z = pot + (high - pot) * (0.5 + 0.4 * (i + 1) / crowns) - 0.12
        extent = dice.uniform(0.26, 0.36)
        place = (0.08 * math.cos(turn), 0.08 * math.sin(turn), z)
        solids.append(ball(place, (extent, extent, extent * dice.uniform(0.6, 1.0)), leaves, "plant", turn))
    return Piece("plant", (2 * reach, 2 * reach, high), (tuple(solids),))


# Of ceiling lamps, metres.
WIDEST_LAMP = 0.5


def ceiling_lamp(dice: Dice, height: float, low: float) -> Thing:
    """A lamp below a ceiling at ``height``; nothing of it is below ``low``."""
    light, steel = plain((0.98, 0.95, 0.85)), metal(dice)
    drop = height - low
    if drop < 0.3 or dice.chance(0.4):
        wide = dice.uniform(0.28, WIDEST_LAMP)
        return (rod((0, 0, height - 0.05), (wide, wide, 0.1), light, "lamp", 1.15),)
    wire, wide = dice.uniform(0.15, min(0.6, drop - 0.22)), dice.uniform(0.24, 0.42)
    solids: list[Solid] = [rod((0, 0, height - 0.015), (0.1, 0.1, 0.03), steel, "lamp")]
    solids.append(rod((0, 0, height - wire / 2), (0.02, 0.02, wire), steel, "lamp"))
    if dice.chance(0.5):
        solids.append(ball((0, 0, height - wire - 0.09), (wide, wide, 0.2), light, "lamp"))
    else:
        solids.append(rod((0, 0, height - wire - 0.08), (wide, wide, 0.2), light, "lamp", 0.5))
    return tuple(solids)


def picture(dice: Dice) -> Piece:
    """A framed picture; z = 0 is its lower edge, the wall is at its back."""
    wide, high = dice.uniform(0.3, 1.0), dice.uniform(0.3, 0.8)
    frame = dice.choice((wood(dice), plain((0.12, 0.12, 0.12)), plain((0.92, 0.92, 0.9))))
    image = Material(Pattern.PICTURE, lively(dice).base, lively(dice).base, wide, dice.integer(1000), high / wide)
    edge = 0.025
    solids: list[Solid] = [box((0, -0.004, high / 2), (wide - 2 * edge, 0.016, high - 2 * edge), image, "picture")]
    for s in (-1, 1):
        solids.append(box((s * (wide - edge) / 2, 0, high / 2), (edge, 0.024, high), frame, "picture"))
        solids.append(box((0, 0, high / 2 + s * (high - edge) / 2), (wide - 2 * edge, 0.024, edge), frame, "picture"))
    return Piece("picture", (wide, 0.024, high), (tuple(solids),))


def mirror(dice: Dice) -> Piece:
    """A mirror; it is opaque grey here, since no depth camera measures one."""
    wide, high = dice.uniform(0.4, 0.7), dice.uniform(0.5, 0.8)
    glass = Material(Pattern.PANE, (0.75, 0.8, 0.83), (0.55, 0.57, 0.6), wide, dice.integer(1000), high / wide)
    return Piece("mirror", (wide, 0.02, high), ((box((0, 0, high / 2), (wide, 0.02, high), glass, "mirror"),),))


def wall_tv(dice: Dice) -> Piece:
    """A flat television on a wall."""
    wide = dice.uniform(0.95, 1.5)
    high = 0.57 * wide
    screen = Material(Pattern.SCREEN, (0.04, 0.04, 0.05), (0.12, 0.14, 0.18), wide, dice.integer(1000), 0.57)
    back = box((0, -0.025, high / 2), (0.4 * wide, 0.03, 0.4 * high), plain((0.1, 0.1, 0.11)), "tv")
    return Piece("tv", (wide, 0.08, high), ((box((0, 0.015, high / 2), (wide, 0.05, high), screen, "tv"), back),))


def clock(dice: Dice) -> Piece:
    """A round wall clock."""
    wide = dice.uniform(0.24, 0.36)
    solids = (
        bar((0, -0.003, wide / 2), (wide, wide, 0.03), lively(dice), "small_object"),
        bar((0, 0.008, wide / 2), (0.85 * wide, 0.85 * wide, 0.02), plain((0.94, 0.94, 0.92)), "small_object"),
    )
    return Piece("clock", (wide, 0.036, wide), (solids,))


def rug(dice: Dice, size: tuple[float, float]) -> Thing:
    """A carpet of ``size``; round ones are as wide as the shorter side."""
    base, accent = cloth(dice).base, cloth(dice).base
    pattern = dice.choice((Pattern.SPOTS, Pattern.STRIPES, Pattern.FABRIC, Pattern.TILES))
    skin = Material(pattern, base, accent, dice.uniform(0.12, 0.3), dice.integer(1000))
    thick = 0.008
    if dice.chance(0.2):
        wide = min(size)
        return (rod((0, 0, thick / 2), (wide, wide, thick), skin, "rug"),)
    return (box((0, 0, thick / 2), (*size, thick), skin, "rug"),)


def curtains(dice: Dice, width: float, floor: float, top: float) -> Thing:
    """Two drapes and their rod for a window ``width`` wide, from ``floor`` to ``top``; the wall is at y = 0."""
    skin, steel = cloth(dice), metal(dice)
    half, drawn = width / 2 + 0.22, dice.uniform(0.25, 0.5)
    # The cloth hangs clear of a sill that reaches 4 cm into the room.
    solids: list[Solid] = [bar((0, 0.1, top), (0.025, 0.025, 2 * half), steel, "curtain", math.pi / 2)]
    for s in (-1, 1):
        solids.append(box((s * (half - 0.06), 0.05, top), (0.02, 0.1, 0.02), steel, "curtain"))
        folds = max(3, round(drawn * half / 0.075))
        for i in range(folds):
            x = s * (half - 0.05 - i * 0.07)
            extent = (0.085, 0.07 + 0.02 * (i % 2), top - floor)
            solids.append(rod((x, 0.1, (top + floor) / 2), extent, skin, "curtain"))
    return tuple(solids)
