"""The box room as Open3D's reconstruction system leaves it, and as the Redwood data are packed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.captures import HEIGHT, WIDTH, K, room_color, room_depth, room_poses


def write_log(path: Path, poses: list[np.ndarray]) -> None:
    """Records of five lines: i i i+1, then the matrix."""
    lines = []
    for number, pose in enumerate(poses):
        lines.append(f"{number} {number} {number + 1}")
        lines += [" ".join(f"{value:.8f}" for value in row) for row in pose]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_reconstruction(folder: Path, count: int = 4, depth_scale: float | None = None) -> Path:
    """color/00000.jpg, depth/00000.png, intrinsic.json, scene/trajectory.log."""
    (folder / "color").mkdir(parents=True)
    (folder / "depth").mkdir()
    units = 1000.0 if depth_scale is None else depth_scale
    for number, pose in enumerate(room_poses(count)):
        Image.fromarray(room_color(pose)).save(folder / "color" / f"{number:05d}.jpg", quality=95)
        depth = np.rint(room_depth(pose) * units).astype(np.uint16)
        Image.fromarray(depth).save(folder / "depth" / f"{number:05d}.png")
    # A 3 x 3 matrix column by column.
    camera: dict[str, object] = {"width": WIDTH, "height": HEIGHT, "intrinsic_matrix": K.T.ravel().tolist()}
    if depth_scale is not None:
        camera["depth_scale"] = depth_scale
    (folder / "intrinsic.json").write_text(json.dumps(camera, indent=4))
    write_log(folder / "scene" / "trajectory.log", room_poses(count))
    return folder


def write_redwood(folder: Path, count: int = 2) -> Path:
    """image/ and depth/ at 640 x 480 with names of differing times, default camera, NAME_trajectory.log."""
    (folder / "image").mkdir(parents=True)
    (folder / "depth").mkdir()
    camera = np.array([[525.0, 0, 319.5], [0, 525, 239.5], [0, 0, 1]])
    for number, pose in enumerate(room_poses(count), start=1):
        color = Image.fromarray(room_color(pose, camera, 640, 480))
        color.save(folder / "image" / f"{number:07d}-{number * 33369:012d}.jpg", quality=95)
        depth = np.rint(room_depth(pose, camera, 640, 480) * 1000).astype(np.uint16)
        Image.fromarray(depth).save(folder / "depth" / f"{number:07d}-{number * 33400 + 17:012d}.png")
    write_log(folder / "lounge_trajectory.log", room_poses(count))
    return folder
