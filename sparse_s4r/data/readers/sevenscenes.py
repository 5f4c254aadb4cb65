"""The layout of Microsoft's 7-Scenes: frame-NNNNNN.color.png, .depth.png, .pose.txt, straight or in seq-NN/."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.data.readers.calibration import Calibration
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.generic import load_calibration
from sparse_s4r.data.readers.listing import natural_key, paired_names
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.data.readers.stored import stored
from sparse_s4r.structures.errors import DataError

NAME = "sevenscenes"
DESCRIPTION = "frame-NNNNNN.color.png, .depth.png, .pose.txt, straight or in seq-NN/ folders"
_COLOR = re.compile(r"frame-\d+\.color\.png")
_DEPTH = re.compile(r"frame-\d+\.depth\.png")
_FRAME = re.compile(r"frame-\d+\.(color|depth)\.png")

# Focal length and principal point of the depth camera as published with the data set, and the usual ones of the
# first Kinect's colour camera, whose calibration was not published.
DEPTH_FOCAL = 585.0
COLOR_FOCAL = 525.0
PRINCIPAL_POINT = (320.0, 240.0)
# The publishers give no transform either; this is the measured one of another Kinect (LIRIS, "Kinect calibration"
# of the human activities data set), with which 7-Scenes depth is commonly registered.
DEPTH_TO_COLOR = (
    (9.9996518012567637e-01, 2.6765126468950343e-03, -7.9041012313000904e-03, -2.5558943178152542e-02),
    (-2.7409311281316700e-03, 9.9996302803027592e-01, -8.1504520778013286e-03, 1.0109636268061706e-04),
    (7.8819942130445332e-03, 8.1718328771890631e-03, 9.9993554558014031e-01, 2.0318321729487039e-03),
    (0.0, 0.0, 0.0, 1.0),
)


def detect(folder: Path) -> str | None:
    """Why ``folder``, or a seq-NN folder in it, holds this layout; None if it does not."""
    for place in _places(folder):
        found = next((file.name for file in sorted(place.iterdir()) if _FRAME.fullmatch(file.name)), None)
        if found is not None:
            return f"{found}" if place == folder else f"{place.name}/{found}"
    return None


def open_sevenscenes(folder: Path) -> Capture:
    """List the frames of a 7-Scenes sequence, or of all sequences of a scene.

    The poses are the depth camera's, which KinectFusion tracked; they are moved to the colour camera.

    Raises:
        DataError: No frames, or a sequence with colour or with depth images alone.
    """
    places = [place for place in _places(folder) if _has_frames(place)]
    if not places:
        raise DataError(f"{folder}: expected {DESCRIPTION}, got no such files")
    frames = [frame for place in places for frame in _frames(place, "" if place == folder else f"{place.name}-")]
    own = (folder / "intrinsics.txt").is_file()
    note = (
        f"cameras from {folder / 'intrinsics.txt'}"
        if own
        else "cameras: published depth intrinsics, typical Kinect colour intrinsics and depth-to-colour transform; "
        "give intrinsics.txt, depth_intrinsics.txt and depth_to_color.txt to override"
    )
    return Capture(
        NAME,
        folder.resolve().name,
        tuple(frames),
        load_calibration(folder, pose_is_depth=True) if own else _published_calibration(),
        invalid_depth=(65535,),
        notes=(note,),
    )


def _published_calibration() -> Calibration:
    return Calibration(
        _intrinsics(COLOR_FOCAL),
        "the calibration of 7-Scenes",
        _intrinsics(DEPTH_FOCAL),
        torch.tensor(DEPTH_TO_COLOR, dtype=torch.float64),
        pose_is_depth=True,
    )


def _intrinsics(focal: float) -> Tensor:
    x, y = PRINCIPAL_POINT
    return torch.tensor([[focal, 0, x], [0, focal, y], [0, 0, 1]], dtype=torch.float64)


def _places(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    sequences = [place for place in folder.iterdir() if place.is_dir() and re.fullmatch(r"seq-\d+", place.name)]
    return [folder, *sorted(sequences, key=lambda place: natural_key(place.name))]


def _has_frames(place: Path) -> bool:
    return any(_FRAME.fullmatch(file.name) for file in place.iterdir())


def _frames(place: Path, prefix: str) -> list[CaptureFrame]:
    files = {file.name for file in place.iterdir()}
    color = {name.removesuffix(".color.png") for name in files if _COLOR.fullmatch(name)}
    depth = {name.removesuffix(".depth.png") for name in files if _DEPTH.fullmatch(name)}
    return [
        CaptureFrame(
            f"{prefix}{name}",
            stored(place / f"{name}.color.png"),
            stored(place / f"{name}.depth.png"),
            place / f"{name}.pose.txt",
        )
        for name in paired_names(place, color, depth)
    ]


READER = Reader(NAME, DESCRIPTION, detect, open_sevenscenes)
