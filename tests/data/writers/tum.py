"""A TUM RGB-D sequence of the box room: lists, images named by their time, and a trajectory of quaternions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.captures import ROOM_LOWER, ROOM_UPPER, look, room_color, room_depth

# The benchmark's images are 640x480; a tenth of it keeps the tests quick, with an intrinsics.txt to match.
SIZE = (96, 72)
K = np.array([[80.0, 0, 46.5], [0, 79.0, 36.25], [0, 0, 1]])
START = 1305031102.0
INTERVAL = 0.033
DEPTH_LATE = 0.012


def pose_at(seconds: float) -> np.ndarray:
    """Camera to world at a time after ``START``: moves and turns evenly."""
    return look(np.array([-0.5 + 0.6 * seconds, 0.3 - 0.4 * seconds, 1.3]), 0.4 + 0.8 * seconds, 0.3)


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """(x, y, z, w) of a rotation matrix, by its eigenvector: independent of any library's conversion."""
    m = rotation
    symmetric = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    return np.linalg.eigh(symmetric / 3)[1][:, -1]


def pose_line(seconds: float, sign: float = 1) -> str:
    pose = pose_at(seconds)
    numbers = [*pose[:3, 3], *(sign * quaternion(pose[:3, :3]))]
    return f"{START + seconds:.4f} " + " ".join(f"{number:.6f}" for number in numbers)


def write_sequence(
    folder: Path,
    frames: int = 6,
    poses: tuple[float, ...] = tuple(0.01 * step for step in range(-2, 30)),
    newline: str = "\n",
    own_camera: bool = True,
) -> Path:
    """Colour every ``INTERVAL``, depth ``DEPTH_LATE`` after it, poses at ``poses`` seconds after the start."""
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True)
    lists = {"rgb": ["# color images", "# file: 'rgbd_dataset.bag'", "# timestamp filename"]}
    lists["depth"] = ["# depth maps", "# file: 'rgbd_dataset.bag'", "# timestamp filename"]
    for number in range(frames):
        for part, seconds in (("rgb", number * INTERVAL), ("depth", number * INTERVAL + DEPTH_LATE)):
            name = f"{part}/{START + seconds:.6f}.png"
            lists[part].append(f"{START + seconds:.6f} {name}")
            # Colour is as seen at the time of depth: the lists, not the shutter, are under test.
            pose = pose_at(number * INTERVAL + DEPTH_LATE)
            if part == "rgb":
                Image.fromarray(room_color(pose, K, *SIZE)).save(folder / name)
            else:
                depth = np.rint(room_depth(pose, K, *SIZE) * 5000).astype(np.uint16)
                depth[:3] = 0
                Image.fromarray(depth).save(folder / name)
    for part, lines in lists.items():
        (folder / f"{part}.txt").write_bytes(newline.join([*lines, ""]).encode())
    head = ["# ground truth trajectory", "# file: 'rgbd_dataset.bag'", "# timestamp tx ty tz qx qy qz qw"]
    # Quaternions of opposite signs are one rotation; recorders change the sign at will.
    lines = [pose_line(seconds, sign=1 if step % 3 else -1) for step, seconds in enumerate(poses)]
    (folder / "groundtruth.txt").write_bytes(newline.join([*head, *lines, ""]).encode())
    (folder / "accelerometer.txt").write_text("# accelerometer data\n")
    if own_camera:
        np.savetxt(folder / "intrinsics.txt", K)
    return folder


def seen_through_lens(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth (480, 640) metres and colour of the room through the published lens of freiburg1's colour camera."""
    fx, fy, cx, cy = 517.3, 516.5, 318.6, 255.3
    d0, d1, d2, d3, d4 = 0.2624, -0.9531, -0.0054, 0.0026, 1.1633
    rows, columns = np.mgrid[:480, :640]
    u, v = (columns - cx) / fx, (rows - cy) / fy
    x, y = u, v
    # The published model gives the place in the image of a ray; its inverse by repeated correction.
    for _ in range(60):
        r2 = x * x + y * y
        radial = 1 + d0 * r2 + d1 * r2**2 + d4 * r2**3
        x, y = (
            (u - 2 * d2 * x * y - d3 * (r2 + 2 * x * x)) / radial,
            (v - d2 * (r2 + 2 * y * y) - 2 * d3 * x * y) / radial,
        )
    rays = np.stack([x, y, np.ones_like(x)], -1) @ pose[:3, :3].T
    depth = np.min((np.where(rays > 0, ROOM_UPPER, ROOM_LOWER) - pose[:3, 3]) / rays, axis=-1)
    points = pose[:3, 3] + rays * depth[..., None]
    color = np.rint(255 * np.clip((points - ROOM_LOWER) / (ROOM_UPPER - ROOM_LOWER), 0, 1)).astype(np.uint8)
    return depth, color
