"""Colours, letters and small parts that the pages of a report share."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

PAPER = (255, 255, 255)
INK = (30, 34, 40)
QUIET = (105, 112, 120)
FAINT = (214, 218, 222)
GOOD, WARNING, ERROR = (24, 128, 68), (190, 110, 0), (196, 32, 32)
# From blue over green and yellow to red: distinguishable in print, and by most who do not see all colours.
_HEAT = np.array([(48, 80, 190), (30, 150, 170), (80, 180, 80), (235, 190, 40), (220, 60, 40)], dtype=np.float64)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Letters of ``size`` pixels; they come with Pillow."""
    return ImageFont.load_default(size)


def heat(value: float) -> tuple[int, int, int]:
    """Colour of a number in [0, 1], from blue to red."""
    red, green, blue = _heat(np.array([value]))[0].tolist()
    return red, green, blue


def depth_picture(depth: Tensor, nearest: float, farthest: float) -> Image.Image:
    """Depth (H, W) in metres from blue (near) to red (far); missing depth is dark grey."""
    values = depth.numpy()
    share = np.clip((values - nearest) / max(farthest - nearest, 1e-6), 0, 1)
    pixels = _heat(share)
    pixels[values <= 0] = 40
    return Image.fromarray(pixels)


def color_picture(color: Tensor) -> Image.Image:
    """Colour (H, W, 3) in [0, 1]."""
    return Image.fromarray((color.clamp(0, 1) * 255).round().byte().numpy())


def wrapped(draw: ImageDraw.ImageDraw, text: str, size: int, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` pixels; words are kept whole unless longer than a line."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, font=font(size)) <= width:
            lines[-1] = longer
            continue
        while draw.textlength(word, font=font(size)) > width and len(word) > 1:
            cut = next(
                n for n in range(len(word) - 1, 0, -1) if n == 1 or draw.textlength(word[:n], font=font(size)) <= width
            )
            lines.append(word[:cut])
            word = word[cut:]
        lines.append(word)
    return lines


def _heat(share: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 of numbers (...) in [0, 1]."""
    place = np.clip(share, 0, 1) * (len(_HEAT) - 1)
    low = np.minimum(place.astype(np.int64), len(_HEAT) - 2)
    part = (place - low)[..., None]
    mixed: np.ndarray = (1 - part) * _HEAT[low] + part * _HEAT[low + 1]
    colors: np.ndarray = np.rint(mixed).astype(np.uint8)
    return colors
