import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sparse_s4r.data import scene_writer
from sparse_s4r.data.images import save_color
from sparse_s4r.data.import_options import ImportOptions, ImportSummary, Labelling
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.readers import open_capture
from sparse_s4r.data.scene_check import check_scene
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import DataError
from tests.data import captures

VOXEL = 0.08


def run(frames: Path, out: Path, labelling: Labelling | None = None, **options: object) -> ImportSummary:
    return import_scene(open_capture(frames), out, ImportOptions(voxel_size=VOXEL, **options), labelling)  # type: ignore[arg-type]


def room_distance(points: np.ndarray) -> np.ndarray:
    """Distance (P,) from points to the walls of the room, positive inside."""
    return np.minimum(points - captures.ROOM_LOWER, captures.ROOM_UPPER - points).min(axis=1)


def test_room_becomes_a_sound_scene(tmp_path: Path) -> None:
    summary = run(captures.write_generic(tmp_path / "room"), tmp_path / "scene", up="z")
    report = check_scene(tmp_path / "scene")
    assert report.problems == ()
    scene = open_scene(tmp_path / "scene")
    assert summary.splits == {"input": 6, "target": 5, "held_out": 1}
    assert len(scene.frame_names()) == summary.frames == 12
    assert summary.warnings == ()
    target, kept = scene.load_scan("target"), scene.load_scan("input")
    assert len(kept) == summary.voxels_input < len(target) == summary.voxels_target
    # A projective distance is never less than the true one; half a pixel at 3 m is 0.3 voxels more.
    near = target.tsdf.abs() < 0.6 * VOXEL
    walls = room_distance(target.grid.centers(target.coordinates)[near].double().numpy())
    assert len(walls) > 1000
    assert np.abs(walls).max() < 0.9 * VOXEL


def test_hololens_room_is_turned_upright(tmp_path: Path) -> None:
    run(captures.write_hololens(tmp_path / "room"), tmp_path / "scene")
    scene = open_scene(tmp_path / "scene")
    center = scene.camera("00003").center.numpy()
    # The camera is 1.3 m above the floor at z = 0 again.
    assert center[2] == pytest.approx(1.3)
    turn = np.array(scene.document.source_to_world)
    np.testing.assert_allclose(turn[:3, :3] @ [0, 1, 0], [0, 0, 1])


