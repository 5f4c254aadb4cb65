"""Pictures of a world and its capture: from above, by class, the floor plan with the walk, and some frames."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sparse_s4r.data.gazebo.floor_plan import CELL, LINTEL, FloorPlan
from sparse_s4r.data.gazebo.render import shade
from sparse_s4r.data.gazebo.scene import WorldScene
from sparse_s4r.structures import IGNORE_LABEL, RGBDFrame

_WIDEST = 1600
_PIXEL = 0.01
_ACROSS, _DOWN = 3, 8
_TILE = 320


def class_colors(count: int) -> np.ndarray:
    """(K, 3) uint8 display colours that differ: hues a golden angle apart."""
    colors = [colorsys.hsv_to_rgb(index * 0.618 % 1.0, 0.55 + 0.2 * (index % 3), 0.9) for index in range(count)]
    return (np.array(colors) * 255).astype(np.uint8)


class Overview:
    """Gathers frames for the contact sheet and draws the rest from the world.

    Args:
        scene: The world.
        plan: Its floor plan.
        colors: (K, 3) uint8 display colours of the classes; None for some.
    """

    def __init__(self, scene: WorldScene, plan: FloorPlan, colors: np.ndarray | None = None) -> None:
        self._scene = scene
        self._plan = plan
        table = np.zeros((IGNORE_LABEL + 1, 3), dtype=np.uint8)
        chosen = class_colors(len(scene.class_names)) if colors is None else colors
        table[: len(chosen)] = chosen
        self._table = table
        self._tiles: list[Image.Image] = []
        self._every = 1
        self._count = 0

    def add(self, frame: RGBDFrame) -> None:
        """Keep a frame if it is one of those for the sheet; they stay evenly spaced however many come."""
        if self._count % self._every == 0:
            self._tiles.append(self._tile(frame))
        self._count += 1
        if len(self._tiles) > 2 * _ACROSS * _DOWN:
            self._tiles = self._tiles[::2]
            self._every *= 2

    def save(self, folder: Path, walk: np.ndarray) -> None:
        """Write overhead.png, overhead_labels.png, floor_plan.png and frames.png.

        Args:
            folder: To make.
            walk: (P, 2) places of the walk, metres.
        """
        folder.mkdir()
        color, labels = self._from_above()
        Image.fromarray(color).save(folder / "overhead.png")
        Image.fromarray(labels).save(folder / "overhead_labels.png")
        self._floor_plan(walk).save(folder / "floor_plan.png")
        self._sheet().save(folder / "frames.png")

    def _from_above(self) -> tuple[np.ndarray, np.ndarray]:
        """Colour and classes (H, W, 3) uint8, seen straight down from below the ceiling, its beams and the lintels."""
        lower, upper = self._scene.bounds
        pixel = max(_PIXEL, float(upper[0] - lower[0]) / _WIDEST)
        x = np.arange(lower[0], upper[0], pixel)
        y = np.arange(upper[1], lower[1], -pixel)
        xs, ys = np.meshgrid(x, y)
        origins = np.stack([xs, ys, np.full_like(xs, self._plan.top - LINTEL)], axis=-1).reshape(-1, 3)
        hits = self._scene.cast(origins, np.broadcast_to(np.array([0.0, 0.0, -1.0]), origins.shape))
        hit = hits.triangle >= 0
        normals = self._scene.normals[hits.triangle]
        normals = np.where(normals[:, 2:] < 0, -normals, normals)
        color = shade(normals) * self._scene.albedo(hits, np.full(len(hit), pixel, dtype=np.float32))
        color = np.where(hit[:, None], color.clip(0, 1) * 255, 255).astype(np.uint8)
        labels = self._table[np.where(hit, self._scene.labels[hits.triangle], IGNORE_LABEL)]
        labels = np.where(hit[:, None], labels, 255).astype(np.uint8)
        return color.reshape(*xs.shape, 3), labels.reshape(*xs.shape, 3)

    def _floor_plan(self, walk: np.ndarray) -> Image.Image:
        """Rooms in colours, what blocks in grey, the walk in black."""
        scale = 4
        rooms = self._plan.rooms
        colors = class_colors(self._plan.room_count)
        image = np.full((*rooms.shape, 3), 255, dtype=np.uint8)
        image[rooms >= 0] = colors[rooms[rooms >= 0]]
        image[self._plan.blocked] = 120
        picture = Image.fromarray(np.ascontiguousarray(image.transpose(1, 0, 2)[::-1]))
        picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
        draw = ImageDraw.Draw(picture)
        places = (walk - self._plan.origin) / CELL * scale
        places[:, 1] = picture.height - places[:, 1]
        for x, y in places.tolist():
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(0, 0, 0))
        return picture

    def _tile(self, frame: RGBDFrame) -> Image.Image:
        color = (frame.color * 255).round().byte().numpy()
        labels = np.zeros_like(color) if frame.labels is None else self._table[frame.labels.numpy()]
        tile = Image.fromarray(np.concatenate([color, labels], axis=1))
        return tile.resize((2 * _TILE, max(1, round(tile.height * 2 * _TILE / tile.width))))

    def _sheet(self) -> Image.Image:
        count = min(len(self._tiles), _ACROSS * _DOWN)
        chosen = [self._tiles[int(index)] for index in np.linspace(0, len(self._tiles) - 1, count)]
        width, height = chosen[0].size
        sheet = Image.new("RGB", (_ACROSS * width, -(-count // _ACROSS) * height))
        for index, tile in enumerate(chosen):
            sheet.paste(tile, (index % _ACROSS * width, index // _ACROSS * height))
        return sheet
