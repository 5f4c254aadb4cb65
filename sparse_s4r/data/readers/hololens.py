"""HoloLens captures as packed by deep-video-mvs: images/, depth/, K.txt, and poses.txt beside frames.txt."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.data.readers.calibration import Calibration
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.listing import IMAGE_SUFFIXES, files_by_name, paired_names, shorten
from sparse_s4r.data.readers.reader import Reader
from sparse_s4r.data.readers.stored import stored
from sparse_s4r.data.readers.text import load_lines, load_matrix, load_rows
from sparse_s4r.structures.errors import DataError

NAME = "hololens"
DESCRIPTION = "images/NAME.png, depth/NAME.png, K.txt, poses.txt (row i for line i of frames.txt)"


def detect(folder: Path) -> str | None:
    """Why ``folder`` holds this layout; None if it does not."""
    has_images = (folder / "images").is_dir() and (folder / "depth").is_dir()
    return "images/ and depth/ beside poses.txt" if has_images and (folder / "poses.txt").is_file() else None


def open_hololens(folder: Path) -> Capture:
    """List the frames of a capture; poses of frames that are not there are left out.

    Depth is registered to colour; one-pixel gaps that its warp left are filled. The world's +y points up.

    Raises:
        DataError: Missing files, no frames, images without pose, or poses that do not match frames.txt.
    """
    color = files_by_name(folder / "images", IMAGE_SUFFIXES)
    depth = files_by_name(folder / "depth", (".png",))
    names = paired_names(folder, color, depth)
    poses = _load_poses(folder)
    without = [name for name in names if name not in poses]
    if without:
        raise DataError(f"{folder / 'frames.txt'}: expected a pose for every image, got none for {shorten(without)}")
    pose_file = folder / "poses.txt"
    absent = len(set(poses) - set(names))
    return Capture(
        NAME,
        folder.resolve().name,
        tuple(
            CaptureFrame(
                name,
                stored(color.get(name, folder / "images" / f"{name}.png")),
                stored(depth.get(name, folder / "depth" / f"{name}.png")),
                pose_file,
                poses[name],
            )
            for name in names
        ),
        Calibration(load_matrix(folder / "K.txt", "intrinsics", 3, 3), str(folder / "K.txt")),
        repair_gaps=True,
        up=torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64),
        notes=(f"{absent} of {len(poses)} listed frames have no images and are left out",) if absent else (),
    )


def _load_poses(folder: Path) -> dict[str, Tensor]:
    rows = load_rows(folder / "poses.txt", "poses")
    names = load_lines(folder / "frames.txt", "frame names")
    if len(rows) != len(names):
        raise DataError(
            f"{folder / 'poses.txt'}: expected one row per line of frames.txt, got {len(rows)} rows and "
            f"{len(names)} lines; one of the files is incomplete"
        )
    poses = {}
    for number, (name, row) in enumerate(zip(names, rows, strict=True), start=1):
        if len(row) != 16:
            raise DataError(f"{folder / 'poses.txt'}: expected 16 numbers in row {number}, got {len(row)}")
        poses[Path(name).stem] = torch.tensor(row, dtype=torch.float64).reshape(4, 4)
    return poses


READER = Reader(NAME, DESCRIPTION, detect, open_hololens)
