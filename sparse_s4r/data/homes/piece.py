"""Furniture before it is placed: solids around the origin, the back towards -y, standing on z = 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.materials import Material
from sparse_s4r.data.homes.solids import Solid, box, rod

Thing = tuple[Solid, ...]


@dataclass(frozen=True)
class Top:
    """A flat surface that carries small things.

    Attributes:
        center: Middle of the surface, metres.
        size: Extent (x, y), metres.
        clear: Height that is free above it, metres.
        use: What kind of thing may stand there: "desk", "table", "shelf", "counter", "stand" or "bath".
        yaw: Rotation, radians.
    """

    center: tuple[float, float, float]
    size: tuple[float, float]
    clear: float
    use: str
    yaw: float = 0.0


@dataclass(frozen=True)
class Piece:
    """A piece of furniture, or a group that stands together.

    Attributes:
        name: What it is, for messages.
        size: Extent (x, y, z) of what it covers, metres.
        things: Its objects; solids of one thing may overlap, different things only touch.
        tops: Where small things may stand.
        front: Floor to keep free before it (+y), metres.
    """

    name: str
    size: tuple[float, float, float]
    things: tuple[Thing, ...]
    tops: tuple[Top, ...] = ()
    front: float = 0.0


Builder = Callable[[Dice], Piece]


def moved(thing: Sequence[Solid], x: float, y: float, z: float, yaw: float = 0.0) -> Thing:
    """All solids of a thing turned and shifted."""
    return tuple(solid.moved(x, y, z, yaw) for solid in thing)


def legs(
    dice: Dice, size: tuple[float, float], height: float, material: Material, name: str, thick: float = 0.05
) -> list[Solid]:
    """Four legs below a plate of ``size``: square, round or tapered, ``height`` long from the floor."""
    style = dice.integer(3)
    x, y = size[0] / 2 - thick / 2 - 0.01, size[1] / 2 - thick / 2 - 0.01
    places = [(sx * x, sy * y, height / 2) for sx in (-1, 1) for sy in (-1, 1)]
    extent = (thick, thick, height)
    if style == 0:
        return [box(place, extent, material, name) for place in places]
    return [rod(place, extent, material, name, 1.0 if style == 1 else 1.6) for place in places]
