from __future__ import annotations

from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
import torch

from sparse_s4r.cli.synth import taxonomy_map
from sparse_s4r.data.homes.classes import FINE_NAMES
from sparse_s4r.data.homes.floor_plan import FloorPlan, Kind, Room
from sparse_s4r.data.homes.frames import HomeScene, open_home
from sparse_s4r.data.homes.home import Finish, Home, Item, make_home
from sparse_s4r.data.homes.materials import plain
from sparse_s4r.data.homes.solids import Solid, ball, bar, box, rod
from sparse_s4r.data.homes.truth import BAND, home_grid, voxelise
from sparse_s4r.data.homes.truth_file import load_truth, save_truth
from sparse_s4r.data.homes.walk import walk_through
from sparse_s4r.data.synthetic_render import pinhole
from sparse_s4r.geometry.fusion import fuse_frames
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.trilinear import sample_trilinear
from sparse_s4r.structures import IGNORE_LABEL, GridSpec
from sparse_s4r.structures.errors import DataError
from tests.data.homes.test_placement import air_boxes

GREY = plain((0.5, 0.5, 0.5))


def empty_room(*solids: Solid, size: tuple[float, float, float] = (2.0, 1.5, 1.2)) -> Home:
    """A room without doors and windows that holds some solids, each an object of its own."""
    room = Room(Kind.LIVING, (0.0, 0.0), (size[0], size[1]))
    items = tuple(Item((solid,), 0) for solid in solids)
    return Home(0, FloorPlan((room,), (), size[2]), (Finish(GREY, (GREY, GREY, GREY, GREY), GREY),), items)


@pytest.fixture(scope="module")
def scene() -> HomeScene:
    return open_home(make_home(4, 2))


@pytest.fixture(scope="module")
def room() -> HomeScene:
    return open_home(make_home(4))


def in_solids(home: Home, points: np.ndarray) -> np.ndarray:
    """Whether points lie in a solid or in no room or opening, from faces of the solids one by one."""
    air = np.zeros(len(points), dtype=bool)
    for low, high in air_boxes(home):
        air |= ((points >= low) & (points <= high)).all(axis=1)
    filled = ~air
    for item in home.items:
        for solid in item.thing:
            inside = np.ones(len(points), dtype=bool)
            for face in solid.polygons():
                normal = np.cross(face[1] - face[0], face[2] - face[0])
                inside &= (points - face[0]) @ (normal / np.linalg.norm(normal)) <= 1e-9
            filled |= inside
    return filled


