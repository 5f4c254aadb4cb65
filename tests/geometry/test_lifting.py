"""Lifted labels against a loop over voxels and frames."""

import math

import numpy as np
import pytest
import torch

from sparse_s4r.geometry.lifting import lift_labels
from sparse_s4r.structures import IGNORE_LABEL, Camera, GridSpec, RGBDFrame
from tests.data import captures

GRID = GridSpec(0.1)
CLASSES = 4


def make_frames(confidence: bool) -> list[RGBDFrame]:
    frames = []
    for number, pose in enumerate(captures.room_poses(5)):
        generator = torch.Generator().manual_seed(number)
        camera = Camera(torch.from_numpy(captures.K), torch.from_numpy(pose), captures.WIDTH, captures.HEIGHT)
        depth = torch.from_numpy(captures.room_depth(pose)).float()
        depth[:, :7] = 0
        labels = torch.randint(0, CLASSES, depth.shape, generator=generator)
        labels[torch.rand(depth.shape, generator=generator) < 0.2] = IGNORE_LABEL
        sure = torch.rand(depth.shape, generator=generator) if confidence else None
        frames.append(RGBDFrame(str(number), camera, torch.zeros(*depth.shape, 3), depth, labels, sure))
    return frames


def some_voxels() -> torch.Tensor:
    """Voxels around the walls, and some in the air and behind the walls."""
    generator = torch.Generator().manual_seed(7)
    cells = torch.cartesian_prod(torch.arange(-23, 23), torch.arange(-18, 18), torch.arange(-3, 28))
    return cells[torch.randperm(len(cells), generator=generator)[:600]]


def loop_votes(frames: list[RGBDFrame], cells: torch.Tensor, depth_max: float) -> np.ndarray:
    votes = np.zeros((len(cells), CLASSES))
    for frame in frames:
        assert frame.labels is not None
        inverse, k = np.linalg.inv(frame.camera.camera_to_world.numpy()), frame.camera.intrinsics.numpy()
        for number, cell in enumerate(cells.tolist()):
            point = inverse @ np.array([*((np.array(cell) + 0.5) * 0.1), 1.0])
            if point[2] <= 0:
                continue
            column = math.floor(k[0, 0] * point[0] / point[2] + k[0, 2] + 0.5)
            row = math.floor(k[1, 1] * point[1] / point[2] + k[1, 2] + 0.5)
            if not (0 <= column < captures.WIDTH and 0 <= row < captures.HEIGHT):
                continue
            depth, label = float(frame.depth[row, column]), int(frame.labels[row, column])
            if 0 < depth <= depth_max and abs(depth - point[2]) < 0.3 and label != IGNORE_LABEL:
                votes[number, label] += 1 if frame.confidence is None else float(frame.confidence[row, column])
    return votes


@pytest.mark.parametrize(("confidence", "depth_max"), [(False, 6.0), (True, 6.0), (True, 1.8)])
def test_votes_agree_with_a_loop(confidence: bool, depth_max: float) -> None:
    frames, cells = make_frames(confidence), some_voxels()
    votes = loop_votes(frames, cells, depth_max)
    found = lift_labels(frames, GRID, cells, CLASSES, depth_max=depth_max)
    voted = votes.sum(axis=1) > 0
    assert 50 < voted.sum() < 550
    assert np.array_equal(found.voted.numpy(), voted)
    assert np.array_equal(found.labels.numpy(), np.where(voted, votes.argmax(axis=1), IGNORE_LABEL))
    share = votes.max(axis=1)[voted] / votes.sum(axis=1)[voted]
    np.testing.assert_allclose(found.confidence.numpy()[voted], share, rtol=1e-5)
    assert not found.confidence[~found.voted].any()


def test_filling_takes_the_nearest_vote() -> None:
    frames, cells = make_frames(False), some_voxels()
    plain = lift_labels(frames, GRID, cells, CLASSES)
    filled = lift_labels(frames, GRID, cells, CLASSES, fill=True)
    assert torch.equal(filled.voted, plain.voted)
    assert torch.equal(filled.labels[plain.voted], plain.labels[plain.voted])
    for number in (~plain.voted).nonzero().squeeze(1).tolist()[:100]:
        distance = (cells - cells[number]).square().sum(dim=1)[plain.voted]
        candidates = plain.labels[plain.voted][distance == distance.min()]
        assert int(filled.labels[number]) in candidates.tolist()


def test_nothing_votes() -> None:
    found = lift_labels([], GRID, some_voxels(), CLASSES, fill=True)
    assert bool((found.labels == IGNORE_LABEL).all())
    empty = lift_labels(make_frames(False), GRID, torch.zeros(0, 3).long(), CLASSES)
    assert len(empty.labels) == 0


def test_what_cannot_vote_is_named() -> None:
    frame = make_frames(False)[0]
    with pytest.raises(ValueError, match="frame 0"):
        lift_labels([RGBDFrame("0", frame.camera, frame.color, frame.depth)], GRID, some_voxels(), CLASSES)
    with pytest.raises(ValueError, match="below 2"):
        lift_labels([frame], GRID, some_voxels(), 2)
    with pytest.raises(ValueError, match="classes"):
        lift_labels([frame], GRID, some_voxels(), 0)
