"""A furnished room generated from a seed: shapes, colours and classes known exactly, nothing to download."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import open3d as o3d
import torch
from torch import Tensor

from sparse_s4r.data.synthetic_layout import Footprint, Placement, furnish, overlap, wall_footprint
from sparse_s4r.data.synthetic_shapes import Part, Shape
from sparse_s4r.data.synthetic_textures import Color, Texture
from sparse_s4r.structures import IGNORE_LABEL

# The fifteen frequent classes of ScanNet, in the order of the taxonomy file scannet15.yaml.
CLASS_NAMES = (
    "wall",
    "floor",
    "cabinet",
    "bed",
    "chair",
    "sofa",
    "table",
    "door",
    "window",
    "bookshelf",
    "picture",
    "counter",
    "desk",
    "curtain",
    "otherfurniture",
)
_CEILING = "ceiling"


@dataclass(frozen=True)
class SyntheticRoom:
    """A room with its floor at z = 0 and a corner at the origin.

    Attributes:
        seed: The seed it was made from.
        size: Extent (x, y, z), metres.
        parts: All solids.
        placements: The furniture and where it stands.
    """

    seed: int
    size: tuple[float, float, float]
    parts: tuple[Part, ...]
    placements: tuple[Placement, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the label values; a ceiling has no class and is labelled ``IGNORE_LABEL``."""
        return CLASS_NAMES

    @cached_property
    def part_labels(self) -> Tensor:
        """(P,) int64 class of every part."""
        return torch.tensor(
            [CLASS_NAMES.index(p.class_name) if p.class_name != _CEILING else IGNORE_LABEL for p in self.parts]
        )

    @cached_property
    def scene(self) -> o3d.t.geometry.RaycastingScene:
        """The parts as one ray-casting scene; geometry id = index of the part."""
        scene = o3d.t.geometry.RaycastingScene()
        for part in self.parts:
            vertices, faces = part.triangles()
            scene.add_triangles(o3d.core.Tensor(vertices.astype(np.float32)), o3d.core.Tensor(faces.astype(np.uint32)))
        return scene

    def surface_distance(self, points: Tensor) -> Tensor:
        """Unsigned distance (P,) in metres of ``points`` (P, 3) to the nearest surface, hidden faces included."""
        query = o3d.core.Tensor(np.ascontiguousarray(points.detach().cpu().float().numpy()))
        return torch.from_numpy(self.scene.compute_distance(query).numpy()).to(points.device)


def make_room(seed: int, ceiling: bool = False) -> SyntheticRoom:
    """Build a furnished room of about 4.3 x 3.8 x 2.4 m.

    Floor, four walls with a door, a window with curtains and pictures; a table with two chairs on a rug, a sofa, a
    bookshelf, a bed or a desk, a cabinet with a lamp, and a floor lamp. Pieces never overlap.

    Args:
        seed: Everything random follows from it.
        ceiling: Close the room above; without it pictures from above show the inside.
    """
    rng = np.random.default_rng(seed)
    width, depth = float(rng.uniform(4.1, 4.5)), float(rng.uniform(3.6, 4.0))
    height = float(rng.uniform(2.35, 2.5))
    size = (width, depth, height)
    door_wall = int(rng.integers(4))
    window_wall = (door_wall + int(rng.integers(1, 4))) % 4
    fixtures, keep_free, spans = _door_and_window(rng, size, door_wall, window_wall)
    placements = furnish(rng, (width, depth), keep_free)
    parts = [*_shell(rng, size, ceiling), *fixtures]
    for placement in placements:
        place = placement.footprint
        parts += [part.moved(place.x, place.y, 0.0, place.yaw) for part in placement.furniture.parts]
    parts += _pictures(rng, size, spans, placements)
    return SyntheticRoom(seed, size, tuple(parts), placements)


def _shell(rng: np.random.Generator, size: tuple[float, float, float], ceiling: bool) -> list[Part]:
    """Floor, walls and perhaps a ceiling, as sheets that face the room."""
    width, depth, height = size
    seed = int(rng.integers(1000))
    boards = Texture("planks", (0.68, 0.5, 0.33), (0.42, 0.28, 0.17), 0.13, seed)
    parts = [Part(Shape.SHEET, (width / 2, depth / 2, 0.0), (width, depth, 1.0), boards, "floor")]
    tones: tuple[Color, ...] = ((0.87, 0.84, 0.76), (0.72, 0.8, 0.78), (0.85, 0.75, 0.66))
    tone = tones[int(rng.integers(len(tones)))]
    brick_wall = int(rng.integers(4))
    for wall in range(4):
        place = wall_footprint(wall, size[wall % 2] / 2, size[wall % 2], 0.0, size[:2])
        plaster = Texture("plain", tone, (0.96, 0.95, 0.92), 0.4, seed + wall)
        brick = Texture("brick", (0.66, 0.36, 0.28), (0.82, 0.78, 0.72), 0.085, seed)
        texture = brick if wall == brick_wall else plaster
        parts.append(
            Part(
                Shape.SHEET,
                (place.x, place.y, height / 2),
                (place.width, height, 1.0),
                texture,
                "wall",
                place.yaw + math.pi,
                math.pi / 2,
            )
        )
    if ceiling:
        white = Texture("plain", (0.95, 0.95, 0.94), (0.85, 0.85, 0.85), 0.5, seed)
        center = (width / 2, depth / 2, height)
        parts.append(Part(Shape.SHEET, center, (width, depth, 1.0), white, _CEILING, tilt=math.pi))
    return parts