def box_distance(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Signed distance to a box, positive outside."""
    q = np.maximum(low - points, points - high)
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)


def test_area_of_what_touches_air() -> None:
    # Two boxes on each other and on the floor: what they share is no surface.
    lower, upper = (
        box((1.0, 0.7, 0.2), (0.6, 0.4, 0.4), GREY, "cabinet"),
        box((1.0, 0.7, 0.5), (0.2, 0.2, 0.2), GREY, "box"),
    )
    surface = open_home(empty_room(lower, upper)).surface
    room = 2 * (2.0 * 1.5 + 2.0 * 1.2 + 1.5 * 1.2) - 0.6 * 0.4
    boxes = (0.6 * 0.4 + 2 * 0.4 * (0.6 + 0.4) - 0.2 * 0.2) + (0.2 * 0.2 + 4 * 0.2 * 0.2)
    assert float(surface.areas.sum()) == pytest.approx(room + boxes, abs=1e-6)
    # Flush faces count once, and belong to the first solid.
    twin = box((1.2, 0.7, 0.2), (0.6, 0.4, 0.4), GREY, "bed")
    surface = open_home(empty_room(lower, twin)).surface
    fine = surface.owners.label[surface.owner]
    assert float(surface.areas.sum()) == pytest.approx(room + 0.24 - 0.8 * 0.4 + 0.8 * 0.4 + 2 * 0.4 * 1.2, abs=1e-6)
    bed = float(surface.areas[fine == FINE_NAMES.index("bed")].sum())
    assert bed == pytest.approx(0.2 * 0.4 + 2 * 0.2 * 0.4 + 0.4 * 0.4, abs=1e-6)


def test_surface_lies_between_air_and_solid(scene: HomeScene) -> None:
    surface = scene.surface
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(surface.areas), 4000, p=surface.areas / surface.areas.sum())
    share = rng.dirichlet((1, 1, 1), 4000)
    points = np.einsum("pk,pkd->pd", share, surface.triangles[chosen])
    normals = surface.normals[chosen]
    # 0.1 mm beside an edge the other side of a face may be air again; that is a few of ten thousand.
    assert float(in_solids(scene.home, points + 1e-4 * normals).mean()) < 0.002
    assert float(in_solids(scene.home, points - 1e-4 * normals).mean()) > 0.998


def test_no_surface_is_missing(room: HomeScene) -> None:
    # Rays through the air meet the surface just where they first enter a solid, sampled every two millimetres.
    rng = np.random.default_rng(1)
    low, high = np.zeros(3), np.array([*room.home.plan.rooms[0].high, room.home.plan.height])
    starts = rng.uniform(low, high, (100, 3))
    starts = starts[~in_solids(room.home, starts)][:40]
    ways = rng.standard_normal((len(starts), 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    rays = np.concatenate([starts, ways], axis=1).astype(np.float32)
    hit = room.scene.cast_rays(o3d.core.Tensor(rays))["t_hit"].numpy()
    steps = np.arange(0.0, 2.5, 2e-3)
    for start, way, distance in zip(starts, ways, hit, strict=True):
        filled = in_solids(room.home, start + steps[:, None] * way)
        entered = steps[filled.argmax()] if filled.any() else np.inf
        assert distance > 2.49 if np.isinf(entered) else abs(distance - entered) < 3e-3


def test_distance_of_a_box_in_a_room() -> None:
    low, high = np.array([0.8, 0.5, 0.0]), np.array([1.2, 0.9, 0.45])
    body = box(tuple((low + high) / 2), tuple(high - low), GREY, "cabinet")
    made = open_home(empty_room(body))
    grid = GridSpec(0.02, (-0.32, -0.32, -0.32))
    truth = voxelise(made, grid)
    centers = grid.centers(truth.field.coordinates, dtype=torch.float64).numpy()
    size = np.array([2.0, 1.5, 1.2])
    # Air = room without box: in the air the nearer of the two surfaces counts; in the box only faces that air touches.
    room, inside = -box_distance(centers, np.zeros(3), size), box_distance(centers, low - [0, 0, 9], high)
    expected = np.minimum(room, inside)
    near_foot = (np.abs(centers[:, 2]) < 0.08) & (inside < 0.08)
    # Below the floor beside the box's foot the distance is that to an edge: left out of the formula.
    error = np.abs(truth.field.tsdf.numpy() - expected)[~near_foot]
    assert float(error.max()) < 2e-6
    assert float(np.abs(expected[~near_foot]).max()) <= BAND * grid.truncation + 2e-6
    # All voxels of the band are there: count them on the whole lattice.
    lattice = torch.cartesian_prod(*(torch.arange(0, n) for n in (140, 115, 100)))
    points = grid.centers(lattice, dtype=torch.float64).numpy()
    room, inside = -box_distance(points, np.zeros(3), size), box_distance(points, low - [0, 0, 9], high)
    away = (np.abs(points[:, 2]) >= 0.08) | (inside >= 0.08)
    band = BAND * grid.truncation
    outside_corner = (room < 0) & (np.linalg.norm(np.minimum(np.minimum(points, size - points), 0), axis=1) > band)
    wanted = (np.abs(np.minimum(room, inside)) < band - 1e-6) & away & ~outside_corner
    assert int(wanted.sum()) == int((~near_foot).sum())


def test_distance_of_round_and_leaning_things() -> None:
    things = (
        rod((0.5, 0.5, 0.2), (0.3, 0.3, 0.4), GREY, "bin", 0.7),
        ball((1.2, 0.9, 0.5), (0.4, 0.3, 0.5), GREY, "lamp"),
        bar((1.5, 0.4, 0.6), (0.1, 0.1, 0.5), GREY, "curtain", 0.4),
        box((1.0, 0.4, 0.8), (0.2, 0.3, 0.1), GREY, "box", 0.5, 0.3),
    )
    made = open_home(empty_room(*things))
    truth = voxelise(made, home_grid(made.surface, 0.02))
    points = truth.field.grid.centers(truth.field.coordinates)
    exact = made.scene.compute_distance(o3d.core.Tensor(points.numpy())).numpy()
    distance = truth.field.tsdf.numpy()
    # Open3D works in single precision; its distances of slim triangles are off by a tenth of a millimetre.
    assert float(np.abs(np.abs(distance) - exact).max()) < 3e-4
    assert float(np.median(np.abs(np.abs(distance) - exact))) < 1e-6
    filled = in_solids(made.home, points.double().numpy())
    clear = np.abs(distance) > 1e-6
    assert np.array_equal(filled[clear], distance[clear] < 0)


def test_truth_of_a_home(scene: HomeScene) -> None:
    truth = voxelise(scene, home_grid(scene.surface, 0.04))
    distance = truth.field.tsdf.numpy()
    points = truth.field.grid.centers(truth.field.coordinates, dtype=torch.float64).numpy()
    chosen = np.random.default_rng(2).permutation(len(points))[:20_000]
    filled = in_solids(scene.home, points[chosen])
    clear = np.abs(distance[chosen]) > 1e-5
    assert np.array_equal(filled[clear], distance[chosen][clear] < 0)
    exact = scene.scene.compute_distance(o3d.core.Tensor(points[chosen].astype(np.float32))).numpy()
    assert float(np.quantile(np.abs(np.abs(distance[chosen]) - exact), 0.999)) < 1e-4
    floor = scene.surface.owners.label[truth.owner] == FINE_NAMES.index("floor")
    assert float(np.abs(points[floor, 2]).max()) < 0.12


def test_truth_is_read_back(scene: HomeScene, tmp_path: Path) -> None:
    truth, labels = voxelise(scene, home_grid(scene.surface, 0.06)), taxonomy_map("matterport11")
    save_truth(tmp_path / "voxels.npz", truth, scene.surface, labels)
    read = load_truth(tmp_path / "voxels.npz")
    assert torch.equal(read.field.coordinates, truth.field.coordinates)
    # Half a step of 1/32767 of the truncation, and of a byte.
    assert float((read.field.tsdf - truth.field.tsdf).abs().max()) <= 0.51 * read.field.grid.truncation / 32767
    assert truth.field.color is not None
    assert read.field.color is not None
    assert float((read.field.color - truth.field.color).abs().max()) <= 0.51 / 255
    fine = torch.from_numpy(scene.surface.owners.label[truth.owner])
    assert torch.equal(read.fine_labels.long(), fine)
    assert torch.equal(read.labels, torch.from_numpy(labels.labels)[fine])
    assert read.class_names == labels.class_names
    other = load_truth(tmp_path / "voxels.npz", taxonomy_map("scannet15"))
    ceiling = fine == FINE_NAMES.index("ceiling")
    assert bool((other.labels[ceiling] == IGNORE_LABEL).all())
    assert other.taxonomy == "scannet15"


def test_damaged_truth_is_named(scene: HomeScene, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="got no file; make one with s4r synth"):
        load_truth(tmp_path)
    path = tmp_path / "voxels.npz"
    save_truth(path, voxelise(scene, home_grid(scene.surface, 0.1)), scene.surface, taxonomy_map("homes"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged file"):
        load_truth(path)
    np.savez(path, header=np.array("{}"))
    with pytest.raises(DataError, match="damaged file"):
        load_truth(path)


def test_truth_agrees_with_fusion_of_exact_frames(room: HomeScene) -> None:
    """The surface of the fused scan against the truth's distances there, interpolated between its voxels."""
    labels = taxonomy_map("homes")
    intrinsics = pinhole(320, 240, 60.0, torch.eye(4, dtype=torch.float64)).intrinsics
    cameras = walk_through(room, 24, 0, intrinsics, (320, 240))
    grid = home_grid(room.surface, 0.02)
    fused = fuse_frames((room.frame(camera, labels) for camera in cameras), grid, depth_max=3.0)
    truth = voxelise(room, grid).field
    # Crossings of zero between neighbours along each axis.
    table = VoxelHash(fused.coordinates)
    crossings = []
    for axis in range(3):
        step = torch.zeros(3, dtype=torch.int64)
        step[axis] = 1
        rows = table.rows(fused.coordinates + step)
        first, second = fused.tsdf, fused.tsdf[rows.clamp_min(0)]
        crosses = (rows >= 0) & (first * second < 0) & ((first - second).abs() < grid.truncation)
        part = (first / (first - second))[crosses].double()
        crossings.append(fused.coordinates[crosses].double() + part[:, None] * step)
    points = torch.cat(crossings)
    distance, valid = sample_trilinear(VoxelHash(truth.coordinates), truth.tsdf.double()[:, None], points)
    assert len(points) > 30_000
    # Behind jumps of depth a fused scan has a surface where there is none.
    assert float(valid.double().mean()) > 0.95
    assert float(distance[valid].abs().median()) < 1e-3
