"""Sequences of the TUM RGB-D benchmark: rgb.txt, depth.txt and groundtruth.txt, joined by their times.

Each line of rgb.txt and depth.txt is a time in seconds and a file; of groundtruth.txt a time, the position and the
quaternion (x, y, z, w) of the colour camera in the world, OpenCV axes. Depth is registered to colour, 1/5000 m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sparse_s4r.data.readers.calibration import Calibration, intrinsics
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.paths import inside
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.data.readers.stored import stored
from sparse_s4r.data.readers.text import load_lines, load_matrix
from sparse_s4r.data.readers.trajectory import MAX_GAP, interpolate_poses, join_times
from sparse_s4r.structures.errors import DataError

NAME = "tum"
LOOKS_FOR = "rgb.txt, depth.txt and groundtruth.txt: a time and a file or pose in each line"
# The corrections of depth that the benchmark's page lists per camera are in the published images already.
DEPTH_SCALE = 1 / 5000
# Colour and depth of one shot are at most this far apart, seconds: the benchmark's own tool joins them so.
MAX_DIFFERENCE = 0.02
_COMMENT = "#"
_LAST_TIME = 1e11
_LISTS = ("rgb.txt", "depth.txt", "groundtruth.txt")


@dataclass(frozen=True)
class _Camera:
    """Calibration of one of the benchmark's colour cameras, as its page gives it."""

    focal: tuple[float, float]
    center: tuple[float, float]
    distortion: tuple[float, ...]


