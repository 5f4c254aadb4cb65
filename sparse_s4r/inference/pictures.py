"""Pictures of a prediction from cameras, beside the real frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sparse_s4r.data.output import new_folder
from sparse_s4r.data.prediction_format import load_prediction, load_prediction_of
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.render.pictures import (
    class_palette,
    color_picture,
    comparison,
    depth_picture,
    label_picture,
    probability_colors,
    probability_picture,
)
from sparse_s4r.render.raycaster import Raycaster
from sparse_s4r.structures import IGNORE_LABEL, Camera, Mesh, RenderedView
from sparse_s4r.structures.errors import DataError


def render_pictures(
    prediction_folder: Path, scene_folder: Path, out: Path, frames: Sequence[str] = (), cameras: Path | None = None
) -> int:
    """Render a saved prediction and write ``out``: NAME.color.png, .depth.png, .labels.png, .uncertainty.png and, for
    the cameras of real frames, NAME.comparison.png with the frame above the render. The frame's labels are shown if
    they have the prediction's classes.

    Args:
        prediction_folder: Made by ``s4r predict``.
        scene_folder: The scene whose frames to render like.
        out: Must not exist.
        frames: Names of frames; none: the held-out frames, or all if there are none.
        cameras: JSON list of {name, intrinsics, camera_to_world, width, height} to render instead.

    Returns:
        Number of cameras rendered.

    Raises:
        DataError: Unknown frame, unreadable folder or camera file; nothing is written then.
    """
    scene = open_scene(scene_folder)
    # Given cameras need no frame to compare with, so there the scene does not matter.
    prediction, info = (
        load_prediction_of(prediction_folder, scene, other_classes=True)
        if cameras is None
        else load_prediction(prediction_folder)
    )
    names = tuple(frames) or scene.frame_names("held_out") or scene.frame_names()
    views = load_cameras(cameras) if cameras is not None else {name: scene.camera(name) for name in names}
    raycaster = Raycaster()
    with new_folder(out) as folder, torch.inference_mode():
        field = raycaster.prepare(prediction)
        for name, camera in views.items():
            view = raycaster.render(field, camera)
            _write_view(folder, name, view)
            if prediction.occupancy_probability is not None:
                picture = probability_picture(prediction.occupancy_probability, view)
                save_picture(picture, folder / f"{name}.uncertainty.png")
            if cameras is None:
                frame = scene.load_frame(name)
                shown = frame if scene.class_names == info.class_names else replace(frame, labels=None)
                save_picture(comparison(view, shown), folder / f"{name}.comparison.png")
    return len(views)


def load_cameras(path: Path) -> dict[str, Camera]:
    """Cameras by name from a JSON list of {name, intrinsics 3x3, camera_to_world 4x4, width, height}.

    Raises:
        DataError: Missing or malformed file, or a camera that is none.
    """
    try:
        cameras: dict[str, Camera] = {}
        for entry in _entries(path):
            name = str(entry["name"])
            # Names become file names.
            if not name or name in cameras or Path(name).name != name:
                raise ValueError(f"name: expected a unique file name, got {name!r}")
            cameras[name] = Camera(
                torch.tensor(entry["intrinsics"], dtype=torch.float64),
                torch.tensor(entry["camera_to_world"], dtype=torch.float64),
                int(entry["width"]),
                int(entry["height"]),
            )
        return cameras
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: expected a JSON list of cameras with name, intrinsics, camera_to_world, width and height: "
            f"{type(error).__name__}: {error}"
        ) from error


def _entries(path: Path) -> list[dict[str, Any]]:
    entries = json.loads(path.read_text())
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"expected a list of at least one, got {entries!r:.40}")
    return entries


def uncertainty_mesh(mesh: Mesh) -> Mesh:
    """``mesh`` coloured by its probability: yellow unlikely, red one half, dark blue certain.

    Raises:
        ValueError: A mesh without probability.
    """
    if mesh.probability is None:
        raise ValueError("mesh.probability: expected a value per vertex, got None")
    return replace(mesh, color=probability_colors(mesh.probability).float() / 255)


def save_picture(picture: Tensor, path: Path) -> None:
    """Write a picture (H, W, 3) uint8 as PNG."""
    Image.fromarray(picture.numpy()).save(path)


def _write_view(folder: Path, name: str, view: RenderedView) -> None:
    if view.color is not None:
        save_picture(color_picture(view.color, view.hit), folder / f"{name}.color.png")
    save_picture(depth_picture(view.depth, max(1.0, float(view.depth.max()))), folder / f"{name}.depth.png")
    if view.semantic_logits is not None:
        labels = torch.where(view.hit, view.semantic_logits.argmax(-1), IGNORE_LABEL)
        palette = class_palette(view.semantic_logits.shape[-1])
        save_picture(label_picture(labels, palette), folder / f"{name}.labels.png")
