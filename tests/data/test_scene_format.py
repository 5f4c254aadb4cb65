import json
from pathlib import Path

import pytest
import torch

from sparse_s4r.data.scene_format import SceneInfo, SceneScans, open_scene, write_scene
from sparse_s4r.structures import BLOCK, Camera, GridSpec, ObservationGrid, RGBDFrame, SparseTSDF
from sparse_s4r.structures.errors import DataError

GRID = GridSpec(0.02, (-0.32, 0.0, 0.64))


def make_frame(name: str, generator: torch.Generator, width: int = 12, height: int = 8) -> RGBDFrame:
    intrinsics = torch.tensor([[9.1, 0, 5.3], [0, 9.2, 3.7], [0, 0, 1]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, 3] = torch.rand(3, generator=generator, dtype=torch.float64)
    color = torch.randint(0, 256, (height, width, 3), generator=generator).float() / 255
    depth = torch.randint(0, 6000, (height, width), generator=generator).float() / 1000
    labels = torch.randint(0, 3, (height, width), generator=generator)
    return RGBDFrame(name, Camera(intrinsics, pose, width, height), color, depth, labels)


def make_scan(count: int, generator: torch.Generator) -> SparseTSDF:
    coordinates = torch.randint(-5, 40, (count, 3), generator=generator).unique(dim=0)
    count = len(coordinates)
    tsdf = (torch.rand(count, generator=generator) - 0.5) * 0.1
    color = torch.randint(0, 256, (count, 3), generator=generator).float() / 255
    return SparseTSDF(GRID, coordinates, tsdf, torch.rand(count, generator=generator) * 9, color)


def make_observation(generator: torch.Generator) -> ObservationGrid:
    blocks = torch.randint(-3, 6, (7, 3), generator=generator).unique(dim=0)
    state = torch.full((len(blocks),), ObservationGrid.MIXED, dtype=torch.uint8)
    state[0] = 1
    voxels = torch.randint(0, 3, (len(blocks) - 1, BLOCK**3), generator=generator, dtype=torch.uint8)
    return ObservationGrid(GRID, blocks, state, voxels)


def make_scene(path: Path) -> tuple[list[RGBDFrame], SceneScans]:
    generator = torch.Generator().manual_seed(0)
    frames = [make_frame(name, generator) for name in ("b", "a", "c")]
    scans = SceneScans(
        make_scan(40, generator), make_scan(90, generator), make_observation(generator), make_observation(generator)
    )
    info = SceneInfo("room", ("wall", "floor", "chair"), made_by={"keep": 0.5})
    write_scene(path, info, list(zip(("target", "input", "held_out"), frames, strict=True)), scans)
    return frames, scans


def test_round_trip_keeps_every_number(tmp_path: Path) -> None:
    frames, scans = make_scene(tmp_path / "scene")
    scene = open_scene(tmp_path / "scene")
    assert scene.name == "room"
    assert scene.grid == GRID
    assert scene.class_names == ("wall", "floor", "chair")
    for frame in frames:
        loaded = scene.load_frame(frame.name)
        assert torch.equal(loaded.color, frame.color)
        # Millimetres are a multiple of the stored quarter millimetre, so only float32 rounding remains.
        torch.testing.assert_close(loaded.depth, frame.depth, rtol=1.2e-7, atol=0)
        assert loaded.labels is not None
        assert torch.equal(loaded.labels, frame.labels if frame.labels is not None else torch.empty(0))
        assert torch.equal(loaded.camera.intrinsics, frame.camera.intrinsics)
        assert torch.equal(loaded.camera.camera_to_world, frame.camera.camera_to_world)
    for which, scan in (("input", scans.input), ("target", scans.target)):
        loaded_scan = scene.load_scan(which)  # type: ignore[arg-type]
        assert torch.equal(loaded_scan.coordinates, scan.coordinates)
        assert torch.equal(loaded_scan.tsdf, scan.tsdf)
        assert torch.equal(loaded_scan.weight, scan.weight)
        assert loaded_scan.color is not None
        assert scan.color is not None
        assert torch.equal(loaded_scan.color, scan.color)
    observation = scene.load_observation("target")
    assert torch.equal(observation.block_coordinates, scans.target_observation.block_coordinates)
    assert torch.equal(observation.block_state, scans.target_observation.block_state)
    assert torch.equal(observation.voxel_state, scans.target_observation.voxel_state)


def test_frame_names_keep_capture_order(tmp_path: Path) -> None:
    make_scene(tmp_path / "scene")
    scene = open_scene(tmp_path / "scene")
    assert scene.frame_names() == ("b", "a", "c")
    assert scene.frame_names("input", "target") == ("b", "a")
    assert scene.frame_names("held_out") == ("c",)
    with pytest.raises(ValueError, match="splits"):
        scene.frame_names("test")  # type: ignore[arg-type]


def test_resized_frame_has_matching_camera(tmp_path: Path) -> None:
    frames, _ = make_scene(tmp_path / "scene")
    small = open_scene(tmp_path / "scene").load_frame("b", width=6)
    assert small.color.shape == (4, 6, 3)
    # Twice as coarse: each new pixel is the mean of 2 x 2 old ones.
    blocks = frames[0].color.reshape(4, 2, 6, 2, 3).mean(dim=(1, 3))
    torch.testing.assert_close(small.color, blocks)
    assert torch.isin(small.depth.double().mul(1000).round(), frames[0].depth.double().mul(1000).round()).all()
    assert small.camera.intrinsics[0, 2].item() == pytest.approx((5.3 + 0.5) / 2 - 0.5)


def test_existing_folder_stays_untouched(tmp_path: Path) -> None:
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="does not exist yet"):
        make_scene(tmp_path / "scene")
    assert [file.name for file in (tmp_path / "scene").iterdir()] == ["mine.txt"]


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    _, scans = make_scene(tmp_path / "other")
    far = make_frame("far", generator)
    far = RGBDFrame("far", far.camera, far.color, far.depth + 20)
    with pytest.raises(DataError, match=r"far\.depth\.png.*depth_scale"):
        write_scene(tmp_path / "scene", SceneInfo("room"), [("input", far)], scans)
    assert [file.name for file in tmp_path.iterdir()] == ["other"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("frames.0.color", "../secret.png", "directly in frames/"),
        ("frames.0.color", "/etc/passwd", "directly in frames/"),
        ("frames.0.depth", "frames/../../x.png", "directly in frames/"),
        ("frames.0.name", "a/b", "plain frame name"),
        ("frames.0.name", "a", "twice"),
        ("frames.0.split", "train", "split"),
        ("frames.0.width", 0, "width"),
        ("voxel_size", -1, "voxel_size"),
        ("voxel_size", "NaN", "voxel_size"),
        ("origin", [0.01, 0, 0], "origin"),
        ("extra", 1, "extra"),
        ("version", 2, "version"),
        ("format", "other", "format"),
    ],
)
def test_broken_document_is_named(tmp_path: Path, key: str, value: object, message: str) -> None:
    make_scene(tmp_path / "scene")
    path = tmp_path / "scene" / "scene.json"
    content = json.loads(path.read_text())
    place, *rest = (int(part) if part.isdigit() else part for part in key.split("."))
    target = content
    while rest:
        target, place, rest = target[place], rest[0], rest[1:]
    target[place] = value
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"scene.json.*{message}"):
        open_scene(tmp_path / "scene")


def test_link_out_of_the_scene_is_refused(tmp_path: Path) -> None:
    make_scene(tmp_path / "scene")
    picture = tmp_path / "scene" / "frames" / "a.color.png"
    picture.rename(tmp_path / "outside.png")
    picture.symlink_to(tmp_path / "outside.png")
    with pytest.raises(DataError, match="inside the scene"):
        open_scene(tmp_path / "scene").load_frame("a")


def test_no_scene_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="s4r import"):
        open_scene(tmp_path)
