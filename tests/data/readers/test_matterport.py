"""Matterport3D houses: cameras of the .conf file, regions of the .house file."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sparse_s4r.data.capture_check import usable_frames
from sparse_s4r.data.readers.matterport import detect, open_matterport, with_frames
from sparse_s4r.data.readers.matterport_house import find_house
from sparse_s4r.structures.errors import DataError
from tests.data.captures import room_poses
from tests.data.writers import matterport, room
from tests.data.writers.bounded import expect_bounded, read_all
from tests.data.writers.matterport import HOUSE, PANORAMAS, write_house


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_frames_lie_on_the_true_surface(tmp_path: Path, newline: str) -> None:
    capture = open_matterport(write_house(tmp_path / HOUSE, newline))
    assert capture.layout == "matterport"
    assert capture.name == HOUSE
    assert capture.names[:2] == (f"{PANORAMAS[0]}_i0_0", f"{PANORAMAS[0]}_i0_1")
    assert len(usable_frames(capture)[0]) == 6
    for index in (0, 2, 5):
        frame = capture.read_frame(index)
        np.testing.assert_allclose(frame.camera.intrinsics.numpy(), matterport.camera_of(index // 3), atol=1e-9)
        # Six digits in the file.
        np.testing.assert_allclose(frame.camera.camera_to_world.numpy(), room_poses(6)[index], atol=1e-5)
        points, seen = room.unprojected(frame)
        # Eighths of a millimetre; cy counted from the top would be off by 12 rows, 40 cm.
        assert room.off_surface(points).max() < 0.0003
        assert np.median(np.linalg.norm(points - seen, axis=1)) < 0.015


def test_the_published_example_of_cy(tmp_path: Path) -> None:
    # Of one camera of house D7N2EKCX4Sj, matterport_camera_intrinsics says 513.798 and the .conf file 509.202.
    folder = write_house(tmp_path / HOUSE)
    conf = folder / "undistorted_camera_parameters" / f"{HOUSE}.conf"
    lines = conf.read_text().splitlines()
    lines[5] = "intrinsics_matrix 1076.45 0 631.116  0 1077.19 509.202  0 0 1"
    conf.write_text("\n".join(lines))
    for file in (folder / "undistorted_color_images").iterdir():
        Image.new("RGB", (1280, 1024)).save(file)
    expected = [[1076.45, 0, 631.116], [0, 1077.19, 513.798], [0, 0, 1]]
    np.testing.assert_allclose(open_matterport(folder).calibration.color.numpy(), expected, atol=1e-9)


def test_poses_turn_with_the_camera_axes(tmp_path: Path) -> None:
    capture = open_matterport(write_house(tmp_path / HOUSE))
    assert capture.axes == "opengl"
    raw = capture.stored_pose(1).numpy()
    np.testing.assert_allclose(raw, room_poses(6)[1] @ matterport.GL, atol=1e-5)


def test_regions_choose_frames(tmp_path: Path) -> None:
    folder = write_house(tmp_path / HOUSE)
    capture = open_matterport(folder)
    assert any("2 regions (1 kitchen, 1 bedroom), 2 panoramas" in note for note in capture.notes)
    house = find_house(folder)
    assert house is not None
    assert [(region.index, region.level, region.use) for region in house.regions] == [
        (0, 0, "kitchen"),
        (1, 0, "bedroom"),
    ]
    assert house.panoramas_of(1) == {PANORAMAS[0]}
    kitchen = with_frames(capture, house.panoramas_of(0))
    assert kitchen.names == tuple(f"{PANORAMAS[1]}_i1_{turn}" for turn in range(3))
    with pytest.raises(DataError, match="expected one of 2 regions, got 7"):
        house.panoramas_of(7)
    assert find_house(tmp_path) is None


def test_missing_images_are_errors_of_their_frames(tmp_path: Path) -> None:
    folder = write_house(tmp_path / HOUSE, house=False)
    (folder / "undistorted_depth_images" / f"{PANORAMAS[0]}_d0_1.png").unlink()
    (folder / "undistorted_color_images" / f"{PANORAMAS[0]}_i0_0.jpg").unlink()
    capture = open_matterport(folder)
    for index in (0, 1):
        with pytest.raises(DataError, match="the image does not exist"):
            capture.sizes(index)
    assert capture.read_frame(2).depth.shape == (80, 96)
    for file in (folder / "undistorted_color_images").iterdir():
        file.unlink()
    with pytest.raises(DataError, match="got not one of 6"):
        open_matterport(folder)


def test_a_count_that_is_wrong_is_noted(tmp_path: Path) -> None:
    capture = open_matterport(write_house(tmp_path / HOUSE, announced=2358))
    assert any("announces 2358 images and lists 6" in note for note in capture.notes)


def test_detection(tmp_path: Path) -> None:
    assert detect(write_house(tmp_path / HOUSE)) == f"undistorted_camera_parameters/{HOUSE}.conf"
    assert detect(tmp_path) is None
    with pytest.raises(DataError, match=r"expected one \.conf file, got none"):
        open_matterport(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("scan ", "scam ", "expected a scan line for every image, got none"),
        ("intrinsics_matrix", "intrinsics", "expected an intrinsics_matrix before the scan in entry 6"),
        ("0 0 1 \n", "0 0 \n", "expected an intrinsics_matrix of 9 numbers in entry 5"),
        ("n_images 6", "n_images many", "expected a number of images in entry 2, got 'many'"),
        (" 0 0 0 1 \n", " 0 0 0 \n", "expected scan DEPTH COLOR and 16 numbers in entry 6, got 17 words"),
        ("scan 03a8", "scan ../../03a8", "expected the name of a file inside"),
        (" 0 0 0 1 \n", " 0 0 zero 1 \n", "expected numbers in entry 6"),
    ],
)
def test_damaged_cameras_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    folder = write_house(tmp_path / HOUSE)
    conf = folder / "undistorted_camera_parameters" / f"{HOUSE}.conf"
    text = conf.read_text()
    assert old in text
    conf.write_text(text.replace(old, new))
    with pytest.raises(DataError, match=rf"{HOUSE}\.conf: {message}"):
        open_matterport(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected ASCII and a version in the first line, got ''"),
        ("PLY 1.1\n", ".*got 'PLY 1.1'"),
        ("ASCII 1.1\nR 0 0\n", "expected 20 words for a region, got 3 in entry 2"),
        ("ASCII 1.1\nP name 0 x 0  0 0 1.3  0 0 0 0 0\n", "expected a whole number, got 'x' in entry 2"),
    ],
)
def test_damaged_houses_are_named(tmp_path: Path, text: str, message: str) -> None:
    folder = write_house(tmp_path / HOUSE)
    (folder / "house_segmentations" / f"{HOUSE}.house").write_text(text)
    with pytest.raises(DataError, match=rf"{HOUSE}\.house: {message}"):
        open_matterport(folder)


CONF = matterport.conf_text().encode()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(CONF) - 1), st.binary(max_size=6)), max_size=5),
    st.one_of(st.none(), st.integers(0, len(CONF))),
)
def test_damaged_files_raise_named_errors_only(edits: list[tuple[int, bytes]], cut: int | None) -> None:
    data = bytearray(CONF)
    for spot, word in edits:
        data[spot : spot + len(word)] = word
    with tempfile.TemporaryDirectory() as folder:
        house = write_house(Path(folder) / HOUSE, house=False)
        (house / "undistorted_camera_parameters" / f"{HOUSE}.conf").write_bytes(data[:cut])
        result = expect_bounded(lambda: read_all(open_matterport, house))
    assert isinstance(result, list | DataError)
