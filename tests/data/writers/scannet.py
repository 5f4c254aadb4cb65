"""ScanNet scenes of the box room, written field by field from the published layout with struct, zlib and Pillow."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.captures import room_color, room_depth, room_poses

COLOR_SIZE, DEPTH_SIZE = (128, 96), (64, 48)
COLOR_K = np.array([[100.0, 0, 63.25], [0, 101, 47.5], [0, 0, 1]])
DEPTH_K = np.array([[48.0, 0, 31.0], [0, 47.5, 24.25], [0, 0, 1]])
IDENTITY = np.eye(4)
# Rows of the label table: id, raw category, category, count, nyu40id; the real file has more columns after these.
LABEL_ROWS = (
    (1, "wall", 1),
    (3, "floor", 2),
    (24, "fridge", 24),
    (49, 'display 17"', 40),
    (1163, "shower", 28),
    (7, "?", ""),
)


def four(matrix: np.ndarray) -> np.ndarray:
    """A (3, 3) matrix within a (4, 4) one."""
    result = np.eye(4)
    result[:3, :3] = matrix
    return result


@dataclass
class Sens:
    """Content of a .sens file; every field may be made wrong."""

    poses: list[np.ndarray] = field(default_factory=lambda: room_poses(5))
    version: int = 4
    name: bytes = b"StructureSensor (calibrated)"
    name_length: int | None = None
    color_extrinsics: np.ndarray = field(default_factory=lambda: np.eye(4))
    depth_extrinsics: np.ndarray = field(default_factory=lambda: np.eye(4))
    color_compression: int = 2
    depth_compression: int = 1
    color_size: tuple[int, int] = COLOR_SIZE
    depth_size: tuple[int, int] = DEPTH_SIZE
    shift: float = 1000.0
    claimed: int | None = None
    imu: int = 7
    imu_claimed: int | None = None

    def header(self) -> bytes:
        out = struct.pack("<I", self.version)
        out += struct.pack("<Q", len(self.name) if self.name_length is None else self.name_length) + self.name
        for matrix in (four(COLOR_K), self.color_extrinsics, four(DEPTH_K), self.depth_extrinsics):
            out += struct.pack("<16f", *matrix.ravel().tolist())
        out += struct.pack("<i", self.color_compression) + struct.pack("<i", self.depth_compression)
        for number in (*self.color_size, *self.depth_size):
            out += struct.pack("<I", number)
        out += struct.pack("<f", self.shift)
        return out + struct.pack("<Q", len(self.poses) if self.claimed is None else self.claimed)

    def frame(self, number: int) -> bytes:
        """A frame; the stored pose is the depth camera's, and colour is seen by a camera that may lie elsewhere."""
        pose = self.poses[number]
        seen = pose if np.isfinite(pose).all() and pose.any() else room_poses(5)[0]
        to_color = np.linalg.inv(self.color_extrinsics) @ self.depth_extrinsics
        color = room_color(seen @ np.linalg.inv(to_color), COLOR_K, *COLOR_SIZE)
        depth = np.rint(room_depth(seen, DEPTH_K, *DEPTH_SIZE) * self.shift).astype("<u2").tobytes()
        images = [
            _picture(color, self.color_compression),
            zlib.compress(depth) if self.depth_compression == 1 else depth,
        ]
        out = struct.pack("<16f", *pose.ravel().tolist())
        out += struct.pack("<Q", 1_000_000 + 33_000 * number) + struct.pack("<Q", 1_005_000 + 33_000 * number)
        return out + struct.pack("<Q", len(images[0])) + struct.pack("<Q", len(images[1])) + images[0] + images[1]

    def tail(self) -> bytes:
        out = struct.pack("<Q", self.imu if self.imu_claimed is None else self.imu_claimed)
        for number in range(self.imu):
            out += struct.pack("<15d", *(number + 0.01 * axis for axis in range(15))) + struct.pack(
                "<Q", 20_000 * number
            )
        return out

    def bytes(self) -> bytes:
        return self.header() + b"".join(self.frame(number) for number in range(len(self.poses))) + self.tail()


