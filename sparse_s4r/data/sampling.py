"""A few pairs of neighbouring views, spread over a capture, to look at before the real work."""

from __future__ import annotations

import math

import torch

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import DataError

_PAIRS = 10
# Small images suffice for medians and normals.
_WIDTH = 160
# A baseline that makes depth matter, at a turn that leaves most of the view in common.
_BASELINE = 0.5
_TURN = math.cos(math.radians(25))
_REACH = 30


def sample_pairs(capture: Capture, skip_bad_frames: bool = False) -> list[tuple[RGBDFrame, RGBDFrame]]:
    """Decode pairs of views whose baseline is near 50 cm, or as long as the capture has it.

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
    """The first following frame with the wanted baseline, else the one with the longest."""
    pose = capture.pose(start)
    best, longest = min(start + 1, len(capture) - 1), -1.0
    for index in range(start + 1, min(start + 1 + _REACH, len(capture))):
        other = capture.pose(index)
        baseline = float((pose[:3, 3] - other[:3, 3]).norm())
        if float(torch.dot(pose[:3, 2], other[:3, 2])) < _TURN or baseline <= longest:
            continue
        best, longest = index, baseline
        if baseline >= _BASELINE:
            break
    return best
