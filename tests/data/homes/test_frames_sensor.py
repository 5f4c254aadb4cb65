from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sparse_s4r.cli.synth import taxonomy_map
from sparse_s4r.data.homes.classes import FINE_NAMES
from sparse_s4r.data.homes.frames import HomeScene, Shot, open_home
from sparse_s4r.data.homes.home import make_home
from sparse_s4r.data.homes.materials import Material, Pattern, plain
from sparse_s4r.data.homes.sensor import EXACT, KINECT, SensorModel, drift, measure_depth, take_color, written_poses
from sparse_s4r.data.homes.solids import box
from sparse_s4r.data.synthetic_path import look_at
from sparse_s4r.data.synthetic_render import pinhole
from sparse_s4r.structures import IGNORE_LABEL, Camera
from sparse_s4r.structures.errors import UserError
from tests.data.homes.test_surface_truth import empty_room

GREY = plain((0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def scene() -> HomeScene:
    return open_home(make_home(2))


@pytest.fixture(scope="module")
def block() -> HomeScene:
    """A table-high block in an empty room of 4 x 3 x 2.5 m."""
    return open_home(empty_room(box((2.0, 2.0, 0.4), (1.0, 0.6, 0.8), GREY, "cabinet"), size=(4.0, 3.0, 2.5)))


def camera_at(
    eye: tuple[float, float, float], target: tuple[float, float, float], size: tuple[int, int] = (80, 60)
) -> Camera:
    return pinhole(*size, 70.0, look_at(np.array(eye), np.array(target)))


def test_depth_and_labels_of_a_known_scene(block: HomeScene) -> None:
    camera = camera_at((2.0, 0.5, 1.4), (2.0, 2.0, 0.6))
    frame = block.frame(camera, taxonomy_map("scannet15"))
    assert frame.labels is not None
    points = camera.unproject(frame.depth.double())
    names = taxonomy_map("scannet15").class_names
    floor, cabinet = (frame.labels == names.index(name) for name in ("floor", "cabinet"))
    assert int(floor.sum()) > 100
    assert int(cabinet.sum()) > 300
    assert float(points[floor][:, 2].abs().max()) < 1e-5
    front, top = (points[cabinet][:, 1] - 1.7).abs(), (points[cabinet][:, 2] - 0.8).abs()
    assert float(torch.minimum(front, top).max()) < 1e-5
    up = block.frame(camera_at((2.0, 0.5, 1.0), (2.0, 1.0, 2.4)), taxonomy_map("scannet15"))
    assert up.labels is not None
    assert bool((up.labels == IGNORE_LABEL).any())


def test_every_ray_meets_something(scene: HomeScene) -> None:
    room = scene.home.plan.rooms[0]
    x, y = room.middle
    lost = 0
    for turn in range(8):
        away = (x + math.cos(turn), y + math.sin(turn), 1.3 + 0.3 * math.sin(2 * turn))
        shot = scene.shoot(camera_at((x, y, 1.8), away, (160, 120)))
        lost += int((shot.triangle < 0).sum())
        assert float(shot.color.min()) >= 0.0
        assert float(shot.color.max()) <= 1.0
        assert float(shot.cosine[shot.triangle >= 0].min()) > 0.0
    # A closed home: a ray that slips between triangles is one in a hundred thousand or less.
    assert lost <= 3


def test_colour_does_not_depend_on_the_view(block: HomeScene) -> None:
    labels = taxonomy_map("homes")
    first, second = (
        camera_at((1.0, 0.6, 1.5), (2.0, 2.0, 0.8), (160, 120)),
        camera_at((3.0, 0.6, 1.5), (2.0, 2.0, 0.8), (160, 120)),
    )
    one, two = block.frame(first, labels), block.frame(second, labels)
    points = first.unproject(one.depth.double()).reshape(-1, 3)
    pixels, depth = second.project(points)
    at = pixels.round().long()
    inside = (at >= 0).all(1) & (at[:, 0] < 160) & (at[:, 1] < 120) & (depth > 0)
    rows = inside.nonzero().squeeze(1)
    seen = two.depth[at[rows, 1], at[rows, 0]].double()
    rows = rows[(seen - depth[rows]).abs() < 0.01]
    difference = (one.color.reshape(-1, 3)[rows] - two.color[at[rows, 1], at[rows, 0]]).abs()
    assert len(rows) > 3000
    assert float(difference.median()) < 0.01


def test_all_patterns_have_both_colours() -> None:
    for pattern in Pattern:
        skin = Material(pattern, (0.2, 0.3, 0.4), (0.9, 0.8, 0.7), 0.3, 5)
        made = open_home(empty_room(box((1.0, 0.75, 0.3), (0.8, 0.6, 0.6), skin, "box")))
        shot = made.shoot(camera_at((0.3, 0.2, 1.0), (1.0, 0.75, 0.4), (120, 90)))
        part = made.surface.owners.label[made.surface.owner[shot.triangle]] == FINE_NAMES.index("box")
        assert int(part.sum()) > 500
        assert float(shot.color[part].std(axis=0).max()) > 0.01, pattern
        again = made.shoot(camera_at((0.3, 0.2, 1.0), (1.0, 0.75, 0.4), (120, 90)))
        assert np.array_equal(shot.color, again.color)


def flat_shot(depth: np.ndarray, cosine: float = 1.0) -> Shot:
    color = np.full((*depth.shape, 3), 0.5, dtype=np.float32)
    return Shot(color, depth, np.zeros(depth.shape, dtype=np.int64), np.full(depth.shape, cosine))


def only(name: str) -> SensorModel:
    return SensorModel(**{**vars(EXACT), name: True})


def test_an_exact_camera_changes_nothing() -> None:
    shot = flat_shot(np.linspace(0.1, 9.0, 1200).reshape(30, 40))
    rng = np.random.default_rng(0)
    assert np.array_equal(measure_depth(shot, EXACT, rng), shot.depth)
    camera = camera_at((1, 1, 1), (2, 1, 1), (40, 30))
    color = take_color(shot, camera, camera_at((1, 1.2, 1), (2, 1, 1), (40, 30)), EXACT, 1.3, rng)
    assert np.array_equal(color, np.full_like(color, 128))
    assert np.array_equal(written_poses([camera], EXACT, rng)[0], camera.camera_to_world.numpy())


def test_quantisation_is_in_disparity() -> None:
    depth = measure_depth(
        flat_shot(np.linspace(0.5, 5.0, 60_000).reshape(200, 300)), only("quantisation"), np.random.default_rng(0)
    )
    levels = np.unique(depth)
    # An eighth of a pixel at a focal length of 580 pixels and a baseline of 75 mm.
    assert np.allclose(np.diff(1 / levels[::-1]), 1 / (8 * 580 * 0.075), rtol=1e-6)


def test_axial_noise_grows_with_distance() -> None:
    for z in (1.0, 3.0):
        noise = measure_depth(flat_shot(np.full((200, 200), z)), only("axial_noise"), np.random.default_rng(1)) - z
        # 40,000 samples: the deviation is known to 0.4 %.
        assert float(noise.std()) == pytest.approx(0.0012 + 0.0019 * (z - 0.4) ** 2, rel=0.03)
        assert abs(float(noise.mean())) < 5 * noise.std() / 200


def test_edges_and_grazing_angles_are_lost() -> None:
    depth = np.full((100, 100), 1.0)
    depth[:, 50:] = 2.0
    measured = measure_depth(flat_shot(depth), only("edges"), np.random.default_rng(2)) == 0
    assert 0.35 < float(measured[:, 49:51].mean()) < 0.65
    assert float(measured[:, :40].mean()) < 0.02
    assert float((measure_depth(flat_shot(depth, 0.05), only("edges"), np.random.default_rng(3)) == 0).mean()) > 0.95


def test_range_is_limited() -> None:
    depth = np.array([[0.3, 0.39, 0.41, 2.0, 4.99, 5.01, 8.0]])
    measured = measure_depth(flat_shot(depth), only("range"), np.random.default_rng(4))
    assert (measured > 0).tolist() == [[False, False, True, True, True, False, False]]


def test_poses_are_off_by_little_and_stay_rigid() -> None:
    cameras = [camera_at((1 + 0.01 * i, 1, 1.5), (2, 2, 1), (8, 6)) for i in range(200)]
    poses = written_poses(cameras, KINECT, np.random.default_rng(5))
    off = np.array([pose[:3, 3] - camera.center.numpy() for pose, camera in zip(poses, cameras, strict=True)])
    assert 0.0003 < float(np.linalg.norm(off, axis=1).mean()) < 0.008
    for pose, camera in zip(poses, cameras, strict=True):
        turn = pose[:3, :3].T @ camera.camera_to_world[:3, :3].numpy()
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        assert math.degrees(math.acos(min(1.0, (np.trace(turn) - 1) / 2))) < 0.5
    # It drifts: neighbours differ by less than frames far apart.
    assert (
        np.linalg.norm(np.diff(off, axis=0), axis=1).mean() < 0.7 * np.linalg.norm(off[40:] - off[:-40], axis=1).mean()
    )


def test_exposure_and_blur() -> None:
    shot = flat_shot(np.full((60, 80), 1.5))
    shot.color[:, ::2] = 0.3
    camera, following = camera_at((1, 1, 1), (2, 1, 1)), camera_at((1, 1, 1), (2, 1.4, 1))
    rng = np.random.default_rng(6)
    bright = take_color(shot, camera, following, only("exposure"), 1.2, rng).astype(float).mean()
    assert bright == pytest.approx(255 * 1.2 * 0.4, rel=0.01)
    sharp, smeared = (
        take_color(shot, camera, following, model, 1.0, rng).astype(float) for model in (EXACT, only("blur"))
    )
    # Turned by 22 degrees a picture moves by 23 pixels in its middle, more at its sides, and 0.57 in a fortieth of the
    # time: five taps between neighbours leave 66 % of the contrast of stripes of one pixel, or a little less.
    assert 0.5 < smeared[10:50, 10:70].std() / sharp[10:50, 10:70].std() < 0.66
    # The mean stays, and a camera at rest does nothing.
    assert smeared.mean() == pytest.approx(sharp.mean(), rel=0.03)
    assert np.array_equal(take_color(shot, camera, camera, only("blur"), 1.0, rng), sharp.astype(np.uint8))
    assert float(np.abs(drift(500, rng, 0.2)).max()) < 0.35


def test_a_defect_that_is_none_is_named() -> None:
    assert KINECT.without("blur", "edges") == SensorModel(edges=False, blur=False)
    with pytest.raises(UserError, match=r"expected defects out of quantisation, .*got 'dust'"):
        KINECT.without("dust")
