"""ScanNet: .sens files and exported frames of a room whose surface is known."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sparse_s4r.data.readers import stored
from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.readers.scannet import READER, detect, open_scannet
from sparse_s4r.structures.errors import DataError
from tests.data.captures import look, room_poses
from tests.data.writers import room, scannet
from tests.data.writers.bounded import expect_bounded, read_all
from tests.data.writers.scannet import Sens, write_exported, write_sens


def depth_off_surface(capture: Capture, index: int, poses: list[np.ndarray]) -> float:
    """Largest distance (m) of the depth image's own points from the room, by the reader's intrinsics and scale."""
    values = stored.load_depth(capture.frames[index].depth).numpy() * capture.depth_scale
    assert capture.calibration.depth is not None
    rows, columns = np.mgrid[: values.shape[0], : values.shape[1]]
    rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(capture.calibration.depth.numpy()).T
    points = (rays * values[..., None]).reshape(-1, 3) @ poses[index][:3, :3].T + poses[index][:3, 3]
    return float(room.off_surface(points).max())


def expect_true_surface(capture: Capture, index: int) -> None:
    """Depth registered to the finer colour lies on the walls, and colour shows the wall that lies there."""
    frame = capture.read_frame(index)
    assert float((frame.depth > 0).float().mean()) > 0.9
    points, seen = room.unprojected(frame)
    # A sample is up to a sixth of a depth pixel aside, 5 to 9 mm on the wall, which a slant turns into depth.
    off = room.off_surface(points)
    assert np.median(off) < 0.003
    assert np.quantile(off, 0.99) < 0.015
    # Colours are 16 mm steps, spoilt by JPEG; a shift by one depth pixel would be 30 to 60 mm.
    assert np.median(np.linalg.norm(points - seen, axis=1)) < 0.02


def test_sens_frames_lie_on_the_true_surface(tmp_path: Path) -> None:
    capture = open_scannet(write_sens(tmp_path / "scene0000_00"))
    assert capture.layout == "scannet"
    assert capture.name == "scene0000_00"
    assert capture.names == ("0", "1", "2", "3", "4")
    assert capture.sizes(3) == (scannet.COLOR_SIZE, scannet.DEPTH_SIZE)
    assert capture.calibration.pose_is_depth is False
    assert [frame.timestamp for frame in capture.frames[:2]] == pytest.approx([1.005, 1.038])
    for index in (0, 4):
        # Half a millimetre of depth, seen at up to 45 degrees.
        assert depth_off_surface(capture, index, room_poses(5)) < 0.0007
        np.testing.assert_allclose(capture.pose(index), room_poses(5)[index], atol=1e-6)
        expect_true_surface(capture, index)


def test_extrinsics_move_the_depth_camera(tmp_path: Path) -> None:
    depth_base = np.eye(4)
    depth_base[:3, 3] = [0.05, 0.0, 0.01]
    color_base = look(np.zeros(3), 0.02, 0.01)[[1, 2, 0, 3]]
    color_base[:3, :3] = np.linalg.qr(np.eye(3) + 0.02 * np.arange(9).reshape(3, 3) / 9)[0]
    color_base[:3, :3] *= np.sign(np.diag(color_base[:3, :3]))
    color_base[:3, 3] = [0.0, 0.01, 0.0]
    assert np.linalg.det(color_base) == pytest.approx(1)
    capture = open_scannet(
        write_sens(tmp_path / "scene", Sens(color_extrinsics=color_base, depth_extrinsics=depth_base))
    )
    expect_true_surface(capture, 2)
    to_color = np.linalg.inv(color_base) @ depth_base
    np.testing.assert_allclose(capture.pose(2), room_poses(5)[2] @ np.linalg.inv(to_color), atol=1e-6)


@pytest.mark.parametrize(("color", "depth", "shift"), [(1, 0, 4000.0), (2, 0, 1000.0), (1, 1, 5000.0)])
def test_other_compressions_and_depth_units(tmp_path: Path, color: int, depth: int, shift: float) -> None:
    sens = Sens(color_compression=color, depth_compression=depth, shift=shift)
    capture = open_scannet(write_sens(tmp_path / "scene", sens))
    assert capture.depth_scale == pytest.approx(1 / shift)
    assert depth_off_surface(capture, 1, room_poses(5)) < 0.7 / shift


def test_lost_tracking_is_an_error_of_its_frame(tmp_path: Path) -> None:
    poses = room_poses(5)
    poses[1] = np.full((4, 4), -np.inf)
    poses[3] = np.zeros((4, 4))
    capture = open_scannet(write_sens(tmp_path / "scene", Sens(poses=poses)))
    assert len(capture) == 5
    with pytest.raises(DataError, match=r"scene0000_00\.sens: frame 1: .*tracking was lost"):
        capture.read_frame(1)
    with pytest.raises(DataError, match="frame 3: the pose is all zeros"):
        capture.pose(3)
    expect_true_surface(capture, 2)


def test_axis_alignment_turns_the_world(tmp_path: Path) -> None:
    folder = write_sens(tmp_path / "scene0000_00")
    alignment = np.eye(4)
    angle = 0.4
    alignment[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    alignment[:3, 3] = [-5.38439, -2.87178, -0.06435]
    scannet.write_parameters(folder / "scene0000_00.txt", alignment, newline="\r\n")
    capture = open_scannet(folder)
    np.testing.assert_allclose(capture.pose(2), alignment @ room_poses(5)[2], atol=1e-5)
    assert capture.up is not None
    assert capture.up.tolist() == [0, 0, 1]
    assert any("axisAlignment" in note for note in capture.notes)
    # The published colorToDepthExtrinsics do not count: ScanNet's depth is aligned to colour.
    assert capture.calibration.depth_to_color is None


def test_scenes_without_alignment_keep_their_axes(tmp_path: Path) -> None:
    folder = write_sens(tmp_path / "scene0000_00")
    scannet.write_parameters(folder / "scene0000_00.txt", None)
    capture = open_scannet(folder)
    assert capture.axis_alignment is None
    assert any("no axisAlignment" in note for note in capture.notes)
    (folder / "scene0000_00.txt").write_text("axisAlignment = 1 0 0\n")
    with pytest.raises(DataError, match=r"scene0000_00\.txt: expected axisAlignment of 16 numbers"):
        open_scannet(folder)


@pytest.mark.parametrize("frames25k", [False, True])
def test_exported_frames_lie_on_the_true_surface(tmp_path: Path, frames25k: bool) -> None:
    capture = open_scannet(write_exported(tmp_path / "scene0000_00", frames25k=frames25k))
    assert capture.names == (("000000", "000100", "000200", "000300", "000400") if frames25k else tuple("01234"))
    expect_true_surface(capture, 3)
    assert depth_off_surface(capture, 3, room_poses(5)) < 0.0007


def test_exported_gaps(tmp_path: Path) -> None:
    folder = write_exported(tmp_path / "scene", step=2)
    capture = open_scannet(folder)
    assert capture.names == ("0", "2", "4")
    assert any("2 depth images have no colour image" in note for note in capture.notes)
    (folder / "depth" / "2.png").unlink()
    (folder / "pose" / "4.txt").write_bytes(b"-inf -inf -inf -inf\r\n" * 4)
    capture = open_scannet(folder)
    with pytest.raises(DataError, match=r"depth.2\.png: the image does not exist"):
        capture.sizes(1)
    with pytest.raises(DataError, match="tracking was lost"):
        capture.pose(2)
    (folder / "intrinsic" / "intrinsic_depth.txt").unlink()
    with pytest.raises(DataError, match=r"intrinsic_depth\.txt: .*does not exist"):
        open_scannet(folder)


def resize_colour(folder: Path, size: tuple[int, int]) -> None:
    for file in (folder / "color").iterdir():
        Image.open(file).resize(size).save(file, quality=97, subsampling=0)


def test_colour_resized_without_its_intrinsics(tmp_path: Path) -> None:
    folder = write_exported(tmp_path / "scene0000_00")
    resize_colour(folder, (48, 36))
    with pytest.raises(DataError, match="are they of another resolution"):
        open_scannet(folder).read_frame(0)
    scannet.write_parameters(tmp_path / "scene0000_00.txt", None)
    resize_colour(folder, scannet.DEPTH_SIZE)
    with pytest.raises(DataError, match="colour images of 128x96, which the intrinsics are for, got 64x48"):
        open_scannet(folder).read_frame(0)


def test_colour_resized_with_its_intrinsics(tmp_path: Path) -> None:
    folder = write_exported(tmp_path / "scene0000_00")
    scannet.write_parameters(tmp_path / "scene0000_00.txt", None)
    resize_colour(folder, scannet.DEPTH_SIZE)
    half = np.diag([0.5, 0.5, 1]) @ (scannet.COLOR_K + np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]))
    half[:2, 2] -= 0.5
    np.savetxt(folder / "intrinsic" / "intrinsic_color.txt", half)
    expect_true_surface(open_scannet(folder), 1)


def test_detection_says_why(tmp_path: Path) -> None:
    sens = write_sens(tmp_path / "a")
    assert "scene0000_00.sens" in (detect(sens) or "")
    assert "scene0000_00.sens" in (detect(sens / "scene0000_00.sens") or "")
    assert "intrinsic/intrinsic_color.txt" in (detect(write_exported(tmp_path / "b")) or "")
    assert "intrinsics_color.txt" in (detect(write_exported(tmp_path / "c", frames25k=True)) or "")
    assert detect(tmp_path) is None
    assert detect(tmp_path / "nowhere") is None
    assert READER.open(sens / "scene0000_00.sens").names == READER.open(sens).names
    (sens / "other.sens").write_bytes(b"")
    with pytest.raises(DataError, match=r"expected one \.sens file, got other\.sens, scene0000_00\.sens"):
        open_scannet(sens)


def labels_of(capture: Capture, index: int) -> torch.Tensor:
    labels = capture.read_frame(index).labels
    assert labels is not None
    return labels


def test_label_archives_give_classes(tmp_path: Path) -> None:
    folder = write_sens(tmp_path / "scans" / "scene0000_00")
    scannet.write_label_zip(folder)
    assert open_scannet(folder).class_names is None
    assert any("scannetv2-labels.combined.tsv" in note for note in open_scannet(folder).notes)
    scannet.write_label_table(tmp_path / "scannetv2-labels.combined.tsv", newline="\r\n")
    capture = open_scannet(folder)
    names = [capture.class_names[label] for label in labels_of(capture, 0)[:24:12, 0].tolist()]  # type: ignore[index]
    assert names == ["wall", "floor"]
    # Rows of 12 pixels: wall, floor, refrigerator, otherprop, shower, no NYU class, 0, an id without a row.
    expected = [0, 1, 14, 255, 13, 255, 255, 255]
    assert labels_of(capture, 0)[::12, 5].tolist() == expected
    twenty = open_scannet(folder, "scannet20")
    assert twenty.class_names is not None
    assert [twenty.class_names[label] for label in (labels_of(twenty, 1)[24, 0], labels_of(twenty, 1)[48, 0])] == [
        "refrigerator",
        "shower curtain",
    ]
    assert labels_of(open_scannet(folder, "nyu40"), 0)[::12, 0].tolist() == [0, 1, 23, 39, 27, 255, 255, 255]


def test_label_folders_of_ids_and_of_nyu_classes(tmp_path: Path) -> None:
    folder = write_exported(tmp_path / "scene0000_00")
    (folder / "label").mkdir()
    for number in range(4):
        Image.fromarray((scannet.label_ids(number) % 41).astype(np.uint8)).save(folder / "label" / f"{number}.png")
    capture = open_scannet(folder)
    assert any("NYU ids" in note for note in capture.notes)
    # Ids modulo 41: 1, 3, 24, 8, 15, 7, 0, 8.
    assert labels_of(capture, 0)[::12, 0].tolist() == [0, 2, 14, 7, 255, 6, 255, 7]
    with pytest.raises(DataError, match=r"4\.png: the label image does not exist"):
        capture.read_frame(4)
    (folder / "label").rename(folder / "label-filt")
    for number in range(4):
        Image.fromarray(scannet.label_ids(number)).save(folder / "label-filt" / f"{number}.png")
    scannet.write_label_table(folder / "scannetv2-labels.combined.tsv")
    assert labels_of(open_scannet(folder), 0)[::12, 0].tolist() == [0, 1, 14, 255, 13, 255, 255, 255]


def test_labels_beyond_the_table_are_refused(tmp_path: Path) -> None:
    folder = write_sens(tmp_path / "scene0000_00")
    scannet.write_label_zip(folder)
    (folder / "scannetv2-labels.combined.tsv").write_text("id\traw_category\tcategory\tcount\tnyu40id\n1\ta\ta\t2\t1\n")
    with pytest.raises(DataError, match="expected label values below 2, which have a class, got 1163"):
        open_scannet(folder).read_frame(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the columns id, nyu40id"),
        ("id\tname\n1\twall\n", "got none called nyu40id"),
        ("id\tnyu40id\n1\n", "expected 2 columns, got 1 in row 2"),
        ("id\tnyu40id\n1\t41\n", "expected nyu40id from 0 to 40, got '41' in row 2"),
        ("id\tnyu40id\n-3\t4\n", "expected id from 0 to 65535"),
        ("id\tnyu40id\n99999999999999\t4\n", "expected id from 0 to 65535"),
    ],
)
def test_bad_label_tables_are_named(tmp_path: Path, text: str, message: str) -> None:
    folder = write_sens(tmp_path / "scene0000_00")
    scannet.write_label_zip(folder)
    (folder / "scannetv2-labels.combined.tsv").write_text(text)
    with pytest.raises(DataError, match=rf"scannetv2-labels\.combined\.tsv: .*{message}"):
        open_scannet(folder)


def test_bad_label_archive_is_named(tmp_path: Path) -> None:
    folder = write_sens(tmp_path / "scene0000_00")
    (folder / "scene0000_00_2d-label-filt.zip").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"label-filt\.zip: expected a zip archive"):
        open_scannet(folder)
    with pytest.raises(DataError, match="expected one of nyu40, scannet20, scannet15, got 'ade'"):
        open_scannet(write_sens(tmp_path / "other"), "ade")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported scene with everything that may lie beside it."""
    folder = write_exported(tmp_path_factory.mktemp("scans") / "scene0000_00", step=2)
    scannet.write_label_zip(folder)
    scannet.write_label_table(folder / "scannetv2-labels.combined.tsv")
    scannet.write_parameters(folder / "scene0000_00.txt", np.eye(4))
    return folder


FILES = (
    "scene0000_00.txt",
    "scannetv2-labels.combined.tsv",
    "scene0000_00_2d-label-filt.zip",
    "intrinsic/intrinsic_color.txt",
    "intrinsic/extrinsic_depth.txt",
    "pose/2.txt",
    "color/2.jpg",
    "depth/2.png",
)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), max_size=4),
    st.one_of(st.none(), st.floats(0, 1)),
)
def test_damaged_files_raise_named_errors_only(
    sound: Path, name: str, edits: list[tuple[float, bytes]], cut: float | None
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(sound, Path(place) / sound.name))
        data = bytearray((folder / name).read_bytes())
        for share, word in edits:
            spot = int(share * len(data))
            data[spot : spot + len(word)] = word
        (folder / name).write_bytes(data if cut is None else data[: int(cut * len(data))])
        result = expect_bounded(lambda: read_all(open_scannet, folder))
    assert isinstance(result, list | DataError)
