"""Procedural surface colours, evaluated at points: no image files, the same from every view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Texture:
    """Colour of a surface as a function of the position in the part's own axes.

    Attributes:
        kind: Name of a pattern: plain, wood, planks, checker, brick, fabric, books, picture, window or panels.
        base: Main colour, RGB in [0, 1].
        accent: Second colour.
        scale: Size of the pattern's element, metres.
        seed: Chooses among variants of the pattern.
        aspect: Height of the element over its width.
    """

    kind: str
    base: Color
    accent: Color = (1.0, 1.0, 1.0)
    scale: float = 0.1
    seed: int = 0
    aspect: float = 1.0

    def colors(self, points: Tensor, normals: Tensor) -> Tensor:
        """Colours (P, 3) in [0, 1] at ``points`` (P, 3) metres with ``normals`` (P, 3), both in the part's axes."""
        u, v = _face_coordinates(points, normals)
        mix = _PATTERNS[self.kind](u / self.scale, v / (self.scale * self.aspect), self.seed)
        base, accent = torch.tensor(self.base), torch.tensor(self.accent)
        if mix.dim() == 2:
            return mix
        grain = 1.0 + 0.06 * (_noise(u * 9.0, v * 9.0, self.seed + 7) - 0.5)
        mixed = base + (accent - base) * mix.unsqueeze(1)
        return (mixed * grain.unsqueeze(1)).clamp(0.0, 1.0)


def _face_coordinates(points: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
    """The two coordinates across the axis that a normal is closest to; the second is upwards on upright faces."""
    axis = normals.abs().argmax(dim=1)
    u = torch.where(axis == 0, points[:, 1], points[:, 0])
    v = torch.where(axis == 2, points[:, 1], points[:, 2])
    return u, v


def _hash(i: Tensor, j: Tensor, seed: int) -> Tensor:
    """Reproducible numbers in [0, 1) per lattice point."""
    mixed = (i.long() * 374761393 + j.long() * 668265263 + seed * 974634777) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 16)) & 0xFFFF).float() / 65536.0


def _noise(u: Tensor, v: Tensor, seed: int) -> Tensor:
    """Smooth noise in [0, 1) with features of size 1."""
    i, j = torch.floor(u), torch.floor(v)
    fu, fv = u - i, v - j
    fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    low = _hash(i, j, seed) * (1 - fu) + _hash(i + 1, j, seed) * fu
    high = _hash(i, j + 1, seed) * (1 - fu) + _hash(i + 1, j + 1, seed) * fu
    return low * (1 - fv) + high * fv


def _plain(u: Tensor, v: Tensor, seed: int) -> Tensor:
    return 0.25 * _noise(u, v, seed)


def _wood(u: Tensor, v: Tensor, seed: int) -> Tensor:
    """Long grain along u."""
    rings = v * 3.0 + 2.0 * _noise(u * 0.4, v, seed)
    return 0.35 + 0.3 * torch.sin(6.2832 * rings) * _noise(u * 0.3, v * 2.0, seed + 1) + 0.2 * _noise(u, v * 8, seed)


def _planks(u: Tensor, v: Tensor, seed: int) -> Tensor:
    """Floor boards one element wide and seven long, each of its own tone."""
    row = torch.floor(v)
    along = u / 7.0 + _hash(row, torch.zeros_like(row), seed)
    board = torch.floor(along)
    tone = _hash(row, board, seed + 1)
    gap = ((v - row) < 0.04) | ((along - board) < 0.006)
    return torch.where(gap, 1.0, 0.15 + 0.45 * tone + 0.2 * _noise(u * 0.7, v * 5.0, seed + 2))


def _checker(u: Tensor, v: Tensor, seed: int) -> Tensor:
    return 0.1 + 0.75 * ((torch.floor(u) + torch.floor(v)) % 2) + 0.1 * _noise(u * 8, v * 8, seed)


def _brick(u: Tensor, v: Tensor, seed: int) -> Tensor:
    row = torch.floor(v)
    along = u / 2.5 + 0.5 * (row % 2)
    stone = torch.floor(along)
    mortar = ((v - row) < 0.12) | ((along - stone) < 0.05)
    return torch.where(mortar, 1.0, 0.4 * _hash(stone, row, seed) + 0.1 * _noise(u * 3, v * 3, seed))


def _fabric(u: Tensor, v: Tensor, seed: int) -> Tensor:
    weave = 0.5 + 0.5 * torch.sin(6.2832 * u) * torch.sin(6.2832 * v)
    return 0.3 * weave + 0.35 * _noise(u * 0.3, v * 0.3, seed)


def _books(u: Tensor, v: Tensor, seed: int) -> Tensor:
    """Spines one element wide, in many colours, each with a pale title band."""
    index = torch.floor(u)
    zero = torch.zeros_like(index)
    hue = torch.stack([_hash(index, zero, seed + 101 * channel) for channel in range(3)], dim=1)
    color = 0.15 + 0.6 * hue
    gap = ((u - index) < 0.08).unsqueeze(1)
    title = ((v - 1.5 * _hash(index, zero + 5, seed)).abs() < 0.5).unsqueeze(1)
    return torch.where(gap, color * 0.4, torch.where(title, 0.5 * color + 0.42, color))


def _picture(u: Tensor, v: Tensor, seed: int) -> Tensor:
    """Hills under a sky, inside a dark frame; the element is the picture's size."""
    hills = 0.12 * torch.sin(7.0 * u + seed) + 0.25 * (_noise(u * 4, torch.zeros_like(u), seed) - 0.5)
    sky = torch.tensor([0.95, 0.75, 0.45]) + (v.unsqueeze(1) + 0.2) * torch.tensor([-0.7, -0.3, 0.5])
    land = torch.tensor([0.2, 0.45, 0.25]) + 0.3 * _noise(u * 9, v * 9, seed + 3).unsqueeze(1)
    scene = torch.where((v < hills - 0.05).unsqueeze(1), land, sky).clamp(0.0, 1.0)
    frame = ((u.abs() > 0.44) | (v.abs() > 0.44)).unsqueeze(1)
    return torch.where(frame, torch.tensor([0.22, 0.14, 0.08]), scene)


def _window(u: Tensor, v: Tensor, seed: int) -> Tensor:
    """Bright panes behind white bars; the element is the window's size."""
    del seed
    bar = (u.abs() > 0.45) | (v.abs() > 0.45) | (u.abs() < 0.025) | (v.abs() < 0.02)
    sky = torch.tensor([0.72, 0.86, 0.97]) + v.unsqueeze(1) * torch.tensor([-0.25, -0.12, 0.0])
    return torch.where(bar.unsqueeze(1), torch.tensor([0.93, 0.93, 0.9]), sky).clamp(0.0, 1.0)


def _panels(u: Tensor, v: Tensor, seed: int) -> Tensor:
    """Fronts of drawers or doors: a dark joint around every element."""
    fu, fv = u - torch.floor(u), v - torch.floor(v)
    joint = (fu < 0.04) | (fu > 0.96) | (fv < 0.04) | (fv > 0.96)
    inner = ((fu - 0.5).abs() < 0.36) & ((fv - 0.5).abs() < 0.36)
    return torch.where(joint, 1.0, 0.12 * inner.float() + 0.15 * _noise(u, v * 6, seed))


_PATTERNS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "plain": _plain,
    "wood": _wood,
    "planks": _planks,
    "checker": _checker,
    "brick": _brick,
    "fabric": _fabric,
    "books": _books,
    "picture": _picture,
    "window": _window,
    "panels": _panels,
}
