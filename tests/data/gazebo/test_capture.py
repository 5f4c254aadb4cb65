import json
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file
from typer.testing import CliRunner

from sparse_s4r.cli.gazebo import synth_world_command
from sparse_s4r.data.gazebo.capture import CaptureOptions, CaptureSummary, capture_world
from sparse_s4r.data.gazebo.classes import load_classes
from sparse_s4r.data.gazebo.floor_plan import FloorPlan, make_floor_plan
from sparse_s4r.data.gazebo.fusion_check import check_fusion
from sparse_s4r.data.gazebo.scene import LoadedWorld, load_world
from sparse_s4r.data.gazebo.voxelise import surface_voxels
from sparse_s4r.data.gazebo.walk import make_walk
from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures import GridSpec
from sparse_s4r.structures.errors import DataError
from tests.data.gazebo import writers
from tests.data.gazebo.writers import box, model, visual, write_world

VOXEL = 0.04
TABLE = (-1.6, 0.6)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LoadedWorld:
    return load_world(write_world(tmp_path_factory.mktemp("world"), writers.two_rooms()), load_classes("scannet15"))


@pytest.fixture(scope="module")
def captured(world: LoadedWorld, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CaptureSummary]:
    out = tmp_path_factory.mktemp("capture") / "flat"
    options = CaptureOptions(frames=40, width=96, height=72, voxel_size=VOXEL)
    return out, capture_world(world, out, options)


def plan_of(world: LoadedWorld) -> FloorPlan:
    grid = GridSpec.around(torch.from_numpy(world.scene.bounds[0] - 0.2), VOXEL)
    return make_floor_plan(world.scene, surface_voxels(world.scene.triangles, grid), grid)


def inside_solid(points: np.ndarray, margin: float) -> np.ndarray:
    """Whether points (P, 3) lie within ``margin`` of a wall, the table or the ball, by the numbers of the writer."""
    x, y = np.abs(points[:, 0]), np.abs(points[:, 1])
    outer = (x > 3.0 - margin) | (y > 2.0 - margin)
    middle = (x < 0.05 + margin) & (y > 0.5 - margin)
    c, s = np.cos(0.5), np.sin(0.5)
    dx, dy = points[:, 0] - TABLE[0], points[:, 1] - TABLE[1]
    table = (np.abs(c * dx + s * dy) < 0.5 + margin) & (np.abs(-s * dx + c * dy) < 0.3 + margin)
    ball = np.hypot(points[:, 0] - 1.5, points[:, 1] + 1.0) < 0.2 + margin
    result: np.ndarray = outer | middle | table | ball
    return result


def test_the_floor_plan_has_both_rooms_and_keeps_off_furniture(world: LoadedWorld) -> None:
    plan = plan_of(world)
    assert plan.room_count == 2
    assert plan.floor == pytest.approx(0.0, abs=1e-6)
    assert 2.3 < plan.top <= 2.6
    places = plan.points(np.argwhere(plan.walkable))
    # A quarter of a metre less the size of a cell and of a voxel.
    assert not inside_solid(places, 0.17).any()
    room = plan.rooms[tuple(plan.cells(np.array([[-1.5, -1.0], [1.5, 1.0], [-0.6, 0.0], [0.6, 0.0]])).T)]
    assert room[0] != room[1]
    assert room[0] == room[2]
    assert room[1] == room[3]
    free = 2 * 2.95 * 4 - 2 * 0.25 * (2.95 + 4 + 2.95 + 4)
    assert 0.6 * free < plan.area < free + 1


def test_a_walk_passes_near_every_place_and_stays_where_one_can_stand(world: LoadedWorld) -> None:
    plan = plan_of(world)
    walk = make_walk(plan, 200)
    assert plan.walkable[tuple(plan.cells(walk.points).T)].all()
    places = plan.points(np.argwhere(plan.walkable))
    gap = np.linalg.norm(places[:, None] - walk.points[None], axis=2).min(axis=1)
    assert gap.max() < 1.0
    steps = np.linalg.norm(np.diff(walk.points, axis=0), axis=1)
    assert steps.max() < 0.5
    assert walk.starts.tolist() == [True, *[False] * 199]


