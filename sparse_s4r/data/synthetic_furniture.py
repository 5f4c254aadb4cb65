"""Pieces of furniture as lists of parts, standing on z = 0 around the origin with their back towards -y."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_s4r.data.synthetic_shapes import Part, Shape
from sparse_s4r.data.synthetic_textures import Color, Texture


@dataclass(frozen=True)
class Furniture:
    """A piece of furniture before it is placed.

    Attributes:
        name: What it is, for messages and camera targets.
        width: Extent along x, metres.
        depth: Extent along y, metres.
        height: Extent along z, metres.
        parts: Its solids.
    """

    name: str
    width: float
    depth: float
    height: float
    parts: tuple[Part, ...]


_WOODS: tuple[tuple[Color, Color], ...] = (
    ((0.72, 0.52, 0.32), (0.45, 0.28, 0.14)),
    ((0.52, 0.35, 0.22), (0.3, 0.18, 0.1)),
    ((0.84, 0.71, 0.52), (0.62, 0.47, 0.3)),
)
_FABRICS: tuple[tuple[Color, Color], ...] = (
    ((0.25, 0.42, 0.55), (0.5, 0.65, 0.72)),
    ((0.55, 0.25, 0.22), (0.78, 0.5, 0.42)),
    ((0.36, 0.45, 0.3), (0.6, 0.66, 0.48)),
    ((0.5, 0.45, 0.42), (0.72, 0.68, 0.62)),
)


def pick(rng: np.random.Generator, options: tuple[tuple[Color, Color], ...]) -> tuple[Color, Color]:
    """One pair of colours."""
    return options[int(rng.integers(len(options)))]


def wood(rng: np.random.Generator, scale: float = 0.12) -> Texture:
    """A wooden surface."""
    base, accent = pick(rng, _WOODS)
    return Texture("wood", base, accent, scale, int(rng.integers(1000)))


def fabric(rng: np.random.Generator) -> Texture:
    """An upholstered surface."""
    base, accent = pick(rng, _FABRICS)
    return Texture("fabric", base, accent, 0.035, int(rng.integers(1000)))


def table_with_chairs(rng: np.random.Generator) -> Furniture:
    """A table with two chairs facing it, on a rug that covers the group's footprint."""
    width, depth, lift = 1.2, 0.72, 0.008
    surface = wood(rng)
    rug = Texture("checker", (0.62, 0.22, 0.2), (0.88, 0.8, 0.66), 0.16, int(rng.integers(1000)))
    parts = [Part(Shape.BOX, (0, 0, lift / 2), (1.5, 1.95, lift), rug, "floor")]
    parts.append(Part(Shape.BOX, (0, 0, lift + 0.73), (width, depth, 0.04), surface, "table"))
    for x in (-width / 2 + 0.08, width / 2 - 0.08):
        for y in (-depth / 2 + 0.08, depth / 2 - 0.08):
            parts.append(Part(Shape.CYLINDER, (x, y, lift + 0.355), (0.06, 0.06, 0.71), surface, "table"))
    vase = Texture("plain", (0.2, 0.5, 0.55), (0.6, 0.8, 0.8), 0.05, int(rng.integers(1000)))
    x = float(rng.uniform(-0.3, 0.3))
    parts.append(Part(Shape.CYLINDER, (x, 0.05, lift + 0.86), (0.12, 0.12, 0.22), vase, "otherfurniture"))
    plant = Texture("plain", (0.2, 0.42, 0.16), (0.5, 0.7, 0.3), 0.02, int(rng.integers(1000)))
    parts.append(Part(Shape.SPHERE, (x, 0.05, lift + 1.06), (0.24, 0.24, 0.22), plant, "otherfurniture"))
    seat = fabric(rng)
    for side, turn in ((-1.0, 0.0), (1.0, np.pi)):
        yaw = turn + float(rng.uniform(-0.25, 0.25))
        shift = float(rng.uniform(-0.2, 0.2))
        parts += [part.moved(shift, side * 0.68, lift, yaw) for part in _chair(surface, seat)]
    return Furniture("table", 1.5, 1.95, 1.2, tuple(parts))


