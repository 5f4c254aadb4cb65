"""A contact sheet of frames with their labels painted over them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from sparse_s4r.data.report.drawing import INK, PAPER, QUIET, font
from sparse_s4r.data.resize import resize_area
from sparse_s4r.segmentation.taxonomy import Taxonomy
from sparse_s4r.structures import IGNORE_LABEL

_ACROSS, _DOWN = 4, 3
_TILE, _GAP, _MARGIN = 320, 6, 16
# Of the paint where the segmenter is certain; it fades with the confidence.
_OPACITY = 0.65
_TITLE, _TEXT, _LINE, _SWATCH = 20, 15, 24, 14
_NOTE = "Fainter paint: less sure. Dark grey: no label."


class LabelOverview:
    """Gathers frames spread over a scene, and draws the sheet.

    Args:
        title: Its heading.
        taxonomy: Names and colours of the classes.
        frames: Number of frames that there are.
    """

    def __init__(self, title: str, taxonomy: Taxonomy, frames: int) -> None:
        self._title = title
        self._taxonomy = taxonomy
        count = min(frames, _ACROSS * _DOWN)
        self._chosen = {int((place + 0.5) * frames / count) for place in range(count)}
        self._tiles: list[Image.Image] = []

    def wants(self, index: int) -> bool:
        """True if the frame at ``index`` is one of those on the sheet."""
        return index in self._chosen

    def add(self, index: int, color: Tensor, labels: Tensor, confidence: Tensor) -> None:
        """Paint a frame, if it is one of those on the sheet.

        Args:
            index: Its place among the frames.
            color: (H, W, 3) RGB in [0, 1].
            labels: (H, W) int64 class or ``IGNORE_LABEL``.
            confidence: (H, W) in [0, 1].
        """
        if self.wants(index):
            painted = paint_labels(color, labels, confidence, self._taxonomy)
            height = max(1, round(painted.shape[0] * _TILE / painted.shape[1]))
            small = resize_area(painted, _TILE, height)
            self._tiles.append(Image.fromarray((small * 255).round().byte().numpy()))

    def draw(self, shares: tuple[float, ...]) -> Tensor:
        """The sheet (H, W, 3) uint8: title, frames, and a legend with each class's share of the pixels."""
        width = 2 * _MARGIN + _ACROSS * (_TILE + _GAP) - _GAP
        rows = [self._tiles[start : start + _ACROSS] for start in range(0, len(self._tiles), _ACROSS)]
        heights = [max(tile.height for tile in row) + _GAP for row in rows]
        texts = [f"{name} {share:.1%}" for name, share in zip(self._taxonomy.class_names, shares, strict=True)]
        column_width = _SWATCH + 4 * _GAP + max(int(font(_TEXT).getlength(text)) for text in texts)
        across = max(1, (width - 2 * _MARGIN) // column_width)
        lines = -(-len(shares) // across)
        top = _MARGIN + _TITLE + 2 * _GAP
        legend = top + sum(heights) + _GAP
        sheet = Image.new("RGB", (width, legend + (lines + 1) * _LINE + _MARGIN), PAPER)
        pen = ImageDraw.Draw(sheet)
        pen.text((_MARGIN, _MARGIN), self._title, INK, font(_TITLE))
        for row, height in zip(rows, heights, strict=True):
            for column, tile in enumerate(row):
                sheet.paste(tile, (_MARGIN + column * (_TILE + _GAP), top))
            top += height
        for index, (text, color) in enumerate(zip(texts, self._taxonomy.colors, strict=True)):
            line, column = divmod(index, across)
            left, upper = _MARGIN + column * column_width, legend + line * _LINE
            pen.rectangle((left, upper, left + _SWATCH, upper + _SWATCH), color, QUIET)
            pen.text((left + _SWATCH + _GAP, upper - 2), text, INK, font(_TEXT))
        pen.text((_MARGIN, legend + lines * _LINE), _NOTE, QUIET, font(_TEXT))
        return torch.from_numpy(np.array(sheet))


def paint_labels(color: Tensor, labels: Tensor, confidence: Tensor, taxonomy: Taxonomy) -> Tensor:
    """A frame (H, W, 3) in [0, 1] under the colours of its labels.

    Args:
        color: (H, W, 3) RGB in [0, 1].
        labels: (H, W) int64 class or ``IGNORE_LABEL``; the latter shows as dark grey.
        confidence: (H, W) in [0, 1]; the less, the fainter the paint.
        taxonomy: Gives the colours.
    """
    grey = 0.5 * color.mean(dim=2, keepdim=True).expand_as(color)
    opacity = (_OPACITY * confidence).unsqueeze(2)
    painted = color * (1 - opacity) + taxonomy.paint(labels).to(color) / 255 * opacity
    return torch.where((labels == IGNORE_LABEL).unsqueeze(2), grey, painted).clamp(0, 1)
