from __future__ import annotations

import numpy as np
import open3d as o3d
import pytest
import torch

from sparse_s4r.data.homes.frames import HomeScene, open_home
from sparse_s4r.data.homes.home import make_home
from sparse_s4r.data.homes.walk import STEP, TURN, walk_through
from sparse_s4r.data.homes.walk_map import REACH
from sparse_s4r.data.synthetic_render import pinhole
from sparse_s4r.structures import Camera
from tests.data.homes.test_surface_truth import in_solids

INTRINSICS = pinhole(64, 48, 60.0, torch.eye(4, dtype=torch.float64)).intrinsics


def walk(scene: HomeScene, count: int, seed: int = 0) -> list[Camera]:
    return walk_through(scene, count, seed, INTRINSICS, (64, 48))


@pytest.mark.parametrize(("seed", "rooms"), [(0, 1), (5, 1), (9, 1), (3, 4), (8, 6)])
def test_walk_is_that_of_a_person(seed: int, rooms: int) -> None:
    scene = open_home(make_home(seed, rooms))
    cameras = walk(scene, 60 * rooms)
    assert len(cameras) == 60 * rooms
    eyes = torch.stack([camera.center for camera in cameras])
    assert bool(((eyes[:, 2] > 1.2) & (eyes[:, 2] < 1.7)).all())
    # Not in furniture, and not near: the map has cells of 5 cm.
    assert not in_solids(scene.home, eyes.numpy()).any()
    assert float(scene.scene.compute_distance(o3d.core.Tensor(eyes.float().numpy())).numpy().min()) > REACH - 0.08
    # No jumps: a step is as long as asked for, and a little more where bobbing adds to it.
    assert float((eyes[1:] - eyes[:-1]).norm(dim=1).max()) < 1.3 * STEP
    rotations = torch.stack([camera.camera_to_world[:3, :3] for camera in cameras])
    turns = torch.acos((((rotations[1:] * rotations[:-1]).sum((1, 2)) - 1) / 2).clamp(-1, 1))
    # Yaw and pitch turn together, and the head rolls.
    assert float(turns.max()) < 1.3 * TURN
    for room in scene.home.plan.rooms:
        inside = ((eyes[:, :2] > torch.tensor(room.low)) & (eyes[:, :2] < torch.tensor(room.high))).all(1)
        assert bool(inside.any()), room.kind
    again = walk(scene, 60 * rooms)
    assert all(torch.equal(a.camera_to_world, b.camera_to_world) for a, b in zip(cameras, again, strict=True))


def test_walk_looks_around() -> None:
    scene = open_home(make_home(4))
    cameras = walk(scene, 80)
    seen = np.zeros(len(scene.surface.areas), dtype=bool)
    for camera in cameras:
        seen[np.unique(scene.shoot(camera).triangle)] = True
    bearings = np.array([np.arctan2(*camera.camera_to_world[[1, 0], 2].tolist()) for camera in cameras])
    assert len(np.unique(np.floor(bearings / (np.pi / 4)))) >= 7
    # Large faces: a low-resolution walk meets most of what is not behind furniture.
    large = scene.surface.areas > 0.05
    assert float(seen[large].mean()) > 0.5


def test_few_frames_still_visit_every_room() -> None:
    scene = open_home(make_home(3, 4))
    eyes = torch.stack([camera.center for camera in walk(scene, 24)])
    visited = [
        bool(((eyes[:, :2] > torch.tensor(room.low)) & (eyes[:, :2] < torch.tensor(room.high))).all(1).any())
        for room in scene.home.plan.rooms
    ]
    assert all(visited)
    with pytest.raises(ValueError, match="at least 1 camera, got 0"):
        walk(scene, 0)
