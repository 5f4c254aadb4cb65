"""Colour of surface points: the material, lit by one lamp per room and by ambient light, the same from all sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparse_s4r.data.homes.home import Home
from sparse_s4r.data.homes.patterns import paint
from sparse_s4r.data.homes.surface import Surface
from sparse_s4r.geometry.compiled import compiled

_AMBIENT = 0.5
_LAMP = 1.15

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Shader:
    """Tables for compiled loops, one row per owner or triangle.

    Attributes:
        owner: (T,) owner of every triangle.
        normals: (T, 3).
        frames: (O, 12).
        kinds: (O, 2) pattern and seed.
        numbers: (O, 8) base, accent, scale, aspect.
        lamps: (O, 3) the lamp that lights an owner, metres.
    """

    owner: NDArray[np.int64]
    normals: Doubles
    frames: Doubles
    kinds: NDArray[np.int64]
    numbers: Doubles
    lamps: Doubles

    def colors(self, points: Doubles, triangles: NDArray[np.int64], footprints: Doubles) -> NDArray[np.float32]:
        """Colours (P, 3) in [0, 1] at ``points`` (P, 3) of ``triangles`` (P,); black where the number is negative.

        Args:
            points: World metres.
            triangles: The triangle that each point is on.
            footprints: (P,) metres on the surface that a sample stands for.
        """
        colors = np.zeros((len(points), 3), dtype=np.float32)
        tables = (self.owner, self.normals, self.frames, self.kinds, self.numbers, self.lamps)
        _shade(colors, points, triangles, footprints, tables)
        return colors


def make_shader(home: Home, surface: Surface) -> Shader:
    """Gather what the colours of a home need."""
    owners = surface.owners
    lamps = np.array(
        [
            [0.52 * a.low[0] + 0.48 * a.high[0], 0.55 * a.low[1] + 0.45 * a.high[1], home.plan.height - 0.3]
            for a in home.plan.rooms
        ]
    )
    materials = owners.material
    numbers = np.array([[*m.base, *m.accent, m.scale, m.aspect] for m in materials])
    kinds = np.array([[int(m.pattern), m.seed] for m in materials])
    return Shader(surface.owner, surface.normals, owners.frame, kinds, numbers, lamps[owners.room])


@compiled
def _shade(colors: Any, points: Any, triangles: Any, footprints: Any, tables: Any) -> None:
    owner, normals, frames, kinds, numbers, lamps = tables
    color = np.empty(3)
    for p in range(len(points)):
        t = triangles[p]
        if t < 0:
            continue
        o = owner[t]
        paint(points[p], normals[t], frames[o], kinds[o], numbers[o], footprints[p], color)
        square, facing = 0.0, 0.0
        for axis in range(3):
            way = lamps[o, axis] - points[p, axis]
            square += way * way
            facing += way * normals[t, axis]
        square = max(square, 0.09)
        wrapped = min(1.0, max(0.0, 0.5 + 0.5 * facing / np.sqrt(square)))
        light = _AMBIENT + (_LAMP - _AMBIENT) * wrapped / (1.0 + 0.05 * square)
        for axis in range(3):
            colors[p, axis] = min(1.0, color[axis] * light)
