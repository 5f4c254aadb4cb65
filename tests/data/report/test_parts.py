"""The parts of the report on scenes whose figures are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_s4r.data.readers import Capture
from sparse_s4r.data.report import draw_sample, inspect_capture
from sparse_s4r.data.report.edges import color_facts
from sparse_s4r.data.report.facts import UpFacts
from sparse_s4r.data.report.motion import motion_facts
from sparse_s4r.data.report.space import space_facts
from sparse_s4r.structures import Camera, RGBDFrame
from sparse_s4r.structures.errors import DataError
from tests.data import captures
from tests.data.report import rooms


def boards(seed: int, right: int, down: int) -> RGBDFrame:
    """Boards before a wall at random places; colour shows them ``right`` and ``down`` of where depth does."""
    rng = np.random.default_rng(seed)
    depth, color = np.full((120, 160), 3.0), rng.uniform(0.4, 0.6, (120, 160, 3))
    for _ in range(4):
        y, x, h, w = (*rng.integers(20, 60, 2).tolist(), *rng.integers(15, 35, 2).tolist())
        depth[y : y + h, x : x + w] = rng.uniform(1, 2)
        color[y + down : y + down + h, x + right : x + right + w] = rng.uniform(0, 1, 3)
    camera = Camera(torch.from_numpy(captures.K), torch.eye(4, dtype=torch.float64), 160, 120)
    return RGBDFrame(str(seed), camera, torch.from_numpy(color).float(), torch.from_numpy(depth).float())


@pytest.mark.parametrize(("right", "down"), [(0, 0), (5, 0), (-4, 6)])
def test_the_shift_of_colour_is_found_in_noise(right: int, down: int) -> None:
    facts = color_facts([boards(seed, right, down) for seed in range(12)])
    assert facts.verdict == ("registered" if (right, down) == (0, 0) else "shifted")
    assert facts.shift == pytest.approx((right / 160, down / 160), abs=1.01 / 160)
    assert facts.scale == 1.0


def test_pictures_without_edges_say_nothing_of_registration() -> None:
    frames = [boards(seed, 0, 0) for seed in range(6)]
    flat = [replace(frame, depth=torch.full_like(frame.depth, 2.0)) for frame in frames]
    assert color_facts(flat).verdict == "cannot be told"
    noise = [replace(frame, color=torch.rand(frame.color.shape, generator=torch.Generator().manual_seed(n)))
             for n, frame in enumerate(frames)]  # fmt: skip
    assert color_facts(noise).verdict == "cannot be told"


def test_path_jump_gap_and_order(room: Capture) -> None:
    def walk(index: int, _: torch.Tensor) -> torch.Tensor:
        pose = torch.eye(4, dtype=torch.float64)
        pose[0, 3] = 0.1 * index + (3.0 if index >= 30 else 0.0)
        return pose

    timed = rooms.with_poses(room, walk)
    stamps = [0.1 * n + (2.0 if n >= 20 else 0.0) for n in range(40)]
    frames = tuple(replace(frame, timestamp=stamp) for frame, stamp in zip(timed.frames, stamps, strict=True))
    timed = replace(timed, frames=frames)
    facts = motion_facts(timed, draw_sample(timed), 0.9)
    assert facts.length == pytest.approx(39 * 0.1 + 3.0)
    assert facts.step == pytest.approx(0.1)
    assert facts.jumps == ("0029 to 0030: 3.10 m and 0 degrees",)
    assert facts.duration == pytest.approx(3.9 + 2.0)
    assert facts.rate == pytest.approx(10.0)
    assert facts.gaps == ("0019 to 0020: 2.10 s",)
    assert facts.backward == 0
    assert facts.pose_order < 0.2
    kinds = [finding.kind for finding in inspect_capture(replace(room, frames=tuple(
        replace(frame, timestamp=stamp) for frame, stamp in zip(room.frames, reversed(stamps), strict=True)
    ))).findings]  # fmt: skip
    assert kinds == ["time stamps out of order"]


def test_surface_voxels_and_extent_of_a_wall() -> None:
    camera = Camera(torch.from_numpy(captures.K), torch.eye(4, dtype=torch.float64), 80, 60)
    frame = RGBDFrame("a", camera, torch.zeros((60, 80, 3)), torch.full((60, 80), 1.2))
    facts = space_facts([frame, frame], UpFacts((0.0, -1.0, 0.0), "", 0.0), 6.0, 0.1)
    # Pixels are 2 cm apart on the wall: 1.58 m x 1.18 m in voxels of 10 cm, cut anywhere.
    assert facts.extent == pytest.approx((1.58, 0.0, 1.18), abs=0.01)
    assert 16 * 12 <= facts.surface_voxels <= 17 * 13
    assert space_facts([frame], UpFacts((0.0, -1.0, 0.0), "", 0.0), 1.0, 0.1).surface_voxels == 0


def test_frames_that_cannot_be_used_are_left_out_with_a_line(room: Capture, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    lost = torch.full((4, 4), torch.nan, dtype=torch.float64)
    frames = [replace(frame, pose=lost) if 10 <= n < 14 else frame for n, frame in enumerate(room.frames)]
    place = draw_sample(replace(room, frames=tuple(frames))).places[0]
    frames[place] = replace(frames[place], depth=replace(frames[place].depth, path=empty))
    report = inspect_capture(replace(room, frames=tuple(frames)), skipped=("somewhere: no image",))
    assert report.frames.listed == 41
    assert report.frames.usable == 36
    assert "somewhere: no image" in report.frames.skipped
    assert sum("tracking was lost" in line for line in report.frames.skipped) == 4
    assert any("empty.png" in line for line in report.frames.skipped)
    assert [finding.kind for finding in report.findings] == ["many frames left out"]
    assert report.poses.verdict == "fits"


def test_nothing_usable_is_an_error_that_says_why(room: Capture) -> None:
    lost = torch.zeros((4, 4), dtype=torch.float64)
    with pytest.raises(DataError, match="expected frames that can be read, got none of 40") as raised:
        draw_sample(rooms.with_poses(room, lambda *_: lost))
    assert "all zeros" in str(raised.value)


def test_few_frames_are_decoded_however_many_there_are(room: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    read = Capture.read_frame

    def counting(capture: Capture, index: int, width: int | None = None) -> RGBDFrame:
        decoded.append(index)
        return read(capture, index, width)

    monkeypatch.setattr(Capture, "read_frame", counting)
    poses = [room.stored_pose(index) for index in range(len(room))]
    frames = tuple(replace(frame, pose=pose) for frame, pose in zip(room.frames, poses, strict=True))
    long = replace(room, frames=tuple(frame for frame in frames for _ in range(50)))
    sample = draw_sample(long)
    assert len(sample.poses) == 2000
    assert len(decoded) == len(sample.frames) <= 40
    assert max(sample.indices) > 1900
    assert min(sample.indices) < 100
    assert all(frame.camera.width <= 320 for frame in sample.frames)


def test_one_frame_and_still_cameras_cannot_be_judged(room: Capture) -> None:
    one = inspect_capture(room.select([0]))
    assert one.poses.verdict == "cannot be told"
    assert one.findings == ()
    still = inspect_capture(rooms.with_poses(room.select([0] * 6), lambda *_: torch.eye(4, dtype=torch.float64)))
    assert still.poses.verdict == "cannot be told"