def test_up_is_found_without_declaration(tmp_path: Path) -> None:
    tilt = np.eye(4)
    tilt[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    poses = [tilt @ pose for pose in captures.room_poses()]
    summary = run(captures.write_generic(tmp_path / "room", poses), tmp_path / "scene")
    turn = np.array(open_scene(tmp_path / "scene").document.source_to_world)
    # Depth in whole millimetres tilts the averaged normals by well under a degree.
    np.testing.assert_allclose(turn[:3, :3] @ tilt[:3, 2], [0, 0, 1], atol=0.01)
    assert summary.report.up.off < 1.0
    assert "cameras" in summary.report.up.source


def test_frames_survive_with_images_cameras_and_split(tmp_path: Path) -> None:
    run(captures.write_generic(tmp_path / "room"), tmp_path / "scene", up="z")
    scene = open_scene(tmp_path / "scene")
    pose = captures.room_poses()[7]
    frame = scene.load_frame("view7")
    assert np.array_equal((frame.color.numpy() * 255).round(), captures.room_color(pose))
    assert np.abs(frame.depth.numpy() - captures.room_depth(pose)).max() <= 0.0005 + 1e-6
    np.testing.assert_allclose(frame.camera.camera_to_world.numpy(), pose, atol=1e-9)


def test_held_out_and_target_frames_do_not_reach_the_input(tmp_path: Path) -> None:
    """Scans depend on the frames of their splits alone: colour the others differently and nothing changes."""
    folder = captures.write_generic(tmp_path / "room")
    run(folder, tmp_path / "one", up="z")
    one = open_scene(tmp_path / "one")
    for name in one.frame_names("target", "held_out"):
        Image.fromarray(np.zeros((captures.HEIGHT, captures.WIDTH, 3), np.uint8)).save(folder / "color" / f"{name}.png")
    run(folder, tmp_path / "two", up="z")
    two = open_scene(tmp_path / "two")
    color_one, color_two = one.load_scan("input").color, two.load_scan("input").color
    assert color_one is not None
    assert color_two is not None
    assert torch.equal(color_one, color_two)
    assert not torch.equal(one.load_scan("target").color, two.load_scan("target").color)  # type: ignore[arg-type]


def test_labels_of_the_capture_and_of_a_function(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room", described={"class_names": ["wall", "floor"]})
    (folder / "labels").mkdir()
    for number in range(12):
        Image.fromarray(np.ones((captures.HEIGHT, captures.WIDTH), np.uint8)).save(
            folder / "labels" / f"view{number}.png"
        )
    run(folder, tmp_path / "own", Labelling(("wall", "floor")), up="z")
    labels = open_scene(tmp_path / "own").load_frame("view0").labels
    assert labels is not None
    assert bool((labels == 1).all())

    def below(frame: RGBDFrame) -> torch.Tensor:
        return (frame.camera.unproject(frame.depth)[..., 2] < 0.05).long()

    run(folder, tmp_path / "made", Labelling(("other", "low"), below), up="z")
    scene = open_scene(tmp_path / "made")
    assert scene.class_names == ("other", "low")
    pose = captures.room_poses()[0]
    rays = captures.room_color(pose)[..., 2]
    # Colour's blue channel is the height: 0.05 m of 2.5 m is 5 of 255.
    made = scene.load_frame("view0").labels
    assert made is not None
    assert (np.abs((made.numpy() == 1).astype(int) - (rays < 5))).mean() < 0.02
    run(folder, tmp_path / "none", None, up="z")
    assert open_scene(tmp_path / "none").load_frame("view0").labels is None


def test_every_width_and_provenance(tmp_path: Path) -> None:
    summary = run(captures.write_generic(tmp_path / "room"), tmp_path / "scene", every=2, image_width=40, up="z")
    assert summary.frames == 6
    scene = open_scene(tmp_path / "scene")
    assert scene.load_frame("view4").color.shape == (30, 40, 3)
    assert scene.document.made_by["options"]["every"] == 2  # type: ignore[index,call-overload]
    assert str(tmp_path) not in json.dumps(scene.document.made_by)


def damage_pose(folder: Path, numbers: list[int], text: str) -> None:
    for number in numbers:
        (folder / "poses" / f"view{number}.txt").write_text(text)


NAN_POSE = "nan nan nan nan\n" * 3 + "0 0 0 1\n"
WINDOWS_POSE = "-1.#IND 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n"
ZERO_POSE = "0 0 0 0\n" * 4
SCALED_POSE = "2 0 0 0\n0 2 0 0\n0 0 2 0\n0 0 0 1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NAN_POSE, r"view3\.txt.*tracking was lost"),
        (WINDOWS_POSE, r"view3\.txt.*tracking was lost"),
        (NAN_POSE.replace("nan", "-inf"), r"view3\.txt.*tracking was lost"),
        (ZERO_POSE, r"view3\.txt.*tracking was lost"),
        (SCALED_POSE, r"view3\.txt.*expected a rotation"),
        ("1 0 0\n", r"view3\.txt.*4 x 4 numbers, got 3"),
        ("one\n", r"view3\.txt.*'one' in line 1"),
    ],
)
def test_bad_pose_is_named_and_nothing_is_written(tmp_path: Path, text: str, message: str) -> None:
    folder = captures.write_generic(tmp_path / "room")
    damage_pose(folder, [3], text)
    with pytest.raises(DataError, match=rf"(?s)1 of 12 frames.*--strict.*{message}"):
        run(folder, tmp_path / "scene", strict=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["room"]


def test_missing_pose_is_named(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    (folder / "poses" / "view5.txt").unlink()
    with pytest.raises(DataError, match=r"view5\.txt.*does not exist"):
        run(folder, tmp_path / "scene", strict=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["room"]


def write_size(path: Path, width: int, height: int) -> None:
    Image.fromarray(np.full((height, width), 1500, np.uint16)).save(path)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: write_size(f / "depth" / "view2.png", 40, 30), r"depth/view2\.png.*80x60, got 40x30"),
        (lambda f: write_size(f / "depth" / "view2.png", 40, 30), r"depth_intrinsics"),
        (lambda f: truncate(f / "color" / "view2.png"), r"color/view2\.png.*damaged or truncated"),
        (lambda f: truncate(f / "depth" / "view2.png"), r"depth/view2\.png.*damaged or truncated"),
        (lambda f: (f / "color" / "view2.png").write_text("no picture"), r"color/view2\.png.*readable image"),
        (
            lambda f: Image.fromarray(np.zeros((60, 80), np.uint16)).save(f / "depth" / "view2.png"),
            r"depth/view2\.png.*without a single valid pixel",
        ),
        (
            lambda f: Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(f / "depth" / "view2.png"),
            r"depth/view2\.png.*16-bit",
        ),
        (lambda f: captures.write_matrix(f / "intrinsics.txt", captures.K * 10), r"intrinsics\.txt.*80x60"),
        (
            lambda f: captures.write_matrix(f / "intrinsics.txt", np.full((3, 3), np.nan)),
            r"intrinsics\.txt.*80x60",
        ),
    ],
)
def test_bad_file_is_named_and_nothing_is_written(tmp_path: Path, damage: object, message: str) -> None:
    folder = captures.write_generic(tmp_path / "room")
    damage(folder)  # type: ignore[operator]
    with pytest.raises(DataError, match=f"(?s){message}"):
        run(folder, tmp_path / "scene", up="z", strict=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["room"]


def test_no_thread_writes_any_more_when_an_error_removes_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = captures.write_generic(tmp_path / "room")
    Image.fromarray(np.zeros((60, 80), np.uint16)).save(folder / "depth" / "view9.png")
    there: list[bool] = []

    def slow(path: Path, color: Tensor) -> None:
        time.sleep(0.2)
        there.append(path.parent.exists())
        save_color(path, color)

    monkeypatch.setattr(scene_writer, "save_color", slow)
    with pytest.raises(DataError, match=r"view9\.png"):
        run(folder, tmp_path / "scene", up="z", strict=True)
    assert there
    assert all(there)
    assert [entry.name for entry in tmp_path.iterdir()] == ["room"]


def test_depth_of_another_size_needs_its_own_intrinsics(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    depth_k = np.array([[30.0, 0, 19.5], [0, 30, 14.5], [0, 0, 1]])
    for number, pose in enumerate(captures.room_poses()):
        captures.write_depth(folder / "depth" / f"view{number}.png", captures.room_depth(pose, depth_k, 40, 30))
    captures.write_matrix(folder / "depth_intrinsics.txt", depth_k)
    run(folder, tmp_path / "scene", up="z")
    frame = open_scene(tmp_path / "scene").load_frame("view0")
    expected = captures.room_depth(captures.room_poses()[0])
    seen = frame.depth.numpy() > 0
    # Beyond the last samples of the coarse images nothing is known.
    assert seen[4:-4, 4:-4].all()
    slope = np.abs(np.stack(np.gradient(expected))).sum(axis=0)
    assert (np.abs(frame.depth.numpy() - expected)[seen] <= (0.6 * slope + 0.002)[seen]).mean() > 0.97


def test_existing_output_stays(tmp_path: Path) -> None:
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="does not exist yet"):
        run(captures.write_generic(tmp_path / "room"), tmp_path / "scene")
    assert (tmp_path / "scene" / "mine.txt").read_text() == "mine"


def test_wrong_depth_scale_is_suspected(tmp_path: Path) -> None:
    # Depth in fifths of a millimetre, read as millimetres.
    poses = [captures.look(np.array([0.12 * n - 0.6, 0.1 * n - 0.5, 1.3]), 1.2, 0.35) for n in range(10)]
    folder = captures.write_generic(tmp_path / "room", poses, scale=0.0002)
    summary = run(folder, tmp_path / "scene", up="z", depth_max=16.0)
    assert any("depth x 0.2" in warning for warning in summary.warnings)
    assert check_scene(tmp_path / "scene").problems == ()


@pytest.mark.parametrize(
    "options",
    [{"voxel_size": 0.0}, {"depth_max": -1.0}, {"every": 0}, {"image_width": 4}, {"up": "w"}, {"max_skipped": 1.5}],
)
def test_bad_options_are_named(options: dict[str, object]) -> None:
    with pytest.raises(DataError, match=next(iter(options))):
        ImportOptions(**options)  # type: ignore[arg-type]
