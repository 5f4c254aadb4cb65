"""The box room as a nerfstudio data set with depth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.captures import ROOM_LOWER, ROOM_UPPER, room_depth, room_poses

WIDTH, HEIGHT = 96, 72
CAMERA = {"fl_x": 70.0, "fl_y": 72.0, "cx": 47.0, "cy": 37.0, "w": WIDTH, "h": HEIGHT}
LENS = {"k1": -0.12, "k2": 0.03, "p1": 0.002, "p2": -0.003}


def ideal_rays(lens: dict[str, float]) -> np.ndarray:
    """Camera rays (H, W, 3) with z = 1 through the pixels' centres, which nerfstudio puts at half numbers.

    The distortion maps a ray to the picture, so that it is inverted here, by repeated substitution.
    """
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    seen = np.stack([(columns - CAMERA["cx"]) / CAMERA["fl_x"], (rows - CAMERA["cy"]) / CAMERA["fl_y"]], axis=-1)
    k1, k2, p1, p2 = (lens.get(key, 0.0) for key in ("k1", "k2", "p1", "p2"))
    true = seen
    for _ in range(50):
        x, y = true[..., 0], true[..., 1]
        square = x**2 + y**2
        shift = np.stack([2 * p1 * x * y + p2 * (square + 2 * x**2), p1 * (square + 2 * y**2) + 2 * p2 * x * y], -1)
        true = (seen - shift) / (1 + k1 * square + k2 * square**2)[..., None]
    return np.concatenate([true, np.ones((HEIGHT, WIDTH, 1))], axis=-1)


def cast(pose: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z-depth and colour of the room's walls along camera rays with z = 1."""
    world = rays @ pose[:3, :3].T
    with np.errstate(divide="ignore"):
        bound = np.where(world > 0, ROOM_UPPER, ROOM_LOWER)
        depth = np.min(np.where(world == 0, np.inf, (bound - pose[:3, 3]) / world), axis=-1)
    points = pose[:3, 3] + world * depth[..., None]
    return depth, np.rint(255 * np.clip((points - ROOM_LOWER) / (ROOM_UPPER - ROOM_LOWER), 0, 1)).astype(np.uint8)


def half_size_depth(pose: np.ndarray) -> np.ndarray:
    """Depth of every second pixel's corner: the same camera with half as many pixels."""
    focal = np.array([[CAMERA["fl_x"] / 2, 0, CAMERA["cx"] / 2 - 0.5], [0, CAMERA["fl_y"] / 2, CAMERA["cy"] / 2 - 0.5]])
    return room_depth(pose, np.vstack([focal, [0, 0, 1]]), WIDTH // 2, HEIGHT // 2)


def write_nerfstudio(
    folder: Path,
    count: int = 3,
    lens: dict[str, float] | None = None,
    per_frame: bool = False,
    half_depth: bool = False,
    masks: bool = False,
    top: dict[str, object] | None = None,
    scale: float = 1.0,
) -> Path:
    """images/, depth/ in mm, masks/ if asked for, and transforms.json; positions are multiplied by ``scale``."""
    (folder / "images").mkdir(parents=True)
    (folder / "depth").mkdir()
    (folder / "masks").mkdir()
    frames = []
    for number, pose in enumerate(room_poses(count), start=1):
        depth, color = cast(pose, ideal_rays(lens or {}))
        Image.fromarray(color).save(folder / "images" / f"frame_{number:05d}.jpeg", quality=95)
        written = half_size_depth(pose) if half_depth else depth
        Image.fromarray(np.rint(written * 1000).astype(np.uint16)).save(folder / "depth" / f"{number}.png")
        matrix = pose.copy()
        # OpenGL: y up, z backward.
        matrix[:3, 1:3] *= -1
        matrix[:3, 3] *= scale
        frame: dict[str, object] = {
            "file_path": f"images/frame_{number:05d}.jpeg",
            "depth_file_path": f"depth/{number}.png",
            "transform_matrix": matrix.tolist(),
        }
        if masks:
            mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
            mask[: HEIGHT // 2] = 0
            Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
            frame["mask_path"] = f"masks/{number}.png"
        frames.append({**frame, **CAMERA, **(lens or {})} if per_frame else frame)
    shared = {} if per_frame else {**CAMERA, **(lens or {})}
    document = {"camera_model": "OPENCV", **shared, **(top or {}), "frames": frames[::-1]}
    (folder / "transforms.json").write_text(json.dumps(document, indent=2))
    return folder
