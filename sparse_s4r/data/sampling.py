"""A few pairs of neighbouring views, spread over a capture, to look at before the real work."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import DataError

_PAIRS = 10
# Small images suffice for medians and normals.
_WIDTH = 160
# A baseline that makes depth matter, at a turn that leaves most of the view in common.
_BASELINE = 0.1
_TURN = math.cos(math.radians(25))
_REACH = 30


def sample_pairs(capture: Capture, skip_bad_frames: bool = False) -> list[tuple[RGBDFrame, RGBDFrame]]:
    """Decode pairs of views with a baseline of at least 10 cm where there is one, else of neighbours in time.

    Raises:
        DataError: A frame that cannot be decoded, unless ``skip_bad_frames``.
    """
    count = min(_PAIRS, len(capture))
    starts = [int((number + 0.5) * len(capture) / count) for number in range(count)]
    pairs = []
    for start in starts:
        try:
            partner = _partner(capture, start)
            pairs.append((capture.read_frame(start, _WIDTH), capture.read_frame(partner, _WIDTH)))
        except DataError:
            # Reported with its line when the frame's turn comes to be written.
            if not skip_bad_frames:
                raise
    return pairs


def _partner(capture: Capture, start: int) -> int:
    pose = capture.pose(start)
    near = range(start + 1, min(start + 1 + _REACH, len(capture)))
    for index in near:
        if _is_neighbour(pose, capture.pose(index)):
            return index
    return min(start + 1, len(capture) - 1)


def _is_neighbour(one: Tensor, other: Tensor) -> bool:
    baseline = float((one[:3, 3] - other[:3, 3]).norm())
    return baseline >= _BASELINE and float(torch.dot(one[:3, 2], other[:3, 2])) >= _TURN
