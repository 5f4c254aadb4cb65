"""Small things that stand on tables, shelves and worktops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.materials import Material, Pattern, cloth, lively, metal, plain, wood
from sparse_s4r.data.homes.piece import Thing, Top, moved
from sparse_s4r.data.homes.solids import Solid, ball, box, rod

_DARK = plain((0.1, 0.1, 0.11))
_TRIES = 12


@dataclass(frozen=True)
class SmallThing:
    """A thing on z = 0, its extent (x, y, z), whether it may be turned, and whether it belongs at the back."""

    thing: Thing
    size: tuple[float, float, float]
    turns: bool = True
    back: bool = False


def lamp(dice: Dice) -> SmallThing:
    """A table lamp."""
    high, wide, foot = dice.uniform(0.32, 0.48), dice.uniform(0.2, 0.28), metal(dice)
    shade = plain(dice.choice(((0.97, 0.88, 0.66), (0.95, 0.93, 0.88), (0.8, 0.55, 0.4))))
    solids: list[Solid] = [rod((0, 0, 0.01), (0.13, 0.13, 0.02), foot, "lamp")]
    if dice.chance(0.5):
        solids.append(rod((0, 0, high / 2 - 0.015), (0.025, 0.025, high - 0.07), foot, "lamp"))
    else:
        solids.append(ball((0, 0, 0.02 + (high - 0.18) / 2), (0.15, 0.15, high - 0.17), lively(dice), "lamp"))
    solids.append(rod((0, 0, high - 0.09), (wide, wide, 0.18), shade, "lamp", dice.choice((0.6, 0.8, 1.0))))
    return SmallThing(tuple(solids), (wide, wide, high))


def monitor(dice: Dice) -> SmallThing:
    """A computer screen on its foot."""
    wide = dice.uniform(0.5, 0.7)
    high = 0.58 * wide
    screen = Material(Pattern.SCREEN, (0.08, 0.09, 0.12), (0.35, 0.45, 0.6), wide, dice.integer(1000), 0.58)
    solids = [
        box((0, 0, 0.008), (0.24, 0.18, 0.016), _DARK, "monitor"),
        box((0, -0.02, 0.09), (0.05, 0.03, 0.16), _DARK, "monitor"),
        box((0, 0.0, 0.12 + high / 2), (wide, 0.03, high), screen, "monitor"),
    ]
    return SmallThing(tuple(solids), (wide, 0.2, 0.12 + high), False, True)


def keyboard(dice: Dice) -> SmallThing:
    """A keyboard."""
    keys = Material(Pattern.TILES, (0.2, 0.2, 0.22), (0.45, 0.45, 0.47), 0.02, dice.integer(1000))
    return SmallThing((box((0, 0, 0.01), (0.42, 0.14, 0.02), keys, "small_object"),), (0.42, 0.14, 0.02), False)


def laptop(dice: Dice) -> SmallThing:
    """An open laptop."""
    grey, lean = metal(dice), -0.35
    screen = Material(Pattern.SCREEN, (0.1, 0.12, 0.16), (0.4, 0.5, 0.65), 0.32, dice.integer(1000), 0.65)
    y, z = -0.11 + 0.11 * math.sin(lean), 0.011 + 0.11 * math.cos(lean)
    solids = (
        box((0, 0, 0.009), (0.33, 0.23, 0.018), grey, "small_object"),
        box((0, y, z), (0.33, 0.012, 0.22), screen, "small_object", tilt=-lean),
    )
    return SmallThing(solids, (0.34, 0.34, 0.24), False)


def books(dice: Dice) -> SmallThing:
    """A few books lying on each other."""
    solids, z = list[Solid](), 0.0
    for _ in range(1 + dice.integer(4)):
        thick, size = dice.uniform(0.02, 0.045), (dice.uniform(0.15, 0.22), dice.uniform(0.2, 0.27))
        solids.append(box((0, 0, z + thick / 2), (*size, thick), lively(dice), "book", dice.uniform(-0.25, 0.25)))
        z += thick
    return SmallThing(tuple(solids), (0.3, 0.34, z))


def cup(dice: Dice) -> SmallThing:
    """A cup with a handle."""
    wide, high, skin = dice.uniform(0.07, 0.09), dice.uniform(0.08, 0.11), lively(dice)
    handle = box((wide / 2 + 0.012, 0, high / 2), (0.03, 0.012, 0.05), skin, "cup")
    return SmallThing((rod((0, 0, high / 2), (wide, wide, high), skin, "cup", 1.1), handle), (wide + 0.06, wide, high))


def bottle(dice: Dice) -> SmallThing:
    """A bottle with a neck."""
    wide, high = dice.uniform(0.06, 0.09), dice.uniform(0.18, 0.24)
    skin = plain(dice.choice(((0.12, 0.3, 0.16), (0.75, 0.8, 0.82), (0.5, 0.25, 0.1), (0.85, 0.85, 0.3))))
    solids = (
        rod((0, 0, high / 2), (wide, wide, high), skin, "bottle"),
        rod((0, 0, high + 0.02), (wide, wide, 0.04), skin, "bottle", 0.4),
        rod((0, 0, high + 0.065), (0.4 * wide, 0.4 * wide, 0.05), skin, "bottle"),
    )
    return SmallThing(solids, (wide, wide, high + 0.09))


def bowl(dice: Dice) -> SmallThing:
    """A bowl of fruit."""
    wide, high, skin = dice.uniform(0.2, 0.28), 0.08, lively(dice)
    solids = [rod((0, 0, high / 2), (wide, wide, high), skin, "small_object", 1.6)]
    for i in range(3 + dice.integer(2)):
        turn, fruit = 2 * math.pi * i / 4, plain(dice.choice(((0.8, 0.25, 0.15), (0.9, 0.6, 0.1), (0.5, 0.65, 0.2))))
        place = (0.05 * math.cos(turn), 0.05 * math.sin(turn), high + 0.02)
        solids.append(ball(place, (0.08, 0.08, 0.08), fruit, "small_object"))
    return SmallThing(tuple(solids), (wide, wide, high + 0.07))


def vase(dice: Dice) -> SmallThing:
    """A vase, sometimes with flowers."""
    wide, high, skin = dice.uniform(0.1, 0.16), dice.uniform(0.16, 0.28), lively(dice)
    solids: list[Solid] = [rod((0, 0, high / 2), (wide, wide, high), skin, "vase", dice.choice((0.6, 1.0, 1.5)))]
    if dice.chance(0.5):
        green = plain((0.25, 0.45, 0.2), 0.03)
        solids.append(rod((0, 0, high + 0.08), (0.03, 0.03, 0.18), green, "plant"))
        solids.append(ball((0, 0, high + 0.18), (0.2, 0.2, 0.16), _leaves(dice), "plant"))
        high += 0.26
    return SmallThing(tuple(solids), (0.2, 0.2, high))


def carton(dice: Dice) -> SmallThing:
    """A box."""
    size = (dice.uniform(0.14, 0.34), dice.uniform(0.12, 0.24), dice.uniform(0.08, 0.24))
    skin = dice.choice((plain((0.7, 0.55, 0.38)), lively(dice), wood(dice), cloth(dice)))
    solids = [box((0, 0, size[2] / 2), size, skin, "box")]
    if dice.chance(0.5):
        lid = (size[0] + 0.012, size[1] + 0.012, 0.03)
        solids.append(box((0, 0, size[2]), lid, lively(dice), "box"))
    return SmallThing(tuple(solids), (size[0] + 0.012, size[1] + 0.012, size[2] + 0.015))


def pot_plant(dice: Dice) -> SmallThing:
    """A small plant in a pot."""
    wide, skin = dice.uniform(0.1, 0.16), lively(dice)
    crown = wide * dice.uniform(1.3, 1.8)
    solids = (
        rod((0, 0, 0.45 * wide), (wide, wide, 0.9 * wide), skin, "plant", 1.25),
        ball((0, 0, 0.9 * wide + 0.35 * crown), (crown, crown, 0.9 * crown), _leaves(dice), "plant"),
    )
    return SmallThing(solids, (crown, crown, 0.9 * wide + 0.8 * crown))


def appliance(dice: Dice) -> SmallThing:
    """A microwave oven or a toaster."""
    if dice.chance(0.5):
        steel = plain((0.72, 0.72, 0.74))
        solids = (
            box((0, -0.01, 0.14), (0.46, 0.32, 0.28), steel, "small_object"),
            box((-0.06, 0.155, 0.14), (0.3, 0.012, 0.2), _DARK, "small_object"),
        )
        return SmallThing(solids, (0.46, 0.34, 0.28), False, True)
    return SmallThing((box((0, 0, 0.1), (0.28, 0.17, 0.2), lively(dice), "small_object"),), (0.28, 0.17, 0.2), False)


def television(dice: Dice, room: float) -> SmallThing:
    """A television on its foot, for a stand ``room`` metres wide."""
    wide = min(dice.uniform(0.9, 1.45), room)
    high = 0.57 * wide
    screen = Material(Pattern.SCREEN, (0.04, 0.04, 0.05), (0.12, 0.14, 0.18), wide, dice.integer(1000), 0.57)
    solids = (
        box((0, 0, 0.01), (0.5 * wide, 0.22, 0.02), _DARK, "tv"),
        box((0, -0.01, 0.06), (0.1, 0.04, 0.1), _DARK, "tv"),
        box((0, 0, 0.08 + high / 2), (wide, 0.05, high), screen, "tv"),
    )
    return SmallThing(solids, (wide, 0.22, 0.08 + high), False)


def _leaves(dice: Dice) -> Material:
    base = dice.choice(((0.2, 0.42, 0.16), (0.28, 0.5, 0.22), (0.4, 0.5, 0.2), (0.7, 0.35, 0.4)))
    return Material(Pattern.SPOTS, base, (0.5, 0.68, 0.32), 0.03, dice.integer(1000))


_CHOICES: dict[str, tuple[Callable[[Dice], SmallThing], ...]] = {
    "desk": (keyboard, laptop, cup, books, lamp, pot_plant, carton, bottle),
    "table": (bowl, vase, cup, cup, books, bottle, pot_plant),
    "shelf": (carton, vase, books, pot_plant, bowl),
    "counter": (bottle, bottle, cup, bowl, appliance, carton, pot_plant),
    "stand": (lamp, lamp, vase, books, pot_plant, carton),
    "bath": (bottle, cup),
}


def stand_on(dice: Dice, top: Top) -> list[Thing]:
    """Things that stand on ``top`` without touching each other or reaching over its edge."""
    area = top.size[0] * top.size[1]
    wanted: list[SmallThing] = []
    if top.use == "tv":
        wanted.append(television(dice, top.size[0]))
    else:
        if top.use == "desk" and dice.chance(0.8):
            wanted += [monitor(dice) for _ in range(1 + dice.integer(1 + int(top.size[0] > 1.35)))]
        most = 1 + int(area / 0.09)
        wanted += [dice.choice(_CHOICES[top.use])(dice) for _ in range(dice.integer(min(most, 6) + 1))]
    taken: list[tuple[float, float, float, float]] = []
    stood: list[Thing] = []
    for small in wanted:
        if small.size[2] > top.clear:
            continue
        place = _find_spot(dice, small, top, taken)
        if place is not None:
            x, y, turn, reach = place
            taken.append((x, y, *reach))
            on_top = moved(small.thing, x, y, 0.0, turn)
            whole = moved(on_top, 0, 0, 0, top.yaw)
            stood.append(moved(whole, *top.center))
    return stood


def _find_spot(
    dice: Dice, small: SmallThing, top: Top, taken: list[tuple[float, float, float, float]]
) -> tuple[float, float, float, tuple[float, float]] | None:
    for _ in range(_TRIES):
        turn = dice.uniform(-0.6, 0.6) if small.turns and top.use != "shelf" else 0.0
        c, s = abs(math.cos(turn)), abs(math.sin(turn))
        half = ((small.size[0] * c + small.size[1] * s) / 2, (small.size[0] * s + small.size[1] * c) / 2)
        free = (top.size[0] / 2 - half[0], top.size[1] / 2 - half[1])
        if free[0] < 0 or free[1] < 0:
            continue
        x, y = dice.uniform(-free[0], free[0]), -free[1] if small.back else dice.uniform(-free[1], free[1])
        gap = 0.012
        if all(abs(x - a) > half[0] + w + gap or abs(y - b) > half[1] + d + gap for a, b, w, d in taken):
            return x, y, turn, half
    return None
