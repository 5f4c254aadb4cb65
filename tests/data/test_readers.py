from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures.errors import DataError
from tests.data import captures


def expect_same_depth(depth: torch.Tensor, pose: np.ndarray) -> None:
    # Written as whole millimetres.
    assert np.abs(depth.numpy() - captures.room_depth(pose)).max() <= 0.0005 + 1e-6


def test_generic_frames_in_natural_order(tmp_path: Path) -> None:
    capture = open_capture(captures.write_generic(tmp_path / "room"))
    assert capture.layout == "generic"
    assert capture.names == tuple(f"view{number}" for number in range(12))
    assert "recognised as generic" in capture.notes[0]
    for index in (0, 10):
        frame = capture.read_frame(index)
        expect_same_depth(frame.depth, captures.room_poses()[index])
        # Poses are written with ten digits.
        np.testing.assert_allclose(frame.camera.camera_to_world.numpy(), captures.room_poses()[index], atol=1e-9)
        assert torch.equal(
            (frame.color * 255).byte(), torch.from_numpy(captures.room_color(captures.room_poses()[index]))
        )


def test_generic_scale_labels_up_and_jpeg(tmp_path: Path) -> None:
    described = {"depth_scale": 0.0002, "class_names": ["wall", "floor"], "up": "-y"}
    folder = captures.write_generic(tmp_path / "room", scale=0.0002, described=described)
    (folder / "labels").mkdir()
    labels = np.full((captures.HEIGHT, captures.WIDTH), 1, np.uint8)
    labels[0] = 255
    for number in range(12):
        Image.fromarray(labels).save(folder / "labels" / f"view{number}.png")
    picture = folder / "color" / "view0.png"
    Image.open(picture).save(picture.with_suffix(".jpg"), quality=95)
    picture.unlink()
    capture = open_capture(folder)
    assert capture.class_names == ("wall", "floor")
    assert capture.up is not None
    assert capture.up.tolist() == [0, -1, 0]
    frame = capture.read_frame(0)
    assert frame.labels is not None
    assert np.array_equal(frame.labels.numpy(), labels)
    expect_same_depth(frame.depth, captures.room_poses()[0])


def test_generic_axes_direction_and_float_depth(tmp_path: Path) -> None:
    described = {"axes": "opengl", "world_to_camera": True, "depth_scale": 1}
    flip = np.diag([1.0, -1, -1, 1])
    folder = captures.write_generic(tmp_path / "room", described=described)
    for number, pose in enumerate(captures.room_poses()):
        captures.write_matrix(folder / "poses" / f"view{number}.txt", np.linalg.inv(pose @ flip))
        depth = captures.room_depth(pose)
        depth[0, :2] = np.nan, -1
        np.save(folder / "depth" / f"view{number}.npy", depth.astype(np.float32))
        (folder / "depth" / f"view{number}.png").unlink()
    frame = open_capture(folder).read_frame(4)
    np.testing.assert_allclose(frame.camera.camera_to_world.numpy(), captures.room_poses()[4], atol=1e-7)
    assert frame.depth[0, :2].tolist() == [0, 0]
    np.testing.assert_allclose(frame.depth.numpy()[1:], captures.room_depth(captures.room_poses()[4])[1:], rtol=1e-6)


def test_hololens_takes_poses_by_name(tmp_path: Path) -> None:
    capture = open_capture(captures.write_hololens(tmp_path / "room"))
    assert capture.layout == "hololens"
    assert capture.names == tuple(f"{number + 3:05d}" for number in range(0, 15, 2))
    assert any("7 of 15 listed frames have no images" in note for note in capture.notes)
    z_to_y = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    position = capture.read_frame(2).camera.center.numpy()
    np.testing.assert_allclose(position, z_to_y @ captures.room_poses(15)[4][:3, 3], atol=1e-12)
    assert capture.up is not None
    # The declared up is the room's, written in the capture's axes.
    assert np.array_equal(capture.up.numpy(), z_to_y @ [0, 0, 1])


def test_hololens_fills_the_lines_left_by_its_warp(tmp_path: Path) -> None:
    folder = captures.write_hololens(tmp_path / "room")
    pose = captures.room_poses(15)[0]
    depth = captures.room_depth(pose)
    depth[:, ::5] = 0
    captures.write_depth(folder / "depth" / "00003.png", depth)
    frame = open_capture(folder).read_frame(0)
    assert bool((frame.depth[:, 1:-1] > 0).float().mean() > 0.95)
    assert float(np.median(np.abs(frame.depth.numpy() - captures.room_depth(pose))[:, 1:-1])) < 0.001


