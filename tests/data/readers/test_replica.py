import json
from pathlib import Path

import pytest

from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures.errors import DataError
from tests.data.readers.checks import off_room
from tests.data.writers.replica import write_replica


def test_frames_see_the_room(tmp_path: Path) -> None:
    capture = open_capture(write_replica(tmp_path))
    assert (capture.layout, capture.name) == ("replica", "room0")
    assert capture.names == tuple(f"frame{number:06d}" for number in range(4))
    assert capture.notes == ("recognised as replica: results/ beside traj.txt",)
    assert capture.up is not None
    assert capture.up.tolist() == [0, 0, 1]
    # Depth is written in steps of 0.15 mm.
    assert not off_room(capture, 0.0005)


def test_frames_keep_their_pose_when_others_are_missing(tmp_path: Path) -> None:
    capture = open_capture(write_replica(tmp_path, numbers=(1, 3), listed=5))
    assert capture.names == ("frame000001", "frame000003")
    assert not off_room(capture, 0.0005)


def test_without_a_camera_file_the_published_camera_is_taken_and_does_not_fit(tmp_path: Path) -> None:
    scene = write_replica(tmp_path)
    (tmp_path / "cam_params.json").unlink()
    capture = open_capture(scene)
    assert capture.calibration.size == (1200, 680)
    assert capture.calibration.color.tolist() == [[600, 0, 599.5], [0, 600, 339.5], [0, 0, 1]]
    assert any("no cam_params.json" in note for note in capture.notes)
    with pytest.raises(
        DataError, match=r"published camera of Replica: expected colour images of 1200x680, .* got 80x60"
    ):
        capture.read_frame(0)


def test_trajectory_that_is_too_short(tmp_path: Path) -> None:
    scene = write_replica(tmp_path)
    lines = (scene / "traj.txt").read_text().splitlines()
    (scene / "traj.txt").write_text("\n".join(lines[:-1]) + "\n\n")
    with pytest.raises(DataError, match=r"traj\.txt: expected a line for each of frames 0 to 3, got 3"):
        open_capture(scene)
    (scene / "traj.txt").write_text("\n".join([*lines[:-1], lines[-1][:200]]) + "\n")
    with pytest.raises(DataError, match=r"traj\.txt: expected 16 numbers in line 4"):
        open_capture(scene)
    (scene / "traj.txt").write_text("# poses\n" + "\n".join(lines))
    with pytest.raises(DataError, match=r"traj\.txt: expected poses as numbers, got '# poses' in line 1"):
        open_capture(scene)


def test_blank_lines_and_a_trailing_one_do_not_count(tmp_path: Path) -> None:
    scene = write_replica(tmp_path)
    text = (scene / "traj.txt").read_text()
    (scene / "traj.txt").write_text("\n" + text.replace("\n", "\n\n") + "  \n")
    assert not off_room(open_capture(scene), 0.0005)


def test_missing_depth_and_missing_files(tmp_path: Path) -> None:
    scene = write_replica(tmp_path)
    (scene / "results" / "depth000002.png").unlink()
    capture = open_capture(scene)
    assert len(capture) == 4
    with pytest.raises(DataError, match=r"depth000002\.png: the depth image does not exist"):
        capture.read_frame(2)
    (scene / "traj.txt").unlink()
    with pytest.raises(DataError, match=r"found results/"):
        open_capture(scene)
    with pytest.raises(DataError, match=r"room0.*does not exist|results: expected"):
        open_capture(scene, "replica")


@pytest.mark.parametrize(
    ("camera", "message"),
    [({"scale": 0}, r"camera\.scale"), ({"fx": "wide"}, r"camera\.fx"), (3, "camera"), ({"fx": -5}, "intrinsics")],
)
def test_bad_camera_file_is_named(tmp_path: Path, camera: object, message: str) -> None:
    scene = write_replica(tmp_path)
    known = json.loads((tmp_path / "cam_params.json").read_text())["camera"]
    changed = {**known, **camera} if isinstance(camera, dict) else camera
    (tmp_path / "cam_params.json").write_text(json.dumps({"camera": changed}))
    with pytest.raises(DataError, match=rf"cam_params\.json: .*{message}"):
        open_capture(scene).read_frame(0)