def _picture(color: np.ndarray, compression: int) -> bytes:
    stream = io.BytesIO()
    if compression == 1:
        Image.fromarray(color).save(stream, "PNG")
    else:
        Image.fromarray(color).save(stream, "JPEG", quality=97, subsampling=0)
    return stream.getvalue()


def write_sens(folder: Path, sens: Sens | None = None, scene: str = "scene0000_00") -> Path:
    """A scene folder with the .sens file alone."""
    folder.mkdir(parents=True)
    (folder / f"{scene}.sens").write_bytes((sens or Sens()).bytes())
    return folder


def write_parameters(path: Path, alignment: np.ndarray | None, newline: str = "\n") -> None:
    """<scene>.txt; ``alignment`` None as for the test scenes."""
    lines = (
        [f"axisAlignment = {' '.join(f'{value:.6f}' for value in alignment.ravel())} "] if alignment is not None else []
    )
    # As published: this transform is history, colour and depth of the .sens file are aligned.
    lines += [
        "colorHeight = 96",
        "colorToDepthExtrinsics = 0.999973 0.006791 0.002776 -0.037886 0 1 0 0 0 0 1 0 0 0 0 1",
    ]
    lines += ["colorWidth = 128", "fx_color = 101.500000", "numDepthFrames = 5", "sceneType = Apartment"]
    path.write_bytes(newline.join([*lines, ""]).encode())


def write_exported(folder: Path, step: int = 1, frames25k: bool = False) -> Path:
    """What SensReader's exporter writes, or the reduced set of 25,000 frames with its other names."""
    for part in ("color", "depth", "pose", *(() if frames25k else ("intrinsic",))):
        (folder / part).mkdir(parents=True)
    for number, pose in enumerate(room_poses(5)):
        name = f"{number * 100:06d}" if frames25k else str(number)
        if number % step == 0:
            Image.fromarray(room_color(pose, COLOR_K, *COLOR_SIZE)).save(folder / "color" / f"{name}.jpg", quality=97)
        depth = np.rint(room_depth(pose, DEPTH_K, *DEPTH_SIZE) * 1000).astype(np.uint16)
        Image.fromarray(depth).save(folder / "depth" / f"{name}.png")
        _save_matrix(folder / "pose" / f"{name}.txt", pose)
    for role, matrix in (("color", COLOR_K), ("depth", DEPTH_K)):
        place = folder / f"intrinsics_{role}.txt" if frames25k else folder / "intrinsic" / f"intrinsic_{role}.txt"
        _save_matrix(place, four(matrix))
        if not frames25k:
            _save_matrix(folder / "intrinsic" / f"extrinsic_{role}.txt", IDENTITY)
    return folder


def _save_matrix(path: Path, matrix: np.ndarray) -> None:
    path.write_text("".join(" ".join(f"{value:f}" for value in row) + "\n" for row in matrix))


def label_ids(number: int) -> np.ndarray:
    """ScanNet ids (96, 128) of a frame: rows of each id of ``LABEL_ROWS``, of 0, and of an id without a row."""
    known = [identity for identity, _, _ in LABEL_ROWS]
    return np.repeat(np.array([*known, 0, 500, known[number % 3]]), 12)[:96, None].repeat(128, axis=1).astype(np.uint16)


def write_label_zip(folder: Path, scene: str = "scene0000_00", count: int = 5) -> None:
    """<scene>_2d-label-filt.zip with label-filt/N.png of 16 bits."""
    with zipfile.ZipFile(folder / f"{scene}_2d-label-filt.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(count):
            stream = io.BytesIO()
            Image.fromarray(label_ids(number)).save(stream, "PNG")
            archive.writestr(f"label-filt/{number}.png", stream.getvalue())


def write_label_table(path: Path, newline: str = "\n") -> None:
    head = ["id", "raw_category", "category", "count", "nyu40id", "eigen13id", "nyuClass", "nyu40class"]
    rows = [[str(identity), name, name, "8277", str(nyu), "12", "", "x"] for identity, name, nyu in LABEL_ROWS]
    path.write_bytes(newline.join("\t".join(row) for row in [head, *rows, []]).encode())
