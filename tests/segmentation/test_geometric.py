from __future__ import annotations

import numpy as np
import pytest
import torch

from sparse_s4r.data.synthetic import CLASS_NAMES, SyntheticRoom, make_room
from sparse_s4r.data.synthetic_path import look_at, make_trajectory
from sparse_s4r.data.synthetic_render import pinhole, render_frame
from sparse_s4r.segmentation.geometric import (
    CEILING,
    FLOOR,
    OBJECT,
    STRUCTURE_NAMES,
    WALL,
    GeometricSegmenter,
    estimate_floor,
)
from sparse_s4r.segmentation.interface import Segmenter
from sparse_s4r.segmentation.surface_planes import point_normals
from sparse_s4r.structures import IGNORE_LABEL, Camera, RGBDFrame
from sparse_s4r.structures.errors import DataError

STRUCTURE = {"floor": FLOOR, "wall": WALL, "window": WALL, "door": WALL, "picture": WALL, "curtain": WALL}


def truth(frame: RGBDFrame) -> torch.Tensor:
    """True structure classes; in rooms with a ceiling it is the only thing without a class."""
    assert frame.labels is not None
    table = torch.full((256,), CEILING)
    table[: len(CLASS_NAMES)] = torch.tensor([STRUCTURE.get(name, OBJECT) for name in CLASS_NAMES])
    return table[frame.labels]


def take(room: SyntheticRoom, count: int) -> list[RGBDFrame]:
    cameras = make_trajectory(room, count, room.seed, width=160, height=120)
    return [render_frame(room, camera, str(i), noise_seed=i) for i, camera in enumerate(cameras)]


@pytest.fixture(scope="module")
def frames() -> list[RGBDFrame]:
    return [frame for seed in (0, 1, 2) for frame in take(make_room(seed, ceiling=True), 8)]


def test_accuracy_on_noisy_rooms(frames: list[RGBDFrame]) -> None:
    floor = estimate_floor(frames)
    segmenter = GeometricSegmenter(floor_height=floor)
    confusion = torch.zeros(4, 4)
    for frame in frames:
        labels, expected = segmenter.label_frame(frame), truth(frame)
        assert bool(((labels == IGNORE_LABEL) == (frame.depth == 0)).all())
        known = labels != IGNORE_LABEL
        confusion += torch.bincount(expected[known] * 4 + labels[known], minlength=16).reshape(4, 4)
    # A majority guess (wall) is right for less than half of the pixels; a useful labeller has to be far above.
    assert float(confusion.diag().sum() / confusion.sum()) > 0.85
    recall = confusion.diag() / confusion.sum(dim=1)
    assert float(recall[FLOOR]) > 0.9
    assert float(recall.min()) > 0.75


def test_floor_of_the_capture(frames: list[RGBDFrame]) -> None:
    # The floor is at 0; noise is about a centimetre at 3 m.
    assert abs(estimate_floor(frames[:8])) < 0.02
    empty = RGBDFrame("e", frames[0].camera, frames[0].color, torch.zeros_like(frames[0].depth))
    with pytest.raises(DataError, match="level surfaces"):
        estimate_floor([empty])
    with pytest.raises(DataError, match="level surfaces"):
        estimate_floor([])


def test_is_a_segmenter(frames: list[RGBDFrame]) -> None:
    segmenter: Segmenter = GeometricSegmenter()
    assert segmenter.class_names == STRUCTURE_NAMES
    probabilities = segmenter.probabilities(frames[0])
    assert probabilities.shape == (4, 120, 160)
    torch.testing.assert_close(probabilities.sum(dim=0), (frames[0].depth > 0).float(), atol=1e-6, rtol=0.0)


def test_other_up_axes_give_the_same_labels(frames: list[RGBDFrame]) -> None:
    turn = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)
    frame = frames[2]
    camera = Camera(frame.camera.intrinsics, turn @ frame.camera.camera_to_world, 160, 120)
    turned = RGBDFrame("t", camera, frame.color, frame.depth)
    first = GeometricSegmenter((0.0, 0.0, 1.0), 0.0).label_frame(frame)
    second = GeometricSegmenter((0.0, 1.0, 0.0), 0.0).label_frame(turned)
    # Pixels on the edge of a bin or threshold may fall to the other side.
    assert float((first == second).float().mean()) > 0.98
    with pytest.raises(ValueError, match="direction"):
        GeometricSegmenter((0.0, 0.0, 0.0))


def test_nothing_seen_is_nothing_said(frames: list[RGBDFrame]) -> None:
    empty = RGBDFrame("e", frames[0].camera, frames[0].color, torch.zeros_like(frames[0].depth))
    assert bool((GeometricSegmenter().label_frame(empty) == IGNORE_LABEL).all())


def test_normals_of_a_plane_are_exact() -> None:
    camera = pinhole(40, 30, 60.0, look_at(np.array([0.0, 0.0, 2.0]), np.array([1.0, 0.5, 0.0])))
    directions = camera.ray_directions()
    depth = -2.0 / directions[..., 2]
    points = camera.unproject(depth.float())
    normals, known = point_normals(points, depth > 0, camera.center.float())
    assert float(known.float().mean()) > 0.9
    # Float32 differences over centimetres.
    torch.testing.assert_close(
        normals[known], torch.tensor([0.0, 0.0, 1.0]).expand_as(normals[known]), atol=1e-3, rtol=0
    )
