"""A furnished, textured room walked through, as a capture on disk, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sparse_s4r.data.readers import Capture, open_capture
from sparse_s4r.data.readers.stored import stored
from sparse_s4r.data.synthetic import make_room
from sparse_s4r.data.synthetic_capture import write_capture
from sparse_s4r.data.synthetic_path import make_trajectory


def write_room(folder: Path, seed: int, frames: int = 40) -> Capture:
    room = make_room(seed, ceiling=True)
    write_capture(room, make_trajectory(room, frames, seed, 200, 150), folder, noise_seed=seed, labels=False)
    return open_capture(folder, "generic")


def with_poses(capture: Capture, change: Callable[[int, Tensor], Tensor]) -> Capture:
    """The capture with other poses: ``change`` is given the position and the stored pose."""
    frames = [
        replace(frame, pose=change(index, capture.stored_pose(index))) for index, frame in enumerate(capture.frames)
    ]
    return replace(capture, frames=tuple(frames))


def with_order(capture: Capture, order: list[int]) -> Capture:
    """Frame i gets the pose of frame ``order[i]``."""
    return with_poses(capture, lambda index, _: capture.stored_pose(order[index]))


def with_intrinsics(capture: Capture, factor: float) -> Capture:
    matrix = capture.calibration.color.clone()
    matrix[:2] *= factor
    return replace(capture, calibration=replace(capture.calibration, color=matrix))


def with_pictures(capture: Capture, folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Capture:
    """The capture with other colour images, written to ``folder``."""
    folder.mkdir()
    frames = []
    for frame in capture.frames:
        path = folder / f"{frame.name}.png"
        Image.fromarray(change(np.asarray(Image.open(frame.color.path).convert("RGB")))).save(path)
        frames.append(replace(frame, color=stored(path)))
    return replace(capture, frames=tuple(frames))


def with_depth(capture: Capture, folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Capture:
    """The capture with other depth images (uint16), written to ``folder``."""
    folder.mkdir()
    frames = []
    for frame in capture.frames:
        path = folder / f"{frame.name}.png"
        Image.fromarray(change(np.array(Image.open(frame.depth.path), dtype=np.uint16))).save(path)
        frames.append(replace(frame, depth=stored(path)))
    return replace(capture, frames=tuple(frames))


def flip(*signs: float) -> Tensor:
    return torch.diag(torch.tensor([*signs, 1.0], dtype=torch.float64))


def inverse(pose: Tensor) -> Tensor:
    """Inverse of a rigid motion, written out."""
    turned = torch.eye(4, dtype=torch.float64)
    turned[:3, :3] = pose[:3, :3].T
    turned[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return turned


def scaled(pose: Tensor, factor: float) -> Tensor:
    moved = pose.clone()
    moved[:3, 3] *= factor
    return moved