def _chair(frame: Texture, seat: Texture) -> list[Part]:
    """A chair that looks along +y."""
    parts = [Part(Shape.BOX, (0, 0, 0.445), (0.42, 0.4, 0.05), seat, "chair")]
    parts.append(Part(Shape.BOX, (0, -0.18, 0.72), (0.42, 0.04, 0.36), seat, "chair"))
    for x in (-0.18, 0.18):
        parts.append(Part(Shape.BOX, (x, 0.17, 0.21), (0.04, 0.04, 0.42), frame, "chair"))
        parts.append(Part(Shape.BOX, (x, -0.18, 0.21), (0.04, 0.04, 0.42), frame, "chair"))
        parts.append(Part(Shape.BOX, (x, -0.18, 0.505), (0.04, 0.04, 0.07), frame, "chair"))
    return parts


def sofa(rng: np.random.Generator) -> Furniture:
    """A sofa with round arms and two cushions."""
    cloth, cushion = fabric(rng), fabric(rng)
    width, depth = float(rng.uniform(1.6, 1.8)), 0.84
    parts = [
        Part(Shape.BOX, (0, 0, 0.15), (width, depth, 0.3), cloth, "sofa"),
        Part(Shape.BOX, (0, 0.1, 0.37), (width - 0.36, depth - 0.2, 0.14), cloth, "sofa"),
        Part(Shape.BOX, (0, -0.32, 0.56), (width - 0.36, 0.2, 0.52), cloth, "sofa"),
    ]
    for side in (-1, 1):
        x = side * (width / 2 - 0.09)
        parts.append(Part(Shape.BOX, (x, 0, 0.39), (0.18, depth, 0.18), cloth, "sofa"))
        parts.append(Part(Shape.CYLINDER, (x, 0, 0.48), (0.18, 0.18, depth), cloth, "sofa", tilt=np.pi / 2))
        parts.append(Part(Shape.SPHERE, (side * (width / 2 - 0.45), -0.12, 0.6), (0.4, 0.16, 0.32), cushion, "sofa"))
    return Furniture("sofa", width, depth, 0.82, tuple(parts))


def bookshelf(rng: np.random.Generator) -> Furniture:
    """An open shelf with rows of books."""
    body = wood(rng)
    width, depth, height, board = 0.9, 0.3, 1.85, 0.03
    parts = [Part(Shape.BOX, (0, -depth / 2 + 0.01, height / 2), (width - 2 * board, 0.02, height), body, "bookshelf")]
    for side in (-1, 1):
        x = side * (width - board) / 2
        parts.append(Part(Shape.BOX, (x, 0, height / 2), (board, depth, height), body, "bookshelf"))
    levels = np.linspace(board / 2, height - board / 2, 6)
    inner = width - 2 * board
    for row, z in enumerate(levels):
        parts.append(Part(Shape.BOX, (0, 0.01, float(z)), (inner, depth - 0.02, board), body, "bookshelf"))
        if row == len(levels) - 1:
            break
        length = inner * float(rng.uniform(0.45, 0.98))
        tall = float(rng.uniform(0.2, 0.27))
        left = -inner / 2 + length / 2 if rng.random() < 0.5 else inner / 2 - length / 2
        books = Texture("books", (0, 0, 0), scale=0.035, seed=int(rng.integers(1000)))
        center = (left, -0.02, float(z) + board / 2 + tall / 2)
        parts.append(Part(Shape.BOX, center, (length, 0.2, tall), books, "bookshelf"))
    return Furniture("bookshelf", width, depth, height, tuple(parts))


