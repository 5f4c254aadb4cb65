"""Texture images, halved again and again so that a far pixel takes the mean of what it covers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from sparse_s4r.structures.errors import DataError

# 16384 x 4096: more is no texture of a room.
_MAX_PIXELS = 1 << 26


class Texture:
    """An RGB image with its halvings.

    Args:
        pixels: (H, W, 3) uint8, first row at the top.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._levels = [np.ascontiguousarray(pixels)]
        while min(self._levels[-1].shape[:2]) > 1:
            fine = self._levels[-1]
            height, width = fine.shape[0] // 2 * 2, fine.shape[1] // 2 * 2
            tiles = fine[:height, :width].reshape(height // 2, 2, width // 2, 2, 3).astype(np.uint16)
            self._levels.append(((tiles.sum(axis=(1, 3), dtype=np.uint16) + 2) // 4).astype(np.uint8))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width = self._levels[0].shape[:2]
        return width, height

    def colors(self, uv: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Colours (P, 3) float32 in [0, 1], bilinear within one level, repeated beyond the edges.

        Args:
            uv: (P, 2) texture coordinates; (0, 0) is the lower left corner, (1, 1) the upper right.
            footprint: (P,) width of what a pixel covers, in texels of the full image.
        """
        result = np.empty((len(uv), 3), dtype=np.float32)
        level = np.clip(np.round(np.log2(np.maximum(footprint, 1.0))), 0, len(self._levels) - 1).astype(np.int64)
        for chosen in np.unique(level):
            rows = level == chosen
            result[rows] = _bilinear(self._levels[chosen], uv[rows])
        return result


def load_texture(path: Path) -> Texture:
    """Read an image as a texture; its transparency is not kept.

    Raises:
        DataError: An image that cannot be read, or has more than 64 million pixels.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise DataError(f"{path}: expected a texture of at most {_MAX_PIXELS:,} pixels, got {image.size}")
            return texture_of(image)
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: expected a readable image, got a damaged one ({error})") from error


def texture_of(image: Image.Image) -> Texture:
    """A texture of an image in memory."""
    return Texture(np.asarray(image.convert("RGB"), dtype=np.uint8))


def _bilinear(pixels: np.ndarray, uv: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    wrapped = uv - np.floor(uv)
    x = wrapped[:, 0] * width - 0.5
    y = (1.0 - wrapped[:, 1]) * height - 0.5
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - left)[:, None].astype(np.float32), (y - top)[:, None].astype(np.float32)
    columns, rows = (left % width, (left + 1) % width), (top % height, (top + 1) % height)
    upper = pixels[rows[0], columns[0]] * (1 - fx) + pixels[rows[0], columns[1]] * fx
    lower = pixels[rows[1], columns[0]] * (1 - fx) + pixels[rows[1], columns[1]] * fx
    result: np.ndarray = (upper * (1 - fy) + lower * fy) / np.float32(255)
    return result
