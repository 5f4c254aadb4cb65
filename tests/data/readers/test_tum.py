"""TUM RGB-D sequences, and the joining of streams by time."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sparse_s4r.data.capture_check import usable_frames
from sparse_s4r.data.readers.trajectory import interpolate_poses, join_times
from sparse_s4r.data.readers.tum import CAMERAS, detect, open_tum
from sparse_s4r.structures.errors import DataError
from tests.data.writers import room, tum
from tests.data.writers.bounded import expect_bounded, read_all
from tests.data.writers.tum import write_sequence


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_frames_lie_on_the_true_surface(tmp_path: Path, newline: str) -> None:
    capture = open_tum(write_sequence(tmp_path / "room", newline=newline))
    assert capture.layout == "tum"
    assert len(usable_frames(capture)[0]) == 6
    assert capture.names[1] == "1305031102.033000"
    for index in (0, 3, 5):
        frame = capture.read_frame(index)
        # The pose is that of the depth image's time, between two poses of the trajectory.
        truth = tum.pose_at(index * tum.INTERVAL + tum.DEPTH_LATE)
        np.testing.assert_allclose(frame.camera.camera_to_world.numpy(), truth, atol=5e-6)
        assert not frame.depth[:3].any()
        points, seen = room.unprojected(frame)
        # A tenth of a millimetre of depth; the colour image's pose instead would be off by 5 mm and 0.5 degrees.
        assert room.off_surface(points).max() < 0.0002
        assert np.median(np.linalg.norm(points - seen, axis=1)) < 0.012


def test_frames_without_depth_or_pose_are_left_out_with_a_note(tmp_path: Path) -> None:
    # A gap in the trajectory from 0.05 to 0.16 s: frames 2 to 4 (0.078, 0.111 and 0.144 s) lie within, the last one
    # close enough to a pose.
    poses = tuple(0.01 * step for step in range(-2, 30) if not 5 < step < 16)
    folder = write_sequence(tmp_path / "room", poses=poses)
    lines = (folder / "depth.txt").read_text().splitlines()
    (folder / "depth.txt").write_text("\n".join(line for line in lines if "02.012" not in line))
    capture = open_tum(folder)
    assert capture.names == ("1305031102.033000", "1305031102.132000", "1305031102.165000")
    assert any("1 of 6 colour images are left out: no depth image within 0.02 s" in note for note in capture.notes)
    assert any("2 of 5 frames are left out: the ground truth has no pose" in note for note in capture.notes)


def test_lost_poses_are_not_used(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "room")
    text = (folder / "groundtruth.txt").read_text().splitlines()
    text[10] = "1305031102.0500 nan nan nan 0 0 0 1"
    text[11] = "1305031102.0600 1 2 3 0 0 0 0"
    text[12] = "1305031102.0700 inf 2 3 0 0 0 1"
    (folder / "groundtruth.txt").write_text("\n\n".join(text))
    capture = open_tum(folder)
    assert any("3 poses of groundtruth.txt" in note for note in capture.notes)
    np.testing.assert_allclose(capture.pose(1), tum.pose_at(tum.INTERVAL + tum.DEPTH_LATE), atol=1e-4)
    (folder / "groundtruth.txt").write_text("\n".join(line + " 0 0 0 0 0 0 0" for line in ("1 ", "2 ")))
    with pytest.raises(DataError, match=r"groundtruth\.txt: expected poses, got none"):
        open_tum(folder)


@pytest.mark.parametrize(
    ("name", "focal"), [("freiburg1", 517.3), ("freiburg2", 520.9), ("freiburg3", 535.4), ("xtion", 525.0)]
)
def test_published_cameras(tmp_path: Path, name: str, focal: float) -> None:
    capture = open_tum(write_sequence(tmp_path / f"rgbd_dataset_{name}_desk", frames=2, own_camera=False))
    assert capture.calibration.color[0, 0] == focal
    assert bool(capture.calibration.distortion) == (name in ("freiburg1", "freiburg2"))
    assert any((name if name in CAMERAS else "default") in note for note in capture.notes)
    with pytest.raises(DataError, match="expected colour images of 640x480, which the intrinsics are for, got 96x72"):
        capture.read_frame(0)


def test_the_lens_of_freiburg1_is_taken_out(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "rgbd_dataset_freiburg1_room", frames=1, own_camera=False)
    pose = tum.pose_at(tum.DEPTH_LATE)
    depth, color = tum.seen_through_lens(pose)
    Image.fromarray(np.rint(depth * 5000).astype(np.uint16)).save(next((folder / "depth").iterdir()))
    Image.fromarray(color).save(next((folder / "rgb").iterdir()))
    frame = open_tum(folder).read_frame(0)
    points, seen = room.unprojected(frame)
    # Picked to half a pixel, which is 2 mm here; left in, the lens would shift the rim by 20 pixels, 10 cm.
    assert np.quantile(room.off_surface(points), 0.99) < 0.004
    assert np.quantile(np.linalg.norm(points - seen, axis=1), 0.99) < 0.02
    assert float((frame.depth > 0).float().mean()) > 0.9


def test_missing_images_are_errors_of_their_frames(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "room", frames=3)
    next((folder / "depth").iterdir()).unlink()
    capture = open_tum(folder)
    assert len(read_all(open_tum, folder)) == 1
    assert len(capture) == 3


def test_detection(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "room", frames=1)
    assert detect(folder) == "rgb.txt and depth.txt and groundtruth.txt"
    (folder / "groundtruth.txt").unlink()
    assert detect(folder) is None
    assert detect(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("rgb", "# nothing\n", "expected times and files, got none"),
        ("rgb", "1305031102.0\n", "expected a time and a file, got '1305031102.0' in entry 1"),
        ("depth", "soon depth/a.png\n", "expected a time in seconds, got 'soon' in entry 1"),
        ("depth", "nan depth/a.png\n", "expected a time in seconds, got nan"),
        ("rgb", "1305031102.01 ../secret.png\n", "expected the name of a file inside"),
        ("rgb", "1305031102.01 /etc/secret.png\n", "expected the name of a file inside"),
        ("groundtruth", "1305031102 0 0 0\n", "expected a time and 7 numbers, got 4 words in entry 1"),
        ("groundtruth", "1305031102 0 0 0 a b c d\n", "expected numbers"),
        ("groundtruth", "1205031102 0 0 0 0 0 0 1\n", "expected poses at the times of the images, got none"),
    ],
)
def test_damaged_lists_are_named(tmp_path: Path, file: str, text: str, message: str) -> None:
    folder = write_sequence(tmp_path / "room", frames=2)
    (folder / f"{file}.txt").write_text(text)
    with pytest.raises(DataError, match=rf"{file}\.txt: {message}"):
        open_tum(folder)


def test_streams_of_other_times_do_not_join(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "room", frames=2)
    (folder / "depth.txt").write_text("99.0 depth/a.png\n")
    with pytest.raises(DataError, match=r"images at most 0\.02 s apart, got none among 2 and 1"):
        open_tum(folder)


times = st.lists(st.integers(0, 60), min_size=1, max_size=8).map(lambda ticks: np.array(sorted(ticks)) * 0.005)


@settings(deadline=None)
@given(times, times)
def test_joined_times(first: np.ndarray, second: np.ndarray) -> None:
    pairs = join_times(first, second, 0.021)
    assert len(set(pairs[:, 0])) == len(pairs) == len(set(pairs[:, 1]))
    assert (np.abs(first[pairs[:, 0]] - second[pairs[:, 1]]) <= 0.021).all()
    # The closest pair of all is among them, and nobody is left alone who had a free neighbour next to it.
    gaps = np.abs(first[:, None] - second[None])
    if gaps.min() <= 0.021:
        assert np.abs(first[pairs[:, 0]] - second[pairs[:, 1]]).min() == gaps.min()
    for alone in set(range(len(first))) - set(pairs[:, 0].tolist()):
        nearest = np.flatnonzero(gaps[alone] == gaps[alone].min())
        assert gaps[alone].min() > 0.021 or set(nearest) & set(pairs[:, 1].tolist())


def test_many_equal_times_cost_little() -> None:
    same = np.zeros(20_000)
    pairs = expect_bounded(lambda: join_times(same, same, 0.02), megabytes=60, seconds=5)
    assert isinstance(pairs, np.ndarray)
    assert len(pairs) >= 1


def test_a_single_pose_serves_its_neighbourhood() -> None:
    pose = np.array([[1.0, 2, 3, 0, 0, 0, 1]])
    poses, known = interpolate_poses(np.array([5.0]), pose, np.array([4.99, 5.0, 5.5]), 0.02)
    assert known.tolist() == [True, True, False]
    assert poses[0, :3, 3].tolist() == [1, 2, 3]
    assert np.isnan(poses[2]).all()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["rgb", "depth", "groundtruth"]),
    st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=6)), max_size=5),
    st.one_of(st.none(), st.integers(0, 700)),
)
def test_damaged_files_raise_named_errors_only(name: str, edits: list[tuple[int, bytes]], cut: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sequence = write_sequence(Path(folder) / "room", frames=3)
        file = sequence / f"{name}.txt"
        data = bytearray(file.read_bytes())
        for spot, word in edits:
            data[spot : spot + len(word)] = word
        file.write_bytes(data[:cut])
        result = expect_bounded(lambda: read_all(open_tum, sequence))
    assert isinstance(result, list | DataError)
