from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sparse_s4r.data.readers.detect import open_capture
from sparse_s4r.data.synthetic import CLASS_NAMES, SyntheticRoom, make_room
from sparse_s4r.data.synthetic_capture import write_capture
from sparse_s4r.data.synthetic_layout import Footprint, overlap, wall_footprint
from sparse_s4r.data.synthetic_path import look_at, make_trajectory
from sparse_s4r.data.synthetic_render import add_depth_noise, pinhole, render_frame
from sparse_s4r.data.synthetic_shapes import Part, Shape
from sparse_s4r.data.synthetic_textures import Texture
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError

GREY = Texture("plain", (0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def room() -> SyntheticRoom:
    return make_room(0)


def test_the_same_seed_gives_the_same_room(room: SyntheticRoom) -> None:
    assert make_room(0).parts == room.parts
    assert make_room(1).parts != room.parts


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_furniture_stands_apart_and_inside(seed: int) -> None:
    made = make_room(seed)
    prints = [placement.footprint for placement in made.placements]
    for index, first in enumerate(prints):
        assert not any(overlap(first, second) for second in prints[index + 1 :])
        assert float(first.corners().min()) >= 0.0
        assert bool((first.corners() <= np.array(made.size[:2])).all())
    for placement in made.placements:
        for part in placement.furniture.parts:
            vertices, _ = part.triangles()
            # Every solid stays on its own footprint and above the floor; 1e-9 for rounding.
            half = np.array([placement.furniture.width, placement.furniture.depth]) / 2 + 1e-9
            assert bool((np.abs(vertices[:, :2]) <= half).all()), placement.furniture.name
            assert float(vertices[:, 2].min()) >= -1e-9


def test_room_has_the_classes_and_curved_things(room: SyntheticRoom) -> None:
    names = {part.class_name for part in room.parts}
    assert names <= set(CLASS_NAMES)
    assert {"wall", "floor", "table", "chair", "sofa", "bookshelf", "door", "window", "cabinet", "curtain"} <= names
    assert {part.shape for part in room.parts} == set(Shape)


def test_overlap_of_known_rectangles() -> None:
    square = Footprint(0.0, 0.0, 2.0, 2.0, 0.0)
    assert overlap(square, Footprint(1.9, 0.0, 2.0, 2.0, 0.0))
    assert not overlap(square, Footprint(2.1, 0.0, 2.0, 2.0, 0.0))
    # A diamond whose corner reaches sqrt(2) to the left: their bounding boxes meet at the corner, they do not.
    diamond = Footprint(1.9, 1.9, 2.0, 2.0, math.pi / 4)
    assert not overlap(square, diamond)
    assert overlap(square, Footprint(2.3, 0.0, 2.0, 2.0, math.pi / 4))
    distance = square.distance(np.array([[0.0, 0.0], [3.0, 0.0], [4.0, 5.0]]))
    assert distance.tolist() == pytest.approx([0.0, 2.0, 5.0])


@pytest.mark.parametrize("wall", range(4))
def test_wall_footprints_touch_their_wall_and_face_inwards(wall: int) -> None:
    place = wall_footprint(wall, 1.0, 0.6, 0.4, (4.0, 3.0))
    part = Part(Shape.BOX, (0.0, -0.2, 0.0), (0.6, 1e-6, 1.0), GREY, "wall").moved(place.x, place.y, 0.0, place.yaw)
    back = np.array(part.center[:2])
    on_wall = [back[1] - 0.0, back[0] - 4.0, back[1] - 3.0, back[0] - 0.0][wall]
    assert on_wall == pytest.approx(0.0, abs=1e-9)


def test_textures_are_colours_and_do_not_change() -> None:
    points = torch.rand(500, 3) * 4 - 2
    normals = torch.nn.functional.normalize(torch.randn(500, 3), dim=1)
    for kind in ("plain", "wood", "planks", "checker", "brick", "fabric", "books", "picture", "window", "panels"):
        texture = Texture(kind, (0.2, 0.4, 0.6), (0.9, 0.8, 0.7), 0.3, 5)
        colors = texture.colors(points, normals)
        assert colors.shape == (500, 3)
        assert float(colors.min()) >= 0.0
        assert float(colors.max()) <= 1.0
        assert torch.equal(colors, texture.colors(points, normals))
        assert float(colors.std(dim=0).max()) > 0.005, kind


def test_render_against_analytic_walls(room: SyntheticRoom) -> None:
    width, depth, height = room.size
    # Straight down from above the walls: every pixel that meets the floor has the camera's height as z-depth.
    pose = torch.tensor([[1.0, 0, 0, width / 2], [0, -1.0, 0, depth / 2], [0, 0, -1.0, 2.3], [0, 0, 0, 1]])
    camera = pinhole(61, 41, 80.0, pose.double())
    frame = render_frame(room, camera)
    assert frame.labels is not None
    floor = (frame.labels == CLASS_NAMES.index("floor")) & ((frame.depth - 2.3).abs() < 1e-3)
    assert int(floor.sum()) > 100
    # A ray that leaves over the walls meets nothing.
    out = render_frame(room, pinhole(20, 20, 20.0, look_at(np.array([1.0, 1.0, height]), np.array([2.0, 1.5, 9.0]))))
    assert out.labels is not None
    assert float(out.depth.max()) == 0.0
    assert bool((out.labels == IGNORE_LABEL).all())


def test_rendered_points_lie_on_the_surface(room: SyntheticRoom) -> None:
    for camera in make_trajectory(room, 3, 0, width=40, height=30):
        frame = render_frame(room, camera)
        points = camera.unproject(frame.depth)[frame.depth > 0]
        # Half a pixel of wrong convention would be centimetres; float32 rays that graze small triangles lose 0.1 mm.
        assert float(room.surface_distance(points).max()) < 1e-3
        assert float(frame.color.min()) >= 0.0
        assert float(frame.color.max()) <= 1.0


def test_pixel_centres_follow_the_convention() -> None:
    camera = pinhole(4, 4, 90.0, look_at(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0])))
    directions = camera.ray_directions()
    assert directions.mean(dim=(0, 1)).tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-12)
    # Right in the picture is +x when looking along +y with z up; down is -z.
    assert float(directions[0, 3, 0]) == pytest.approx(0.75)
    assert float(directions[3, 0, 2]) == pytest.approx(-0.75)


