"""Colours of materials at points of their surfaces, compiled.

Imported only where it is used. A pattern finer than what a pixel covers fades into its mean, so that it does not
flicker from view to view.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sparse_s4r.data.homes.materials import Pattern
from sparse_s4r.geometry.compiled import compiled

_PLAIN, _WOOD, _PLANKS, _TILES = int(Pattern.PLAIN), int(Pattern.WOOD), int(Pattern.PLANKS), int(Pattern.TILES)
_BRICK, _FABRIC, _STRIPES, _PICTURE = (
    int(Pattern.BRICK),
    int(Pattern.FABRIC),
    int(Pattern.STRIPES),
    int(Pattern.PICTURE),
)
_PANE, _SPOTS, _SCREEN = int(Pattern.PANE), int(Pattern.SPOTS), int(Pattern.SCREEN)
_TURN = 6.283185307179586


@compiled
def _hash(i: Any, j: Any, seed: Any) -> Any:
    """A number in [0, 1) per lattice point."""
    mixed = (np.int64(i) * 374761393 + np.int64(j) * 668265263 + np.int64(seed) * 974634777) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 16)) & 0xFFFF) / 65536.0


@compiled
def _noise(u: Any, v: Any, seed: Any) -> Any:
    """Smooth noise in [0, 1) with features of size 1."""
    i, j = np.floor(u), np.floor(v)
    a, b = u - i, v - j
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    low = _hash(i, j, seed) * (1 - a) + _hash(i + 1, j, seed) * a
    high = _hash(i, j + 1, seed) * (1 - a) + _hash(i + 1, j + 1, seed) * a
    return low * (1 - b) + high * b


@compiled
def _line(x: Any, width: Any, sample: Any) -> Any:
    """Share of a sample of length ``sample`` around x in [0, 1) on a line as wide as ``width``, from 0 or 1 on."""
    low, high = x - 0.5 * sample, x + 0.5 * sample
    covered = max(0.0, min(high, width) - max(low, 0.0)) + max(0.0, min(high, 1.0 + width) - max(low, 1.0))
    covered += max(0.0, min(high, width - 1.0) - low)
    return width if sample >= 1.0 else covered / sample


@compiled
def _mix(pattern: Any, u: Any, v: Any, seed: Any, sample: Any) -> Any:
    """Share of the second colour at (u, v); all lengths, as that of a sample, in units of the pattern's element."""
    if pattern == _WOOD:
        rings = 3.0 * v + 2.0 * _noise(0.4 * u, v, seed)
        return 0.35 + 0.3 * np.sin(_TURN * rings) * _noise(0.3 * u, 2.0 * v, seed + 1) + 0.2 * _noise(u, 8.0 * v, seed)
    if pattern == _PLANKS:
        row = np.floor(v)
        along = u / 7.0 + _hash(row, 0, seed)
        board = np.floor(along)
        gap = max(_line(v - row, 0.04, sample), _line(along - board, 0.006, sample / 7.0))
        tone = 0.15 + 0.45 * _hash(row, board, seed + 1) + 0.2 * _noise(0.7 * u, 5.0 * v, seed + 2)
        return gap + (1.0 - gap) * tone
    if pattern == _TILES:
        i, j = np.floor(u), np.floor(v)
        gap = max(_line(u - i, 0.03, sample), _line(v - j, 0.03, sample))
        return gap + (1.0 - gap) * (0.12 * _hash(i, j, seed) + 0.06 * _noise(3.0 * u, 3.0 * v, seed))
    if pattern == _BRICK:
        row = np.floor(v)
        along = u / 2.5 + 0.5 * (row % 2)
        stone = np.floor(along)
        gap = max(_line(v - row, 0.12, sample), _line(along - stone, 0.05, sample / 2.5))
        return gap + (1.0 - gap) * (0.4 * _hash(stone, row, seed) + 0.1 * _noise(3.0 * u, 3.0 * v, seed))
    if pattern == _FABRIC:
        weave = 0.5 + 0.5 * np.sin(_TURN * u) * np.sin(_TURN * v)
        return 0.3 * weave + 0.35 * _noise(0.3 * u, 0.3 * v, seed)
    if pattern == _STRIPES:
        band = _line(u - np.floor(u), 0.5, sample)
        return 0.85 * band + (1.0 - band) * 0.1 * _noise(u, v, seed)
    if pattern == _SPOTS:
        i, j = np.floor(u), np.floor(v)
        a, b = u - i - 0.3 - 0.4 * _hash(i, j, seed), v - j - 0.3 - 0.4 * _hash(i, j, seed + 1)
        return 0.9 if a * a + b * b < 0.07 else 0.15 * _noise(u, v, seed)
    # Plain and carpet.
    return 0.3 * _noise(u, v, seed) + (0.3 * _noise(4.0 * u, 4.0 * v, seed + 1) if pattern > _SCREEN else 0.0)


