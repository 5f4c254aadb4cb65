from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sparse_s4r.render.virtual_options import VirtualViewOptions
from sparse_s4r.render.virtual_views import (
    Refusal,
    VirtualViews,
    VirtualViewSampler,
    count_refusals,
    upright_pose,
)
from sparse_s4r.structures import Camera
from sparse_s4r.structures.errors import DataError
from tests.render.observed_room import (
    FURNITURE,
    PARTITION,
    SIZE,
    VOXEL,
    Box,
    Room,
    make_room,
    real_cameras,
    room_distance,
    trace,
)

# Small pictures for speed; the closed room is held to more than the defaults ask of an open scan.
OPTIONS = VirtualViewOptions(width=64, height=48, check_width=32, min_hits=0.95)


@pytest.fixture(scope="module")
def room() -> Room:
    return make_room()


@pytest.fixture(scope="module")
def sampler(room: Room) -> VirtualViewSampler:
    return VirtualViewSampler(room.scan, room.observation, OPTIONS)


def pitch(camera: Camera) -> float:
    """Degrees of the optical axis against the horizontal."""
    return math.degrees(math.asin(float(camera.camera_to_world[2, 2])))


def assert_sound(found: VirtualViews, room: Room, options: VirtualViewOptions) -> None:
    """What every view of a room must be, by the signed distance that the room was made from."""
    assert found.complete
    for view in found.views:
        center, pose = view.camera.center, view.camera.camera_to_world
        # Inside the room, outside all furniture, with room around: by the exact distance to the nearest surface.
        assert float(room.distance(center)) >= options.clearance
        # Interpolation between voxels rounds edges off.
        assert abs(float(room.distance(view.target))) < 0.35 * VOXEL
        away, real = view.target - center, room.cameras[view.source].center
        distance = float(away.norm())
        assert torch.allclose(pose[:3, 2], away / distance)
        # The way to the target is open until it is reached.
        along = center + torch.linspace(0, 1, 500, dtype=torch.float64).unsqueeze(1)[:-10] * away
        assert bool((room.distance(along) > 0).all())
        pulled = distance - float((view.target - real).norm())
        assert options.pull_back[0] - 1e-9 <= pulled <= options.pull_back[1] + 1e-9
        assert float(pose[2, 0]) == pytest.approx(0, abs=1e-12)
        assert float(pose[2, 1]) < 0
        assert abs(pitch(view.camera)) <= options.max_pitch + 1e-9
        assert_median(view.camera.resized(options.check_width, 24), view.quality.median_depth, room)
        assert view.quality.median_depth >= options.min_median_depth
        assert view.quality.hits >= options.min_hits
        assert view.quality.behind <= options.max_behind


def assert_median(camera: Camera, median_depth: float, room: Room) -> None:
    """By tracing: as much lies nearer as farther, but for a few pixels at edges; depth may jump at the median."""
    depth = trace(camera, room.distance)
    assert float((depth < median_depth - VOXEL).double().mean()) < 0.52
    assert float((depth > median_depth + VOXEL).double().mean()) < 0.52


@pytest.mark.parametrize("seed", range(8))
def test_every_camera_of_a_furnished_room_is_sound(seed: int, room: Room, sampler: VirtualViewSampler) -> None:
    found = sampler.sample(room.cameras, 4, seed)
    assert_sound(found, room, OPTIONS)
    assert len({view.source for view in found.views}) > 1


def test_a_larger_clearance_and_a_smaller_pitch_are_kept(room: Room) -> None:
    options = replace(OPTIONS, clearance=0.45, max_pitch=8.0, pull_back=(0.1, 3.0), azimuth=180.0, min_median_depth=1.4)
    assert_sound(VirtualViewSampler(room.scan, room.observation, options).sample(room.cameras, 4, 0), room, options)


def test_the_same_seed_gives_the_same_views(room: Room, sampler: VirtualViewSampler) -> None:
    first, again = sampler.sample(room.cameras, 5, 7), sampler.sample(room.cameras, 5, 7)
    anew = VirtualViewSampler(room.scan, room.observation, OPTIONS).sample(room.cameras, 5, 7)
    fewer, other = sampler.sample(room.cameras, 3, 7), sampler.sample(room.cameras, 5, 8)

    def poses(found: VirtualViews) -> list[list[list[float]]]:
        return [view.camera.camera_to_world.tolist() for view in found.views]

    assert poses(first) == poses(again) == poses(anew)
    assert first.refusals == again.refusals == anew.refusals
    assert poses(fewer) == poses(first)[:3]
    assert poses(other)[0] != poses(first)[0]


def test_draws_leave_the_global_generator_alone(room: Room, sampler: VirtualViewSampler) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    sampler.sample(room.cameras, 1, 0)
    assert torch.equal(torch.rand(4), expected)


