"""A walk through all rooms of a home with a hand-held camera that looks around."""

from __future__ import annotations

import math

import numpy as np
import open3d as o3d
import torch
from numpy.typing import NDArray

from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.frames import HomeScene
from sparse_s4r.data.homes.space import CELL
from sparse_s4r.data.homes.walk_map import Cell, WalkMap, make_map
from sparse_s4r.structures import Camera

# From one frame to the next: at most this far, metres, and turned by this much, radians, if there are enough frames.
STEP = 0.25
TURN = math.radians(18)
_SMOOTH = 9

Doubles = NDArray[np.float64]


def walk_through(
    scene: HomeScene, count: int, seed: int, intrinsics: torch.Tensor, size: tuple[int, int]
) -> list[Camera]:
    """Cameras along a walk at the height of eyes or hands.

    The walk goes through every room, in the order of the doors, and through as much of each as ``count`` frames allow
    in steps of 25 cm; with few frames for the way the steps are longer. The camera turns by at most 18 degrees per
    frame towards one thing after the other, wherever the walk goes.

    Args:
        scene: The home.
        count: Number of cameras.
        seed: Everything random follows from it.
        intrinsics: (3, 3) float64 of all cameras.
        size: (width, height) pixels.

    Raises:
        ValueError: ``count`` < 1.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1 camera, got {count}")
    dice = Dice(scene.home.seed, 4, seed)
    floor = make_map(scene.home, scene.surface)
    path = _resample(_smooth(floor, _route(floor, dice, count)), count)
    phase = np.linspace(0.0, 0.9 * math.sqrt(count), count)
    height = dice.uniform(1.3, 1.6) + 0.05 * np.sin(2 * math.pi * phase + dice.uniform(0, 6))
    eyes = np.column_stack([path, height])
    yaw, pitch = _look(scene, floor, eyes, dice)
    roll = 0.03 * np.sin(3.1 * phase + dice.uniform(0, 6))
    poses = (_pose(*row) for row in zip(eyes, yaw, pitch, roll, strict=True))
    return [Camera(intrinsics, torch.from_numpy(pose), *size) for pose in poses]


def _route(floor: WalkMap, dice: Dice, count: int) -> list[Cell]:
    """Cells of a walk: room by room, far corners first, until ``count`` steps are used up."""
    rooms = int(floor.room.max()) + 1
    budget = max(1.0, count * STEP / CELL)
    start = dice.choice(np.argwhere(floor.free & (floor.room >= 0)).tolist())
    here: Cell = (start[0], start[1])
    route, left = [here], set(range(rooms))
    while left:
        steps = floor.steps_from(here)
        # On to the nearest room that was not visited; rooms that one crosses come first by themselves.
        number = min(left, key=lambda r: (_least(steps, floor.room == r), r))
        left.discard(number)
        share = (budget - len(route)) / (len(left) + 1)
        unseen = floor.free & (floor.room == number)
        used = 0
        while unseen.any() and (used == 0 or used < share):
            steps = floor.steps_from(here)
            x, y = np.unravel_index(int(np.where(unseen, steps, -1).argmax()), unseen.shape)
            leg = floor.way(here, (int(x), int(y)))
            if used and used + len(leg) > 1.3 * share:
                break
            for cell in [here, *leg][:: int(0.2 / CELL)]:
                reach = int(0.7 / CELL)
                unseen[max(0, cell[0] - reach) : cell[0] + reach + 1, max(0, cell[1] - reach) : cell[1] + reach + 1] = (
                    False
                )
            route += leg
            used += len(leg) + 1
            here = (int(x), int(y))
            unseen[here] = False
    return route


def _least(steps: NDArray[np.int64], where: NDArray[np.bool_]) -> int:
    found = steps[where & (steps >= 0)]
    return int(found.min())


def _smooth(floor: WalkMap, route: list[Cell]) -> Doubles:
    """World points (P, 2) of a route with its corners rounded off, as far as that stays on free cells."""
    cells = np.array(route, dtype=np.float64)
    half = _SMOOTH // 2
    padded = np.pad(cells, ((half, half), (0, 0)), mode="edge")
    mean = np.stack([np.convolve(padded[:, a], np.full(_SMOOTH, 1 / _SMOOTH), mode="valid") for a in (0, 1)], axis=1)
    at = np.rint(mean).astype(np.int64)
    mean[~floor.free[at[:, 0], at[:, 1]]] = cells[~floor.free[at[:, 0], at[:, 1]]]
    return floor.point(mean)


def _resample(path: Doubles, count: int) -> Doubles:
    """``count`` points at even distances along ``path`` (P, 2)."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(at, length, path[:, axis]) for axis in (0, 1)], axis=1)