_Span = tuple[int, float, float]  # Wall, and the stretch of it that is taken, metres.


def _door_and_window(
    rng: np.random.Generator, size: tuple[float, float, float], door_wall: int, window_wall: int
) -> tuple[list[Part], list[Footprint], list[_Span]]:
    """Door, window and curtains; the floor to keep free; the stretches of wall they take."""
    floor = size[:2]
    along = float(rng.uniform(0.6, floor[door_wall % 2] - 0.6))
    place = wall_footprint(door_wall, along, 0.9, 0.05, floor)
    leaf = Texture("panels", (0.55, 0.36, 0.22), (0.3, 0.18, 0.1), 0.5, 5)
    knob = Texture("plain", (0.8, 0.7, 0.4), (0.95, 0.9, 0.6), 0.05)
    parts = [
        Part(Shape.BOX, (0, 0, 1.0), (0.9, 0.05, 2.0), leaf, "door").moved(place.x, place.y, 0.0, place.yaw),
        Part(Shape.SPHERE, (0.36, 0.05, 1.0), (0.07, 0.07, 0.07), knob, "door").moved(place.x, place.y, 0.0, place.yaw),
    ]
    free = [wall_footprint(door_wall, along, 1.0, 0.8, floor)]
    middle = float(rng.uniform(1.0, floor[window_wall % 2] - 1.0))
    place = wall_footprint(window_wall, middle, 1.2, 0.04, floor)
    glass = Texture("window", (1, 1, 1), scale=1.2, aspect=1.1 / 1.2)
    sill = Texture("plain", (0.93, 0.93, 0.9), (0.8, 0.8, 0.78), 0.2)
    cloth = Texture("fabric", (0.78, 0.62, 0.35), (0.9, 0.82, 0.6), 0.05, int(rng.integers(1000)))
    drape = [
        Part(Shape.BOX, (0, 0, 1.5), (1.2, 0.04, 1.1), glass, "window"),
        Part(Shape.BOX, (0, 0.03, 0.93), (1.3, 0.1, 0.04), sill, "window"),
    ]
    for side in (-1, 1):
        for fold in range(4):
            x = side * (0.66 + 0.075 * fold)
            drape.append(Part(Shape.CYLINDER, (x, 0.03, 1.45), (0.09, 0.07, 1.4), cloth, "curtain"))
    parts += [part.moved(place.x, place.y, 0.0, place.yaw) for part in drape]
    spans = [(door_wall, along - 0.5, along + 0.5), (window_wall, middle - 1.0, middle + 1.0)]
    return parts, free, spans


def _pictures(
    rng: np.random.Generator,
    size: tuple[float, float, float],
    spans: list[_Span],
    placements: tuple[Placement, ...],
) -> list[Part]:
    """Up to three pictures on free stretches of wall, above low furniture."""
    parts: list[Part] = []
    tall = [placement.footprint for placement in placements if placement.furniture.height > 1.3]
    for _ in range(40):
        wall, width = int(rng.integers(4)), float(rng.uniform(0.5, 0.8))
        along = float(rng.uniform(width, size[wall % 2] - width))
        place = wall_footprint(wall, along, width, 0.03, size[:2])
        taken = any(w == wall and low < along + width / 2 and along - width / 2 < high for w, low, high in spans)
        in_front = wall_footprint(wall, along, width, 0.5, size[:2])
        if taken or any(overlap(in_front, other) for other in tall):
            continue
        texture = Texture("picture", (1, 1, 1), scale=width, seed=int(rng.integers(1000)), aspect=0.7)
        center = (place.x, place.y, 1.6)
        parts.append(Part(Shape.BOX, center, (width, 0.03, 0.7 * width), texture, "picture", place.yaw))
        spans.append((wall, along - width / 2 - 0.1, along + width / 2 + 0.1))
        if len(parts) == 3:
            break
    return parts