def test_the_picture_is_as_wide_as_asked_for(room: Room) -> None:
    for degrees in (60.0, 100.0):
        options = replace(OPTIONS, field_of_view=degrees, width=50, height=40)
        camera = VirtualViewSampler(room.scan, room.observation, options).sample(room.cameras, 1, 0).views[0].camera
        assert (camera.width, camera.height) == (50, 40)
        rays = camera.ray_directions()
        left, right = rays[:, 0].mean(0), rays[:, -1].mean(0)
        # Between the outer edges of the picture, half a pixel beyond the outer centres.
        step = (right - left) / 49
        left, right = left - step / 2, right + step / 2
        assert math.degrees(math.acos(float(left @ right / left.norm() / right.norm()))) == pytest.approx(degrees)


def test_no_two_views_are_alike(room: Room) -> None:
    options = replace(OPTIONS, separation=1.0, tries=30)
    found = VirtualViewSampler(room.scan, room.observation, options).sample(room.cameras, 12, 0)
    assert Refusal.ALIKE in found.refusals
    for index, one in enumerate(found.views):
        for other in found.views[:index]:
            cosine = float(one.camera.camera_to_world[:3, 2] @ other.camera.camera_to_world[:3, 2])
            apart = float((one.camera.center - other.camera.center).norm())
            assert apart >= 1.0 or math.degrees(math.acos(cosine)) >= options.field_of_view / 2


def test_cameras_stay_on_the_side_of_a_wall_that_was_seen() -> None:
    room = make_room((PARTITION,), real_cameras(((0.6, 0.6), (1.9, 3.2), (0.7, 2.8), (1.8, 1.6))))
    assert int((room.scan.coordinates[:, 0] * VOXEL > 3).sum()) > 10_000
    options = replace(OPTIONS, tries=30)
    found = VirtualViewSampler(room.scan, room.observation, options).sample(room.cameras, 8, 1)
    assert len(found.views) > 2
    assert all(float(view.camera.center[0]) <= PARTITION[0][0] - options.clearance for view in found.views)
    assert all(-0.1 * VOXEL < float(view.target[0]) < PARTITION[0][0] + 0.1 * VOXEL for view in found.views)


def hole_share(camera: Camera, room: Room, in_hole: Tensor) -> float:
    """Share of pixels that look at a place of the hole, by tracing."""
    depth = trace(camera, room.distance)
    points = camera.unproject(depth)
    low, high = in_hole
    return float(((points >= low) & (points <= high)).all(dim=-1).double().mean())


def test_views_hardly_look_through_a_hole_of_the_scan() -> None:
    # A window in the wall x = 0, without depth and without voxels.
    window = torch.tensor([[-0.3, 0.6, 0.5], [0.3, 3.2, 2.0]], dtype=torch.float64)
    room = make_room(FURNITURE[:1], unseen=lambda p: ((p >= window[0]) & (p <= window[1])).all(dim=-1))
    strict = replace(OPTIONS, min_hits=0.96)
    found = VirtualViewSampler(room.scan, room.observation, strict).sample(room.cameras, 6, 0)
    loose = replace(OPTIONS, min_hits=0.0)
    all_views = VirtualViewSampler(room.scan, room.observation, loose).sample(room.cameras, 6, 0)
    assert Refusal.FEW_HITS in found.refusals
    # A voxel missing makes the cells around it miss, so the renderer's hole is a voxel larger than the scan's.
    shares = [hole_share(view.camera, room, window) for view in found.views]
    assert max(shares) <= 0.04
    assert max(hole_share(view.camera, room, window) for view in all_views.views) > 0.04
    for view in (*found.views, *all_views.views):
        expected = 1 - hole_share(view.camera, room, window)
        assert view.quality.hits == pytest.approx(expected, abs=0.05)
        assert float(room.distance(view.camera.center)) >= OPTIONS.clearance


# A screen in the middle of the room, of which the scan holds the front alone.
SCREEN: Box = ((2.0, 0.8, 0.0), (2.4, 3.2, 2.0))


def one_sided(room: Room) -> Room:
    """The scan without the back of the screen: its voxels nearer to the back than to the front."""
    x, y, z = room.scan.grid.centers(room.scan.coordinates).unbind(1)
    # From behind, rays reach the inner side of the front's band.
    behind = (x > 2.15) & (x < 2.55) & (y > 0.6) & (y < 3.4) & (z > 0.15) & (z < 2.2)
    return replace(room, scan=room.scan.select(~behind))


