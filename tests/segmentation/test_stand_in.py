from __future__ import annotations

import pytest
import torch

from sparse_s4r.data.synthetic import CLASS_NAMES, make_room
from sparse_s4r.data.synthetic_path import make_trajectory
from sparse_s4r.data.synthetic_render import render_frame
from sparse_s4r.segmentation.interface import Segmenter, label_frame
from sparse_s4r.segmentation.stand_in import StandInSegmenter
from sparse_s4r.structures import IGNORE_LABEL, RGBDFrame


@pytest.fixture(scope="module")
def frames() -> list[RGBDFrame]:
    room = make_room(3)
    cameras = make_trajectory(room, 6, 3, width=120, height=90)
    return [render_frame(room, camera, str(index)) for index, camera in enumerate(cameras)]


def accuracy(segmenter: Segmenter, frames: list[RGBDFrame]) -> float:
    right = total = 0
    for frame in frames:
        assert frame.labels is not None
        known = frame.labels != IGNORE_LABEL
        right += int((label_frame(segmenter, frame) == frame.labels)[known].sum())
        total += int(known.sum())
    return right / total


def test_without_errors_it_is_the_truth(frames: list[RGBDFrame]) -> None:
    assert accuracy(StandInSegmenter(CLASS_NAMES, flip_rate=0.0, block=1), frames) == 1.0


def test_errors_grow_with_their_knobs(frames: list[RGBDFrame]) -> None:
    blocky = accuracy(StandInSegmenter(CLASS_NAMES, flip_rate=0.0, block=5), frames)
    flipped = accuracy(StandInSegmenter(CLASS_NAMES, flip_rate=0.5, block=1), frames)
    assert accuracy(StandInSegmenter(CLASS_NAMES, flip_rate=0.0, block=10), frames) < blocky < 1.0
    assert flipped < 1.0


def test_probabilities_and_repeatability(frames: list[RGBDFrame]) -> None:
    segmenter = StandInSegmenter(CLASS_NAMES, seed=4)
    frame = frames[0]
    assert frame.labels is not None
    probabilities = segmenter.probabilities(frame)
    assert probabilities.shape == (15, 90, 120)
    known = frame.labels != IGNORE_LABEL
    # Sums of fifteen float32 numbers.
    torch.testing.assert_close(probabilities.sum(dim=0), known.float(), atol=1e-6, rtol=0.0)
    assert torch.equal(probabilities, StandInSegmenter(CLASS_NAMES, seed=4).probabilities(frame))
    assert not torch.equal(probabilities, StandInSegmenter(CLASS_NAMES, seed=5).probabilities(frame))


def test_bad_input_is_named(frames: list[RGBDFrame]) -> None:
    with pytest.raises(ValueError, match="flip_rate"):
        StandInSegmenter(CLASS_NAMES, flip_rate=1.2)
    with pytest.raises(ValueError, match="block"):
        StandInSegmenter(CLASS_NAMES, block=0)
    frame = frames[0]
    with pytest.raises(ValueError, match="expected true labels"):
        StandInSegmenter(CLASS_NAMES).probabilities(RGBDFrame("x", frame.camera, frame.color, frame.depth))
