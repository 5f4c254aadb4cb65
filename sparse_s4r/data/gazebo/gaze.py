"""Where a person who walks through a world looks: at what was seen least, without turning faster than a neck does."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sparse_s4r.data.gazebo.floor_plan import EYE_HEIGHT, FloorPlan
from sparse_s4r.data.gazebo.scene import WorldScene
from sparse_s4r.data.gazebo.walk import Walk
from sparse_s4r.structures import Camera

# Pieces of surface that count as seen or not, metres.
_PIECE = 0.1
_NEAR, _FAR = 0.5, 4.5
_SWAY = 0.07
# Rays of a glance that stands for a picture.
_COLUMNS, _ROWS = 28, 20
_PITCHES = np.radians([-32.0, -14.0, 4.0])
_YAWS = 7
# Turning: what one does at each place anyway, and what comes with each metre walked.
_TURN, _TURN_PER_METRE, _MOST = 12.0, 200.0, 90.0


def make_cameras(
    scene: WorldScene, plan: FloorPlan, walk: Walk, seed: int, width: int, height: int, horizontal_degrees: float
) -> list[Camera]:
    """Cameras at eye height along a walk.

    Args:
        scene: The world.
        plan: Its floor plan.
        walk: Places, metres.
        seed: Of the sway of the hand.
        width: Picture width, pixels.
        height: Picture height, pixels.
        horizontal_degrees: Horizontal field of view, in (0, 180).
    """
    rng = np.random.default_rng(seed)
    sway = _SWAY * np.sin(np.linspace(0, len(walk.points) / 3, len(walk.points)) + rng.uniform(0, 6))
    eyes = np.column_stack([walk.points, plan.floor + EYE_HEIGHT + sway])
    focal = 0.5 * width / np.tan(np.radians(horizontal_degrees) / 2)
    seen = _Seen(scene)
    glance = _glance_rays(width, height, focal)
    yaw = pitch = 0.0
    cameras = []
    for index, eye in enumerate(eyes):
        moved = 0.0 if walk.starts[index] else float(np.linalg.norm(walk.points[index] - walk.points[index - 1]))
        yaw, pitch = _look(scene, eye, glance, seen, None if walk.starts[index] else (yaw, pitch), moved)
        pose = look_along(eye, yaw + rng.normal(0, 0.01), pitch + rng.normal(0, 0.01))
        intrinsics = torch.tensor(
            [[focal, 0.0, 0.5 * (width - 1)], [0.0, focal, 0.5 * (height - 1)], [0.0, 0.0, 1.0]], dtype=torch.float64
        )
        cameras.append(Camera(intrinsics, pose, width, height))
    return cameras


def look_along(eye: np.ndarray, yaw: float, pitch: float) -> Tensor:
    """Pose (4, 4) float64, camera to world, of an upright camera; angles in radians, yaw from +x, pitch upwards."""
    pose = np.eye(4)
    pose[:3, :3] = _rotation(yaw, pitch)
    pose[:3, 3] = eye
    return torch.from_numpy(pose)


def _rotation(yaw: float, pitch: float) -> np.ndarray:
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    return np.column_stack([right, np.cross(forward, right), forward])


def _glance_rays(width: int, height: int, focal: float) -> np.ndarray:
    """Directions (R, 3) in the camera, z = 1, spread over the picture."""
    x = (np.arange(_COLUMNS) + 0.5) / _COLUMNS - 0.5
    y = (np.arange(_ROWS) + 0.5) / _ROWS - 0.5
    grid = np.stack(np.meshgrid(x * width / focal, y * height / focal), axis=-1).reshape(-1, 2)
    return np.column_stack([grid, np.ones(len(grid))])


class _Seen:
    """How often pieces of the surface were looked at."""

    def __init__(self, scene: WorldScene) -> None:
        lower, upper = scene.bounds
        self._lower = lower - _PIECE
        self._shape = np.ceil((upper - lower) / _PIECE).astype(np.int64) + 3
        self._counts: dict[int, int] = {}

    def pieces(self, points: np.ndarray) -> np.ndarray:
        """Unique numbers of the pieces that hold points (P, 3)."""
        cells = np.floor((points - self._lower) / _PIECE).astype(np.int64)
        return np.unique(np.ravel_multi_index(tuple(np.clip(cells, 0, self._shape - 1).T), tuple(self._shape)))

    def worth(self, pieces: np.ndarray) -> float:
        """New pieces count most, and each further look at a piece less."""
        return sum(1.0 / (1.0 + self._counts.get(piece, 0)) for piece in pieces.tolist())

    def look(self, pieces: np.ndarray) -> None:
        """Note a look at pieces."""
        for piece in pieces.tolist():
            self._counts[piece] = self._counts.get(piece, 0) + 1


def _look(
    scene: WorldScene,
    eye: np.ndarray,
    glance: np.ndarray,
    seen: _Seen,
    before: tuple[float, float] | None,
    moved: float,
) -> tuple[float, float]:
    """Yaw and pitch, radians, of the view that shows most of what was seen least."""
    if before is None:
        yaws = np.arange(16) * (2 * np.pi / 16)
        pitches = _PITCHES
    else:
        most = np.radians(min(_TURN + _TURN_PER_METRE * moved, _MOST))
        yaws = before[0] + np.linspace(-most, most, _YAWS)
        pitches = before[1] + np.clip(_PITCHES - before[1], -most / 2, most / 2)
    views = [(float(yaw), float(pitch)) for yaw in yaws for pitch in np.unique(pitches)]
    directions = np.stack([glance @ _rotation(*view).T for view in views])
    hits = scene.cast(eye, directions.reshape(-1, 3)).distance.reshape(len(views), -1)
    best, found = -1.0, (views[0], np.zeros(0, dtype=np.int64))
    for view, rays, depth in zip(views, directions, hits, strict=True):
        useful = (depth > _NEAR) & (depth < _FAR)
        pieces = seen.pieces(eye + rays[useful] * depth[useful, None]) if useful.any() else np.zeros(0, dtype=np.int64)
        # A wall before the nose shows little and fills the picture.
        worth = seen.worth(pieces) * (1.0 - float((depth < _NEAR).mean()))
        if worth > best:
            best, found = worth, (view, pieces)
    seen.look(found[1])
    return found[0]
