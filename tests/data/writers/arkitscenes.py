"""The box room as a video of ARKitScenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.captures import room_color, room_depth, room_poses

VIDEO = "40753679"
WIDTH, HEIGHT = 64, 48
START, STEP = 6845.806, 0.1


def camera_of(number: int) -> np.ndarray:
    """Intrinsics that change from frame to frame, as autofocus makes them."""
    return np.array([[53.0 + number, 0, 31.8], [0, 53.0 + number, 23.6], [0, 0, 1]])


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """Axis times angle of a rotation that is no half turn."""
    angle = np.arccos((np.trace(rotation) - 1) / 2)
    axis = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    return axis * angle / (2 * np.sin(angle))


def write_arkitscenes(folder: Path, count: int = 5, jitter: float = 0.0, confidence: bool = True) -> Path:
    """Colour, depth (mm), confidence, cameras and the path; the path's times are off by ``jitter`` seconds."""
    for name in ("lowres_wide", "lowres_depth", "lowres_wide_intrinsics", *(("confidence",) if confidence else ())):
        (folder / name).mkdir(parents=True)
    lines = []
    for number, pose in enumerate(room_poses(count)):
        time, camera = START + number * STEP, camera_of(number)
        stem = f"{VIDEO}_{time:.3f}"
        Image.fromarray(room_color(pose, camera, WIDTH, HEIGHT)).save(folder / "lowres_wide" / f"{stem}.png")
        depth = np.rint(room_depth(pose, camera, WIDTH, HEIGHT) * 1000).astype(np.uint16)
        if confidence:
            level = np.full((HEIGHT, WIDTH), 2, np.uint8)
            level[:5], level[5:10] = 0, 1
            depth[:5] = 700
            Image.fromarray(level).save(folder / "confidence" / f"{stem}.png")
        Image.fromarray(depth).save(folder / "lowres_depth" / f"{stem}.png")
        numbers = [WIDTH, HEIGHT, camera[0, 0], camera[1, 1], camera[0, 2], camera[1, 2]]
        # Names of cameras are off by a rounding.
        name = f"{VIDEO}_{time + 0.001 * (number % 2):.3f}.pincam"
        (folder / "lowres_wide_intrinsics" / name).write_text(" ".join(f"{value:g}" for value in numbers) + "\n")
        inverse = np.linalg.inv(pose)
        values = [*rotation_vector(inverse[:3, :3]), *inverse[:3, 3]]
        lines.append(f"{time + jitter:.8f} " + " ".join(f"{value:.9f}" for value in values))
    (folder / "lowres_wide.traj").write_text("\n".join(lines) + "\n")
    return folder
