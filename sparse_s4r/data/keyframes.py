"""Key frames: of a video, the sharpest pictures that are far enough apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from sparse_s4r.data.import_options import KeyFrameRule
from sparse_s4r.data.readers import stored as store
from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.workers import Workers
from sparse_s4r.structures.errors import DataError

# Blur that a reduced picture does not show does no harm at the size of the stored ones.
_WIDTH = 320
_LAPLACIAN = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True)
class KeyFrames:
    """A choice of key frames.

    Attributes:
        indices: Positions in the capture, ascending.
        compared: Number of pictures whose sharpness was measured.
        lost: One line per picture that could not be read.
    """

    indices: tuple[int, ...]
    compared: int
    lost: tuple[str, ...]


def choose_key_frames(
    capture: Capture, rule: KeyFrameRule, workers: Workers, advance: Callable[[], None] = lambda: None
) -> KeyFrames:
    """Choose frames by motion and sharpness; poses decide which pictures are looked at.

    The first frame that has moved far enough from the last key frame opens a window, which holds what follows until
    the camera has moved on by half as much again. The sharpest picture of the window becomes the next key frame.

    Args:
        capture: A capture in which every pose can be used.
        rule: How far is far enough.
        workers: Read the pictures.
        advance: Called once per frame of the capture that is done.
    """
    poses = torch.stack([capture.pose(index) for index in range(len(capture))])
    chosen: list[int] = []
    compared, lost, start = 0, list[str](), 0
    while start < len(poses):
        window = _window(poses, start, chosen[-1] if chosen else None, rule)
        if len(window) == 1:
            best = window[0]
        else:
            sharpness = list(workers.map(lambda index: _measured(capture, index), window))
            compared += len(window)
            lost.extend(value for value in sharpness if isinstance(value, str))
            values = [value if isinstance(value, float) else -1.0 for value in sharpness]
            best = window[values.index(max(values))]
        chosen.append(best)
        following = _next(poses, best, max(window) + 1, rule)
        for _ in range(start, following):
            advance()
        start = following
    return KeyFrames(tuple(chosen), compared, tuple(lost))


def _window(poses: Tensor, start: int, last: int | None, rule: KeyFrameRule) -> list[int]:
    """Frames from ``start`` on that are near it, yet far enough from the key frame ``last``."""
    found = [start]
    for index in range(start + 1, len(poses)):
        if _motion(poses[start], poses[index], rule) >= 0.5:
            break
        if last is None or _motion(poses[last], poses[index], rule) >= 1:
            found.append(index)
    return found


def _next(poses: Tensor, key: int, start: int, rule: KeyFrameRule) -> int:
    """The first frame from ``start`` on that is far enough from the key frame."""
    while start < len(poses) and _motion(poses[key], poses[start], rule) < 1:
        start += 1
    return start


def _motion(one: Tensor, other: Tensor, rule: KeyFrameRule) -> float:
    """Motion between two poses (4, 4) as a share of what is far enough."""
    trace = float((one[:3, :3] * other[:3, :3]).sum())
    turn = math.degrees(math.acos(max(-1.0, min(1.0, (trace - 1) / 2))))
    return max(float((one[:3, 3] - other[:3, 3]).norm()) / rule.distance, turn / rule.degrees)


def _measured(capture: Capture, index: int) -> float | str:
    """Sharpness of a frame's picture, or why it cannot be read."""
    try:
        return picture_sharpness(store.load_color(capture.frames[index].color))
    except DataError as error:
        return str(error)


def picture_sharpness(color: Tensor) -> float:
    """Variance of the Laplacian of a picture (H, W, 3), reduced to 320 to 639 pixels of width; larger is sharper."""
    grey = color.mean(dim=-1)[None, None]
    factor = max(1, color.shape[1] // _WIDTH)
    if factor > 1:
        grey = avg_pool2d(grey, factor)
    return float(conv2d(grey, _LAPLACIAN[None, None]).var())