def test_rooms_without_a_door_are_walked_one_after_the_other(tmp_path: Path) -> None:
    shut = model("Door_01", visual(box("0.1 1 2.1")), "0 0 1.05 0 0 0")
    loaded = load_world(write_world(tmp_path, writers.two_rooms() + shut), load_classes("scannet15"))
    plan = plan_of(loaded)
    walk = make_walk(plan, 60)
    assert walk.starts.sum() == 2
    assert set(plan.rooms[tuple(plan.cells(walk.points).T)].tolist()) == {0, 1}
    with pytest.raises(DataError, match="at least 2"):
        make_walk(plan, 1)


def test_cameras_stand_in_free_space_at_eye_height_and_level(captured: tuple[Path, CaptureSummary]) -> None:
    out, summary = captured
    poses = np.stack([np.loadtxt(path) for path in sorted((out / "poses").iterdir())])
    assert len(poses) == summary.frames == 40
    assert not inside_solid(poses[:, :3, 3], 0.17).any()
    assert (np.abs(poses[:, 2, 3] - 1.5) < 0.1).all()
    # The image's right stays level, and up stays up.
    np.testing.assert_allclose(poses[:, 2, 0], 0, atol=1e-6)
    assert (poses[:, 2, 1] < 0).all()
    assert min(summary.frames_per_room) >= 8


def test_frames_agree_with_the_numbers_of_the_world(captured: tuple[Path, CaptureSummary]) -> None:
    out, _ = captured
    capture = open_capture(out, "auto")
    names = capture.class_names
    assert names is not None
    counted = 0
    for index in range(0, 40, 4):
        frame = capture.read_frame(index)
        assert frame.labels is not None
        points = frame.camera.unproject(frame.depth.double())
        for name, height in (("floor", 0.0), ("table", None)):
            chosen = points[(frame.labels == names.index(name)) & (frame.depth > 0)].numpy()
            counted += len(chosen)
            if height is not None:
                np.testing.assert_allclose(chosen[:, 2], height, atol=5e-4)
            else:
                assert (np.hypot(chosen[:, 0] - TABLE[0], chosen[:, 1] - TABLE[1]) < 0.6).all()
                assert (chosen[:, 2] < 0.7255).all()
    assert counted > 5000


def test_the_truth_is_the_surface_of_the_world(captured: tuple[Path, CaptureSummary], world: LoadedWorld) -> None:
    out, summary = captured
    truth = load_file(out / "truth.safetensors")
    assert len(truth["coordinates"]) == summary.voxels == len(truth["label"]) == len(truth["distance"])
    # No centre is farther from the surface than half a diagonal.
    assert np.abs(truth["distance"]).max() <= VOXEL * np.sqrt(3) / 2 + 1e-5
    floor = truth["label"] == world.scene.class_names.index("floor")
    assert floor.sum() * VOXEL**2 == pytest.approx(2 * 6.2 * 4.2 + 2 * 0.1 * (6.2 + 4.2), rel=0.1)
    assert 0.5 * summary.reachable < summary.seen <= summary.reachable < summary.voxels


