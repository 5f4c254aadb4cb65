"""Captures of a box room written file by file with numpy and Pillow only; depth is the exact ray-box distance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

ROOM_LOWER = np.array([-2.0, -1.5, 0.0])
ROOM_UPPER = np.array([2.0, 1.5, 2.5])
WIDTH, HEIGHT, FOCAL = 80, 60, 60.0
K = np.array([[FOCAL, 0, 39.5], [0, FOCAL, 29.5], [0, 0, 1.0]])


def look(position: np.ndarray, yaw: float, pitch: float = 0.0) -> np.ndarray:
    """Camera-to-world of a level camera (OpenCV axes, world +z up) turned by yaw, then down by pitch; radians."""
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = position
    return pose


def room_poses(count: int = 12) -> list[np.ndarray]:
    """Cameras on a small circle that look outwards and a little down."""
    angles = np.arange(count) * 2 * np.pi / count
    return [look(np.array([0.4 * np.cos(a), 0.4 * np.sin(a), 1.3]), a, 0.35) for a in angles]


def room_depth(pose: np.ndarray, k: np.ndarray = K, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Exact z-depth (H, W) metres of the room's walls."""
    rows, columns = np.mgrid[:height, :width]
    rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(k).T @ pose[:3, :3].T
    with np.errstate(divide="ignore"):
        bound = np.where(rays > 0, ROOM_UPPER, ROOM_LOWER)
        return np.min(np.where(rays == 0, np.inf, (bound - pose[:3, 3]) / rays), axis=-1)


def room_color(pose: np.ndarray, k: np.ndarray = K, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Colour (H, W, 3) uint8 that encodes the world position of what is seen."""
    rows, columns = np.mgrid[:height, :width]
    rays = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(k).T @ pose[:3, :3].T
    points = pose[:3, 3] + rays * room_depth(pose, k, width, height)[..., None]
    return np.rint(255 * np.clip((points - ROOM_LOWER) / (ROOM_UPPER - ROOM_LOWER), 0, 1)).astype(np.uint8)


def write_matrix(path: Path, matrix: np.ndarray) -> None:
    path.write_text("\n".join("  ".join(f"{value:.9e}" for value in row) for row in matrix) + "\n")


def write_depth(path: Path, depth: np.ndarray, scale: float = 0.001) -> None:
    Image.fromarray(np.rint(depth / scale).astype(np.uint16)).save(path)


def write_generic(
    folder: Path,
    poses: list[np.ndarray] | None = None,
    scale: float = 0.001,
    described: dict[str, object] | None = None,
) -> Path:
    """The generic layout; ``described`` goes to capture.json."""
    for part in ("color", "depth", "poses"):
        (folder / part).mkdir(parents=True)
    for number, pose in enumerate(poses if poses is not None else room_poses()):
        Image.fromarray(room_color(pose)).save(folder / "color" / f"view{number}.png")
        write_depth(folder / "depth" / f"view{number}.png", room_depth(pose), scale)
        write_matrix(folder / "poses" / f"view{number}.txt", pose)
    write_matrix(folder / "intrinsics.txt", K)
    if described is not None:
        (folder / "capture.json").write_text(json.dumps(described))
    return folder


def write_hololens(folder: Path, listed: int = 15, step: int = 2) -> Path:
    """The HoloLens layout: all poses are listed, every ``step``-th frame has images. The world's +y is up."""
    (folder / "images").mkdir(parents=True)
    (folder / "depth").mkdir()
    z_to_y = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    poses = room_poses(listed)
    rows = [" ".join(f"{value:.18e}" for value in (z_to_y @ pose).ravel()) for pose in poses]
    (folder / "poses.txt").write_text("\n".join(rows) + "\n")
    (folder / "frames.txt").write_text("".join(f"{number + 3:05d}.png\n" for number in range(listed)))
    np.savetxt(folder / "K.txt", K)
    for number in range(0, listed, step):
        Image.fromarray(room_color(poses[number])).save(folder / "images" / f"{number + 3:05d}.png")
        write_depth(folder / "depth" / f"{number + 3:05d}.png", room_depth(poses[number]))
    return folder


def write_sevenscenes(folder: Path, depth_to_color: np.ndarray, depth_k: np.ndarray, color_k: np.ndarray) -> Path:
    """The 7-Scenes layout at 640x480: poses are the depth camera's, 65535 marks invalid depth."""
    folder.mkdir(parents=True)
    for number, pose in enumerate(room_poses(3)):
        depth = np.rint(room_depth(pose, depth_k, 640, 480) * 1000).astype(np.uint16)
        depth[:5], depth[5:8] = 65535, 0
        Image.fromarray(depth).save(folder / f"frame-{number:06d}.depth.png")
        color_pose = pose @ np.linalg.inv(depth_to_color)
        Image.fromarray(room_color(color_pose, color_k, 640, 480)).save(folder / f"frame-{number:06d}.color.png")
        rows = ["\t ".join(f"{value: .7e}" for value in row) + "\t " for row in pose]
        (folder / f"frame-{number:06d}.pose.txt").write_text("\n".join(rows) + "\n")
    return folder
