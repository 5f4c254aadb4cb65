"""Record3D, an app for phones with LiDAR: its .r3d files, and folders exported as EXR and JPG."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, FiniteFloat

from sparse_s4r.data.readers.archive import list_members, read_member
from sparse_s4r.data.readers.calibration import Calibration, intrinsics
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.json_input import Document, load_json, parse_json
from sparse_s4r.data.readers.listing import numbered_files, paired_names
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.data.readers.rotations import pose_of_quaternion
from sparse_s4r.data.readers.stored import Encoding, StoredImage, stored
from sparse_s4r.structures.errors import DataError

NAME = "record3d"
LOOKS_FOR = "NAME.r3d; or metadata.json, rgb/N.jpg, depth/N.exr, straight or in EXR_RGBD/"
_ROLE = "the metadata of Record3D"
_COLOR = re.compile(r"(\d+)\.(?:jpg|jpeg|png)", re.IGNORECASE)
_DEPTH = re.compile(r"(\d+)\.exr", re.IGNORECASE)
_MEMBER = re.compile(r"rgbd/(\d+)\.(jpg|depth|conf)")


class _Metadata(Document):
    """The keys that are read; lengths in pixels, positions in metres."""

    w: int = Field(gt=0)
    h: int = Field(gt=0)
    # Size of the depth images, which .r3d files need.
    dw: int | None = Field(default=None, gt=0)
    dh: int | None = Field(default=None, gt=0)
    # Column by column.
    K: Annotated[tuple[FiniteFloat, ...], Field(min_length=9, max_length=9)]
    # x y z w of the rotation, x y z of the position; camera-to-world in OpenGL axes, as ARKit has them.
    poses: tuple[Annotated[tuple[float, ...], Field(min_length=7, max_length=7)], ...]
    # fx fy cx cy.
    perFrameIntrinsicCoeffs: (  # noqa: N815
        tuple[Annotated[tuple[FiniteFloat, ...], Field(min_length=4, max_length=4)], ...] | None
    ) = None
    frameTimestamps: tuple[FiniteFloat, ...] | None = None  # noqa: N815


@dataclass(frozen=True)
class _Recording:
    """Images by frame number, the same numbers for each kind, and what describes them."""

    name: str
    source: Path
    metadata: _Metadata
    color: dict[int, StoredImage]
    depth: dict[int, StoredImage]
    confidence: dict[int, StoredImage]


def detect(path: Path) -> str | None:
    """Why ``path`` holds this layout; None if it does not."""
    if path.is_file():
        return f"{path.name}, a zip archive" if path.suffix.lower() == ".r3d" and zipfile.is_zipfile(path) else None
    folder = _export_folder(path)
    if folder is None:
        return None
    inner = "" if folder == path else f"{folder.name}/"
    return f"{inner}metadata.json beside {inner}rgb/ and {inner}depth/"


def open_record3d(path: Path) -> Capture:
    """List the frames of a recording.

    Frame N has pose N. Depth is of the colour camera, with fewer pixels. In .r3d files depth of low confidence (0 of
    0, 1, 2) is dropped. ARKit's +y points up.

    Raises:
        DataError: No recording, damaged metadata, no frames, frames without pose.
    """
    recording = _open_archive(path) if path.is_file() else _open_export(path)
    color, metadata, source = recording.color, recording.metadata, recording.source
    if max(color) >= len(metadata.poses):
        raise DataError(
            f"{source}: expected a pose for each of frames 0 to {max(color)}, got {len(metadata.poses)} poses"
        )
    times = metadata.frameTimestamps or ()
    notes = []
    if len(metadata.poses) > len(color):
        notes.append(f"{len(metadata.poses) - len(color)} of {len(metadata.poses)} poses have no images: left out")
    if recording.confidence:
        notes.append("depth of low confidence is dropped")
    return Capture(
        NAME,
        recording.name,
        tuple(
            CaptureFrame(
                str(number),
                color[number],
                recording.depth[number],
                source,
                pose_of_quaternion(metadata.poses[number][:4], metadata.poses[number][4:]),
                calibration=_calibration(metadata, source, number),
                confidence=recording.confidence.get(number),
                timestamp=times[number] if number < len(times) else None,
            )
            for number in color
        ),
        _calibration(metadata, source, next(iter(color))),
        depth_scale=1.0,
        up=torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64),
        notes=tuple(notes),
        axes="opengl",
    )


def _open_export(path: Path) -> _Recording:
    folder = _export_folder(path)
    if folder is None:
        raise DataError(f"{path}: expected {LOOKS_FOR}, got no such files")
    metadata = load_json(folder / "metadata.json", _ROLE, _Metadata)
    color, depth = numbered_files(folder / "rgb", _COLOR), numbered_files(folder / "depth", _DEPTH)
    numbers = paired_names(folder, color, depth)
    name = path.resolve().name if path.name != "EXR_RGBD" else path.resolve().parent.name
    return _Recording(
        name,
        folder / "metadata.json",
        metadata,
        {number: stored(color.get(number, folder / "rgb" / f"{number}.jpg")) for number in numbers},
        {number: stored(depth.get(number, folder / "depth" / f"{number}.exr")) for number in numbers},
        {},
    )


def _open_archive(path: Path) -> _Recording:
    members = list_members(path)
    metadata = parse_json(path, _ROLE, _Metadata, read_member(path, "metadata"))
    if metadata.dw is None or metadata.dh is None:
        raise DataError(f"{path}: expected dw and dh, the size of the depth images, in its metadata, got none")
    size, depth_size = (metadata.w, metadata.h), (metadata.dw, metadata.dh)
    found: dict[str, dict[int, str]] = {"jpg": {}, "depth": {}, "conf": {}}
    for member in members:
        if match := _MEMBER.fullmatch(member):
            found[match[2]][int(match[1])] = member
    numbers = paired_names(path, found["jpg"], found["depth"])

    def images(kind: str, encoding: Encoding, size: tuple[int, int]) -> dict[int, StoredImage]:
        names = {number: found[kind].get(number, f"rgbd/{number}.{kind}") for number in numbers}
        return {number: StoredImage(path, encoding=encoding, size=size, member=name) for number, name in names.items()}

    confidence = images("conf", "lzfse_uint8", depth_size) if found["conf"] else {}
    color, depth = images("jpg", "image", size), images("depth", "lzfse_float32", depth_size)
    return _Recording(path.stem, path, metadata, color, depth, confidence)


def _export_folder(path: Path) -> Path | None:
    for folder in (path, path / "EXR_RGBD"):
        if (folder / "metadata.json").is_file() and (folder / "rgb").is_dir() and (folder / "depth").is_dir():
            return folder
    return None


def _calibration(metadata: _Metadata, source: Path, number: int) -> Calibration:
    per_frame = metadata.perFrameIntrinsicCoeffs or ()
    if number < len(per_frame):
        matrix = intrinsics(*per_frame[number])
    else:
        matrix = torch.tensor(metadata.K, dtype=torch.float64).reshape(3, 3).T.contiguous()
    return Calibration(matrix, str(source), size=(metadata.w, metadata.h), depth_has_own_size=True)


READER = Reader(NAME, LOOKS_FOR, detect, open_record3d)
