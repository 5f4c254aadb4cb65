"""Beds, cabinets, wardrobes and shelves."""

from __future__ import annotations

from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.materials import Material, Pattern, cloth, lacquer, linen, lively, metal, shade, wood
from sparse_s4r.data.homes.piece import Piece, Top, legs
from sparse_s4r.data.homes.solids import Solid, ball, box, rod


def bed(dice: Dice) -> Piece:
    """A single or double bed, its head at the wall."""
    return _bed(dice, dice.choice((0.95, 1.2, 1.5, 1.7)))


def narrow_bed(dice: Dice) -> Piece:
    """A single bed."""
    return _bed(dice, 0.95)


def _bed(dice: Dice, width: float) -> Piece:
    frame = wood(dice) if dice.chance(0.7) else cloth(dice)
    sheet, cover, long = linen(dice), cloth(dice), dice.uniform(2.0, 2.12)
    lift, high = dice.choice((0.0, 0.12, 0.2)), dice.uniform(0.85, 1.15)
    solids: list[Solid] = [box((0, 0.03, lift + 0.09), (width, long - 0.06, 0.18), frame, "bed")]
    if lift:
        solids += legs(dice, (width, long), lift, frame, "bed", 0.07)
    solids.append(box((0, -long / 2 + 0.03, high / 2), (width, 0.06, high), frame, "bed"))
    if dice.chance(0.4):
        solids.append(box((0, long / 2 - 0.02, 0.3), (width, 0.04, 0.6), frame, "bed"))
    mat = lift + 0.18
    solids.append(box((0, 0.01, mat + 0.1), (width - 0.04, long - 0.12, 0.2), sheet, "bed"))
    drawn = dice.uniform(0.35, 0.7)
    covered = long - 0.1 - drawn
    place = (0.0, -long / 2 + 0.06 + drawn + covered / 2, mat + 0.13)
    solids.append(box(place, (width - 0.02, covered - 0.04, 0.19), cover, "bed"))
    count = 1 if width < 1.3 else 2
    for i in range(count):
        x = (i - (count - 1) / 2) * width / count
        extent = (min(0.62, width / count - 0.1), 0.4, 0.16)
        solids.append(ball((x, -long / 2 + 0.28, mat + 0.24), extent, linen(dice), "pillow"))
    return Piece("bed", (width, long, high), (tuple(solids),), front=0.3)


def _fronts(
    dice: Dice, size: tuple[float, float, float], base: float, columns: int, rows: int, name: str
) -> list[Solid]:
    """A closed body with doors or drawers in columns and rows, and a grip on each; ``size`` includes the grips."""
    skin, grip = (lacquer(dice) if dice.chance(0.5) else wood(dice)), metal(dice)
    width, depth, height = size[0], size[1] - 0.03, size[2]
    solids = [box((0, -0.015, base + height / 2), (width, depth, height), skin, name)]
    face = Material(skin.pattern, shade(skin.base, 1.06), skin.accent, skin.scale, skin.seed + 3)
    step, rise = width / columns, height / rows
    front, knobs = depth / 2 - 0.015, dice.chance(0.4)
    for column in range(columns):
        for row in range(rows):
            x, z = (column + 0.5) * step - width / 2, base + (row + 0.5) * rise
            solids.append(box((x, front + 0.005, z), (step - 0.016, 0.012, rise - 0.016), face, name))
            upright = rise > 1.3 * step
            gx = x + (0.35 * step if column % 2 == 0 else -0.35 * step) * upright
            extent = (0.03, 0.024, 0.03) if knobs else (0.014, 0.024, 0.12) if upright else (0.12, 0.024, 0.014)
            solids.append(box((gx, front + 0.018, z), extent, grip, name))
    return solids


def dresser(dice: Dice) -> Piece:
    """A chest of drawers or a sideboard, on the floor or on legs."""
    width, depth, lift = dice.uniform(0.7, 1.5), dice.uniform(0.4, 0.52), dice.choice((0.0, 0.1, 0.16))
    high = dice.uniform(0.7, 0.95)
    solids = _fronts(dice, (width, depth, high - lift), lift, 1 + int(width > 1.0), 2 + dice.integer(3), "cabinet")
    if lift:
        solids += legs(dice, (width, depth - 0.06), lift, wood(dice), "cabinet")
    top = Top((0, -0.015, high), (width - 0.06, depth - 0.1), 0.7, "stand")
    return Piece("cabinet", (width, depth, high), (tuple(solids),), (top,), front=0.5)


def wardrobe(dice: Dice) -> Piece:
    """A tall cabinet with two to four doors."""
    doors = 2 + dice.integer(3)
    size = (doors * dice.uniform(0.42, 0.52), dice.uniform(0.52, 0.62), dice.uniform(1.85, 2.2))
    return Piece("wardrobe", size, (tuple(_fronts(dice, size, 0.0, doors, 1, "cabinet")),), front=0.55)


