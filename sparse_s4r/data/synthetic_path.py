"""A walk through a synthetic room with a hand-held camera."""

from __future__ import annotations

from collections import deque

import numpy as np
import torch

from sparse_s4r.data.synthetic import SyntheticRoom
from sparse_s4r.data.synthetic_render import pinhole
from sparse_s4r.structures import Camera

_CELL = 0.05
# Half a person's width.
_CLEARANCE = 0.28
_FRAMES_PER_TARGET = 6


def make_trajectory(
    room: SyntheticRoom, count: int, seed: int, width: int = 240, height: int = 180, horizontal_degrees: float = 65.0
) -> list[Camera]:
    """Cameras along a walk at about 1.5 m height, turned towards one piece of furniture after the other.

    Args:
        room: The room; the walk keeps 0.28 m from walls and furniture.
        count: Number of cameras, evenly spaced along the walk.
        seed: Everything random follows from it.
        width: Picture width, pixels.
        height: Picture height, pixels.
        horizontal_degrees: Horizontal field of view.

    Raises:
        ValueError: ``count`` < 1.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1 camera, got {count}")
    rng = np.random.default_rng(seed)
    walk = _resample(_smooth(_walk(_free_cells(room), rng)) * _CELL + _CELL / 2, count)
    eyes = np.column_stack([walk, 1.5 + 0.08 * np.sin(np.linspace(0, 9, count) + rng.uniform(0, 6))])
    targets = _targets(room, eyes, rng)
    return [
        pinhole(width, height, horizontal_degrees, look_at(eye, target))
        for eye, target in zip(eyes, targets, strict=True)
    ]


def look_at(eye: np.ndarray, target: np.ndarray) -> torch.Tensor:
    """Pose (4, 4) float64, camera to world, of an upright camera at ``eye`` that looks at ``target``; z is up.

    Raises:
        ValueError: The view is straight up or down, or has no direction.
    """
    forward = np.asarray(target, dtype=np.float64) - eye
    right = np.cross(forward, [0.0, 0.0, 1.0])
    if np.linalg.norm(right) < 1e-6:
        raise ValueError(f"target: expected a direction off the vertical, got {forward.tolist()} from the eye")
    forward, right = forward / np.linalg.norm(forward), right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.column_stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = eye
    return torch.from_numpy(pose)


def _free_cells(room: SyntheticRoom) -> np.ndarray:
    """Boolean floor plan (X, Y): the largest connected area in which a person can walk."""
    nx, ny = int(room.size[0] / _CELL), int(room.size[1] / _CELL)
    cells = np.stack(np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij"), axis=-1).reshape(-1, 2)
    points = (cells + 0.5) * _CELL
    gap = np.minimum(points, np.array(room.size[:2]) - points).min(axis=1)
    for placement in room.placements:
        gap = np.minimum(gap, placement.footprint.distance(points))
    free = (gap >= _CLEARANCE).reshape(nx, ny)
    remaining, best = free.copy(), np.zeros((nx, ny), dtype=bool)
    while remaining.any():
        start = tuple(np.argwhere(remaining)[0])
        area: np.ndarray = _steps_from(remaining, start) >= 0
        if area.sum() > best.sum():
            best = area
        remaining &= ~area
    return best


def _steps_from(free: np.ndarray, start: tuple[int, ...]) -> np.ndarray:
    """Number of steps from ``start`` to every free cell, -1 where there is no way."""
    steps = np.full(free.shape, -1)
    steps[start] = 0
    queue = deque([start])
    while queue:
        x, y = queue.popleft()
        for cell in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            inside = 0 <= cell[0] < free.shape[0] and 0 <= cell[1] < free.shape[1]
            if inside and free[cell] and steps[cell] < 0:
                steps[cell] = steps[x, y] + 1
                queue.append(cell)
    return steps


def _walk(free: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cells (P, 2) of a walk that comes near to every free cell: always on to the farthest place not yet visited."""
    cells = np.argwhere(free)
    here = tuple(int(c) for c in cells[rng.integers(len(cells))])
    path = [here]
    unseen = free.copy()
    while unseen.any():
        steps = _steps_from(free, here)
        goal = np.unravel_index(np.argmax(np.where(unseen, steps, -1)), free.shape)
        leg = _descend(_steps_from(free, tuple(int(c) for c in goal)), here)
        path += leg
        here = path[-1]
        for cell in [here, *leg]:
            near = np.abs(cells - cell).max(axis=1) * _CELL < 0.6
            unseen[tuple(cells[near].T)] = False
    return np.array(path, dtype=np.float64)


def _descend(steps: np.ndarray, start: tuple[int, ...]) -> list[tuple[int, int]]:
    """Cells from ``start`` to where ``steps`` is 0."""
    x, y = start
    leg: list[tuple[int, int]] = []
    while steps[x, y] > 0:
        for cell in ((x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1)):
            inside = cell[0] < steps.shape[0] and cell[1] < steps.shape[1]
            if inside and steps[cell] == steps[x, y] - 1:
                x, y = cell
                break
        leg.append((x, y))
    return leg


def _smooth(path: np.ndarray) -> np.ndarray:
    """Round off the steps of a path by a running mean over 5 cells, shorter than the clearance."""
    padded = np.pad(path, ((2, 2), (0, 0)), mode="edge")
    return np.stack([np.convolve(padded[:, axis], np.full(5, 0.2), mode="valid") for axis in range(2)], axis=1)


def _resample(path: np.ndarray, count: int) -> np.ndarray:
    """``count`` points at even distances along ``path`` (P, 2)."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(at, length, path[:, axis]) for axis in range(2)], axis=1)


def _targets(room: SyntheticRoom, eyes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What each camera looks at (N, 3): pieces of furniture in turn, gliding from one to the next."""
    pieces = [(p.footprint.x, p.footprint.y, 0.5 * p.furniture.height) for p in room.placements]
    middle = (0.5 * room.size[0], 0.5 * room.size[1])
    walls = [
        (middle[0], 0.0, 1.2),
        (room.size[0], middle[1], 1.2),
        (middle[0], room.size[1], 1.2),
        (0.0, middle[1], 1.2),
    ]
    choices = np.array(pieces + walls)
    keys = list(range(0, len(eyes) + _FRAMES_PER_TARGET, _FRAMES_PER_TARGET))
    chosen: list[np.ndarray] = []
    order: list[int] = []
    for key in keys:
        eye = eyes[min(key, len(eyes) - 1)]
        order = order or rng.permutation(len(choices)).tolist()
        # The next in turn that is far enough to be seen whole.
        far = [i for i in order if np.linalg.norm(choices[i, :2] - eye[:2]) > 1.2]
        index = far[0] if far else int(np.argmax(np.linalg.norm(choices[:, :2] - eye[:2], axis=1)))
        order = [i for i in order if i != index]
        chosen.append(choices[index] + rng.normal(0.0, 0.15, 3))
    knots = np.array(chosen)
    at = np.arange(len(eyes))
    targets = np.stack([np.interp(at, keys, knots[:, axis]) for axis in range(3)], axis=1)
    # While gliding, a target may come close to the eye: push it away along the floor.
    away = targets[:, :2] - eyes[:, :2]
    distance = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    targets[:, :2] = eyes[:, :2] + away * np.maximum(1.0, 0.8 / distance)
    return targets
