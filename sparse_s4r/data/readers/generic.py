"""The generic layout: color/, depth/, poses/, intrinsics.txt; see docs/capture-formats.md."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from sparse_s4r.data.readers.capture import Calibration, Capture, CaptureFrame
from sparse_s4r.data.readers.listing import IMAGE_SUFFIXES, expect_partners, files_by_name
from sparse_s4r.data.readers.text import load_matrix
from sparse_s4r.structures.camera import expect_rigid
from sparse_s4r.structures.errors import DataError

NAME = "generic"
DESCRIPTION = "color/NAME.png|jpg, depth/NAME.png, poses/NAME.txt, intrinsics.txt"
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


def matches(folder: Path) -> bool:
    """True if ``folder`` looks like this layout."""
    return (folder / "color").is_dir() and (folder / "depth").is_dir()


def open_generic(folder: Path) -> Capture:
    """List the frames of a generic capture.

    Raises:
        DataError: Missing folders, files without partner, unreadable intrinsics or a bad capture.json.
    """
    color = files_by_name(folder / "color", IMAGE_SUFFIXES)
    depth = files_by_name(folder / "depth", (".png",))
    if not color and not depth:
        raise DataError(f"{folder}: expected images in color/ and depth/, got none; the capture is empty")
    expect_partners("depth image", folder / "depth", depth, color, "colour")
    expect_partners("colour image", folder / "color", color, depth, "depth")
    described = _load_capture_file(folder / "capture.json")
    has_labels = (folder / "labels").is_dir()
    labels = files_by_name(folder / "labels", (".png",)) if has_labels else {}
    if has_labels:
        expect_partners("label image", folder / "labels", labels, color, "colour")
        if described.class_names is None:
            raise DataError(
                f"{folder / 'capture.json'}: expected class_names for the images in labels/; "
                "list them or remove the folder"
            )
    frames = tuple(
        CaptureFrame(name, color[name], depth[name], folder / "poses" / f"{name}.txt", labels=labels.get(name))
        for name in color
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
    try:
        return _CaptureFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        problem = error.errors()[0]
        raise DataError(f"{path}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected JSON, got a file that cannot be read as such ({error})") from error