def nightstand(dice: Dice) -> Piece:
    """A small cabinet beside a bed."""
    width, depth, high = dice.uniform(0.4, 0.5), dice.uniform(0.36, 0.44), dice.uniform(0.45, 0.6)
    solids = _fronts(dice, (width, depth, high), 0.0, 1, 1 + dice.integer(2), "cabinet")
    top = Top((0, -0.015, high), (width - 0.06, depth - 0.09), 0.7, "stand")
    return Piece("nightstand", (width, depth, high), (tuple(solids),), (top,))


def tv_stand(dice: Dice) -> Piece:
    """A long low cabinet; the screen is put on it as a small thing."""
    width, depth, high = dice.uniform(1.2, 1.8), dice.uniform(0.38, 0.46), dice.uniform(0.4, 0.55)
    solids = _fronts(dice, (width, depth, high), 0.0, 2 + dice.integer(2), 1, "cabinet")
    top = Top((0, -0.015, high), (width - 0.06, depth - 0.08), 1.2, "tv")
    return Piece("tv stand", (width, depth, high), (tuple(solids),), (top,), front=0.5)


def bookshelf(dice: Dice) -> Piece:
    """An open shelf with books and a few other things."""
    width, depth, high = dice.uniform(0.6, 1.2), dice.uniform(0.26, 0.34), dice.choice((1.1, 1.6, 1.85, 2.05))
    body, thick = (wood(dice) if dice.chance(0.7) else lacquer(dice)), 0.025
    inner = width - 2 * thick
    solids: list[Solid] = [box((0, -depth / 2 + 0.006, high / 2), (inner, 0.012, high - 0.01), body, "bookshelf")]
    for side in (-1, 1):
        solids.append(box((side * (width - thick) / 2, 0, high / 2), (thick, depth, high), body, "bookshelf"))
    levels = round(high / dice.uniform(0.32, 0.38))
    rise = (high - thick) / levels
    tops: list[Top] = []
    for level in range(levels + 1):
        z = thick / 2 + level * rise
        solids.append(box((0, 0.006, z), (inner, depth - 0.012, thick), body, "bookshelf"))
        if level == levels:
            continue
        floor = z + thick / 2
        if dice.chance(0.75):
            solids += _books(dice, inner, depth, floor, rise - thick)
        else:
            tops.append(Top((0, 0.01, floor), (inner - 0.04, depth - 0.06), rise - thick - 0.03, "shelf"))
    if high < 1.3:
        tops.append(Top((0, 0, high), (width - 0.06, depth - 0.05), 0.6, "stand"))
    return Piece("bookshelf", (width, depth, high), (tuple(solids),), tuple(tops), front=0.5)


def _books(dice: Dice, inner: float, depth: float, floor: float, room: float) -> list[Solid]:
    """A row of books from one side, each of its own size and colour."""
    x, end = -inner / 2 + 0.002, inner / 2 - 0.002 - inner * dice.choice((0.0, 0.15, 0.4))
    flip, solids = dice.choice((-1, 1)), list[Solid]()
    while True:
        thick = dice.uniform(0.02, 0.055)
        if x + thick > end:
            return solids
        high = room * dice.uniform(0.62, 0.93)
        deep = min(dice.uniform(0.14, 0.22), depth - 0.05)
        skin = lively(dice) if dice.chance(0.6) else cloth(dice)
        skin = Material(Pattern.PLAIN, skin.base, skin.accent, 0.1, skin.seed)
        place = (flip * (x + thick / 2), -depth / 2 + 0.012 + deep / 2, floor + high / 2)
        solids.append(box(place, (thick - 0.001, deep, high), skin, "books"))
        x += thick


def wall_shelf(dice: Dice) -> Piece:
    """A board on the wall; z = 0 is its underside, the wall is at its back."""
    width, depth = dice.uniform(0.6, 1.1), dice.uniform(0.18, 0.26)
    body = wood(dice)
    solids = [box((0, 0, 0.0425), (width, depth, 0.025), body, "bookshelf")]
    for x in (-width / 2 + 0.1, width / 2 - 0.1):
        solids.append(box((x, -depth / 4, 0.015), (0.02, depth / 2, 0.03), body, "bookshelf"))
    top = Top((0, 0, 0.055), (width - 0.04, depth - 0.04), 0.4, "shelf")
    return Piece("wall shelf", (width, depth, 0.45), (tuple(solids),), (top,))


def bin_(dice: Dice) -> Piece:
    """A waste-paper bin."""
    width, high = dice.uniform(0.22, 0.3), dice.uniform(0.28, 0.4)
    return Piece(
        "bin", (width, width, high), ((rod((0, 0, high / 2), (width, width, high), lively(dice), "bin", 1.25),),)
    )
