"""Good captures raise no alarm, and each way to get one wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_s4r.data.readers import Capture, open_capture
from sparse_s4r.data.report import CaptureReport, Finding, Inspection, draw_sample, inspect_capture
from sparse_s4r.data.synthetic import make_room
from sparse_s4r.data.synthetic_path import make_trajectory
from sparse_s4r.data.synthetic_render import render_frame
from sparse_s4r.structures import Camera
from tests.data import captures
from tests.data.report import rooms

Spoil = Callable[[Capture], Capture]


def shuffled(capture: Capture) -> Capture:
    order: list[int] = np.random.default_rng(5).permutation(len(capture)).tolist()
    return rooms.with_order(capture, order)


def only_error(report: CaptureReport) -> Finding:
    errors = [finding for finding in report.findings if finding.severity == "error"]
    assert len(errors) == 1, report.findings
    assert errors[0].evidence
    assert errors[0].remedy
    return errors[0]


def test_good_captures_raise_no_alarm(room: Capture, tmp_path: Path) -> None:
    other = rooms.write_room(tmp_path / "other", 8)
    box = open_capture(captures.write_generic(tmp_path / "box"), "generic")
    grid = open_capture(captures.write_hololens(tmp_path / "holo"), "hololens")
    for capture in (room, other, box, grid):
        report = inspect_capture(capture)
        assert report.findings == (), capture.name
        assert report.poses.verdict == "fits"
        # A pixel of rounding and a per cent of depth noise; every other reading is off by far more.
        assert report.poses.declared.error < 0.012
    assert inspect_capture(room).color.verdict == "registered"


@pytest.mark.parametrize(
    ("spoil", "kind", "evidence", "remedy"),
    [
        (
            lambda c: rooms.with_poses(c, lambda _, pose: rooms.inverse(pose)),
            "inverted poses: they are world-to-camera, not camera-to-world",
            "with world-to-camera, OpenCV axes",
            "invert every pose",
        ),
        (
            lambda c: rooms.with_poses(c, lambda _, pose: pose @ rooms.flip(1, -1, -1)),
            "wrong camera axes: they are OpenGL axes, called OpenCV axes",
            "with camera-to-world, OpenGL axes",
            "negate the second and third column",
        ),
        (
            lambda c: rooms.with_poses(c, lambda _, pose: rooms.inverse(pose @ rooms.flip(1, -1, -1))),
            "inverted poses: they are world-to-camera, not camera-to-world; wrong camera axes",
            "with world-to-camera, OpenGL axes",
            "in capture.json) and negate",
        ),
        (lambda c: replace(c, axes="opengl"), "they are OpenCV axes, called OpenGL axes", "OpenCV axes", "negate"),
        (lambda c: replace(c, world_to_camera=True), "they are camera-to-world, not world-to", "as declared", "invert"),
        (
            lambda c: rooms.with_poses(c, lambda _, p: rooms.flip(1, -1, 1) @ p @ rooms.flip(1, -1, 1)),
            "left-handed axes (Unity: y up, z forward), called OpenCV axes",
            "as declared",
            "x right, y down, z forward",
        ),
        (
            lambda c: replace(c, depth_scale=1.0),
            "wrong unit of depth: too large by 1000, millimetres read as metres",
            "with depth x 0.001",
            "set depth_scale to 0.001 metres per unit; it is 1",
        ),
        (
            lambda c: rooms.with_poses(c, lambda _, pose: rooms.scaled(pose, 1000.0)),
            "wrong unit of the poses: too large by 1000, millimetres read as metres",
            "do not overlap as declared",
            "translations of all poses by 0.001",
        ),
        (
            lambda c: replace(c, depth_scale=0.005),
            "depth and poses have different units: depth is too large by 5",
            "with depth x 0.2",
            "set depth_scale to 0.001 metres",
        ),
        (
            lambda c: rooms.with_poses(replace(c, depth_scale=1.0), lambda _, pose: rooms.scaled(pose, 1000.0)),
            "wrong unit of depth: too large by 1000, millimetres read as metres",
            "the median depth is",
            "check depth_scale",
        ),
        (shuffled, "shuffled poses", "Pictures follow each other", "give every frame its own pose"),
        (
            lambda c: rooms.with_order(c, list(range(len(c)))[::-1]),
            "poses belong to other frames: poses in reverse order",
            "agree to",
            "own pose",
        ),
        (
            lambda c: rooms.with_order(c, [min(len(c) - 1, index + 2) for index in range(len(c))]),
            "poses belong to other frames: poses shifted by -2 frames",
            "agree to",
            "own pose",
        ),
        (lambda c: rooms.with_intrinsics(c, 0.5), "intrinsics of another resolution", "intrinsics x 2", "cy by 2"),
    ],
    ids=[
        "inverted", "opengl", "inverted opengl", "opencv", "inverted twice", "unity", "millimetres", "pose millimetres",
        "unit 5", "all millimetres", "shuffled", "reversed", "shifted", "resolution",
    ],
)  # fmt: skip
def test_wrong_captures_are_named(room: Capture, spoil: Spoil, kind: str, evidence: str, remedy: str) -> None:
    spoilt = spoil(room)
    finding = only_error(inspect_capture(spoilt, draw_sample(spoilt, 12)))
    assert kind in finding.kind
    assert evidence in finding.evidence
    assert remedy in finding.remedy


def test_right_and_wrong_are_far_apart(room: Capture) -> None:
    report = inspect_capture(room)
    wrong = [trial.error for trial in report.poses.readings if trial.name != report.poses.convention]
    assert len(report.poses.readings) == 4
    assert min(wrong) > 10 * report.poses.declared.error


@pytest.mark.parametrize(("right", "down"), [(8, 0), (-6, 4)])
def test_shifted_colour_is_named(room: Capture, tmp_path: Path, right: int, down: int) -> None:
    moved = rooms.with_pictures(room, tmp_path / "moved", lambda image: np.roll(image, (down, right), (0, 1)))
    report = inspect_capture(moved)
    finding = only_error(report)
    assert finding.kind == "colour is not registered to depth"
    assert "depth_intrinsics.txt" in finding.remedy
    assert report.color.shift[0] * 200 == pytest.approx(right, abs=1.01)
    assert report.color.shift[1] * 200 == pytest.approx(down, abs=1.01)
    assert report.color.score < 0.5 * report.color.best_score


def test_depth_of_a_camera_of_its_own_is_named(room: Capture, tmp_path: Path) -> None:
    """A Kinect's colour camera: 25 mm beside the depth camera, with a shorter focal length, called registered."""
    made = make_room(3, ceiling=True)
    beside = torch.eye(4, dtype=torch.float64)
    beside[0, 3] = 0.025
    pictures = []
    for camera in make_trajectory(made, len(room), 3, 200, 150):
        matrix = camera.intrinsics.clone()
        matrix[0, 0] *= 525 / 585
        matrix[1, 1] *= 525 / 585
        seen = render_frame(made, Camera(matrix, camera.camera_to_world @ beside, 200, 150), "x", None)
        pictures.append((seen.color * 255).byte().numpy())
    stack = iter(pictures)
    report = inspect_capture(rooms.with_pictures(room, tmp_path / "kinect", lambda _: next(stack)))
    assert only_error(report).kind == "colour is not registered to depth"
    assert report.color.scale == pytest.approx(525 / 585, abs=0.03)
    # The colour camera is to the right, so that it sees things farther to the left.
    assert report.color.shift[0] < 0


