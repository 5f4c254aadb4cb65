"""The box room as Record3D writes it: .r3d files, and folders exported as EXR and JPG. The world's +y is up."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.captures import room_color, room_depth, room_poses

WIDTH, HEIGHT = 90, 120
DEPTH_WIDTH, DEPTH_HEIGHT = 45, 60
CAMERA = np.array([[95.0, 0, 44.0], [0, 95.0, 60.0], [0, 0, 1]])
# From the room, where z is up, to ARKit's world.
ROOM_TO_WORLD = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """x y z w of a rotation: the eigenvector of the largest eigenvalue of Bar-Itzhack's matrix."""
    r = rotation
    matrix = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    return np.linalg.eigh(matrix)[1][:, -1]


def metadata(count: int, per_frame: bool, sized: bool) -> dict[str, object]:
    """What Record3D writes beside the images; the matrix K stands column by column."""
    poses = []
    for pose in room_poses(count):
        moved = ROOM_TO_WORLD @ pose @ np.diag([1.0, -1.0, -1.0, 1.0])
        poses.append([*quaternion(moved[:3, :3]).tolist(), *moved[:3, 3].tolist()])
    found: dict[str, object] = {
        "w": WIDTH,
        "h": HEIGHT,
        "fps": 60,
        "K": CAMERA.T.ravel().tolist(),
        "poses": poses,
        "initPose": poses[0],
        "frameTimestamps": [12.5 + number / 60 for number in range(count)],
        "cameraType": 1,
    }
    if per_frame:
        found["K"] = [1.0, 0, 0, 0, 1.0, 0, 1.0, 1.0, 1.0]
        found["perFrameIntrinsicCoeffs"] = [[CAMERA[0, 0], CAMERA[1, 1], CAMERA[0, 2], CAMERA[1, 2]]] * count
    return {**found, "dw": DEPTH_WIDTH, "dh": DEPTH_HEIGHT} if sized else found


def depth_of(pose: np.ndarray) -> np.ndarray:
    """Depth in metres of the same camera with half as many pixels, their outlines aligned."""
    scale = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])
    return room_depth(pose, scale @ CAMERA, DEPTH_WIDTH, DEPTH_HEIGHT).astype(np.float32)


def jpeg(pose: np.ndarray) -> bytes:
    """Bytes of the colour image."""
    stream = io.BytesIO()
    Image.fromarray(room_color(pose, CAMERA, WIDTH, HEIGHT)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def write_export(folder: Path, count: int = 3, per_frame: bool = False) -> Path:
    """metadata.json, rgb/N.jpg and depth/N.exr, half floats in channel R, NaN where there is no depth."""
    import OpenEXR

    for name in ("rgb", "depth"):
        (folder / "EXR_RGBD" / name).mkdir(parents=True)
    for number, pose in enumerate(room_poses(count)):
        (folder / "EXR_RGBD" / "rgb" / f"{number}.jpg").write_bytes(jpeg(pose))
        depth = depth_of(pose).astype(np.float16)
        depth[:4] = np.nan
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        with OpenEXR.File(header, {"R": depth}) as file:
            file.write(str(folder / "EXR_RGBD" / "depth" / f"{number}.exr"))
    (folder / "EXR_RGBD" / "metadata.json").write_text(json.dumps(metadata(count, per_frame, sized=False)))
    return folder


def write_r3d(path: Path, count: int = 3, per_frame: bool = True) -> Path:
    """The zip archive: metadata, rgbd/N.jpg, N.depth and N.conf packed by LZFSE; low confidence where depth lies."""
    import lzfse

    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata", json.dumps(metadata(count, per_frame, sized=True)))
        archive.writestr("icon", jpeg(room_poses(count)[0]))
        for number, pose in enumerate(room_poses(count)):
            depth, level = depth_of(pose), np.full((DEPTH_HEIGHT, DEPTH_WIDTH), 2, np.uint8)
            depth[:4], level[:4] = 0.3, 0
            depth[4:6] = np.nan
            level[6:12] = 1
            archive.writestr(f"rgbd/{number}.jpg", jpeg(pose))
            archive.writestr(f"rgbd/{number}.depth", lzfse.compress(depth.astype("<f4").tobytes()))
            archive.writestr(f"rgbd/{number}.conf", lzfse.compress(level.tobytes()))
    return path
