"""ScanNet scenes: the .sens file itself, or the folders color/, depth/, pose/ and intrinsic/ exported from it."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sparse_s4r.data.readers.calibration import Calibration
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.listing import IMAGE_SUFFIXES, files_by_name, shorten
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.data.readers.scannet_labels import CLASS_SETS, ScanNetLabels, find_labels
from sparse_s4r.data.readers.sens import ZLIB_DEPTH, SensIndex, index_sens
from sparse_s4r.data.readers.stored import StoredImage, stored
from sparse_s4r.data.readers.text import load_lines, load_rows
from sparse_s4r.structures.camera import expect_rigid
from sparse_s4r.structures.errors import DataError

NAME = "scannet"
LOOKS_FOR = "a .sens file, or color/N.jpg, depth/N.png, pose/N.txt and intrinsic/intrinsic_color.txt exported from one"
# ScanNet aligns every scan so that +z points up before it is published; axisAlignment only turns it about that axis.
_UP = (0.0, 0.0, 1.0)
_MICROSECONDS = 1e-6
# The focal lengths of a scene's two calibrations differ by less than this share.
_SAME_FOCAL = 0.05


def detect(path: Path) -> str | None:
    """Why ``path`` holds a ScanNet scene; None if it does not."""
    files = _sens_files(path)
    if files:
        return f"{shorten([file.name for file in files])} is what ScanNet's recorder writes"
    if not ((path / "color").is_dir() and (path / "depth").is_dir() and (path / "pose").is_dir()):
        return None
    camera = _camera_file(path, "intrinsic", "color")
    return f"color/, depth/ and pose/ beside {camera.relative_to(path)}" if camera.is_file() else None


def open_scannet(path: Path, classes: str = "scannet15") -> Capture:
    """List the frames of a scene.

    Args:
        path: A .sens file, a folder that holds one, or a folder of exported frames.
        classes: Class set of the labels: scannet15, scannet20 or nyu40.

    Raises:
        DataError: No frames, a damaged .sens file, missing cameras, or damaged labels.
    """
    files = _sens_files(path)
    if len(files) > 1:
        raise DataError(f"{path}: expected one .sens file, got {shorten([file.name for file in files])}; name one")
    return _open_sens(files[0], classes) if files else _open_exported(path, classes)


def _sens_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix == ".sens" else []
    return sorted(path.glob("*.sens")) if path.is_dir() else []


def _open_sens(path: Path, classes: str) -> Capture:
    index = index_sens(path)
    header = index.header
    extras = _extras(path.parent, path.stem, classes)
    base = _extrinsics(path, header.color_extrinsics, header.depth_extrinsics)
    calibration = Calibration(
        torch.from_numpy(header.color_intrinsics[:3, :3]),
        str(path),
        torch.from_numpy(header.depth_intrinsics[:3, :3]),
        base,
        pose_is_depth=base is not None,
        size=header.color_size,
    )
    return Capture(
        NAME,
        path.stem,
        tuple(_sens_frame(index, number, extras) for number in range(len(index))),
        calibration,
        depth_scale=1 / header.units_per_metre,
        up=torch.tensor(_UP, dtype=torch.float64),
        class_names=extras.class_names,
        notes=(*index.notes, *extras.notes),
        axis_alignment=extras.parameters.alignment,
        label_map=extras.label_map,
    )


def _sens_frame(index: SensIndex, number: int, extras: _Extras) -> CaptureFrame:
    header = index.header
    color_offset, color_bytes = index.color_spans[number].tolist()
    depth_offset, depth_bytes = index.depth_spans[number].tolist()
    return CaptureFrame(
        str(number),
        StoredImage(index.path, color_offset, color_bytes, size=header.color_size),
        StoredImage(
            index.path,
            depth_offset,
            depth_bytes,
            "zlib_uint16" if header.depth_compression == ZLIB_DEPTH else "raw_uint16",
            header.depth_size,
        ),
        index.path,
        torch.from_numpy(index.poses[number]),
        labels=extras.labels_of(str(number)),
        timestamp=float(index.times[number, 1]) * _MICROSECONDS,
    )


def _open_exported(folder: Path, classes: str) -> Capture:
    color = files_by_name(folder / "color", IMAGE_SUFFIXES)
    depth = files_by_name(folder / "depth", (".png", ".pgm"))
    if not color:
        raise DataError(f"{folder / 'color'}: expected colour images, got none; the capture is empty")
    extras = _extras(folder, folder.resolve().name, classes)
    source = _camera_file(folder, "intrinsic", "color")
    base = _extrinsics(source, *(_matrix(_camera_file(folder, "extrinsic", role)) for role in ("color", "depth")))
    depth_camera = _intrinsics(_camera_file(folder, "intrinsic", "depth"))
    camera = _intrinsics(source)
    size = extras.parameters.size_for(float(camera[0, 0]))
    calibration = Calibration(camera, str(source), depth_camera, base, base is not None, size)
    # A missing depth image or pose is an error of its frame, which can be skipped.
    frames = tuple(
        CaptureFrame(
            name,
            stored(file),
            stored(depth.get(name, folder / "depth" / f"{name}.png")),
            folder / "pose" / f"{name}.txt",
            labels=extras.labels_of(name),
        )
        for name, file in color.items()
    )
    extra = len(set(depth) - set(color))
    note = (f"{extra} depth images have no colour image and are left out",) if extra else ()
    return Capture(
        NAME,
        folder.resolve().name,
        frames,
        calibration,
        up=torch.tensor(_UP, dtype=torch.float64),
        class_names=extras.class_names,
        notes=(*note, *extras.notes),
        axis_alignment=extras.parameters.alignment,
        label_map=extras.label_map,
    )


@dataclass(frozen=True)
class _Extras:
    """What lies beside the frames: parameters of the scene and labels."""

    folder: Path
    parameters: _Parameters
    labels: ScanNetLabels | None
    notes: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return None if self.labels is None else self.labels.class_names

    @property
    def label_map(self) -> Tensor | None:
        return None if self.labels is None else self.labels.label_map

    def labels_of(self, name: str) -> StoredImage | None:
        """The label image of a frame; one that does not exist is an error of the frame."""
        if self.labels is None:
            return None
        return self.labels.images.get(name, stored(self.folder / "label-filt" / f"{name}.png"))


@dataclass(frozen=True)
class _Parameters:
    """What is used of <scene>.txt."""

    alignment: Tensor | None
    note: str
    color_size: tuple[int, int] = (0, 0)
    color_focal: float = math.nan

    def size_for(self, focal: float) -> tuple[int, int] | None:
        """Size of the colour images of a camera with this focal length; None if it is of other images than recorded.

        Exported images are often reduced, and their intrinsics only sometimes.
        """
        return self.color_size if abs(focal - self.color_focal) < _SAME_FOCAL * focal else None


def _extras(folder: Path, scene: str, classes: str) -> _Extras:
    parameters = _parameters(folder, scene)
    found = find_labels(folder, scene, classes)
    if found is None or isinstance(found, str):
        return _Extras(folder, parameters, None, (parameters.note, *([found] if found else [])))
    return _Extras(folder, parameters, found, (parameters.note, found.note))


def _parameters(folder: Path, scene: str) -> _Parameters:
    parent = folder.resolve().parent
    places = (folder / f"{scene}.txt", parent / f"{scene}.txt", parent / f"{parent.name}.txt")
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return _Parameters(None, f"axes: not aligned, no {scene}.txt beside the frames")
    pairs = (line.partition("=") for line in load_lines(path, "the scene's parameters"))
    values = {key.strip(): value.strip() for key, _, value in pairs}
    size, focal = (0, 0), math.nan
    # Only a check hangs on these three, so that a file without them will do.
    with contextlib.suppress(KeyError, ValueError):
        size = (int(values["colorWidth"]), int(values["colorHeight"]))
        focal = float(values["fx_color"])
    if "axisAlignment" not in values:
        return _Parameters(None, f"axes: not aligned, no axisAlignment in {path}, as for test scenes", size, focal)
    alignment = _parse_alignment(path, values["axisAlignment"])
    return _Parameters(alignment, f"axes: turned by axisAlignment of {path}", size, focal)


def _parse_alignment(path: Path, text: str) -> Tensor:
    try:
        alignment = torch.tensor([float(word) for word in text.split()], dtype=torch.float64).reshape(4, 4)
        expect_rigid("axisAlignment", alignment)
    # torch reports a wrong count as RuntimeError.
    except (ValueError, RuntimeError) as error:
        raise DataError(f"{path}: expected axisAlignment of 16 numbers, a rigid motion; {error}") from error
    return alignment


def _extrinsics(path: Path, color: npt.NDArray[np.float64], depth: npt.NDArray[np.float64]) -> Tensor | None:
    """From the depth camera to the colour camera; None if they are one, as in all published scenes."""
    for role, matrix in (("colour", color), ("depth", depth)):
        try:
            expect_rigid("extrinsics", torch.from_numpy(matrix))
        except ValueError as error:
            raise DataError(f"{path}: the extrinsics of the {role} camera: {error}") from error
    motion = np.linalg.inv(color) @ depth
    return None if np.array_equal(motion, np.eye(4)) else torch.from_numpy(motion)


def _camera_file(folder: Path, kind: str, role: str) -> Path:
    """intrinsic/intrinsic_color.txt as SensReader writes it, or intrinsics_color.txt as in ScanNet's 25k frames."""
    names = (f"intrinsic/{kind}_{role}.txt", f"{kind}_{role}.txt", f"{kind}s_{role}.txt")
    places = [folder / name for name in names]
    return next((place for place in places if place.is_file()), places[0])


def _intrinsics(path: Path) -> Tensor:
    return torch.from_numpy(_matrix(path, required=True)[:3, :3])


def _matrix(path: Path, required: bool = False) -> npt.NDArray[np.float64]:
    """A (4, 4) matrix from a file of 16 numbers, or of 9 for intrinsics; the identity if the file may be missing."""
    if not required and not path.is_file():
        return np.eye(4)
    numbers = [number for row in load_rows(path, "a camera's matrix") for number in row]
    if len(numbers) not in (9, 16):
        raise DataError(f"{path}: expected a camera's matrix of 4 x 4 numbers, got {len(numbers)}")
    size = 4 if len(numbers) == 16 else 3
    matrix = np.eye(4)
    matrix[:size, :size] = np.array(numbers).reshape(size, size)
    return matrix


READER = Reader(NAME, LOOKS_FOR, detect, open_scannet, CLASS_SETS, open_scannet)
