"""A room seen from above without its ceiling, with the camera's way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from sparse_s4r.data.report.drawing import FAINT, INK, PAPER, font, heat
from sparse_s4r.data.report.facts import UpFacts
from sparse_s4r.data.report.sample import CaptureSample
from sparse_s4r.data.report.space import visible_points
from sparse_s4r.data.up_axis import rotation_to_z
from sparse_s4r.structures import SparseTSDF

# What lies higher above the camera's usual height is cut off: ceilings, lamps.
_CUT = 0.15
_OUTERMOST = 0.002
_CELL = 0.02
_ARROWS = 40
# Thick enough to leave no holes where sampling is sparse.
_SURFACE = 2.0
_DARKEST = 0.72
_STROKE = 0.25


@dataclass(frozen=True)
class Cloud:
    """Points (P, 3) with colours (P, 3) in [0, 1], in a world where +z is up, ``spacing`` metres apart."""

    points: Tensor
    colors: Tensor
    spacing: float = _CELL


def sampled_cloud(sample: CaptureSample, up: UpFacts, depth_max: float) -> Cloud:
    """All points of the sampled frames."""
    turn = _turn(up)[:3, :3].float()
    points = [visible_points(frame, depth_max) @ turn.T for frame in sample.frames]
    colors = [frame.color[(frame.depth > 0) & (frame.depth <= depth_max)] for frame in sample.frames]
    return Cloud(torch.cat(points), torch.cat(colors))


def scanned_cloud(scan: SparseTSDF) -> Cloud:
    """Voxels near the surface of a fused scan."""
    near = scan.select(scan.tsdf.abs() < _SURFACE * scan.grid.voxel_size)
    origin = torch.tensor(scan.grid.origin, dtype=torch.float64)
    points = (origin + (near.coordinates.double() + 0.5) * scan.grid.voxel_size).float()
    grey = torch.full((len(points), 3), 0.6)
    return Cloud(points, grey if near.color is None else near.color.float(), scan.grid.voxel_size)


def path_in_world(sample: CaptureSample, up: UpFacts) -> Tensor:
    """Camera-to-world (M, 4, 4) of the usable frames where +z is up."""
    return _turn(up) @ sample.poses[sample.usable]


def draw_top_view(cloud: Cloud, path: Tensor, width: int, height: int) -> Image.Image:
    """A picture of the cloud from above, turned to lie in the picture's longer direction.

    Args:
        cloud: What to draw.
        path: (M, 4, 4) camera to world, in order.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
    """
    picture = Image.new("RGB", (width, height), PAPER)
    eyes = path[:, :3, 3].float()
    low = cloud.points[:, 2] < float(eyes[:, 2].median()) + _CUT
    points, colors = cloud.points[low], cloud.colors[low]
    floor = torch.cat([_within(points[:, :2]), eyes[:, :2]])
    lower, upper = floor.amin(dim=0), floor.amax(dim=0)
    span = (upper - lower).clamp(min=0.1)
    swap = bool((span[0] < span[1]) == (width > height))
    scale = 0.94 * min(width / float(span[1] if swap else span[0]), height / float(span[0] if swap else span[1]))
    frame = _Frame(lower, upper, swap, scale, (width, height))
    if len(points):
        _paint(picture, points, colors, frame, cloud.spacing)
    _draw_path(picture, path, frame)
    _draw_scale(picture, scale)
    return picture


@dataclass(frozen=True)
class _Frame:
    """Where a place on the floor lies in the picture."""

    lower: Tensor
    upper: Tensor
    swap: bool
    scale: float
    size: tuple[int, int]

    def place(self, floor: Tensor) -> Tensor:
        """Picture coordinates (P, 2) of places (P, 2); the picture is turned by 90 degrees, never mirrored."""
        middle = (self.lower + self.upper) / 2
        x, y = ((floor - middle) * self.scale).unbind(dim=1)
        right, up = (-y, x) if self.swap else (x, y)
        return torch.stack([right + self.size[0] / 2, self.size[1] / 2 - up], dim=1)


def _turn(up: UpFacts) -> Tensor:
    return rotation_to_z(torch.tensor(up.direction, dtype=torch.float64))


def _within(places: Tensor) -> Tensor:
    """Places without the outermost ones, which are stray measurements."""
    if len(places) == 0:
        return places
    step = max(1, len(places) // 200_000)
    ends = places[::step].quantile(torch.tensor([_OUTERMOST, 1 - _OUTERMOST]), dim=0)
    return places[((places >= ends[0]) & (places <= ends[1])).all(dim=1)]


def _paint(picture: Image.Image, points: Tensor, colors: Tensor, frame: _Frame, spacing: float) -> None:
    """The highest point of each cell gives its colour; lower places are drawn darker."""
    cell = max(1, math.ceil(frame.scale * spacing))
    columns, rows = -(-frame.size[0] // cell), -(-frame.size[1] // cell)
    place = torch.floor(frame.place(points[:, :2]) / cell).long()
    inside = (place >= 0).all(dim=1) & (place[:, 0] < columns) & (place[:, 1] < rows)
    if not bool(inside.any()):
        return
    flat = (place[:, 1] * columns + place[:, 0])[inside]
    height, shades = points[inside, 2], colors[inside]
    order = torch.argsort(height)
    bottom, top = float(height[order[len(order) // 100]]), float(height[order[-1]])
    light = _DARKEST + (1 - _DARKEST) * ((height - bottom) / max(top - bottom, 1e-6)).clamp(0, 1)
    canvas = np.full((rows * columns, 3), 255, dtype=np.uint8)
    # numpy assigns in order, so that the highest point of a cell stays.
    canvas[flat[order].numpy()] = ((shades * light[:, None]).clamp(0, 1) * 255).byte()[order].numpy()
    pixels = canvas.reshape(rows, columns, 3).repeat(cell, axis=0).repeat(cell, axis=1)
    picture.paste(Image.fromarray(np.ascontiguousarray(pixels[: frame.size[1], : frame.size[0]])))


def _draw_path(picture: Image.Image, path: Tensor, frame: _Frame) -> None:
    draw = ImageDraw.Draw(picture)
    places = frame.place(path[:, :2, 3].float()).tolist()
    ahead = torch.nn.functional.normalize(path[:, :2, 2].float(), dim=1)
    ends = frame.place(path[:, :2, 3].float() + _STROKE * ahead).tolist()
    count = len(places)
    for index in range(count - 1):
        draw.line([*places[index], *places[index + 1]], fill=(255, 255, 255), width=5)
    for index in range(count - 1):
        draw.line([*places[index], *places[index + 1]], fill=heat(index / max(1, count - 1)), width=3)
    for index in range(0, count, max(1, count // _ARROWS)):
        color = heat(index / max(1, count - 1))
        draw.line([*places[index], *ends[index]], fill=color, width=2)
        x, y = places[index]
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=color, outline=(255, 255, 255))
    for (x, y), word in ((places[0], "start"), (places[-1], "end")):
        color = heat(0.0 if word == "start" else 1.0)
        draw.ellipse((x - 7, y - 7, x + 7, y + 7), fill=color, outline=(255, 255, 255), width=2)
        draw.text((x + 10, y - 9), word, fill=INK, font=font(16), stroke_width=3, stroke_fill=(255, 255, 255))


def _draw_scale(picture: Image.Image, scale: float) -> None:
    draw = ImageDraw.Draw(picture)
    metres = next((length for length in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if length * scale > 60), 100)
    x, y = 14, picture.height - 18
    draw.rectangle((x - 6, y - 24, x + metres * scale + 8, y + 8), fill=PAPER, outline=FAINT)
    draw.line((x, y, x + metres * scale, y), fill=INK, width=3)
    draw.text((x, y - 22), f"{metres:g} m", fill=INK, font=font(15))
