"""Depth, labels and colour as pictures, real beside rendered."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import torch
from torch import Tensor

from sparse_s4r.structures import IGNORE_LABEL, RenderedView, RGBDFrame

# Missing depth and unlabelled pixels: a grey that neither palette uses.
_BLANK = 40
# Turbo-like stops from near to far (red, yellow, green, cyan, blue), interpolated linearly.
_DEPTH_STOPS = ((190, 30, 45), (246, 168, 53), (180, 222, 80), (60, 190, 180), (52, 92, 190), (46, 30, 90))
# From unlikely to certain: what may be wrong shines.
_PROBABILITY_STOPS = ((255, 225, 70), (225, 85, 50), (45, 60, 110))


def color_picture(color: Tensor, shown: Tensor | None = None) -> Tensor:
    """RGB in [0, 1] (H, W, 3) as uint8, grey where ``shown`` (H, W) is False."""
    picture = (color.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
    return picture if shown is None else _blank(picture, shown.cpu())


def depth_picture(depth: Tensor, far: float) -> Tensor:
    """Depth (H, W) in metres from 0 to ``far`` as colours (H, W, 3) uint8: red near, violet far, grey missing."""
    depth = depth.detach().cpu().float()
    return _blank(_between(_DEPTH_STOPS, depth / far), depth > 0)


def probability_colors(probability: Tensor) -> Tensor:
    """Probabilities (...) as colours (..., 3) uint8: yellow 0, red 0.5, dark blue 1."""
    return _between(_PROBABILITY_STOPS, probability.detach().cpu().float())


def probability_picture(probability: Tensor, view: RenderedView) -> Tensor:
    """Probabilities (N,) of the rendered field's voxels, seen at the view's pixels, (H, W, 3) uint8, grey at a miss."""
    hit = view.hit.cpu()
    seen = probability.cpu()[view.voxel.cpu().clamp(min=0)] if len(probability) else torch.zeros(hit.shape)
    return _blank(probability_colors(seen), hit)


def label_picture(labels: Tensor, palette: Tensor) -> Tensor:
    """Labels (H, W) as colours (H, W, 3) uint8 of ``palette`` (K, 3) uint8, grey where unlabelled."""
    labels = labels.detach().cpu()
    known = labels != IGNORE_LABEL
    return _blank(palette[torch.where(known, labels, 0)], known)


def class_palette(classes: int) -> Tensor:
    """Well-separated display colours (classes, 3) uint8, the same in every run."""
    # Steps of the golden ratio never bring two hues close; brightness alternates for neighbours in number.
    colors = [
        colorsys.hsv_to_rgb((0.07 + 0.618034 * index) % 1.0, 0.55 + 0.2 * (index % 2), 0.95 - 0.2 * (index % 3))
        for index in range(classes)
    ]
    return (torch.tensor(colors).reshape(-1, 3) * 255).round().to(torch.uint8)


def tile(rows: Sequence[Sequence[Tensor]], gap: int = 4) -> Tensor:
    """Pictures (H, W, 3) uint8 of one size in a grid on white, ``gap`` pixels apart."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    sheet = torch.full((len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=torch.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            top, left = i * (height + gap), j * (width + gap)
            sheet[top : top + height, left : left + width] = picture
    return sheet


def comparison(view: RenderedView, frame: RGBDFrame, palette: Tensor | None = None) -> Tensor:
    """The real frame above the rendered view, (H', W', 3) uint8: colour, depth and, where known, labels."""
    far = max(1.0, float(frame.depth.max()))
    real = [color_picture(frame.color), depth_picture(frame.depth, far)]
    rendered = [
        torch.full_like(real[0], _BLANK) if view.color is None else color_picture(view.color, view.hit),
        depth_picture(view.depth, far),
    ]
    if view.semantic_logits is not None:
        colors = class_palette(view.semantic_logits.shape[-1]) if palette is None else palette
        labels = torch.where(view.hit, view.semantic_logits.argmax(-1), IGNORE_LABEL)
        rendered.append(label_picture(labels, colors))
        given = torch.full_like(labels, IGNORE_LABEL) if frame.labels is None else frame.labels
        real.append(label_picture(given, colors))
    return tile([real, rendered])


def _between(colors: Sequence[tuple[int, int, int]], position: Tensor) -> Tensor:
    """Colours (..., 3) uint8 linear between evenly spaced ``colors``, of which 0 is the first and 1 the last."""
    stops = torch.tensor(colors, dtype=torch.float32)
    place = position.clamp(0, 1) * (len(stops) - 1)
    lower = place.floor().clamp(max=len(stops) - 2).long()
    share = (place - lower).unsqueeze(-1)
    return (stops[lower] * (1 - share) + stops[lower + 1] * share).round().to(torch.uint8)


def _blank(picture: Tensor, shown: Tensor) -> Tensor:
    return torch.where(shown.unsqueeze(-1), picture, torch.tensor(_BLANK, dtype=torch.uint8))
