import json
from pathlib import Path

import pytest

from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures.errors import DataError
from tests.data.captures import room_poses
from tests.data.readers.checks import off_room
from tests.data.writers.open3d_folder import write_log, write_reconstruction, write_redwood


def test_reconstruction_sees_the_room(tmp_path: Path) -> None:
    capture = open_capture(write_reconstruction(tmp_path / "bed"))
    assert (capture.layout, capture.name) == ("open3d", "bed")
    assert capture.names == ("00000", "00001", "00002", "00003")
    assert capture.notes == ("recognised as open3d: color/ and depth/ beside scene/trajectory.log and intrinsic.json",)
    assert not off_room(capture, 0.001)


def test_depth_scale_of_the_recorder(tmp_path: Path) -> None:
    assert not off_room(open_capture(write_reconstruction(tmp_path / "bed", depth_scale=4000.0)), 0.0005)


def test_redwood_pairs_images_by_order_and_has_a_default_camera(tmp_path: Path) -> None:
    capture = open_capture(write_redwood(tmp_path / "lounge"))
    assert any("Open3D's default camera" in note for note in capture.notes)
    assert "lounge_trajectory.log" in capture.notes[0]
    assert not off_room(capture, 0.001)


def test_comments_and_blank_lines_in_the_log(tmp_path: Path) -> None:
    folder = write_reconstruction(tmp_path / "bed")
    log = folder / "scene" / "trajectory.log"
    log.write_text("# made elsewhere\n\n" + log.read_text() + "\n\n")
    assert not off_room(open_capture(folder), 0.001)


def test_images_after_the_end_of_the_path_are_left_out_with_a_note(tmp_path: Path) -> None:
    folder = write_reconstruction(tmp_path / "bed")
    write_log(folder / "trajectory.log", room_poses(4)[:3])
    capture = open_capture(folder)
    assert capture.names == ("00000", "00001", "00002")
    assert any("1 of 4 images come after the end of trajectory.log" in note for note in capture.notes)
    assert not off_room(capture, 0.001)


def test_more_poses_than_images(tmp_path: Path) -> None:
    folder = write_reconstruction(tmp_path / "bed")
    write_log(folder / "scene" / "trajectory.log", room_poses(5))
    with pytest.raises(DataError, match=r"trajectory\.log: expected at most 4 poses, .* got 5"):
        open_capture(folder)


def test_truncated_log(tmp_path: Path) -> None:
    folder = write_reconstruction(tmp_path / "bed")
    log = folder / "scene" / "trajectory.log"
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:-2]))
    with pytest.raises(DataError, match=r"trajectory\.log: expected records of 5 lines, got 18"):
        open_capture(folder)
    log.write_text("\n".join([*lines[:-2], "1 0 0", lines[-1]]))
    with pytest.raises(DataError, match=r"trajectory\.log: .* in record 3, got lines of 3, 4, 4, 3, 4 numbers"):
        open_capture(folder)


def test_matrix_that_is_no_motion_is_named_with_its_frame(tmp_path: Path) -> None:
    folder = write_reconstruction(tmp_path / "bed")
    poses = room_poses(4)
    poses[2] = poses[2] * 2
    write_log(folder / "scene" / "trajectory.log", poses)
    with pytest.raises(DataError, match=r"trajectory\.log: frame 00002: .*last row"):
        open_capture(folder).pose(2)


def test_counts_and_missing_files(tmp_path: Path) -> None:
    folder = write_reconstruction(tmp_path / "bed")
    (folder / "depth" / "00003.png").unlink()
    with pytest.raises(DataError, match=r"as many images in color/ as in depth/.* got 4 and 3"):
        open_capture(folder)
    (folder / "color" / "00003.jpg").unlink()
    (folder / "scene" / "trajectory.log").unlink()
    with pytest.raises(DataError, match=r"trajectory\.log.*camera path, got none"):
        open_capture(folder)
    (folder / "intrinsic.json").unlink()
    with pytest.raises(DataError, match="found color/, depth/, scene/"):
        open_capture(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"intrinsic_matrix": [60, 0, 39.5, 0, 60, 29.5, 0, 0, 1]}, "row by row"),
        ({"intrinsic_matrix": [60, 0, 0]}, "intrinsic_matrix"),
        ({"width": 0}, "width"),
        ({"width": 640, "height": 480}, r"640x480.*got 80x60"),
    ],
)
def test_bad_camera_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = write_reconstruction(tmp_path / "bed")
    camera = json.loads((folder / "intrinsic.json").read_text())
    (folder / "intrinsic.json").write_text(json.dumps({**camera, **change}))
    with pytest.raises(DataError, match=rf"intrinsic\.json: .*{message}"):
        open_capture(folder).read_frame(0)