def test_one_pixel_grid_is_named_unless_it_is_filled(room: Capture, tmp_path: Path) -> None:
    def punch(depth: np.ndarray) -> np.ndarray:
        depth[::5] = 0
        depth[:, ::7] = 0
        return depth

    holed = rooms.with_depth(room, tmp_path / "holed", punch)
    report = inspect_capture(holed)
    assert [finding.kind for finding in report.findings] == ["one-pixel gaps in depth"]
    assert "one-pixel lines" in report.findings[0].evidence
    assert report.depth.grid
    # Every fifth row and seventh column; crossings have no two opposite neighbours and stay.
    assert report.depth.valid == pytest.approx(0.8 * 171 / 200, abs=0.02)
    assert report.depth.single_gaps == pytest.approx(1 - 0.8 * 171 / 200 - 0.2 * 29 / 200, abs=0.03)
    filled = inspect_capture(replace(holed, repair_gaps=True))
    assert filled.findings == ()
    assert filled.depth.grid
    assert filled.depth.repaired


def test_65535_as_depth_is_named_unless_it_is_declared(room: Capture, tmp_path: Path) -> None:
    def saturate(depth: np.ndarray) -> np.ndarray:
        depth[:12] = 65535
        return depth

    saturated = rooms.with_depth(room, tmp_path / "saturated", saturate)
    report = inspect_capture(saturated)
    assert only_error(report).kind == "65535 counted as depth"
    assert report.depth.saturated == pytest.approx(12 / 150)
    declared = inspect_capture(replace(saturated, invalid_depth=(65535,)))
    assert declared.findings == ()
    assert declared.depth.valid == pytest.approx(1 - 12 / 150, abs=0.02)


def test_up_that_is_not_up_is_named(room: Capture) -> None:
    report = inspect_capture(replace(room, up=torch.tensor([1.0, 0, 0], dtype=torch.float64)))
    assert [finding.kind for finding in report.findings] == ["up direction is doubtful"]
    assert report.up.off == pytest.approx(90, abs=3)
    asked = inspect_capture(room, request=Inspection(up="-z"))
    assert asked.up.direction == (0.0, 0.0, -1.0)
    assert asked.up.off == pytest.approx(180, abs=3)


def test_repeated_frames_are_named(room: Capture) -> None:
    twice = replace(room, frames=tuple(frame for frame in room.frames[:20] for _ in range(2)))
    kinds = {finding.kind for finding in inspect_capture(twice).findings}
    assert kinds == {"poses stand still", "duplicate frames"}