def cabinet(rng: np.random.Generator) -> Furniture:
    """A chest of drawers with a table lamp on it."""
    base, accent = pick(rng, (((0.88, 0.86, 0.8), (0.5, 0.46, 0.4)), ((0.4, 0.5, 0.55), (0.2, 0.26, 0.3))))
    front = Texture("panels", base, accent, 0.4, int(rng.integers(1000)))
    brass = Texture("plain", (0.75, 0.6, 0.3), (0.9, 0.8, 0.5), 0.05)
    shade = Texture("plain", (0.97, 0.88, 0.66), (1.0, 0.97, 0.85), 0.1)
    parts = (
        Part(Shape.BOX, (0, 0, 0.4), (0.8, 0.45, 0.8), front, "cabinet"),
        Part(Shape.CYLINDER, (-0.2, 0, 0.81), (0.16, 0.16, 0.02), brass, "otherfurniture"),
        Part(Shape.CYLINDER, (-0.2, 0, 0.91), (0.03, 0.03, 0.18), brass, "otherfurniture"),
        Part(Shape.SPHERE, (-0.2, 0, 1.1), (0.24, 0.24, 0.24), shade, "otherfurniture"),
    )
    return Furniture("cabinet", 0.8, 0.45, 1.2, parts)


def bed(rng: np.random.Generator) -> Furniture:
    """A bed along the wall, with a pillow and a headboard."""
    frame, cover = wood(rng), fabric(rng)
    linen = Texture("plain", (0.93, 0.93, 0.95), (0.8, 0.82, 0.88), 0.08, int(rng.integers(1000)))
    parts = (
        Part(Shape.BOX, (0, 0, 0.14), (1.95, 0.95, 0.28), frame, "bed"),
        Part(Shape.BOX, (-0.95, 0, 0.55), (0.05, 0.95, 0.54), frame, "bed"),
        Part(Shape.BOX, (0.02, 0, 0.37), (1.85, 0.9, 0.18), linen, "bed"),
        Part(Shape.BOX, (0.35, 0, 0.475), (1.2, 0.94, 0.03), cover, "bed"),
        Part(Shape.SPHERE, (-0.62, 0, 0.5), (0.4, 0.6, 0.16), linen, "bed"),
    )
    return Furniture("bed", 1.95, 0.95, 0.82, parts)


def desk(rng: np.random.Generator) -> Furniture:
    """A desk with a drawer block and a screen."""
    surface = wood(rng)
    block = Texture("panels", (0.85, 0.85, 0.85), (0.4, 0.4, 0.42), 0.22, 3)
    dark = Texture("plain", (0.1, 0.1, 0.12), (0.2, 0.22, 0.3), 0.2, int(rng.integers(1000)))
    parts = (
        Part(Shape.BOX, (0, 0, 0.72), (1.25, 0.6, 0.04), surface, "desk"),
        Part(Shape.BOX, (0.4, 0, 0.35), (0.4, 0.54, 0.7), block, "desk"),
        Part(Shape.BOX, (-0.58, 0, 0.35), (0.05, 0.56, 0.7), surface, "desk"),
        Part(Shape.CYLINDER, (-0.05, -0.15, 0.75), (0.2, 0.2, 0.02), dark, "otherfurniture"),
        Part(Shape.CYLINDER, (-0.05, -0.15, 0.82), (0.04, 0.04, 0.12), dark, "otherfurniture"),
        Part(Shape.BOX, (-0.05, -0.13, 1.02), (0.56, 0.04, 0.34), dark, "otherfurniture"),
    )
    return Furniture("desk", 1.25, 0.6, 1.2, parts)


def floor_lamp(rng: np.random.Generator) -> Furniture:
    """A floor lamp with a round shade."""
    metal = Texture("plain", (0.3, 0.3, 0.32), (0.55, 0.55, 0.58), 0.05, int(rng.integers(1000)))
    shade = Texture("plain", (0.98, 0.85, 0.6), (1.0, 0.96, 0.82), 0.1)
    parts = (
        Part(Shape.CYLINDER, (0, 0, 0.015), (0.3, 0.3, 0.03), metal, "otherfurniture"),
        Part(Shape.CYLINDER, (0, 0, 0.73), (0.04, 0.04, 1.4), metal, "otherfurniture"),
        Part(Shape.SPHERE, (0, 0, 1.58), (0.34, 0.34, 0.34), shade, "otherfurniture"),
    )
    return Furniture("lamp", 0.36, 0.36, 1.75, parts)