def test_signs_follow_what_is_visible_whatever_the_normals_say(tmp_path: Path) -> None:
    # A box as a mesh, with every second triangle turned over.
    corner = np.array([[-1, -1, -1], [1, -1, -1], [1, 1, -1], [-1, 1, -1]]) * 0.25
    quads = [corner, corner * [1, 1, -1], corner[:, [0, 2, 1]], corner[:, [0, 2, 1]] * [1, -1, 1]]
    quads += [corner[:, [2, 0, 1]], corner[:, [2, 0, 1]] * [-1, 1, 1]]
    triangles = np.concatenate([quad[[[0, 1, 2], [0, 2, 3]]] for quad in quads])
    triangles[::2] = triangles[::2, ::-1]
    writers.write_dae(tmp_path / "models" / "Cabinet" / "a.dae", triangles)
    cabinet = model("Cabinet_01", visual(writers.mesh("model://Cabinet/a.dae")), "-1.507 -1.013 0.757 0 0 0")
    loaded = load_world(write_world(tmp_path, writers.two_rooms() + cabinet), load_classes("scannet15"))
    capture_world(loaded, tmp_path / "out", CaptureOptions(frames=2, width=32, height=24, voxel_size=VOXEL))
    truth = load_file(tmp_path / "out" / "truth.safetensors")
    own = truth["label"] == loaded.scene.class_names.index("cabinet")
    with safe_open(tmp_path / "out" / "truth.safetensors", "np") as stream:
        origin = np.array([float(word) for word in stream.metadata()["origin"].split()])
    centers = origin + (truth["coordinates"][own] + 0.5) * VOXEL
    outside = (np.abs(centers - np.array([-1.507, -1.013, 0.757])) > 0.25).any(axis=1)
    assert own.sum() > 500
    assert truth["reachable"][own].all()
    np.testing.assert_array_equal(truth["distance"][own] > 0, outside)


def test_a_fused_scan_lies_on_the_world(world: LoadedWorld, tmp_path: Path) -> None:
    # Pixels finer than voxels, as in a real capture; coarser ones would show as steps.
    capture_world(world, tmp_path / "fine", CaptureOptions(frames=4, width=320, height=240, voxel_size=VOXEL))
    result = check_fusion(world.scene, tmp_path / "fine", 0.02)
    assert result.vertices > 5_000
    assert result.median < 0.001


def test_report_and_pictures_are_written(captured: tuple[Path, CaptureSummary], world: LoadedWorld) -> None:
    out, summary = captured
    report = json.loads((out / "report.json").read_text())
    assert report["surface_voxels"]["all"] == summary.voxels
    assert report["class_voxels"]["wall"] == dict(summary.class_voxels)["wall"] > 0
    assert sum(count for _, count in summary.class_voxels) == summary.voxels
    overhead = np.asarray(Image.open(out / "pictures" / "overhead_labels.png"))
    assert len(np.unique(overhead.reshape(-1, 3), axis=0)) >= 4
    for name in ("overhead", "floor_plan", "frames"):
        assert Image.open(out / "pictures" / f"{name}.png").width > 300
    with pytest.raises(DataError, match="exist"):
        capture_world(world, out, CaptureOptions())


def test_voxels_are_those_that_triangles_pass_through() -> None:
    rng = np.random.default_rng(3)
    triangles = rng.uniform(-0.4, 0.4, (6, 1, 3)) + rng.normal(0, 0.2, (6, 3, 3))
    grid = GridSpec.around(torch.tensor([-2.0, -2.0, -2.0]), 0.05)
    found = {tuple(row) for row in surface_voxels(triangles, grid).tolist()}
    # Oracle: dense points on every triangle; what they fall into must be found, and nothing farther than a hair.
    a, b = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1, 400), np.linspace(0, 1, 400)))
    a, b = a[a + b <= 1], b[a + b <= 1]
    points = triangles[:, :1] + a[:, None] * (triangles[:, 1:2] - triangles[:, :1])
    points = (points + b[:, None] * (triangles[:, 2:] - triangles[:, :1])).reshape(-1, 3)
    dense = {tuple(row) for row in np.unique(np.floor((points - grid.origin) / 0.05), axis=0).astype(int).tolist()}
    assert len(dense - found) <= 2
    extra = np.array(sorted(found - dense))
    assert len(extra) < 0.05 * len(found)
    for cell in extra:
        gap = np.abs(points - (np.array(grid.origin) + (cell + 0.5) * 0.05)).max(axis=1).min()
        assert gap < 0.025 + 0.004


def test_a_level_surface_on_a_boundary_fills_one_layer() -> None:
    corners, _ = writers.flat(1.0, 1.0)
    grid = GridSpec.around(torch.tensor([-1.0, -1.0, -1.0]), 0.05)
    assert len(np.unique(surface_voxels(corners, grid)[:, 2])) == 1