def test_views_hardly_see_a_surface_from_behind() -> None:
    room = one_sided(make_room((SCREEN,), real_cameras()))
    limited = VirtualViewSampler(room.scan, room.observation, replace(OPTIONS, min_hits=0.0, tries=50))
    free = VirtualViewSampler(room.scan, room.observation, replace(OPTIONS, min_hits=0.0, max_behind=1.0))
    found, all_views = limited.sample(room.cameras, 6, 0), free.sample(room.cameras, 8, 0)
    assert Refusal.BEHIND in found.refusals

    def from_behind(camera: Camera) -> float:
        """Share of pixels that see the back of the screen, by tracing the whole one."""
        depth = trace(camera, room_distance(SCREEN))
        x, y, z = camera.unproject(depth).unbind(-1)
        on = (x > 2.39) & (x < 2.41) & (y > 0.85) & (y < 3.15) & (z > 0.2) & (z < 1.95)
        return float(on.double().mean())

    assert max(from_behind(view.camera) for view in found.views) <= 0.03
    assert max(from_behind(view.camera) for view in all_views.views) > 0.05


def test_fewer_views_than_asked_for_are_told(room: Room) -> None:
    options = replace(OPTIONS, min_median_depth=2.2, tries=1)
    found = VirtualViewSampler(room.scan, room.observation, options).sample(room.cameras, 30, 0)
    assert 0 < len(found.views) < 30 == found.asked
    assert not found.complete
    assert len(found.views) + len(found.refusals) == 30
    assert Refusal.TOO_CLOSE in found.refusals
    assert "surfaces too close" in count_refusals(found.refusals)


def test_no_view_at_all_is_an_error_that_tells_why(room: Room) -> None:
    options = replace(OPTIONS, clearance=1.21, tries=4)
    with pytest.raises(DataError, match=r"got none \(\d+ times .*within the clearance"):
        VirtualViewSampler(room.scan, room.observation, options).sample(room.cameras, 1, 0)
    nothing = room.scan.select(torch.zeros(len(room.scan), dtype=torch.bool))
    with pytest.raises(DataError, match="3 times the real camera's ray meets no surface"):
        VirtualViewSampler(nothing, room.observation, replace(OPTIONS, tries=3)).sample(room.cameras, 1, 0)


def test_senseless_requests_are_refused(room: Room, sampler: VirtualViewSampler) -> None:
    with pytest.raises(ValueError, match="count >= 1"):
        sampler.sample(room.cameras, 0, 0)
    with pytest.raises(ValueError, match="at least one real camera"):
        sampler.sample([], 1, 0)
    other = replace(room.scan, grid=replace(room.scan.grid, origin=(16 * VOXEL, 0.0, 0.0)))
    with pytest.raises(ValueError, match="one grid"):
        VirtualViewSampler(other, room.observation)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("field_of_view", 180.0),
        ("pull_back", (1.0, 0.5)),
        ("pull_back", (-0.1, 0.5)),
        ("azimuth", float("nan")),
        ("max_pitch", 90.0),
        ("clearance", -0.1),
        ("separation", -1.0),
        ("min_hits", 1.1),
        ("max_behind", -0.1),
        ("min_median_depth", 11.0),
        ("far", 0.0),
        ("width", 0),
        ("height", 0),
        ("check_width", 321),
        ("tries", 0),
    ],
)
def test_senseless_options_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"VirtualViewOptions\.{field}"):
        VirtualViewOptions(**{field: value})  # type: ignore[arg-type]


def test_an_upright_pose_looks_at_its_target() -> None:
    place, target = torch.tensor([1.0, 2.0, 1.5]).double(), torch.tensor([-0.5, 3.0, 0.7]).double()
    pose = upright_pose(place, target)
    camera = Camera(torch.eye(3, dtype=torch.float64), pose, 3, 3)
    pixel, depth = camera.project(target.unsqueeze(0))
    assert torch.allclose(pixel, torch.zeros(1, 2).double(), atol=1e-12)
    assert float(depth) == pytest.approx(float((target - place).norm()))
    # Above in the world is up in the picture.
    assert float(camera.project(target.unsqueeze(0) + torch.tensor([0.0, 0.0, 0.1]))[0][0, 1]) < 0
    for bad in (place, place + torch.tensor([0.0, 0.0, 1.0])):
        with pytest.raises(ValueError, match="aside"):
            upright_pose(place, bad)


def test_the_room_of_these_tests_is_one(room: Room) -> None:
    assert bool((room.distance(torch.stack([camera.center for camera in room.cameras])) > 0).all())
    inside = torch.tensor([[2.4, 1.8, 0.3], [-0.1, 1.0, 1.0], [SIZE[0] / 2, 0.3, 1.2]]).double()
    assert torch.allclose(room.distance(inside), torch.tensor([-0.3, -0.1, 0.3]).double())
