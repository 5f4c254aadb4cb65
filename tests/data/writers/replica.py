"""The box room in the layout of NICE-SLAM's Replica."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.captures import HEIGHT, WIDTH, K, room_color, room_depth, room_poses


def write_replica(folder: Path, numbers: tuple[int, ...] = (0, 1, 2, 3), listed: int = 4) -> Path:
    """Scene room0 in ``folder``; the trajectory lists ``listed`` poses, the images are those of ``numbers``."""
    scene = folder / "room0"
    (scene / "results").mkdir(parents=True)
    poses = room_poses(listed)
    (scene / "traj.txt").write_text(
        "".join(" ".join(f"{value:.18e}" for value in pose.ravel()) + "\n" for pose in poses)
    )
    for number in numbers:
        color = Image.fromarray(room_color(poses[number]))
        color.save(scene / "results" / f"frame{number:06d}.jpg", quality=95)
        depth = np.rint(room_depth(poses[number]) * 6553.5).astype(np.uint16)
        Image.fromarray(depth).save(scene / "results" / f"depth{number:06d}.png")
    camera = {"w": WIDTH, "h": HEIGHT, "fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "scale": 6553.5}
    (folder / "cam_params.json").write_text(json.dumps({"camera": camera}))
    return scene
