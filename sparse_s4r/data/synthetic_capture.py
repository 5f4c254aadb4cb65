"""A synthetic room written as a capture on disk, in the generic layout that the import reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sparse_s4r.data.output import new_folder
from sparse_s4r.data.synthetic import SyntheticRoom
from sparse_s4r.data.synthetic_render import render_frame
from sparse_s4r.structures import Camera, RGBDFrame

_FOLDERS = ("color", "depth", "labels", "poses")
_DEPTH_SCALE = 0.001


def write_capture(
    room: SyntheticRoom, cameras: Sequence[Camera], folder: Path, noise_seed: int | None = None, labels: bool = True
) -> None:
    """Render and write a capture: color/, depth/ (uint16 millimetres), labels/, poses/, intrinsics.txt, capture.json.

    Args:
        room: The room.
        cameras: Views, all with the same intrinsics and size; named 0000, 0001, ...
        folder: The folder to make; it appears when everything is written.
        noise_seed: Seed of the depth noise; None for exact depth.
        labels: Write the true labels too.

    Raises:
        DataError: ``folder`` exists.
        ValueError: No cameras, or cameras that differ in intrinsics or size.
    """
    if not cameras:
        raise ValueError("cameras: expected at least one, got none")
    first = cameras[0]
    for camera in cameras:
        same_size = (camera.width, camera.height) == (first.width, first.height)
        if not (same_size and bool((camera.intrinsics == first.intrinsics).all())):
            raise ValueError("cameras: expected the same intrinsics and size for all, got different ones")
    with new_folder(folder) as target:
        for name in _FOLDERS if labels else tuple(f for f in _FOLDERS if f != "labels"):
            (target / name).mkdir()
        for index, camera in enumerate(cameras):
            seed = None if noise_seed is None else noise_seed * 100_003 + index
            _write_frame(render_frame(room, camera, f"{index:04d}", seed), target, labels)
        np.savetxt(target / "intrinsics.txt", first.intrinsics.numpy(), fmt="%.9g")
        described: dict[str, object] = {"depth_scale": _DEPTH_SCALE, "up": "z"}
        if labels:
            described["class_names"] = list(room.class_names)
        (target / "capture.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def _write_frame(frame: RGBDFrame, folder: Path, labels: bool) -> None:
    name = frame.name
    color = (frame.color * 255.0).round().byte().numpy()
    Image.fromarray(color).save(folder / "color" / f"{name}.png")
    depth = (frame.depth / _DEPTH_SCALE).round().numpy().astype(np.uint16)
    Image.fromarray(depth).save(folder / "depth" / f"{name}.png")
    if labels and frame.labels is not None:
        Image.fromarray(frame.labels.byte().numpy()).save(folder / "labels" / f"{name}.png")
    np.savetxt(folder / "poses" / f"{name}.txt", frame.camera.camera_to_world.numpy(), fmt="%.9f")