CAMERAS = {
    "freiburg1": _Camera((517.3, 516.5), (318.6, 255.3), (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    "freiburg2": _Camera((520.9, 521.0), (325.1, 249.7), (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    # These images are published without their distortion.
    "freiburg3": _Camera((535.4, 539.2), (320.1, 247.6), ()),
}
# What the benchmark names for all other Kinects, the driver's default.
DEFAULT_CAMERA = _Camera((525.0, 525.0), (319.5, 239.5), ())
IMAGE_SIZE = (640, 480)


def detect(path: Path) -> str | None:
    """Why ``path`` holds a sequence; None if it does not."""
    return " and ".join(_LISTS) if all((path / name).is_file() for name in _LISTS) else None


def open_tum(path: Path) -> Capture:
    """List the frames of a sequence.

    A frame is a colour image with the depth image nearest in time, within ``MAX_DIFFERENCE``, each used once. Its pose
    is that of the time of the depth image, from which surfaces come, interpolated between the ground truth poses before
    and after it. Images without a partner or without a pose are left out, with a note.

    Raises:
        DataError: A missing or damaged list, or no frames that fit together.
    """
    colors, depths = _load_files(path / "rgb.txt"), _load_files(path / "depth.txt")
    times, rows, odd = _load_poses(path / "groundtruth.txt")
    color_times = np.array([time for time, _ in colors])
    depth_times = np.array([time for time, _ in depths])
    pairs = join_times(color_times, depth_times, MAX_DIFFERENCE)
    if not len(pairs):
        raise DataError(
            f"{path}: expected colour and depth images at most {MAX_DIFFERENCE} s apart, got none among "
            f"{len(colors)} and {len(depths)}; are rgb.txt and depth.txt of one sequence?"
        )
    poses, known = interpolate_poses(times, rows, depth_times[pairs[:, 1]], MAX_DIFFERENCE)
    if not known.any():
        raise DataError(
            f"{path / 'groundtruth.txt'}: expected poses at the times of the images, got none; "
            "are the lists of one sequence?"
        )
    frames = tuple(
        CaptureFrame(
            f"{colors[color][0]:.6f}",
            stored(inside(path, colors[color][1], path / "rgb.txt")),
            stored(inside(path, depths[depth][1], path / "depth.txt")),
            path / "groundtruth.txt",
            torch.from_numpy(pose),
            timestamp=depths[depth][0],
        )
        for (color, depth), pose in zip(pairs[known].tolist(), poses[known], strict=True)
    )
    calibration, note = _calibration(path)
    notes = (note, *_left_out(len(colors), len(pairs), int(known.sum())), *odd)
    return Capture(NAME, path.resolve().name, frames, calibration, depth_scale=DEPTH_SCALE, notes=notes)


def _left_out(images: int, pairs: int, posed: int) -> tuple[str, ...]:
    notes = []
    if pairs < images:
        notes.append(
            f"{images - pairs} of {images} colour images are left out: no depth image within {MAX_DIFFERENCE} s"
        )
    if posed < pairs:
        notes.append(
            f"{pairs - posed} of {pairs} frames are left out: the ground truth has no pose within {MAX_DIFFERENCE} s, "
            f"nor one before and one after that are at most {MAX_GAP} s apart"
        )
    return tuple(notes)


def _calibration(path: Path) -> tuple[Calibration, str]:
    own = path / "intrinsics.txt"
    if own.is_file():
        return Calibration(load_matrix(own, "intrinsics", 3, 3), str(own)), f"camera from {own}"
    name = next((name for name in CAMERAS if name in path.resolve().name), None)
    camera = DEFAULT_CAMERA if name is None else CAMERAS[name]
    source = f"the benchmark's camera of {name}" if name else "the benchmark's default camera"
    lens = "with its lens distortion, which is taken out" if camera.distortion else "without lens distortion"
    calibration = Calibration(
        intrinsics(*camera.focal, *camera.center), source, size=IMAGE_SIZE, distortion=camera.distortion
    )
    return calibration, f"camera: {source}, {lens}; give intrinsics.txt to override"


def _load_files(path: Path) -> list[tuple[float, str]]:
    """(time, file) of each line, in the order of time."""
    files = []
    for number, words in _rows(path, "times and files"):
        if len(words) < 2:
            raise DataError(f"{path}: expected a time and a file, got {' '.join(words)[:60]!r} in entry {number}")
        files.append((_time(path, number, words[0]), words[1]))
    if not files:
        raise DataError(f"{path}: expected times and files, got none; the capture is empty")
    return sorted(files)


def _load_poses(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], tuple[str, ...]]:
    """Times (N,), positions and quaternions (N, 7), and a note on poses that are none."""
    times, poses, lost = [], [], 0
    for number, words in _rows(path, "poses"):
        if len(words) < 8:
            raise DataError(f"{path}: expected a time and 7 numbers, got {len(words)} words in entry {number}")
        try:
            pose = [float(word) for word in words[1:8]]
        except ValueError as error:
            raise DataError(f"{path}: expected numbers, got {' '.join(words)[:60]!r} in entry {number}") from error
        if _is_pose(pose):
            times.append(_time(path, number, words[0]))
            poses.append(pose)
        else:
            lost += 1
    if not poses:
        raise DataError(f"{path}: expected poses, got none; tracking was lost or the file is empty")
    note = (f"{lost} poses of groundtruth.txt hold no position or no rotation and are not used",) if lost else ()
    return np.array(times), np.array(poses), note


def _is_pose(numbers: list[float]) -> bool:
    # Unit quaternions are printed with four decimals; beyond 1 % it is none.
    return all(map(math.isfinite, numbers)) and abs(math.hypot(*numbers[3:]) - 1) < 0.01


def _rows(path: Path, role: str) -> list[tuple[int, list[str]]]:
    """Number and words of each line that is no comment."""
    lines = [line for line in load_lines(path, role) if not line.startswith(_COMMENT)]
    return [(number, line.replace(",", " ").split()) for number, line in enumerate(lines, start=1)]


def _time(path: Path, number: int, word: str) -> float:
    try:
        time = float(word)
    except ValueError as error:
        raise DataError(f"{path}: expected a time in seconds, got {word[:40]!r} in entry {number}") from error
    # NaN fails the comparison too; beyond it, differences of milliseconds are lost.
    if not abs(time) < _LAST_TIME:
        raise DataError(f"{path}: expected a time in seconds, got {word} in entry {number}")
    return time


READER = Reader(NAME, LOOKS_FOR, detect, open_tum)