def test_surface_distance_of_a_known_point(room: SyntheticRoom) -> None:
    # Near the ceiling's height above the middle of nothing, the nearest surface is known for points near the floor
    # in front of the door, which is kept free.
    door = next(part for part in room.parts if part.class_name == "door")
    inwards = np.array(door.rotation() @ np.array([0.0, 1.0, 0.0]))
    point = np.array(door.center) * [1, 1, 0] + inwards * 0.4 + [0, 0, 0.05]
    assert float(room.surface_distance(torch.tensor(point)[None])) == pytest.approx(0.05, abs=1e-5)


def test_depth_noise_grows_and_drops_out() -> None:
    depth = torch.cat([torch.full((20_000,), 1.0), torch.full((20_000,), 4.0), torch.zeros(10)])
    noisy = add_depth_noise(depth, torch.ones_like(depth), 3)
    assert torch.equal(noisy, add_depth_noise(depth, torch.ones_like(depth), 3))
    near, far = noisy[:20_000], noisy[20_000:40_000]
    assert float(noisy[40_000:].abs().max()) == 0.0
    # Gaussian sigma of Nguyen et al. plus the variance of quantisation, step z^2 / 348; 5 % for 20,000 samples.
    for sample, z in ((near, 1.0), (far, 4.0)):
        expected = math.hypot(0.0012 + 0.0019 * (z - 0.4) ** 2, z**2 / 348 / math.sqrt(12))
        assert float(sample[sample > 0].std()) == pytest.approx(expected, rel=0.05)
    grazing = add_depth_noise(depth[:20_000], torch.full((20_000,), 0.05), 3)
    assert float((grazing == 0).float().mean()) > 0.9


def test_trajectory_stays_in_free_space(room: SyntheticRoom) -> None:
    cameras = make_trajectory(room, 40, 5)
    assert len(cameras) == 40
    eyes = torch.stack([camera.center for camera in cameras])
    # The path keeps 0.28 m on a 5 cm grid, rounded off by at most two cells.
    assert float(room.surface_distance(eyes).min()) > 0.28 - 0.1
    for placement in room.placements:
        assert float(placement.footprint.distance(eyes[:, :2].numpy()).min()) > 0.1
    assert bool(((eyes[:, 2] > 1.35) & (eyes[:, 2] < 1.65)).all())
    assert float((eyes[1:] - eyes[:-1]).norm(dim=1).max()) < 1.0
    seen = torch.cat([camera.camera_to_world[:3, 2].unsqueeze(0) for camera in cameras])
    assert float(seen[:, 2].max()) < 0.5
    with pytest.raises(ValueError, match="at least 1"):
        make_trajectory(room, 0, 0)
    with pytest.raises(ValueError, match="off the vertical"):
        look_at(np.zeros(3), np.array([0.0, 0.0, 1.0]))


def test_capture_is_read_back(room: SyntheticRoom, tmp_path: Path) -> None:
    cameras = make_trajectory(room, 3, 1, width=48, height=36)
    write_capture(room, cameras, tmp_path / "capture")
    capture = open_capture(tmp_path / "capture")
    assert capture.class_names == CLASS_NAMES
    described = json.loads((tmp_path / "capture" / "capture.json").read_text())
    assert described["up"] == "z"
    frame = render_frame(room, cameras[1], "0001")
    depth = np.asarray(Image.open(tmp_path / "capture" / "depth" / "0001.png"))
    assert depth.dtype == np.uint16
    # Half a millimetre of rounding.
    assert float(np.abs(depth * 0.001 - frame.depth.numpy()).max()) <= 0.0005 + 1e-6
    pose = np.loadtxt(tmp_path / "capture" / "poses" / "0001.txt")
    assert np.allclose(pose, cameras[1].camera_to_world.numpy(), atol=1e-8)
    with pytest.raises(DataError, match="does not exist yet"):
        write_capture(room, cameras, tmp_path / "capture")
    with pytest.raises(ValueError, match="at least one"):
        write_capture(room, [], tmp_path / "other")
    mixed = [cameras[0], cameras[1].resized(24, 18)]
    with pytest.raises(ValueError, match="same intrinsics"):
        write_capture(room, mixed, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_capture_without_labels(room: SyntheticRoom, tmp_path: Path) -> None:
    write_capture(room, make_trajectory(room, 1, 1, width=24, height=18), tmp_path / "c", noise_seed=1, labels=False)
    assert not (tmp_path / "c" / "labels").exists()
    assert "class_names" not in json.loads((tmp_path / "c" / "capture.json").read_text())
