"""Folders of Open3D's reconstruction system and of the Redwood data: color/, depth/, an intrinsic file, a .log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from sparse_s4r.data.readers.calibration import Calibration, intrinsics
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.json_input import Document, load_json
from sparse_s4r.data.readers.listing import IMAGE_SUFFIXES, files_by_name
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.data.readers.stored import stored
from sparse_s4r.data.readers.text import load_rows
from sparse_s4r.structures.errors import DataError

NAME = "open3d"
LOOKS_FOR = (
    "color/, image/ or rgb/, depth/, and trajectory.log, scene/trajectory.log or one other .log; intrinsic.json, "
    "camera_intrinsic.json or camera_primesense.json"
)
_COLOR_FOLDERS = ("color", "image", "rgb")
_CAMERAS = ("intrinsic.json", "camera_intrinsic.json", "camera_primesense.json")
_TRAJECTORIES = ("trajectory.log", "scene/trajectory.log")
_RECORD_LINES = 5


class _Intrinsic(Document):
    """As Open3D writes a PinholeCameraIntrinsic; recorders add the units per metre."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    # Column by column.
    intrinsic_matrix: Annotated[tuple[FiniteFloat, ...], Field(min_length=9, max_length=9)]
    depth_scale: FiniteFloat = Field(default=1000.0, gt=0)


def detect(path: Path) -> str | None:
    """Why ``path`` holds this layout; None if it does not."""
    color = next((name for name in _COLOR_FOLDERS if (path / name).is_dir()), None)
    if color is None or not (path / "depth").is_dir():
        return None
    log = _find_trajectory(path)
    # Any program may leave a .log file.
    if log is not None and "traj" not in log.name.lower():
        log = None
    cameras = [name for name in _CAMERAS if (path / name).is_file()]
    evidence = [*([] if log is None else [str(log.relative_to(path))]), *cameras]
    return f"{color}/ and depth/ beside {' and '.join(evidence)}" if evidence else None


def open_open3d(path: Path) -> Capture:
    """List the frames of a reconstruction.

    Images belong together by their order, as in Open3D: colour and depth may be named after times of their own.
    Record i of the trajectory, camera-to-world in OpenCV axes, is that of image i; images after its end are left out.

    Raises:
        DataError: Missing folders or files, colour and depth of different counts, more poses than images, an
            unreadable camera or trajectory.
    """
    color, depth = _images(path)
    log = _find_trajectory(path)
    if log is None:
        raise DataError(
            f"{path}: expected {' or '.join(_TRAJECTORIES)} or one other .log file with the camera path, got none or "
            "several; run the reconstruction to its end, or name the file trajectory.log"
        )
    poses = _load_log(log)
    if len(poses) > len(color):
        raise DataError(
            f"{log}: expected at most {len(color)} poses, one per image in order, got {len(poses)}; images are missing"
        )
    calibration, scale, notes = _load_camera(path)
    if len(poses) < len(color):
        notes = (*notes, f"{len(color) - len(poses)} of {len(color)} images come after the end of {log.name}: left out")
    return Capture(
        NAME,
        path.resolve().name,
        tuple(
            CaptureFrame(image.stem, stored(image), stored(depth_image), log, pose)
            for image, depth_image, pose in zip(color, depth, poses, strict=False)
        ),
        calibration,
        depth_scale=1 / scale,
        notes=notes,
    )


def _images(path: Path) -> tuple[list[Path], list[Path]]:
    folder = next((path / name for name in _COLOR_FOLDERS if (path / name).is_dir()), None)
    if folder is None:
        raise DataError(f"{path}: expected colour images in one of {', '.join(_COLOR_FOLDERS)}, got no such folder")
    color = list(files_by_name(folder, IMAGE_SUFFIXES).values())
    depth = list(files_by_name(path / "depth", (".png",)).values())
    if not color and not depth:
        raise DataError(f"{path}: expected images in {folder.name}/ and depth/, got none; the capture is empty")
    if len(color) != len(depth):
        raise DataError(
            f"{path}: expected as many images in {folder.name}/ as in depth/, since they belong together by order, got "
            f"{len(color)} and {len(depth)}"
        )
    return color, depth


def _find_trajectory(path: Path) -> Path | None:
    for name in _TRAJECTORIES:
        if (path / name).is_file():
            return path / name
    others = sorted(path.glob("*.log"))
    return others[0] if len(others) == 1 else None


def _load_log(path: Path) -> list[Tensor]:
    """Poses (4, 4) of a .log file: records of three numbers and a matrix; lines with # are comments."""
    rows = load_rows(path, "a camera path", comment="#")
    if len(rows) % _RECORD_LINES:
        raise DataError(
            f"{path}: expected records of {_RECORD_LINES} lines, got {len(rows)} lines; the file is truncated"
        )
    poses = []
    for start in range(0, len(rows), _RECORD_LINES):
        head, *matrix = rows[start : start + _RECORD_LINES]
        if len(head) != 3 or any(len(row) != 4 for row in matrix):
            raise DataError(
                f"{path}: expected three numbers and a 4 x 4 matrix in record {start // _RECORD_LINES}, got lines of "
                f"{len(head)}, {', '.join(str(len(row)) for row in matrix)} numbers"
            )
        poses.append(torch.tensor(matrix, dtype=torch.float64))
    return poses


def _load_camera(path: Path) -> tuple[Calibration, float, tuple[str, ...]]:
    found = [path / name for name in _CAMERAS if (path / name).is_file()]
    if not found:
        camera = _Intrinsic(width=640, height=480, intrinsic_matrix=(525, 0, 0, 0, 525, 0, 319.5, 239.5, 1))
        note = "no intrinsic file: Open3D's default camera, 640x480, focal length 525, and depth in mm"
        return _calibration(camera, "Open3D's default camera"), camera.depth_scale, (note,)
    camera = load_json(found[0], "a pinhole camera", _Intrinsic)
    return _calibration(camera, str(found[0])), camera.depth_scale, ()


def _calibration(camera: _Intrinsic, source: str) -> Calibration:
    fx, a, b, c, fy, d, cx, cy, one = camera.intrinsic_matrix
    if (a, b, c, d, one) != (0, 0, 0, 0, 1):
        raise DataError(
            f"{source}: expected an intrinsic_matrix [fx 0 0 0 fy 0 cx cy 1], column by column, got "
            f"{list(camera.intrinsic_matrix)}; is it written row by row?"
        )
    return Calibration(intrinsics(fx, fy, cx, cy), source, size=(camera.width, camera.height))


READER = Reader(NAME, LOOKS_FOR, detect, open_open3d)
