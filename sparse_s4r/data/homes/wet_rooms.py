"""What kitchens and bathrooms have."""

from __future__ import annotations

from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.materials import Material, Pattern, cloth, lacquer, metal, plain, shade, wood
from sparse_s4r.data.homes.piece import Piece, Thing, Top, moved
from sparse_s4r.data.homes.solids import Solid, bar, box, rod

_WHITE = plain((0.95, 0.95, 0.96))
_DARK = plain((0.12, 0.12, 0.13))
_DEEP, _HIGH = 0.62, 0.9
_HOLE = (0.46, 0.36)


def kitchen_run(dice: Dice, length: float) -> Piece:
    """Base cabinets under a worktop, with a sink and a stove as far as ``length`` metres hold them."""
    skin, grip, stone = (lacquer(dice) if dice.chance(0.6) else wood(dice)), metal(dice), _worktop(dice)
    count = max(1, int(length / 0.6))
    wide = length / count
    sink = dice.integer(count) if count > 1 else 0
    others = [i for i in range(count) if abs(i - sink) > 1] or [i for i in range(count) if i != sink]
    stove = dice.choice(others) if others else -1
    cabinets: list[Solid] = []
    things: list[Thing] = []
    tops: list[Top] = []
    for i in range(count):
        x = (i + 0.5) * wide - length / 2
        if i == stove:
            things.append(moved(_stove(wide), x, 0, 0))
            continue
        cabinets += [solid.moved(x, 0, 0) for solid in _base(dice, wide, skin, grip, hollow=i == sink)]
        if i == sink:
            things += [moved(thing, x, 0, 0) for thing in _sink_unit(wide, stone)]
        else:
            slab = box((x, 0, _HIGH - 0.02), (wide, _DEEP, 0.04), stone, "counter")
            things.append((slab,))
            tops.append(Top((x, 0.02, _HIGH), (wide - 0.06, _DEEP - 0.14), 0.45, "counter"))
    things = [tuple(cabinets), *things] if cabinets else things
    return Piece("kitchen run", (length, _DEEP, 1.0), tuple(things), tuple(tops), front=0.75)


def _worktop(dice: Dice) -> Material:
    base = dice.choice(((0.25, 0.25, 0.27), (0.8, 0.78, 0.74), (0.55, 0.5, 0.46)))
    return Material(Pattern.CARPET, base, shade(base, 1.3), 0.02, dice.integer(1000))


def _base(dice: Dice, wide: float, skin: Material, grip: Material, hollow: bool) -> list[Solid]:
    """One base cabinet; under a sink it is lower inside so that the basin has room."""
    high = 0.62 if hollow else _HIGH - 0.04
    front = _DEEP / 2 - 0.05
    solids = [
        box((0, -0.045, 0.05), (wide, _DEEP - 0.09, 0.1), _DARK, "cabinet"),
        box((0, -0.02, 0.1 + (high - 0.1) / 2), (wide, _DEEP - 0.06, high - 0.1), skin, "cabinet"),
    ]
    if hollow:
        rise = _HIGH - 0.04 - high
        solids.append(box((0, front - 0.01, high + rise / 2), (wide, 0.02, rise), skin, "cabinet"))
        for side in (-1, 1):
            place = (side * (wide / 2 - 0.01), -0.02, high + rise / 2)
            solids.append(box(place, (0.02, _DEEP - 0.06, rise), skin, "cabinet"))
    face = Material(skin.pattern, shade(skin.base, 1.05), skin.accent, skin.scale, skin.seed + 5)
    rows = 1 if hollow or dice.chance(0.6) else 3
    for row in range(rows):
        rise = (_HIGH - 0.16) / rows
        z = 0.11 + (row + 0.5) * rise
        solids.append(box((0, front + 0.007, z), (wide - 0.01, 0.016, rise - 0.01), face, "cabinet"))
        solids.append(box((0, front + 0.025, z + rise / 2 - 0.05), (0.14, 0.02, 0.012), grip, "cabinet"))
    return solids


