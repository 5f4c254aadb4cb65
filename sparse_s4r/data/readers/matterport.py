"""Matterport3D houses: undistorted colour and depth images with the cameras of undistorted_camera_parameters/*.conf.

Conventions of the .conf file, as the data set documents them: depth in 0.25 mm; the pose, row by row, takes a camera
that looks along -z with +y up (OpenGL axes) to the world; image rows are counted from the bottom. So its cy is measured
upwards from the centre of the bottom row: it is height - 1 - cy of the data set's own matterport_camera_intrinsics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.data.readers.calibration import Calibration, intrinsics
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.listing import shorten
from sparse_s4r.data.readers.matterport_house import find_house
from sparse_s4r.data.readers.paths import inside
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.data.readers.stored import image_size, stored
from sparse_s4r.data.readers.text import load_lines
from sparse_s4r.structures.errors import DataError

NAME = "matterport"
# Of the labels that matterport_labels gives.
CLASS_SETS = ("matterport11", "eigen13")
LOOKS_FOR = "undistorted_camera_parameters/HOUSE.conf, undistorted_color_images/, undistorted_depth_images/"
DEPTH_SCALE = 0.00025
_CAMERAS = "undistorted_camera_parameters"
_DEFAULT_DEPTH, _DEFAULT_COLOR = "undistorted_depth_images", "undistorted_color_images"
# The tripod stands level, so that the world's z points up.
_UP = (0.0, 0.0, 1.0)
_DEPTH_COMMANDS = ("depth_directory",)
_COLOR_COMMANDS = ("color_directory", "image_directory")


def detect(path: Path) -> str | None:
    """Why ``path`` holds a Matterport3D house; None if it does not."""
    files = _conf_files(path)
    return f"{_CAMERAS}/{files[0].name}" if files else None


def open_matterport(path: Path) -> Capture:
    """List the frames of a house, in the order of its .conf file.

    Raises:
        DataError: No .conf file or several, a line of it that cannot be read, or not one image.
    """
    files = _conf_files(path)
    if len(files) != 1:
        found = shorten([file.name for file in files]) or "none"
        raise DataError(f"{path / _CAMERAS}: expected one .conf file, got {found}")
    conf = _parse(files[0])
    height = _height(path, conf)
    cameras = {scan.camera: _calibration(files[0], scan.camera, height) for scan in conf.scans}
    frames = tuple(
        CaptureFrame(
            Path(scan.color).stem,
            stored(inside(path / conf.color, scan.color, files[0])),
            stored(inside(path / conf.depth, scan.depth, files[0])),
            files[0],
            scan.pose,
            calibration=cameras[scan.camera],
        )
        for scan in conf.scans
    )
    house = find_house(path)
    return Capture(
        NAME,
        path.resolve().name,
        frames,
        frames[0].calibration or cameras[conf.scans[0].camera],
        depth_scale=DEPTH_SCALE,
        up=torch.tensor(_UP, dtype=torch.float64),
        notes=(*conf.notes, *([house.summary()] if house else [])),
        axes="opengl",
    )


@dataclass(frozen=True)
class _Scan:
    depth: str
    color: str
    camera: tuple[float, float, float, float]
    pose: Tensor


@dataclass(frozen=True)
class _Conf:
    """Content of a .conf file; folders relative to the house."""

    depth: str
    color: str
    scans: tuple[_Scan, ...]
    notes: tuple[str, ...]


def _conf_files(path: Path) -> list[Path]:
    return sorted((path / _CAMERAS).glob("*.conf")) if (path / _CAMERAS).is_dir() else []


def _parse(path: Path) -> _Conf:
    folders = {"depth": _DEFAULT_DEPTH, "color": _DEFAULT_COLOR}
    scans: list[_Scan] = []
    announced: int | None = None
    camera: tuple[float, float, float, float] | None = None
    unknown: dict[str, None] = {}
    for number, line in enumerate(load_lines(path, "the cameras of a house"), start=1):
        command, *words = line.split()
        if command in _DEPTH_COMMANDS and words:
            folders["depth"] = words[0]
        elif command in _COLOR_COMMANDS and words:
            folders["color"] = words[0]
        elif command == "n_images":
            announced = _count(path, number, words)
        elif command == "intrinsics_matrix":
            camera = _camera(path, number, words)
        elif command in ("scan", "image"):
            scans.append(_scan(path, number, words, camera))
        elif command != "dataset" and not command.startswith("#"):
            unknown[command] = None
    if not scans:
        raise DataError(f"{path}: expected a scan line for every image, got none; the capture is empty")
    notes = []
    if announced is not None and announced != len(scans):
        notes.append(f"{path.name} announces {announced} images and lists {len(scans)}, which are used")
    if unknown:
        notes.append(f"{path.name}: lines with {shorten(list(unknown))} are ignored")
    return _Conf(folders["depth"], folders["color"], tuple(scans), tuple(notes))


def _scan(path: Path, number: int, words: list[str], camera: tuple[float, float, float, float] | None) -> _Scan:
    if camera is None:
        raise DataError(f"{path}: expected an intrinsics_matrix before the scan in entry {number}, got none")
    if len(words) != 18:
        raise DataError(f"{path}: expected scan DEPTH COLOR and 16 numbers in entry {number}, got {len(words)} words")
    pose = torch.tensor(_numbers(path, number, words[2:]), dtype=torch.float64).reshape(4, 4)
    return _Scan(words[0], words[1], camera, pose)


def _camera(path: Path, number: int, words: list[str]) -> tuple[float, float, float, float]:
    matrix = _numbers(path, number, words)
    if len(matrix) != 9 or not all(map(math.isfinite, matrix)):
        raise DataError(
            f"{path}: expected an intrinsics_matrix of 9 numbers in entry {number}, got {' '.join(words)!r}"
        )
    return matrix[0], matrix[4], matrix[2], matrix[5]


def _count(path: Path, number: int, words: list[str]) -> int:
    word = words[0] if words else ""
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise DataError(f"{path}: expected a number of images in entry {number}, got {word[:20]!r}")
    return int(word)


def _numbers(path: Path, number: int, words: list[str]) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise DataError(f"{path}: expected numbers in entry {number}, got {' '.join(words)[:60]!r}") from error


def _height(path: Path, conf: _Conf) -> int:
    """Rows of the colour images, from the first that is there; all others must agree when frames are checked."""
    for scan in conf.scans:
        file = path / conf.color / scan.color
        if file.is_file():
            return image_size(stored(file))[1]
    raise DataError(
        f"{path / conf.color}: expected the images that the .conf file lists, got not one of {len(conf.scans)}"
    )


def _calibration(path: Path, camera: tuple[float, float, float, float], height: int) -> Calibration:
    fx, fy, cx, cy = camera
    return Calibration(intrinsics(fx, fy, cx, height - 1 - cy), str(path))


def with_frames(capture: Capture, names: frozenset[str]) -> Capture:
    """The frames whose panorama is in ``names``, e.g. those taken in one region; see ``House.panoramas_of``."""
    kept = tuple(frame for frame in capture.frames if frame.name.split("_")[0] in names)
    return replace(capture, frames=kept)


READER = Reader(NAME, LOOKS_FOR, detect, open_matterport, CLASS_SETS)
