"""nerfstudio's transforms.json with depth images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from torch import Tensor

from sparse_s4r.data.readers.calibration import Calibration, intrinsics
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.json_input import Document, load_json
from sparse_s4r.data.readers.listing import natural_key, shorten
from sparse_s4r.data.readers.paths import inside
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.data.readers.stored import stored
from sparse_s4r.structures.errors import DataError

NAME = "nerfstudio"
LOOKS_FOR = "transforms.json whose frames have file_path, depth_file_path and transform_matrix"
_FILE = "transforms.json"
# Models of pinhole cameras with OpenCV's distortion.
_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "SIMPLE_RADIAL", "RADIAL")

_Row = Annotated[tuple[float, ...], Field(min_length=4, max_length=4)]


class _Lens(Document):
    """What may stand in a frame or, for all frames, at the top."""

    fl_x: FiniteFloat | None = None
    fl_y: FiniteFloat | None = None
    cx: FiniteFloat | None = None
    cy: FiniteFloat | None = None
    w: FiniteFloat | None = None
    h: FiniteFloat | None = None
    k1: FiniteFloat | None = None
    k2: FiniteFloat | None = None
    k3: FiniteFloat | None = None
    k4: FiniteFloat | None = None
    p1: FiniteFloat | None = None
    p2: FiniteFloat | None = None
    # k1 k2 k3 k4 p1 p2.
    distortion_params: Annotated[tuple[FiniteFloat, ...], Field(min_length=6, max_length=6)] | None = None


class _Frame(_Lens):
    file_path: str
    transform_matrix: Annotated[tuple[_Row, ...], Field(min_length=3, max_length=4)]
    depth_file_path: str | None = None
    mask_path: str | None = None


class _Transforms(_Lens):
    frames: tuple[_Frame, ...]
    camera_model: str = "OPENCV"
    applied_scale: FiniteFloat = Field(default=1.0, gt=0)
    depth_unit_scale_factor: FiniteFloat = Field(default=0.001, gt=0)


@dataclass(frozen=True)
class _Images:
    """The files of one frame."""

    color: Path
    depth: Path
    mask: Path | None


def detect(path: Path) -> str | None:
    """Why ``path`` holds this layout; None if it does not."""
    file = _transforms_file(path)
    return None if file is None else f"{file.name}"


def open_nerfstudio(path: Path) -> Capture:
    """List the frames of a data set, in natural order of their file names.

    Poses are camera-to-world in OpenGL axes; nerfstudio puts the centre of the first pixel at (0.5, 0.5). Depth
    images are in mm unless ``depth_unit_scale_factor`` says otherwise, and may have another size than colour.

    Raises:
        DataError: No or damaged transforms.json, frames without depth, a missing or fisheye camera.
    """
    file = _transforms_file(path)
    if file is None:
        raise DataError(f"{path}: expected {_FILE}, or such a file itself, got none")
    document = load_json(file, "the frames of nerfstudio", _Transforms)
    if not document.frames:
        raise DataError(f"{file}: expected frames, got none; the capture is empty")
    if document.camera_model.upper() not in _MODELS:
        raise DataError(
            f"{file}: expected camera_model one of {', '.join(_MODELS)}, got {document.camera_model!r}; undistort the "
            "images into pinhole views first"
        )
    without = [frame.file_path for frame in document.frames if frame.depth_file_path is None]
    if without:
        raise DataError(
            f"{file}: expected depth_file_path in each of {len(document.frames)} frames, got {len(without)} without: "
            f"{shorten(without, 3)}; only captures with depth can be fused"
        )
    frames = sorted(document.frames, key=lambda frame: natural_key(frame.file_path))
    images = [_files(file, frame) for frame in frames]
    names = _names(images)
    return Capture(
        NAME,
        file.resolve().parent.name,
        tuple(
            _capture_frame(file, document, frame, files, name)
            for frame, files, name in zip(frames, images, names, strict=True)
        ),
        _calibration(file, document, frames[0]),
        depth_scale=document.depth_unit_scale_factor,
        notes=_notes(document, [frame.mask_path for frame in frames]),
        axes="opengl",
    )


def _transforms_file(path: Path) -> Path | None:
    if path.is_dir():
        return path / _FILE if (path / _FILE).is_file() else None
    return path if path.suffix == ".json" and path.name.startswith("transforms") and path.is_file() else None


def _files(file: Path, frame: _Frame) -> _Images:
    color, depth = inside(file.parent, frame.file_path, file), inside(file.parent, frame.depth_file_path or "", file)
    return _Images(color, depth, None if frame.mask_path is None else inside(file.parent, frame.mask_path, file))


def _names(images: list[_Images]) -> list[str]:
    """File names where they tell the frames apart, else with their folders."""
    short = [image.color.stem for image in images]
    if len(set(short)) == len(short):
        return short
    return [f"{image.color.parent.name}-{image.color.stem}-{number}" for number, image in enumerate(images)]


def _capture_frame(file: Path, document: _Transforms, frame: _Frame, images: _Images, name: str) -> CaptureFrame:
    calibration = _calibration(file, document, frame)
    return CaptureFrame(
        name,
        stored(images.color),
        stored(images.depth),
        file,
        _pose(file, frame, document.applied_scale),
        calibration=calibration,
        mask=None if images.mask is None else stored(images.mask),
    )


def _pose(file: Path, frame: _Frame, applied_scale: float) -> Tensor:
    matrix = torch.tensor(frame.transform_matrix, dtype=torch.float64)
    if len(matrix) == 3:
        matrix = torch.cat([matrix, matrix.new_tensor([[0, 0, 0, 1]])])
    matrix[:3, 3] /= applied_scale
    return matrix


def _calibration(file: Path, document: _Transforms, frame: _Frame) -> Calibration:
    def value(key: str) -> float | None:
        shared: float | None = getattr(document, key)
        own: float | None = getattr(frame, key)
        return shared if shared is not None else own

    needed = {key: value(key) for key in ("fl_x", "fl_y", "cx", "cy", "w", "h")}
    missing = [key for key, number in needed.items() if number is None]
    if missing:
        raise DataError(
            f"{file}: expected {', '.join(missing)} at the top or in each frame, got none for {frame.file_path}"
        )
    fx, fy, cx, cy, width, height = (number or 0.0 for number in needed.values())
    if not (width >= 1 and height >= 1 and width == int(width) and height == int(height)):
        raise DataError(f"{file}: expected w and h as whole numbers of pixels, got {width:g} and {height:g}")
    parameters = document.distortion_params or frame.distortion_params
    if parameters is None:
        parameters = tuple(value(key) or 0.0 for key in ("k1", "k2", "k3", "k4", "p1", "p2"))
    k1, k2, k3, k4, p1, p2 = parameters
    if k4:
        raise DataError(
            f"{file}: expected distortion of k1, k2, k3, p1 and p2, got k4 = {k4:g}; undistort the images first"
        )
    distortion = (k1, k2, p1, p2, k3) if any(parameters) else ()
    return Calibration(
        intrinsics(fx, fy, cx - 0.5, cy - 0.5),
        str(file),
        size=(int(width), int(height)),
        depth_has_own_size=True,
        distortion=distortion,
    )


def _notes(document: _Transforms, masks: list[str | None]) -> tuple[str, ...]:
    notes = [f"depth in units of {document.depth_unit_scale_factor:g} m"]
    if document.applied_scale != 1.0:
        notes.append(f"camera positions divided by applied_scale {document.applied_scale:g}, so that they are metres")
    masked = sum(mask is not None for mask in masks)
    if masked:
        notes.append(f"{masked} of {len(masks)} frames have masks: depth is ignored where they are black")
    return tuple(notes)


READER = Reader(NAME, LOOKS_FOR, detect, open_nerfstudio)
