"""A Gazebo world written as a capture in the generic layout, with its ground truth, a report and pictures."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sparse_s4r.data.gazebo.floor_plan import FloorPlan, make_floor_plan
from sparse_s4r.data.gazebo.gaze import make_cameras
from sparse_s4r.data.gazebo.pictures import Overview
from sparse_s4r.data.gazebo.render import render_frame
from sparse_s4r.data.gazebo.scene import LoadedWorld
from sparse_s4r.data.gazebo.truth import SurfaceTruth, make_truth, save_truth
from sparse_s4r.data.gazebo.voxelise import surface_voxels
from sparse_s4r.data.gazebo.walk import make_walk
from sparse_s4r.data.images import save_color, save_depth, save_labels
from sparse_s4r.data.output import new_folder
from sparse_s4r.structures import IGNORE_LABEL, Camera, GridSpec, RGBDFrame

# A quarter of a millimetre: 16 bits then reach 16.4 m, and rounding stays below what a scan shows.
DEPTH_SCALE = 0.00025
_FARTHEST = 65535 * DEPTH_SCALE
_MARGIN_VOXELS = 3
_ROUNDING = 1e-3


@dataclass(frozen=True)
class CaptureOptions:
    """How a world is captured.

    Attributes:
        frames: Number of frames; None for two per metre walked.
        width: Picture width, pixels.
        height: Picture height, pixels.
        horizontal_degrees: Horizontal field of view.
        voxel_size: Of the ground truth, metres.
        seed: Of the sway of the hand.

    Raises:
        ValueError: A size or number that is not positive, or a field of view outside (10, 170) degrees.
    """

    frames: int | None = None
    width: int = 320
    height: int = 240
    horizontal_degrees: float = 65.0
    voxel_size: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or (self.frames is not None and self.frames < 1):
            raise ValueError(f"frames, width, height: expected numbers > 0, got {self}")
        if not self.voxel_size > 0 or not 10 < self.horizontal_degrees < 170:
            raise ValueError(f"voxel size and field of view: expected metres > 0 and 10 to 170 degrees, got {self}")


@dataclass(frozen=True)
class CaptureSummary:
    """What was written.

    Attributes:
        frames: Number of frames.
        frames_per_room: Frames taken in each room.
        voxels: Number of surface voxels.
        reachable: Number of those that border on the rooms.
        seen: Number of those that a frame shows.
        class_voxels: (name, surface voxels) of every class, then of what has none.
        floor: Height of the floor, metres.
        walkable: Floor on which a person can stand, square metres.
        seconds_per_frame: Time for rendering and writing a frame.
        truth_seconds: Time for the ground truth.
        lines: What is missing, left out or dropped.
    """

    frames: int
    frames_per_room: tuple[int, ...]
    voxels: int
    reachable: int
    seen: int
    class_voxels: tuple[tuple[str, int], ...]
    floor: float
    walkable: float
    seconds_per_frame: float
    truth_seconds: float
    lines: tuple[str, ...]


def capture_world(
    world: LoadedWorld, out: Path, options: CaptureOptions, colors: np.ndarray | None = None
) -> CaptureSummary:
    """Walk through a world and write what a camera sees.

    Args:
        world: The world.
        out: The folder to make; it appears when everything is written.
        options: How.
        colors: (K, 3) uint8 display colours of the classes; None for some.

    Raises:
        DataError: ``out`` exists, or there is nowhere to walk.
    """
    with new_folder(out) as folder:
        started = time.perf_counter()
        grid = GridSpec.around(
            torch.from_numpy(world.scene.bounds[0] - _MARGIN_VOXELS * options.voxel_size), options.voxel_size
        )
        coordinates = surface_voxels(world.scene.triangles, grid)
        plan = make_floor_plan(world.scene, coordinates, grid)
        truth = make_truth(world.scene, grid, coordinates, plan)
        save_truth(folder / "truth.safetensors", truth, world.scene.class_names)
        truth_seconds = time.perf_counter() - started
        walk = make_walk(plan, options.frames)
        size = (options.width, options.height)
        cameras = make_cameras(world.scene, plan, walk, options.seed, *size, options.horizontal_degrees)
        overview = Overview(world.scene, plan, colors)
        coverage = _Coverage(truth)
        started = time.perf_counter()
        for frame in _write_frames(world, cameras, folder):
            overview.add(frame)
            coverage.add(frame)
        seconds = (time.perf_counter() - started) / len(cameras)
        overview.save(folder / "pictures", walk.points)
        rooms = np.bincount(plan.rooms[tuple(plan.cells(walk.points).T)], minlength=plan.room_count)
        summary = _summary(world, plan, truth, coverage.seen, rooms, seconds, truth_seconds)
        _write_documents(folder, world, cameras[0], summary)
    return summary


def _write_frames(world: LoadedWorld, cameras: list[Camera], folder: Path) -> Iterator[RGBDFrame]:
    for name in ("color", "depth", "labels", "poses"):
        (folder / name).mkdir()
    for index, camera in enumerate(cameras):
        frame = render_frame(world.scene, camera, f"{index:05d}")
        save_color(folder / "color" / f"{frame.name}.png", frame.color)
        depth = torch.where(frame.depth <= _FARTHEST, frame.depth, 0.0)
        save_depth(folder / "depth" / f"{frame.name}.png", depth, DEPTH_SCALE)
        labels = frame.labels
        if labels is not None:
            save_labels(folder / "labels" / f"{frame.name}.png", labels)
        np.savetxt(folder / "poses" / f"{frame.name}.txt", camera.camera_to_world.numpy(), fmt="%.9f")
        yield frame


class _Coverage:
    """Counts the reachable surface voxels that frames show."""

    def __init__(self, truth: SurfaceTruth) -> None:
        coordinates = truth.coordinates[truth.reachable]
        self._grid = truth.grid
        self._lower = truth.coordinates.min(axis=0)
        self._shape = truth.coordinates.max(axis=0) - self._lower + 1
        self._keys = self._key(coordinates)
        self._seen = np.zeros(len(coordinates), dtype=bool)

    @property
    def seen(self) -> int:
        """How many were seen."""
        return int(self._seen.sum())

    def add(self, frame: RGBDFrame) -> None:
        """Mark what a frame shows."""
        points = frame.camera.unproject(frame.depth.double())[frame.depth > 0]
        # A surface on a boundary of voxels is one of them for the truth and, by rounding, either for a ray.
        shifts = torch.tensor([[-_ROUNDING], [_ROUNDING]], dtype=torch.float64) * self._grid.voxel_size
        cells = torch.cat([self._grid.indices(points + shift) for shift in shifts]).numpy()
        cells = cells[((cells >= self._lower) & (cells < self._lower + self._shape)).all(axis=1)]
        keys = np.unique(self._key(cells))
        rows = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        self._seen[rows[self._keys[rows] == keys]] = True

    def _key(self, coordinates: np.ndarray) -> np.ndarray:
        keys: np.ndarray = np.ravel_multi_index(tuple((coordinates - self._lower).T), tuple(self._shape))
        return keys


def _summary(
    world: LoadedWorld,
    plan: FloorPlan,
    truth: SurfaceTruth,
    seen: int,
    rooms: np.ndarray,
    seconds: float,
    truth_seconds: float,
) -> CaptureSummary:
    names = world.scene.class_names
    counts = [(name, int((truth.labels == label).sum())) for label, name in enumerate(names)]
    counts.append(("(no class)", int((truth.labels == IGNORE_LABEL).sum())))
    return CaptureSummary(
        frames=int(rooms.sum()),
        frames_per_room=tuple(int(count) for count in rooms),
        voxels=len(truth.coordinates),
        reachable=int(truth.reachable.sum()),
        seen=seen,
        class_voxels=tuple(counts),
        floor=plan.floor,
        walkable=plan.area,
        seconds_per_frame=seconds,
        truth_seconds=truth_seconds,
        lines=world.findings.lines(),
    )


def _write_documents(folder: Path, world: LoadedWorld, camera: Camera, summary: CaptureSummary) -> None:
    np.savetxt(folder / "intrinsics.txt", camera.intrinsics.numpy(), fmt="%.9g")
    described = {"depth_scale": DEPTH_SCALE, "up": "z", "class_names": list(world.scene.class_names)}
    (folder / "capture.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    report = {
        "world": world.name,
        "models": world.models,
        "triangles": len(world.scene.triangles),
        "frames_per_room": list(summary.frames_per_room),
        "floor_height": summary.floor,
        "walkable_square_metres": summary.walkable,
        "surface_voxels": {"all": summary.voxels, "reachable": summary.reachable, "seen": summary.seen},
        "class_voxels": dict(summary.class_voxels),
        "findings": list(summary.lines),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
