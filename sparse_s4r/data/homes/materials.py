"""What surfaces look like: a pattern, two colours and a size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from sparse_s4r.data.homes.dice import Dice

Color = tuple[float, float, float]


class Pattern(IntEnum):
    """Kinds of surface; ``patterns.py`` says how each is drawn."""

    PLAIN = 0
    WOOD = 1
    PLANKS = 2
    TILES = 3
    BRICK = 4
    FABRIC = 5
    STRIPES = 6
    PICTURE = 7
    PANE = 8
    SPOTS = 9
    SCREEN = 10
    CARPET = 11


@dataclass(frozen=True)
class Material:
    """Colour of a surface as a function of the position on it.

    Attributes:
        pattern: How the two colours mix.
        base: Main colour, RGB in [0, 1].
        accent: Second colour.
        scale: Size of the pattern's element, metres.
        seed: Chooses among variants of the pattern.
        aspect: Height of the element over its width.
    """

    pattern: Pattern
    base: Color
    accent: Color = (0.9, 0.9, 0.9)
    scale: float = 0.1
    seed: int = 0
    aspect: float = 1.0


_WOODS: tuple[tuple[Color, Color], ...] = (
    ((0.72, 0.52, 0.32), (0.45, 0.28, 0.14)),
    ((0.52, 0.35, 0.22), (0.3, 0.18, 0.1)),
    ((0.84, 0.71, 0.52), (0.62, 0.47, 0.3)),
    ((0.34, 0.22, 0.15), (0.2, 0.12, 0.08)),
    ((0.88, 0.86, 0.82), (0.76, 0.73, 0.68)),
)
_CLOTHS: tuple[Color, ...] = (
    (0.25, 0.42, 0.55),
    (0.55, 0.25, 0.22),
    (0.36, 0.45, 0.3),
    (0.5, 0.45, 0.42),
    (0.78, 0.72, 0.62),
    (0.24, 0.25, 0.3),
    (0.66, 0.5, 0.3),
    (0.6, 0.62, 0.66),
    (0.45, 0.3, 0.45),
)
_PAINTS: tuple[Color, ...] = (
    (0.9, 0.88, 0.83),
    (0.93, 0.93, 0.91),
    (0.78, 0.83, 0.8),
    (0.86, 0.77, 0.68),
    (0.72, 0.78, 0.84),
    (0.88, 0.84, 0.7),
    (0.8, 0.74, 0.78),
    (0.66, 0.7, 0.66),
)
_LIVELY: tuple[Color, ...] = (
    (0.75, 0.2, 0.18),
    (0.2, 0.4, 0.7),
    (0.85, 0.65, 0.2),
    (0.25, 0.55, 0.35),
    (0.6, 0.35, 0.6),
    (0.9, 0.9, 0.88),
    (0.2, 0.2, 0.22),
    (0.5, 0.7, 0.75),
)
_METALS: tuple[Color, ...] = ((0.62, 0.63, 0.65), (0.2, 0.2, 0.22), (0.72, 0.6, 0.34), (0.85, 0.85, 0.86))


def _variant(dice: Dice) -> int:
    return dice.integer(1000)


def shade(color: Color, factor: float) -> Color:
    """A darker or brighter colour."""
    red, green, blue = (round(min(1.0, channel * factor), 3) for channel in color)
    return red, green, blue


def wood(dice: Dice) -> Material:
    """Timber, dark to bleached."""
    base, accent = dice.choice(_WOODS)
    return Material(Pattern.WOOD, base, accent, dice.uniform(0.08, 0.16), _variant(dice))


def cloth(dice: Dice) -> Material:
    """Upholstery, curtains, bed covers."""
    base = dice.choice(_CLOTHS)
    pattern = dice.choice((Pattern.FABRIC, Pattern.FABRIC, Pattern.PLAIN, Pattern.STRIPES, Pattern.SPOTS))
    scale = 0.03 if pattern is Pattern.FABRIC else dice.uniform(0.06, 0.16)
    return Material(pattern, base, shade(base, dice.choice((0.7, 1.35))), scale, _variant(dice))


def linen(dice: Dice) -> Material:
    """Pillows and sheets."""
    base = dice.choice(((0.93, 0.93, 0.95), (0.86, 0.88, 0.84), (0.9, 0.85, 0.78)))
    return Material(Pattern.PLAIN, base, shade(base, 0.85), 0.08, _variant(dice))


def metal(dice: Dice) -> Material:
    """Legs, handles, lamps."""
    base = dice.choice(_METALS)
    return Material(Pattern.PLAIN, base, shade(base, 1.25), 0.05, _variant(dice))


def lacquer(dice: Dice) -> Material:
    """Painted furniture: mostly pale, sometimes a colour."""
    base = dice.choice((*_PAINTS, *_CLOTHS[:3]))
    return Material(Pattern.PLAIN, base, shade(base, 0.9), 0.3, _variant(dice))


def paint(dice: Dice) -> Material:
    """Walls: paint, wallpaper or, rarely, brick."""
    base = dice.choice(_PAINTS)
    if dice.chance(0.12):
        return Material(Pattern.BRICK, (0.66, 0.36, 0.28), (0.82, 0.78, 0.72), 0.085, _variant(dice))
    if dice.chance(0.2):
        pattern = dice.choice((Pattern.STRIPES, Pattern.SPOTS))
        return Material(pattern, base, shade(base, 0.88), dice.uniform(0.1, 0.25), _variant(dice))
    return Material(Pattern.PLAIN, base, shade(base, 1.08), 0.4, _variant(dice))


def tiles(dice: Dice, wall: bool) -> Material:
    """Ceramic tiles for a floor or a wall."""
    base = dice.choice(((0.9, 0.91, 0.92), (0.75, 0.8, 0.82), (0.62, 0.6, 0.57), (0.82, 0.76, 0.66), (0.6, 0.72, 0.72)))
    scale = dice.uniform(0.12, 0.2) if wall else dice.uniform(0.25, 0.45)
    return Material(Pattern.TILES, base, (0.5, 0.5, 0.5), scale, _variant(dice), dice.choice((1.0, 1.0, 0.5)))


def flooring(dice: Dice) -> Material:
    """Boards or carpet."""
    if dice.chance(0.25):
        base = dice.choice(((0.6, 0.57, 0.53), (0.45, 0.48, 0.52), (0.68, 0.6, 0.5)))
        return Material(Pattern.CARPET, base, shade(base, 0.75), 0.02, _variant(dice))
    base, accent = dice.choice(_WOODS[:4])
    return Material(Pattern.PLANKS, base, accent, dice.uniform(0.09, 0.18), _variant(dice))


def lively(dice: Dice) -> Material:
    """Small things: any colour."""
    base = dice.choice(_LIVELY)
    return Material(Pattern.PLAIN, base, shade(base, 0.75), 0.06, _variant(dice))


def plain(color: Color, scale: float = 0.2) -> Material:
    """One colour, slightly uneven."""
    return Material(Pattern.PLAIN, color, shade(color, 0.88), scale)