def _sink_unit(wide: float, stone: Material) -> list[Thing]:
    """A worktop with a hole, the basin in it and a tap."""
    steel = plain((0.7, 0.71, 0.73), 0.1)
    hx, hy = min(_HOLE[0], wide - 0.12), _HOLE[1]
    z, side, back = _HIGH - 0.02, (wide - hx) / 2, (_DEEP - hy) / 2
    slab = [
        box(((hx + side) / 2, 0, z), (side, _DEEP, 0.04), stone, "counter"),
        box((-(hx + side) / 2, 0, z), (side, _DEEP, 0.04), stone, "counter"),
        box((0, (hy + back) / 2, z), (hx, back, 0.04), stone, "counter"),
        box((0, -(hy + back) / 2, z), (hx, back, 0.04), stone, "counter"),
    ]
    basin = [
        box((0, 0, 0.71), (hx, hy, 0.02), steel, "sink"),
        *_rim((hx, hy), (0.72, _HIGH - 0.004), 0.012, steel, "sink"),
    ]
    tap = [
        rod((0, -hy / 2 - 0.05, _HIGH + 0.11), (0.035, 0.035, 0.22), steel, "sink"),
        bar((0, -hy / 2 + 0.03, _HIGH + 0.21), (0.025, 0.025, 0.18), steel, "sink"),
    ]
    return [tuple(slab), (*basin, *tap)]


def _rim(size: tuple[float, float], rise: tuple[float, float], thick: float, skin: Material, name: str) -> list[Solid]:
    """Four upright boards around a rectangle of outer ``size``."""
    z, high = sum(rise) / 2, rise[1] - rise[0]
    solids = []
    for s in (-1, 1):
        solids.append(box((s * (size[0] - thick) / 2, 0, z), (thick, size[1], high), skin, name))
        solids.append(box((0, s * (size[1] - thick) / 2, z), (size[0] - 2 * thick, thick, high), skin, name))
    return solids


def _stove(wide: float) -> Thing:
    steel = plain((0.78, 0.78, 0.8), 0.1)
    solids = [
        box((0, -0.02, _HIGH / 2 - 0.005), (wide, _DEEP - 0.05, _HIGH - 0.01), steel, "stove"),
        box((0, -0.01, _HIGH - 0.005), (wide, _DEEP - 0.06, 0.01), _DARK, "stove"),
        box((0, _DEEP / 2 - 0.04, 0.42), (wide - 0.08, 0.012, 0.4), _DARK, "stove"),
        box((0, _DEEP / 2 - 0.0325, 0.68), (wide - 0.12, 0.025, 0.02), steel, "stove"),
    ]
    for x in (-0.14, 0.14):
        for y in (-0.14, 0.12):
            solids.append(rod((x, y, _HIGH + 0.004), (0.17, 0.17, 0.008), plain((0.25, 0.25, 0.26)), "stove"))
    return tuple(solids)


def upper_cabinets(dice: Dice, length: float) -> Piece:
    """Cabinets that hang on the wall above a worktop; z = 0 is their underside."""
    skin, grip = (lacquer(dice) if dice.chance(0.6) else wood(dice)), metal(dice)
    count, high, deep = max(1, round(length / 0.5)), dice.uniform(0.6, 0.72), 0.34
    wide = length / count
    solids = [box((0, -0.015, high / 2), (length, deep - 0.03, high), skin, "cabinet")]
    face = Material(skin.pattern, shade(skin.base, 1.05), skin.accent, skin.scale, skin.seed + 5)
    for i in range(count):
        x = (i + 0.5) * wide - length / 2
        solids.append(box((x, deep / 2 - 0.024, high / 2), (wide - 0.012, 0.014, high - 0.012), face, "cabinet"))
        solids.append(box((x + 0.3 * wide, deep / 2 - 0.009, 0.1), (0.012, 0.018, 0.12), grip, "cabinet"))
    return Piece("upper cabinets", (length, deep, high), (tuple(solids),))


def refrigerator(dice: Dice) -> Piece:
    """A tall refrigerator with one or two doors."""
    skin = dice.choice((_WHITE, plain((0.68, 0.69, 0.71)), plain((0.2, 0.2, 0.22)), plain((0.7, 0.25, 0.22))))
    width, depth, high = dice.uniform(0.58, 0.75), dice.uniform(0.62, 0.7), dice.uniform(1.5, 1.9)
    solids = [box((0, -0.035, high / 2), (width, depth - 0.07, high), skin, "refrigerator")]
    cut = dice.choice((0.3, 0.68, 1.0)) * high
    for low, top in ((0.02, cut - 0.005), (cut + 0.005, high - 0.004)):
        if top - low > 0.1:
            place = (0.0, depth / 2 - 0.046, (low + top) / 2)
            solids.append(box(place, (width, 0.052, top - low), skin, "refrigerator"))
            grip = (-width / 2 + 0.06, depth / 2 - 0.01, (low + top) / 2)
            solids.append(box(grip, (0.02, 0.02, 0.4 * (top - low)), plain((0.8, 0.8, 0.82)), "refrigerator"))
    return Piece("refrigerator", (width, depth, high), (tuple(solids),), front=0.6)