def _look(scene: HomeScene, floor: WalkMap, eyes: Doubles, dice: Dice) -> tuple[Doubles, Doubles]:
    """Yaw and pitch (N,) of cameras that turn from thing to thing in the room where they are."""
    targets, rooms = _targets(scene)
    seen = np.zeros(len(targets))
    cells = np.floor((eyes[:, :2] - floor.low) / CELL).astype(np.int64)
    here = floor.room[cells[:, 0], cells[:, 1]]
    yaw, pitch = np.zeros(len(eyes)), np.zeros(len(eyes))
    number, target, rest = 0, -1, 0
    for i, eye in enumerate(eyes):
        number = int(here[i]) if here[i] >= 0 else number
        ways = targets - eye
        flat = np.maximum(np.linalg.norm(ways[:, :2], axis=1), 1e-6)
        bearing = np.arctan2(ways[:, 1], ways[:, 0])
        off = np.abs(_turn(bearing - yaw[i - 1])) if i else np.zeros(len(flat))
        view = _free_view(scene, eye, ways)
        if target < 0 or rest <= 0 or rooms[target] != number or view[target] < 0.8:
            # What was seen least, with a free view; among equals the one that is nearest to straight ahead.
            cost = 4.0 * seen + off + 6.0 * np.maximum(0.0, 1.8 - view) + 1000.0 * (rooms != number)
            target, rest = int(cost.argmin()), 2 + dice.integer(3)
            seen[target] += 1
        tilt = min(0.3, max(-0.7, math.atan2(ways[target, 2] - 0.2, flat[target])))
        turn = _turn(bearing[target] - yaw[i - 1]) if i else bearing[target]
        yaw[i] = yaw[i - 1] + min(TURN, max(-TURN, turn)) if i else turn
        pitch[i] = pitch[i - 1] + min(0.5 * TURN, max(-0.5 * TURN, tilt - pitch[i - 1])) if i else tilt
        rest -= abs(turn) < TURN
        seen += 0.2 * ((off < 0.4) & (flat < 4.0) & (rooms == number))
    return yaw, pitch


def _free_view(scene: HomeScene, eye: Doubles, ways: Doubles) -> Doubles:
    """How far (P,) one sees from ``eye`` in the directions ``ways`` (P, 3), metres."""
    rays = np.concatenate(
        [np.broadcast_to(eye, ways.shape), ways / np.linalg.norm(ways, axis=1, keepdims=True)], axis=1
    )
    hits = scene.scene.cast_rays(o3d.core.Tensor(rays.astype(np.float32)), nthreads=1)
    free: Doubles = np.minimum(hits["t_hit"].numpy().astype(np.float64), 10.0)
    return free


def _turn(angle: Doubles) -> Doubles:
    """The same angle in [-pi, pi)."""
    turned: Doubles = (angle + math.pi) % (2 * math.pi) - math.pi
    return turned


def _targets(scene: HomeScene) -> tuple[Doubles, NDArray[np.int64]]:
    """Middles of all sizeable things, and points of walls, floor and ceiling of every room; and the room of each."""
    points, rooms = list[tuple[float, float, float]](), list[int]()
    for item in scene.home.items:
        corners = np.concatenate([face for solid in item.thing for face in solid.polygons()])
        low, high = corners.min(axis=0), corners.max(axis=0)
        if np.linalg.norm(high - low) > 0.4:
            middle = (low + high) / 2
            points.append((middle[0], middle[1], middle[2]))
            rooms.append(item.room)
    for number, room in enumerate(scene.home.plan.rooms):
        (x0, y0), (x1, y1) = room.low, room.high
        x, y = room.middle
        high = scene.home.plan.height
        corners_at = [(x0, y0, 0.4), (x1, y0, high - 0.4), (x1, y1, 0.4), (x0, y1, high - 0.4)]
        for point in ((x0, y, 1.2), (x1, y, 1.2), (x, y0, 1.2), (x, y1, 1.2), (x, y, 0.0), *corners_at):
            points.append(point)
            rooms.append(number)
    return np.array(points), np.array(rooms)


def _pose(eye: Doubles, yaw: float, pitch: float, roll: float) -> Doubles:
    """Camera to world of a camera that looks along ``yaw`` (from +x, counter-clockwise), up by ``pitch``."""
    c, s, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    forward, right = np.array([c * cp, s * cp, sp]), np.array([s, -c, 0.0])
    down = np.cross(forward, right)
    cr, sr = math.cos(roll), math.sin(roll)
    pose = np.eye(4)
    pose[:3, :3] = np.column_stack([cr * right + sr * down, cr * down - sr * right, forward])
    pose[:3, 3] = eye
    return pose
