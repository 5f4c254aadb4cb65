"""Replica as rendered for iMAP and packed by NICE-SLAM: results/, traj.txt, cam_params.json."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from sparse_s4r.data.readers.calibration import Calibration, intrinsics
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.json_input import Document, load_json
from sparse_s4r.data.readers.listing import numbered_files, paired_names
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.data.readers.stored import stored
from sparse_s4r.data.readers.text import load_numbered_rows
from sparse_s4r.structures.errors import DataError

NAME = "replica"
LOOKS_FOR = "results/frameNNNNNN.jpg, results/depthNNNNNN.png, traj.txt; cam_params.json here or one folder up"
_COLOR = re.compile(r"frame(\d+)\.(?:jpg|jpeg|png)", re.IGNORECASE)
_DEPTH = re.compile(r"depth(\d+)\.png", re.IGNORECASE)


class _Camera(Document):
    w: int = Field(default=1200, gt=0)
    h: int = Field(default=680, gt=0)
    fx: FiniteFloat = 600.0
    fy: FiniteFloat = 600.0
    cx: FiniteFloat = 599.5
    cy: FiniteFloat = 339.5
    scale: FiniteFloat = Field(default=6553.5, gt=0)


class _CameraFile(Document):
    camera: _Camera


def detect(path: Path) -> str | None:
    """Why ``path`` holds this layout; None if it does not."""
    return "results/ beside traj.txt" if (path / "results").is_dir() and (path / "traj.txt").is_file() else None


def open_replica(path: Path) -> Capture:
    """List the frames of one scene.

    Line N of traj.txt, camera-to-world in OpenCV axes, belongs to frameN, so that frames may be missing. The world's
    +z points up.

    Raises:
        DataError: Missing files, no frames, frames beyond the trajectory, or lines of other than 16 numbers.
    """
    results, trajectory = path / "results", path / "traj.txt"
    color, depth = numbered_files(results, _COLOR), numbered_files(results, _DEPTH)
    numbers = paired_names(results, color, depth)
    color = {number: color.get(number, results / f"frame{number:06d}.jpg") for number in numbers}
    depth = {number: depth.get(number, results / f"depth{number:06d}.png") for number in numbers}
    poses = _load_poses(trajectory)
    if max(numbers) >= len(poses):
        raise DataError(
            f"{trajectory}: expected a line for each of frames 0 to {max(numbers)}, got {len(poses)} lines; the file "
            "is incomplete or belongs to another scene"
        )
    camera, source, notes = _load_camera(path)
    size = (camera.w, camera.h)
    return Capture(
        NAME,
        path.resolve().name,
        tuple(
            CaptureFrame(color[number].stem, stored(color[number]), stored(depth[number]), trajectory, poses[number])
            for number in numbers
        ),
        Calibration(intrinsics(camera.fx, camera.fy, camera.cx, camera.cy), source, size=size),
        depth_scale=1 / camera.scale,
        up=torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64),
        notes=notes,
    )


def _load_poses(path: Path) -> list[Tensor]:
    rows = load_numbered_rows(path, "poses")
    for number, row in rows:
        if len(row) != 16:
            raise DataError(f"{path}: expected 16 numbers in line {number}, a 4 x 4 matrix, got {len(row)}")
    return [torch.tensor(row, dtype=torch.float64).reshape(4, 4) for _, row in rows]


def _load_camera(path: Path) -> tuple[_Camera, str, tuple[str, ...]]:
    for folder in (path, path.resolve().parent):
        file = folder / "cam_params.json"
        if file.is_file():
            return load_json(file, "the camera of Replica", _CameraFile).camera, str(file), ()
    camera = _Camera()
    note = (
        f"no cam_params.json: camera as published, {camera.w}x{camera.h}, focal length {camera.fx:g}, depth in "
        f"1/{camera.scale:g} m"
    )
    return camera, "the published camera of Replica", (note,)


READER = Reader(NAME, LOOKS_FOR, detect, open_replica)
