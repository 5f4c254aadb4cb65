"""The generic layout: color/, depth/, poses/, intrinsics.txt; see docs/capture-formats.md."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from sparse_s4r.data.readers.calibration import Calibration
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.json_input import load_json
from sparse_s4r.data.readers.listing import IMAGE_SUFFIXES, files_by_name, paired_names
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.data.readers.stored import stored
from sparse_s4r.data.readers.text import load_matrix
from sparse_s4r.structures.camera import expect_rigid
from sparse_s4r.structures.errors import DataError

NAME = "generic"
DEPTH_SUFFIXES = (".png", ".npy", ".exr")
DESCRIPTION = "color/NAME.png|jpg, depth/NAME.png|npy|exr, poses/NAME.txt, intrinsics.txt"
AXES = {
    "x": (1.0, 0.0, 0.0),
    "-x": (-1.0, 0.0, 0.0),
    "y": (0.0, 1.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
    "z": (0.0, 0.0, 1.0),
    "-z": (0.0, 0.0, -1.0),
}


class _CaptureFile(BaseModel):
    """Content of the optional capture.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    depth_scale: FiniteFloat = Field(default=0.001, gt=0)
    invalid_depth: tuple[int, ...] = ()
    repair_gaps: bool = False
    poses: str = Field(default="color", pattern="^(color|depth)$")
    class_names: tuple[str, ...] | None = None
    up: str | None = Field(default=None, pattern="^-?[xyz]$")
    axes: Literal["opencv", "opengl"] = "opencv"
    world_to_camera: bool = False


def detect(folder: Path) -> str | None:
    """Why ``folder`` holds this layout; None if it does not."""
    own = [name for name in ("poses", "intrinsics.txt") if (folder / name).exists()]
    if not own or not (folder / "color").is_dir() or not (folder / "depth").is_dir():
        return None
    return f"color/ and depth/ beside {' and '.join(own)}"


def open_generic(folder: Path) -> Capture:
    """List the frames of a generic capture; one that lacks an image or its pose is an error when it is read.

    Raises:
        DataError: Missing folders, no frames, unreadable intrinsics or a bad capture.json.
    """
    color = files_by_name(folder / "color", IMAGE_SUFFIXES)
    depth = files_by_name(folder / "depth", DEPTH_SUFFIXES)
    names = paired_names(folder, color, depth)
    described = _load_capture_file(folder / "capture.json")
    has_labels = (folder / "labels").is_dir()
    labels = files_by_name(folder / "labels", (".png",)) if has_labels else {}
    if has_labels and described.class_names is None:
        raise DataError(
            f"{folder / 'capture.json'}: expected class_names for the images in labels/; list them or remove the folder"
        )
    frames = tuple(
        CaptureFrame(
            name,
            stored(color.get(name, folder / "color" / f"{name}.png")),
            stored(depth.get(name, folder / "depth" / f"{name}.png")),
            folder / "poses" / f"{name}.txt",
            labels=stored(labels.get(name, folder / "labels" / f"{name}.png")) if has_labels else None,
        )
        for name in names
    )
    return Capture(
        NAME,
        folder.resolve().name,
        frames,
        load_calibration(folder, described.poses == "depth"),
        described.depth_scale,
        described.invalid_depth,
        described.repair_gaps,
        None if described.up is None else torch.tensor(AXES[described.up], dtype=torch.float64),
        described.class_names if has_labels else None,
        axes=described.axes,
        world_to_camera=described.world_to_camera,
    )


def load_calibration(folder: Path, pose_is_depth: bool) -> Calibration:
    """Read intrinsics.txt and, if present, depth_intrinsics.txt and depth_to_color.txt.

    Raises:
        DataError: No intrinsics, no numbers, or a depth_to_color that is no rigid motion.
    """
    source = folder / "intrinsics.txt"
    depth_file, transform_file = folder / "depth_intrinsics.txt", folder / "depth_to_color.txt"
    depth = load_matrix(depth_file, "intrinsics of the depth camera", 3, 3) if depth_file.is_file() else None
    transform = None
    if transform_file.is_file():
        transform = load_matrix(transform_file, "the transform from depth to colour camera", 4, 4)
        try:
            expect_rigid("depth_to_color", transform)
        except ValueError as error:
            raise DataError(f"{transform_file}: {error}") from error
        if depth is None:
            raise DataError(f"{depth_file}: expected the depth camera's intrinsics beside depth_to_color.txt, got none")
    color = load_matrix(source, "intrinsics of the colour camera", 3, 3)
    return Calibration(color, str(source), depth, transform, pose_is_depth)


def _load_capture_file(path: Path) -> _CaptureFile:
    if not path.is_file():
        return _CaptureFile()
    return load_json(path, "the description of a capture", _CaptureFile)


READER = Reader(NAME, DESCRIPTION, detect, open_generic)
