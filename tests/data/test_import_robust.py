"""What real captures have: lost tracking, partial frames, other sizes, gaps, jumps, garbage."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_s4r.data.import_options import ImportOptions, ImportSummary, KeyFrameRule
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.readers import Capture, open_capture
from sparse_s4r.data.readers.calibration import Calibration, intrinsics
from sparse_s4r.data.scene_check import check_scene
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.structures.errors import DataError
from tests.data import captures

NAN_POSE = "nan nan nan nan\n" * 3 + "0 0 0 1\n"


def run(capture: Path | Capture, out: Path, **options: object) -> ImportSummary:
    opened = open_capture(capture) if isinstance(capture, Path) else capture
    return import_scene(opened, out, ImportOptions(voxel_size=0.16, up="z", **options))  # type: ignore[arg-type]


def lose_pose(folder: Path, *numbers: int) -> None:
    for number in numbers:
        (folder / "poses" / f"view{number}.txt").write_text(NAN_POSE)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def resize(folder: Path, number: int, width: int, height: int) -> None:
    """Give a frame other images: those of a camera with the same field of view."""
    pose, k = captures.room_poses()[number], captures.K * [[width / 80], [height / 60], [1]]
    k[:2, 2] = (width - 1) / 2, (height - 1) / 2
    Image.fromarray(captures.room_color(pose, k, width, height)).save(folder / "color" / f"view{number}.png")
    captures.write_depth(folder / "depth" / f"view{number}.png", captures.room_depth(pose, k, width, height))


def test_lost_frames_are_left_out_with_a_line_but_not_many(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    lose_pose(folder, 3, 4)
    summary = run(folder, tmp_path / "scene")
    assert summary.frames == 10
    assert [("view3.txt" in line, "view4.txt" in line) for line in summary.skipped] == [(True, False), (False, True)]
    scene = open_scene(tmp_path / "scene")
    assert "view3" not in scene.frame_names()
    assert scene.document.made_by["skipped"] == list(summary.skipped)
    report = json.loads((tmp_path / "scene" / "report.json").read_text())
    assert report["frames"]["skipped"] == list(summary.skipped)
    assert report["frames"]["listed"] == 12
    lose_pose(folder, 5)
    with pytest.raises(DataError, match=r"(?s)3 of 12 frames cannot be used, more than the 20% .*view3\.txt.*view5\.t"):
        run(folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert run(folder, tmp_path / "more", max_skipped=0.25).frames == 9
    with pytest.raises(DataError, match=r"3 of 12 .*leave out --strict"):
        run(folder, tmp_path / "strict", strict=True)


def test_a_capture_without_a_single_usable_frame(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    lose_pose(folder, *range(12))
    with pytest.raises(DataError, match="12 of 12 frames cannot be used"):
        run(folder, tmp_path / "scene", max_skipped=1.0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["room"]


def test_a_fault_of_all_frames_is_told_once(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    captures.write_matrix(folder / "intrinsics.txt", captures.K * 10)
    with pytest.raises(DataError) as caught:
        run(folder, tmp_path / "scene")
    assert str(caught.value).count("intrinsics.txt: expected") == 1
    assert "(12 frames)" in str(caught.value)


@pytest.mark.parametrize("kind", ["color", "depth"])
def test_truncated_images_are_left_out(tmp_path: Path, kind: str) -> None:
    folder = captures.write_generic(tmp_path / "room")
    truncate(folder / kind / "view2.png")
    summary = run(folder, tmp_path / "scene")
    assert summary.frames == 11
    assert len(summary.skipped) == 1
    assert f"{kind}/view2.png" in summary.skipped[0]
    assert "damaged or truncated" in summary.skipped[0]
    assert check_scene(tmp_path / "scene").problems == ()
    for number in (3, 4):
        truncate(folder / kind / f"view{number}.png")
    with pytest.raises(DataError, match=r"(?s)3 of 12 frames cannot be used.*view2\.png.*view3\.png.*view4\.png"):
        run(folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kind", ["color", "depth"])
def test_a_missing_image_costs_its_frame_alone(tmp_path: Path, kind: str) -> None:
    folder = captures.write_generic(tmp_path / "room")
    (folder / kind / "view7.png").unlink()
    summary = run(folder, tmp_path / "scene")
    assert summary.frames == 11
    assert f"{kind}/view7.png: the image does not exist" in summary.skipped[0]
    with pytest.raises(DataError, match=rf"(?s)1 of 12 .*{kind}/view7\.png"):
        run(folder, tmp_path / "strict", strict=True)


def test_depth_without_a_measurement_costs_its_frame_alone(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    Image.fromarray(np.zeros((60, 80), np.uint16)).save(folder / "depth" / "view2.png")
    summary = run(folder, tmp_path / "scene")
    assert summary.frames == 11
    assert "without a single valid pixel" in summary.skipped[0]


def test_frames_of_another_size_than_most_are_left_out(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    resize(folder, 0, 40, 30)
    resize(folder, 9, 160, 120)
    capture = open_capture(folder)
    # Intrinsics that fit all three sizes, so that nothing but the size speaks against the frames.
    central = replace(capture, calibration=Calibration(intrinsics(60.0, 60.0, 19.5, 14.5), "given"))
    summary = run(central, tmp_path / "scene")
    assert summary.frames == 10
    assert "view0.png: expected 80x60 as most frames have, got 40x30" in summary.skipped[0]
    assert "view9.png: expected 80x60 as most frames have, got 160x120" in summary.skipped[1]


def test_frames_of_another_size_with_their_own_calibration_stay(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    resize(folder, 5, 40, 30)
    capture = open_capture(folder)
    own = replace(capture.frames[5], calibration=Calibration(intrinsics(30.0, 30.0, 19.5, 14.5), "own"))
    summary = run(replace(capture, frames=(*capture.frames[:5], own, *capture.frames[6:])), tmp_path / "scene")
    assert summary.skipped == ()
    frame = open_scene(tmp_path / "scene").load_frame("view5")
    assert frame.depth.shape == (30, 40)
    k = np.array([[30.0, 0, 19.5], [0, 30, 14.5], [0, 0, 1]])
    expected = captures.room_depth(captures.room_poses()[5], k, 40, 30)
    assert np.abs(frame.depth.numpy() - expected).max() < 0.001


def test_gaps_in_the_numbering_do_not_matter(tmp_path: Path) -> None:
    whole = captures.write_generic(tmp_path / "whole")
    gaps = captures.write_generic(tmp_path / "gaps")
    for number in reversed(range(12)):
        for kind, suffix in (("color", "png"), ("depth", "png"), ("poses", "txt")):
            file = gaps / kind / f"view{number}.{suffix}"
            file.rename(file.with_name(f"view{number * number + 3}.{suffix}"))
    run(whole, tmp_path / "one")
    run(gaps, tmp_path / "two")
    one, two = open_scene(tmp_path / "one"), open_scene(tmp_path / "two")
    assert two.frame_names()[:4] == ("view3", "view4", "view7", "view12")
    assert torch.equal(one.load_scan("target").tsdf, two.load_scan("target").tsdf)


def test_garbage_after_the_end_of_files_does_no_harm(tmp_path: Path) -> None:
    clean = captures.write_generic(tmp_path / "clean")
    dirty = captures.write_generic(tmp_path / "dirty")
    for kind in ("color", "depth"):
        for file in (dirty / kind).iterdir():
            file.write_bytes(file.read_bytes() + b"\0garbage\xff" * 7)
    (dirty / "color" / ".DS_Store").write_bytes(b"\0")
    (dirty / "color" / "Thumbs.db").write_bytes(b"\0")
    run(clean, tmp_path / "one")
    run(dirty, tmp_path / "two")
    one, two = open_scene(tmp_path / "one").load_scan("target"), open_scene(tmp_path / "two").load_scan("target")
    assert torch.equal(one.coordinates, two.coordinates)
    assert torch.equal(one.tsdf, two.tsdf)


def slow_walk(count: int) -> list[np.ndarray]:
    angles = np.radians(360.0 / count) * np.arange(count)
    return [captures.look(np.array([0.4 * np.cos(a), 0.4 * np.sin(a), 1.3]), a, 0.35) for a in angles]


def test_a_pose_that_jumps_is_left_out_and_told(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room", slow_walk(60))
    wrong = captures.look(np.array([-1.2, 0.9, 1.9]), 0.9, 0.5)
    captures.write_matrix(folder / "poses" / "view20.txt", wrong)
    summary = run(folder, tmp_path / "scene")
    assert summary.frames == 59
    assert "view20.txt" in summary.skipped[0]
    assert "the pose jumps" in summary.skipped[0]
    assert any(warning.startswith("poses that jump away and back: 1 frames") for warning in summary.warnings)
    with pytest.raises(DataError, match=r"(?s)1 of 60 frames.*view20\.txt.*jumps"):
        run(folder, tmp_path / "strict", strict=True)


def test_every_and_key_frames_are_counted_in_the_report(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room", slow_walk(60))
    lose_pose(folder, 4)
    summary = run(folder, tmp_path / "scene", every=2, key_frames=KeyFrameRule(0.5, 20.0))
    # 12 degrees between every second frame: two steps make a key frame, 15 of 30, of which one has lost its pose.
    assert summary.frames in (14, 15)
    assert len(summary.skipped) == 1
    counts = f"key frames: {summary.frames} of 29, at least 0.5 m or 20 degrees apart"
    assert "one of 2 frames: 30 of 60" in summary.notes
    assert any(note.startswith(counts) for note in summary.notes)
    saved = json.loads((tmp_path / "scene" / "report.json").read_text())["frames"]
    assert saved["listed"] == 60
    assert any(note.startswith(counts) for note in saved["notes"])
    made_by = open_scene(tmp_path / "scene").document.made_by
    assert made_by["options"]["key_frames"] == {"distance": 0.5, "degrees": 20.0}  # type: ignore[index,call-overload]