def toilet(dice: Dice) -> Piece:
    """A toilet with a cistern at the wall."""
    depth = dice.uniform(0.64, 0.7)
    lid = _WHITE if dice.chance(0.7) else wood(dice)
    y = depth / 2 - 0.25
    solids = [
        rod((0, y - 0.02, 0.19), (0.36, 0.44, 0.38), _WHITE, "toilet", 1.3),
        box((0, -0.1, 0.19), (0.22, depth - 0.3, 0.38), _WHITE, "toilet"),
        rod((0, y, 0.395), (0.38, 0.48, 0.03), lid, "toilet"),
        box((0, -depth / 2 + 0.09, 0.58), (0.38, 0.18, 0.42), _WHITE, "toilet"),
        box((0, -depth / 2 + 0.09, 0.8), (0.4, 0.18, 0.025), _WHITE, "toilet"),
    ]
    return Piece("toilet", (0.42, depth, 0.82), (tuple(solids),), front=0.45)


def washbasin(dice: Dice) -> Piece:
    """A basin on a column or on a small cabinet, with a tap."""
    width, depth, high = dice.uniform(0.5, 0.7), dice.uniform(0.42, 0.5), dice.uniform(0.8, 0.88)
    steel, floor = plain((0.75, 0.76, 0.78), 0.1), high - 0.14
    solids = [box((0, 0, floor + 0.01), (width, depth, 0.02), _WHITE, "sink")]
    solids += _rim((width, depth), (floor + 0.02, high), 0.035, _WHITE, "sink")
    solids.append(box((0, -depth / 2 + 0.08, high - 0.02), (width - 0.07, 0.09, 0.04), _WHITE, "sink"))
    solids.append(rod((0, -depth / 2 + 0.08, high + 0.07), (0.035, 0.035, 0.14), steel, "sink"))
    solids.append(bar((0, -depth / 2 + 0.14, high + 0.13), (0.025, 0.025, 0.14), steel, "sink"))
    if dice.chance(0.5):
        solids.append(rod((0, -0.05, floor / 2), (0.18, 0.18, floor), _WHITE, "sink", 1.2))
        return Piece("washbasin", (width, depth, high), (tuple(solids),), front=0.5)
    skin = lacquer(dice)
    cabinet = [box((0, -0.01, floor / 2), (width - 0.06, depth - 0.06, floor), skin, "cabinet")]
    for side in (-1, 1):
        place = (side * (width - 0.06) / 4, depth / 2 - 0.036, floor / 2)
        cabinet.append(box(place, ((width - 0.06) / 2 - 0.01, 0.012, floor - 0.04), skin, "cabinet"))
    return Piece("washbasin", (width, depth, high), (tuple(solids), tuple(cabinet)), front=0.5)


def bathtub(dice: Dice) -> Piece:
    """A bathtub along the wall, perhaps with a curtain on a rod before it."""
    long, deep, high = dice.uniform(1.5, 1.75), dice.uniform(0.7, 0.8), dice.uniform(0.5, 0.58)
    solids = [box((0, 0, 0.06), (long, deep, 0.12), _WHITE, "bathtub")]
    solids += _rim((long, deep), (0.12, high), 0.06, _WHITE, "bathtub")
    things: list[Thing] = [tuple(solids)]
    return Piece("bathtub", (long, deep, high), tuple(things), front=0.45)


def shower_curtain(dice: Dice, length: float, height: float) -> Thing:
    """Folds on a rod of ``length`` along x that hangs from a ceiling at ``height``; the cloth covers one end."""
    skin, steel = cloth(dice), plain((0.75, 0.76, 0.78), 0.1)
    high, low = height - 0.25, 0.64
    solids: list[Solid] = [box((0, 0, high), (length, 0.022, 0.022), steel, "shower_curtain")]
    for side in (-1, 1):
        place = (side * (length / 2 - 0.02), 0.0, (high + height) / 2)
        solids.append(rod(place, (0.025, 0.025, height - high), steel, "shower_curtain"))
    covered, side = length * dice.uniform(0.35, 0.7), dice.choice((-1, 1))
    folds = max(3, round(covered / 0.07))
    for i in range(folds):
        x = side * (-length / 2 + 0.05 + (i + 0.5) * (covered / folds))
        extent = (covered / folds + 0.02, 0.05, high + 0.005 - low)
        solids.append(rod((x, 0.006 * (-1) ** i, (high + 0.005 + low) / 2), extent, skin, "shower_curtain"))
    return tuple(solids)