def test_worlds_too_large_and_without_floor_are_refused(tmp_path: Path) -> None:
    grid = GridSpec.around(torch.zeros(3), 0.001)
    with pytest.raises(DataError, match="larger voxel size"):
        surface_voxels(np.array([[[0, 0, 0], [50, 0, 0], [0, 50, 50.0]]]), grid)
    ball = model("Ball", visual("<sphere><radius>0.2</radius></sphere>"))
    loaded = load_world(write_world(tmp_path, ball), load_classes("scannet15"))
    with pytest.raises(DataError, match="floor"):
        capture_world(loaded, tmp_path / "out", CaptureOptions(voxel_size=VOXEL))
    assert not (tmp_path / "out").exists()


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    extra = writers.include("model://Missing") + model("Qwzx", visual(box("0.3 0.3 0.3")), "2 1 0.15 0 0 0")
    path = write_world(tmp_path, writers.two_rooms() + extra)
    app = typer.Typer()
    app.command()(synth_world_command)
    options = ["--frames", "2", "--width", "64", "--height", "48", "--voxel-size", "0.05", "--taxonomy", "matterport11"]
    result = CliRunner().invoke(app, [str(path), "--out", str(tmp_path / "out"), *options, "--check"])
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "model://Missing" in words
    assert "no class for: Qwzx" in words
    assert "2 (1 + 1 in 2 rooms)" in words
    assert "(median) from the world" in words
    assert json.loads((tmp_path / "out" / "capture.json").read_text())["class_names"][0] == "bed"


def test_a_ceiling_closes_the_rooms_and_pictures_look_below_it(tmp_path: Path) -> None:
    ceiling = model("Ceiling_01", visual(box("6.2 4.2 0.1")), "0 0 2.65 0 0 0")
    loaded = load_world(write_world(tmp_path, writers.two_rooms() + ceiling), load_classes("matterport11"))
    summary = capture_world(loaded, tmp_path / "out", CaptureOptions(frames=6, width=64, height=48, voxel_size=VOXEL))
    assert len(summary.frames_per_room) == 2
    assert summary.floor == pytest.approx(0.0, abs=1e-6)
    truth = load_file(tmp_path / "out" / "truth.safetensors")
    above = truth["label"] == loaded.scene.class_names.index("ceiling")
    with safe_open(tmp_path / "out" / "truth.safetensors", "np") as stream:
        origin = float(stream.metadata()["origin"].split()[2])
    height = origin + (truth["coordinates"][:, 2] + 0.5) * VOXEL
    # Its lower face is open to the rooms, its upper one is not.
    assert truth["reachable"][above & (height < 2.65)].mean() > 0.8
    assert not truth["reachable"][above & (height > 2.68)].any()
    overhead = np.asarray(Image.open(tmp_path / "out" / "pictures" / "overhead.png"))
    assert len(np.unique(overhead.reshape(-1, 3), axis=0)) > 3


def test_a_walk_does_not_leave_through_an_open_door(tmp_path: Path) -> None:
    # The western wall has a gap of 1 m, and the ground goes on outside.
    wall = "<box><size>0.1 4 2.6</size></box>"
    inside = writers.two_rooms()
    assert wall in inside
    inside = inside.replace(wall, "<box><size>0.1 3 2.6</size></box>", 1).replace("-3.05 0 1.3", "-3.05 0.5 1.3")
    ground = visual("<plane><size>30 30</size></plane>")
    tower = model("Wall_far", visual(box("0.2 0.2 2")), "-3.6 0 1 0 0 0")
    loaded = load_world(
        write_world(tmp_path, inside + model("ground_plane", ground) + tower), load_classes("scannet15")
    )
    plan = plan_of(loaded)
    places = plan.points(np.argwhere(plan.walkable))
    assert (np.abs(places[:, 1]) < 2.0).all()
    assert places[:, 0].min() > -3.4
    assert plan.room_count == 2