def seven_cameras() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    transform = np.eye(4)
    transform[:3, 3] = [-0.0256, 0.0001, 0.002]
    return (
        transform,
        np.array([[585.0, 0, 320], [0, 585, 240], [0, 0, 1]]),
        np.array([[525.0, 0, 320], [0, 525, 240], [0, 0, 1]]),
    )


def test_sevenscenes_registers_depth_and_moves_the_pose(tmp_path: Path) -> None:
    transform, depth_k, color_k = seven_cameras()
    folder = captures.write_sevenscenes(tmp_path / "chess" / "seq-01", transform, depth_k, color_k)
    for name, matrix in (("intrinsics", color_k), ("depth_intrinsics", depth_k), ("depth_to_color", transform)):
        captures.write_matrix(folder.parent / f"{name}.txt", matrix)
    capture = open_capture(folder.parent)
    assert capture.layout == "sevenscenes"
    assert capture.names == tuple(f"seq-01-frame-{number:06d}" for number in range(3))
    frame = capture.read_frame(1)
    color_pose = captures.room_poses(3)[1] @ np.linalg.inv(transform)
    np.testing.assert_allclose(frame.camera.camera_to_world.numpy(), color_pose, atol=1e-6)
    expected = captures.room_depth(color_pose, color_k, 640, 480)
    seen = frame.depth.numpy() > 0
    # 65535 and 0 fill the first 8 rows; beyond them the smaller field of view of the depth camera leaves a rim.
    assert not seen[:20].any()
    assert seen[60:430, 60:580].all()
    # Half a pixel of slope and half a millimetre.
    slope = np.abs(np.stack(np.gradient(expected))).sum(axis=0)
    close = np.abs(frame.depth.numpy() - expected) <= 0.6 * slope + 0.001
    assert close[seen].mean() > 0.99


def test_sevenscenes_has_published_cameras(tmp_path: Path) -> None:
    capture = open_capture(captures.write_sevenscenes(tmp_path / "seq-01", *seven_cameras()))
    assert capture.names[0] == "frame-000000"
    calibration = capture.calibration
    assert calibration.depth is not None
    assert calibration.depth.tolist() == [[585, 0, 320], [0, 585, 240], [0, 0, 1]]
    assert calibration.color.tolist() == [[525, 0, 320], [0, 525, 240], [0, 0, 1]]
    assert capture.read_frame(0, 160).depth.shape == (120, 160)
    assert any("intrinsics.txt" in note for note in capture.notes)


def test_unknown_folder_lists_layouts_and_content(tmp_path: Path) -> None:
    (tmp_path / "rgb").mkdir()
    (tmp_path / "trajectory.log").write_text("")
    with pytest.raises(DataError) as caught:
        open_capture(tmp_path)
    for word in ("generic", "sevenscenes", "hololens", "rgb/", "trajectory.log"):
        assert word in str(caught.value)


def test_empty_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="an empty folder"):
        open_capture(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        open_capture(tmp_path / "nowhere")
    for name in ("color", "depth", "poses"):
        (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="the capture is empty"):
        open_capture(tmp_path)


def test_unknown_format_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"auto, generic, .*sevenscenes, .*hololens"):
        open_capture(tmp_path, "polaroid")


