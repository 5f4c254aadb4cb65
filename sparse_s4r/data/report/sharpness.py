"""Blur and repetition of the colour pictures."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate

from sparse_s4r.data.readers import stored as store
from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.report.facts import SharpnessFacts
from sparse_s4r.data.report.motion import picture_order
from sparse_s4r.data.report.sample import CaptureSample
from sparse_s4r.structures.errors import DataError

# A frame with less than this share of the usual variance is blurred, or shows a bare wall.
_BLURRED = 0.1
# Mean difference, of 255, below which two pictures are the same: noise alone gives about 1.
_SAME = 0.3
_SMALL = (48, 64)
_LEVELS = 5
_LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True)
class PictureCheck:
    """Sharpness, and how often a picture's colours are more like its neighbour's than like another's."""

    sharpness: SharpnessFacts
    order: float


def check_pictures(capture: Capture, sample: CaptureSample) -> PictureCheck:
    """Look at the sampled frames, and at a neighbour of each place: the next frame and the last one in turn.

    Args:
        capture: The capture.
        sample: Of the capture.
    """
    sharp = torch.stack([_sharpness(frame.color) for frame in sample.frames])
    usual = float(sharp.median())
    beside = _neighbours(sample)
    here, others, duplicates = [], [], 0
    for place in sample.places:
        color = sample.frame(place).color
        other = None if place not in beside else _picture(capture, beside[place], color)
        if other is None:
            continue
        duplicates += 255 * float((other - color).abs().mean()) < _SAME
        here.append(_colors(color))
        others.append(_colors(other))
    facts = SharpnessFacts(
        usual, float(sharp.min()), int((sharp < _BLURRED * usual).sum()), len(sharp), duplicates, len(here)
    )
    return PictureCheck(facts, picture_order(here, others))


def _neighbours(sample: CaptureSample) -> dict[int, int]:
    """A frame beside each place. In turn before and after it, since places may fall in step with repeated frames."""
    after = dict(pairwise(sample.usable))
    before = {two: one for one, two in after.items()}
    found: dict[int, int] = {}
    for number, place in enumerate(sample.places):
        for neighbours in (after, before) if number % 2 == 0 else (before, after):
            if place in neighbours:
                found.setdefault(place, neighbours[place])
    return found


def _picture(capture: Capture, index: int, like: Tensor) -> Tensor | None:
    """Colour of a frame at the size of ``like``; None if it cannot be read, which is told elsewhere."""
    height, width = like.shape[:2]
    try:
        if capture.calibration_of(index).distortion:
            color = capture.read_frame(index, width).color
        else:
            color = store.load_color(capture.frames[index].color)
    except DataError:
        return None
    return interpolate(color.permute(2, 0, 1)[None], (height, width), mode="area")[0].permute(1, 2, 0)


def _sharpness(color: Tensor) -> Tensor:
    return conv2d(255 * color.mean(dim=-1)[None, None], _LAPLACIAN[None, None]).var()


def _colors(color: Tensor) -> Tensor:
    """Square roots of a histogram of colours: the same whichever way the camera turns a little."""
    small = interpolate(color.permute(2, 0, 1)[None], _SMALL, mode="area")[0]
    red, green, blue = (small * _LEVELS).long().clamp(0, _LEVELS - 1)
    cell = (red * _LEVELS + green) * _LEVELS + blue
    return torch.bincount(cell.flatten(), minlength=_LEVELS**3).float().sqrt()
