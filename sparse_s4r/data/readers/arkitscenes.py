"""ARKitScenes, raw and 3dod: lowres_wide/, lowres_depth/, lowres_wide_intrinsics/, lowres_wide.traj."""

from __future__ import annotations

import bisect
import math
import re
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from sparse_s4r.data.readers.calibration import Calibration, intrinsics
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.listing import list_folder
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.data.readers.rotations import pose_of_rotation_vector
from sparse_s4r.data.readers.stored import stored
from sparse_s4r.data.readers.text import load_numbered_rows, load_rows
from sparse_s4r.structures.errors import DataError

NAME = "arkitscenes"
LOOKS_FOR = "lowres_wide/, lowres_depth/ and lowres_wide.traj, straight or in one *_frames/ folder"
# The publishers' own loader takes the pose within this many seconds, and cameras within a rounding of their names.
TOLERANCE = 0.005
T = TypeVar("T")
_STAMP = re.compile(r"(?:.*_)?(\d+\.\d+)\.(?:png|pincam)")


@dataclass(frozen=True)
class _Parts:
    """What belongs to the colour images, each by the image's time."""

    trajectory: Path
    depth: dict[float, Path]
    confidence: dict[float, Path] | None
    poses: dict[float, Tensor]
    cameras: dict[float, Path]

    def lacking(self, time: float) -> str | None:
        """What an image of this time has not; None if it has everything."""
        parts: dict[str, Container[float] | None] = {
            "depth": self.depth,
            "confidence": self.confidence,
            "pose": self.poses,
            "camera": self.cameras,
        }
        return next((name for name, part in parts.items() if part is not None and time not in part), None)

    def frame(self, time: float, color: Path, calibration: Calibration) -> CaptureFrame:
        """The frame of a time that has everything."""
        return CaptureFrame(
            color.stem,
            stored(color),
            stored(self.depth[time]),
            self.trajectory,
            self.poses[time],
            calibration=calibration,
            confidence=None if self.confidence is None else stored(self.confidence[time]),
            timestamp=time,
        )


def detect(path: Path) -> str | None:
    """Why ``path`` holds this layout; None if it does not."""
    folder = _frames_folder(path)
    if folder is None:
        return None
    inner = "" if folder == path else f"{folder.name}/"
    return f"{inner}lowres_wide/, {inner}lowres_depth/ and {inner}lowres_wide.traj"


def open_arkitscenes(path: Path) -> Capture:
    """List the frames of one video.

    Images of one time belong together; each takes the pose and the camera nearest in time within ``TOLERANCE``.
    Not everything exists at all times in this data set: what lacks a part is left out with a note. Depth of low
    confidence (0 of 0, 1, 2) is dropped. Poses are world-to-camera in OpenCV axes; the world's +z points up.

    Raises:
        DataError: Missing folders or files, an unreadable trajectory or camera, or no complete frame at all.
    """
    folder = _frames_folder(path)
    if folder is None:
        raise DataError(f"{path}: expected {LOOKS_FOR}, got no such folders")
    color = _by_time(folder / "lowres_wide")
    parts = _load_parts(folder, color)
    lacking = {time: parts.lacking(time) for time in color}
    complete = [time for time in color if lacking[time] is None]
    counts = Counter(part for part in lacking.values() if part is not None)
    notes = [f"{count} of {len(color)} colour images have no {part}: left out" for part, count in counts.items()]
    if not complete:
        raise DataError(
            f"{folder}: expected colour images with depth, pose and camera at one time, got none of {len(color)}; "
            f"{'; '.join(notes) or 'lowres_wide/ is empty'}"
        )
    if parts.confidence is not None:
        notes.append("depth of low confidence is dropped")
    calibrations = [_load_camera(parts.cameras[time]) for time in complete]
    return Capture(
        NAME,
        path.resolve().name,
        tuple(parts.frame(time, color[time], camera) for time, camera in zip(complete, calibrations, strict=True)),
        calibrations[0],
        up=torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64),
        notes=tuple(notes),
        world_to_camera=True,
    )


def _load_parts(folder: Path, times: Iterable[float]) -> _Parts:
    confidence = folder / "confidence"
    trajectory = folder / "lowres_wide.traj"
    return _Parts(
        trajectory,
        _by_time(folder / "lowres_depth"),
        _by_time(confidence) if confidence.is_dir() else None,
        _nearest(_load_trajectory(trajectory), times),
        _nearest(_by_time(folder / "lowres_wide_intrinsics"), times),
    )


def _nearest(things: dict[float, T], times: Iterable[float]) -> dict[float, T]:
    """For each of ``times`` the thing nearest in time, if there is one within the tolerance."""
    known = sorted(things)
    found = {}
    for time in times:
        place = bisect.bisect_left(known, time)
        near = min(known[max(0, place - 1) : place + 1], key=lambda other: abs(other - time), default=None)
        # Names are rounded to milliseconds.
        if near is not None and abs(near - time) <= TOLERANCE + 1e-9:
            found[time] = things[near]
    return found


def _frames_folder(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    for folder in (path, *sorted(path.glob("*_frames"))):
        if (
            all((folder / name).is_dir() for name in ("lowres_wide", "lowres_depth"))
            and (folder / "lowres_wide.traj").is_file()
        ):
            return folder
    return None


def _by_time(folder: Path) -> dict[float, Path]:
    """Files VIDEO_SECONDS.png or .pincam by their time, in order of time."""
    found: dict[float, Path] = {}
    for file in list_folder(folder):
        if match := _STAMP.fullmatch(file.name):
            time = float(match[1])
            if time in found:
                raise DataError(f"{file}: expected one file per time, got {found[time].name} as well; remove one")
            found[time] = file
    return dict(sorted(found.items()))


def _load_trajectory(path: Path) -> dict[float, Tensor]:
    """World-to-camera (4, 4) by time, from lines of time, rotation vector and translation."""
    poses: dict[float, Tensor] = {}
    for number, row in load_numbered_rows(path, "a camera path"):
        if len(row) != 7 or not math.isfinite(row[0]):
            raise DataError(
                f"{path}: expected a time, a rotation vector and a translation in line {number}, got {row[:8]}"
            )
        poses[row[0]] = pose_of_rotation_vector(tuple(row[1:4]), tuple(row[4:]))
    return poses


def _load_camera(path: Path) -> Calibration:
    rows = load_rows(path, "width, height, fx, fy, cx and cy")
    numbers = [number for row in rows for number in row]
    if len(numbers) != 6 or not all(0 < number < 1e6 for number in numbers[:2]):
        raise DataError(f"{path}: expected width, height, fx, fy, cx and cy, got {numbers[:8]}")
    width, height, fx, fy, cx, cy = numbers
    return Calibration(intrinsics(fx, fy, cx, cy), str(path), size=(int(width), int(height)), depth_has_own_size=True)


READER = Reader(NAME, LOOKS_FOR, detect, open_arkitscenes)
