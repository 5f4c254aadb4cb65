from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_s4r.data.capture_check import usable_frames
from sparse_s4r.data.readers import Capture, open_capture
from sparse_s4r.data.readers.calibration import Calibration, intrinsics
from sparse_s4r.data.readers.stored import stored
from sparse_s4r.structures.errors import DataError
from tests.data import captures
from tests.data.readers.checks import off_room

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


@pytest.fixture
def capture(tmp_path: Path) -> Capture:
    return open_capture(captures.write_generic(tmp_path / "room", captures.room_poses(4)))


def with_poses(capture: Capture, poses: list[np.ndarray]) -> Capture:
    frames = zip(capture.frames, poses, strict=True)
    return replace(capture, frames=tuple(replace(frame, pose=torch.from_numpy(pose)) for frame, pose in frames))


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("axes", ["opencv", "opengl"])
def test_axes_and_direction_of_poses(capture: Capture, axes: str, inverse: bool) -> None:
    written = [pose @ (OPENGL if axes == "opengl" else np.eye(4)) for pose in captures.room_poses(4)]
    if inverse:
        written = [np.linalg.inv(pose) for pose in written]
    told = replace(with_poses(capture, written), axes=axes, world_to_camera=inverse)
    assert not off_room(told, 0.001)
    assert np.array_equal(told.stored_pose(1).numpy(), written[1])
    if axes == "opengl" or inverse:
        assert off_room(with_poses(capture, written), 0.001)


def test_alignment_moves_the_world(capture: Capture) -> None:
    move = captures.look(np.array([3.0, -2, 1]), 1.0)
    moved = replace(with_poses(capture, captures.room_poses(4)), axis_alignment=torch.from_numpy(move))
    assert not off_room(moved, 0.001, np.linalg.inv(move))


def test_poses_of_a_depth_camera_in_other_axes(capture: Capture) -> None:
    motion = np.eye(4)
    motion[:3, 3] = [0.05, -0.02, 0.01]
    calibration = replace(capture.calibration, depth_to_color=torch.from_numpy(motion), pose_is_depth=True)
    written = [np.linalg.inv(pose @ motion @ OPENGL) for pose in captures.room_poses(4)]
    told = replace(with_poses(capture, written), axes="opengl", world_to_camera=True, calibration=calibration)
    np.testing.assert_allclose(told.pose(2).numpy(), captures.room_poses(4)[2], atol=1e-12)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 0.0])
def test_lost_tracking_survives_inversion_and_axes(capture: Capture, value: float) -> None:
    poses = captures.room_poses(4)
    poses[2] = np.full((4, 4), value)
    told = replace(with_poses(capture, poses), axes="opengl", world_to_camera=True)
    with pytest.raises(DataError, match=r"view2\.txt: frame view2: the pose .*: tracking was lost"):
        told.pose(2)


def test_a_camera_per_frame(capture: Capture, tmp_path: Path) -> None:
    folder = tmp_path / "room"
    frames = []
    for number, frame in enumerate(capture.frames):
        camera = captures.K + np.diag([number, number, 0.0])
        pose = captures.room_poses(4)[number]
        Image.fromarray(captures.room_color(pose, camera)).save(frame.color.path)
        captures.write_depth(frame.depth.path, captures.room_depth(pose, camera))
        frames.append(replace(frame, calibration=Calibration(torch.from_numpy(camera), f"camera {number}")))
    told = replace(capture, frames=tuple(frames))
    assert not off_room(told, 0.001)
    assert usable_frames(told)[0] == told
    narrow = replace(frames[1], calibration=Calibration(intrinsics(60, 60, 90, 30), str(folder / "one.txt")))
    with pytest.raises(DataError, match=r"one\.txt: expected colour intrinsics .* for 80x60 images"):
        usable_frames(replace(told, frames=(frames[0], narrow, *frames[2:])))


@pytest.mark.parametrize(
    ("depth", "message"),
    [
        (intrinsics(0.6, 60, 40, 30), r"depth intrinsics .* for 80x60 images"),
        (
            intrinsics(14, 60, 40, 30),
            r"at most 4 times the view of the colour camera, got focal lengths of 14 for 80x60",
        ),
        (intrinsics(60, float("nan"), 40, 30), "depth intrinsics"),
    ],
)
def test_depth_cameras_that_no_sensor_has(capture: Capture, depth: torch.Tensor, message: str) -> None:
    told = replace(capture, calibration=replace(capture.calibration, depth=depth))
    with pytest.raises(DataError, match=rf"intrinsics\.txt: expected .*{message}"):
        told.read_frame(0)


def test_intrinsics_for_another_size(capture: Capture) -> None:
    told = replace(capture, calibration=replace(capture.calibration, size=(640, 480)))
    with pytest.raises(DataError, match=r"intrinsics\.txt: expected colour images of 640x480, .* got 80x60"):
        told.read_frame(0)


def test_a_frame_of_another_size_is_a_bad_frame(capture: Capture) -> None:
    told = replace(capture, calibration=replace(capture.calibration, size=(captures.WIDTH, captures.HEIGHT)))
    told = told.select([0, 1, 2, 3, 0, 1])
    for image in (told.frames[2].color, told.frames[2].depth):
        Image.open(image.path).resize((40, 30), Image.Resampling.NEAREST).save(image.path)
    with pytest.raises(DataError, match=r"1 of 6 frames cannot be used.*\n.*expected colour images of 80x60, .* 40x30"):
        usable_frames(told)
    usable, lines = usable_frames(told, skip_bad_frames=True)
    assert usable.names == ("view0", "view1", "view3", "view0", "view1")
    assert len(lines) == 1


def test_label_values_are_mapped_to_classes(capture: Capture, tmp_path: Path) -> None:
    values = np.full((captures.HEIGHT, captures.WIDTH), 1163, np.uint16)
    values[:10], values[10:20] = 0, 7
    Image.fromarray(values).save(tmp_path / "labels.png")
    table = torch.full((1164,), 255)
    table[7], table[1163] = 0, 1
    frame = replace(capture.frames[0], labels=stored(tmp_path / "labels.png"))
    told = replace(capture, frames=(frame,), class_names=("wall", "shower"), label_map=table)
    labels = told.read_frame(0).labels
    assert labels is not None
    assert labels[:, 0].tolist() == [255] * 10 + [0] * 10 + [1] * 40
    with pytest.raises(DataError, match=r"labels\.png: expected label values below 100, which have a class, got 1163"):
        replace(told, label_map=table[:100]).read_frame(0)