def test_missing_intrinsics_are_named(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    (folder / "intrinsics.txt").unlink()
    with pytest.raises(DataError, match=r"intrinsics\.txt: .*does not exist"):
        open_capture(folder)


@pytest.mark.parametrize("lost", ["color", "depth"])
def test_an_image_without_partner_is_an_error_of_its_frame(tmp_path: Path, lost: str) -> None:
    folder = captures.write_generic(tmp_path / "room")
    (folder / lost / "view3.png").unlink()
    capture = open_capture(folder)
    assert capture.names == tuple(f"view{number}" for number in range(12))
    with pytest.raises(DataError, match=rf"{lost}/view3\.png: the .*image does not exist"):
        capture.read_frame(3)
    expect_same_depth(capture.read_frame(10).depth, captures.room_poses()[10])


@pytest.mark.parametrize("lost", ["images", "depth"])
def test_hololens_image_without_partner(tmp_path: Path, lost: str) -> None:
    folder = captures.write_hololens(tmp_path / "room")
    (folder / lost / "00005.png").unlink()
    capture = open_capture(folder)
    assert len(capture) == 8
    assert any("7 of 15 listed frames have no images" in note for note in capture.notes)
    with pytest.raises(DataError, match=rf"{lost}/00005\.png: the .*image does not exist"):
        capture.read_frame(1)


@pytest.mark.parametrize("lost", ["color", "depth"])
def test_sevenscenes_image_without_partner(tmp_path: Path, lost: str) -> None:
    folder = captures.write_sevenscenes(tmp_path / "seq-01", *seven_cameras())
    (folder / f"frame-000001.{lost}.png").unlink()
    capture = open_capture(folder)
    assert len(capture) == 3
    with pytest.raises(DataError, match=rf"frame-000001\.{lost}\.png: the .*image does not exist"):
        capture.read_frame(1)


def test_images_without_a_name_in_common(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    for image in (folder / "depth").iterdir():
        image.rename(image.with_name(f"depth_{image.name}"))
    with pytest.raises(DataError, match=r"same names, got 12 colour and 12 depth images .*depth_view0, .*and 19 more"):
        open_capture(folder)


def test_label_images_may_lack(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room", described={"class_names": ["wall"]})
    (folder / "labels").mkdir()
    for number in range(11):
        Image.fromarray(np.zeros((captures.HEIGHT, captures.WIDTH), np.uint8)).save(
            folder / "labels" / f"view{number}.png"
        )
    capture = open_capture(folder)
    assert capture.read_frame(10).labels is not None
    with pytest.raises(DataError, match=r"labels/view11\.png: the label image does not exist"):
        capture.read_frame(11)


def test_the_number_of_a_line_counts_blank_ones(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    (folder / "intrinsics.txt").write_text("60 0 39.5\n\n  \n0 sixty 29.5\n0 0 1\n")
    with pytest.raises(DataError, match=r"intrinsics\.txt: .*'0 sixty 29\.5' in line 4"):
        open_capture(folder)


def test_hololens_row_counts_must_agree(tmp_path: Path) -> None:
    folder = captures.write_hololens(tmp_path / "room")
    rows = (folder / "poses.txt").read_text().splitlines()
    (folder / "poses.txt").write_text("\n".join(rows[:-1]))
    with pytest.raises(DataError, match=r"poses\.txt.*14 rows and 15 lines"):
        open_capture(folder)
    (folder / "poses.txt").write_text("\n".join([*rows[:-1], "1 0 0"]))
    with pytest.raises(DataError, match=r"16 numbers in row 15, got 3"):
        open_capture(folder)


def test_hololens_image_without_pose(tmp_path: Path) -> None:
    folder = captures.write_hololens(tmp_path / "room")
    (folder / "frames.txt").write_text((folder / "frames.txt").read_text().replace("00005", "00099"))
    with pytest.raises(DataError, match=r"frames\.txt.*00005"):
        open_capture(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"depth_scale": 0}', "depth_scale"),
        ('{"depht_scale": 0.001}', "depht_scale"),
        ('{"up": "w"}', "up"),
        ('{"axes": "blender"}', "axes"),
        ("{", "JSON"),
    ],
)
def test_bad_capture_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    folder = captures.write_generic(tmp_path / "room")
    (folder / "capture.json").write_text(text)
    with pytest.raises(DataError, match=rf"capture\.json.*{message}"):
        open_capture(folder)


def test_labels_need_names_and_stay_below_their_number(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    (folder / "labels").mkdir()
    for number in range(12):
        Image.fromarray(np.full((captures.HEIGHT, captures.WIDTH), 2, np.uint8)).save(
            folder / "labels" / f"view{number}.png"
        )
    with pytest.raises(DataError, match="class_names"):
        open_capture(folder)
    (folder / "capture.json").write_text('{"class_names": ["wall", "floor"]}')
    with pytest.raises(DataError, match=r"view0\.png.*below 2.*got 2"):
        open_capture(folder).read_frame(0)


def test_transform_must_be_rigid(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    captures.write_matrix(folder / "depth_intrinsics.txt", captures.K)
    captures.write_matrix(folder / "depth_to_color.txt", np.diag([2.0, 2, 2, 1]))
    with pytest.raises(DataError, match=r"depth_to_color\.txt.*rotation"):
        open_capture(folder)