@compiled
def _image(pattern: Any, u: Any, v: Any, seed: Any, base: Any, accent: Any, channel: Any) -> Any:
    """One channel of a picture, a window or a screen; u and v run from -0.5 to 0.5."""
    if pattern == _PICTURE:
        kind = seed % 3
        if kind == 0:
            hills = 0.12 * np.sin(7.0 * u + seed) + 0.25 * (_noise(4.0 * u, 0.0, seed) - 0.5)
            land = base[channel] * (0.6 + 0.5 * _noise(9.0 * u, 9.0 * v, seed + 3))
            return land if v < hills - 0.05 else accent[channel] * 0.5 + 0.5 * (0.6 + 0.6 * v)
        if kind == 1:
            i, j = np.floor(3.0 * u), np.floor(3.0 * v)
            return 0.15 + 0.75 * _hash(i, j, seed + channel)
        radius = np.sqrt(u * u + v * v)
        ring = _noise(14.0 * radius, 0.0, seed)
        return base[channel] * ring + accent[channel] * (1.0 - ring)
    if pattern == _PANE:
        sky = base[channel] - 0.25 * v * (0.6 if channel == 1 else 1.0 if channel == 0 else 0.1)
        trees = _noise(9.0 * u, 0.0, seed) * 0.3 - 0.4
        return 0.25 + 0.15 * _noise(30.0 * u, 30.0 * v, seed) + 0.1 * (channel == 1) if v < trees else sky
    glow = _noise(3.0 * u, 3.0 * v, seed) * (1.0 if abs(u) < 0.46 and abs(v) < 0.44 else 0.0)
    return base[channel] + (accent[channel] - base[channel]) * glow


@compiled
def paint(point: Any, normal: Any, frame: Any, kind: Any, numbers: Any, footprint: Any, color: Any) -> None:
    """Write the colour of a surface into ``color`` (3,).

    Args:
        point: (3,) world metres.
        normal: (3,) of the face.
        frame: (12,) origin and axes of its owner.
        kind: (2,) pattern and seed.
        numbers: (8,) base, accent, scale, aspect.
        footprint: Metres on the surface that one sample stands for.
    """
    local, side = np.empty(3), np.empty(3)
    for axis in range(3):
        local[axis], side[axis] = 0.0, 0.0
        for k in range(3):
            local[axis] += frame[4 * k + 1 + axis] * (point[k] - frame[4 * k])
            side[axis] += frame[4 * k + 1 + axis] * normal[k]
        side[axis] = abs(side[axis])
    axis = 0 if side[0] >= side[1] and side[0] >= side[2] else 1 if side[1] >= side[2] else 2
    u = local[1] if axis == 0 else local[0]
    v = local[1] if axis == 2 else local[2]
    scale, pattern, seed = numbers[6], kind[0], kind[1]
    base, accent = numbers[:3], numbers[3:6]
    if pattern in (_PICTURE, _PANE, _SCREEN):
        for channel in range(3):
            value = _image(pattern, u / scale, v / (scale * numbers[7]), seed, base, accent, channel)
            color[channel] = min(1.0, max(0.0, value))
        return
    sample = max(footprint / scale, 1e-6)
    share = _mix(pattern, u / scale, v / (scale * numbers[7]), seed, sample)
    if pattern in (_FABRIC, _SPOTS, _WOOD) or pattern > _SCREEN:
        # Half a period per sample or more cannot be seen.
        fade = min(1.0, max(0.0, 2.0 * sample - 0.4))
        share = share * (1.0 - fade) + 0.25 * fade
    grain = 0.97 + 0.06 * _noise(9.0 * u, 9.0 * v, seed + 7)
    for channel in range(3):
        value = (base[channel] + (accent[channel] - base[channel]) * share) * grain
        color[channel] = min(1.0, max(0.0, value))
