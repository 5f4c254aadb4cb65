"""A scene seen from above, as a doll's house: walls and ceiling show no back faces."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.render.pictures import class_palette, color_picture, label_picture, probability_picture
from sparse_s4r.render.raycaster import Raycaster
from sparse_s4r.structures import IGNORE_LABEL, Camera, RenderedView, ScenePrediction

_OBSERVED = (0.75, 0.77, 0.80)
_COMPLETED = (0.95, 0.55, 0.15)


@dataclass(frozen=True)
class Overview:
    """Pictures (H, W, 3) uint8 of one scene from above; None where the field lacks the attribute.

    Attributes:
        shape: Shaded surface; completed surface orange.
        color: Colour.
        labels: Classes.
        probability: Occupancy probability: yellow unlikely, red one half, dark blue certain.
    """

    shape: Tensor
    color: Tensor | None
    labels: Tensor | None
    probability: Tensor | None = None


def overview_camera(points: Tensor, width: int = 480, height: int = 400, azimuth: float = 215.0) -> Camera:
    """A camera that sees ``points`` (P, 3), world metres with +z up, but for a few far ones, from obliquely above.

    Args:
        points: What to see.
        width: Picture width, pixels.
        height: Picture height, pixels.
        azimuth: Direction in which the camera stands, degrees from +x towards +y.
    """
    # Stray voxels must not push the scene into a corner; a sample of the points tells as much as all.
    sample = points[:: max(1, len(points) // 100_000)].double()
    lower, upper = sample.quantile(0.002, dim=0), sample.quantile(0.998, dim=0)
    center = (lower + upper) / 2
    angle, elevation = math.radians(azimuth), math.radians(52.0)
    away = torch.tensor(
        [math.cos(angle) * math.cos(elevation), math.sin(angle) * math.cos(elevation), math.sin(elevation)],
        dtype=torch.float64,
    )
    right = torch.tensor([-math.sin(angle), math.cos(angle), 0.0], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, torch.linalg.cross(-away, right), -away
    # Far and narrow, nearly parallel projection: the distance that brings the points into the picture.
    focal = 2.2 * width
    local = (sample - center) @ pose[:3, :3]
    reach = torch.maximum(local[:, 0].abs() / (0.48 * width), local[:, 1].abs() / (0.48 * height))
    distance = float((reach * focal - local[:, 2]).quantile(0.998, interpolation="higher"))
    pose[:3, 3] = center + distance * away
    intrinsics = torch.tensor(
        [[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]], dtype=torch.float64
    )
    return Camera(intrinsics, pose, width, height)


def overview(prediction: ScenePrediction, camera: Camera) -> Overview:
    """Render ``prediction`` at ``camera`` in all aspects that it has."""
    far = 1.5 * float((prediction.grid.centers(prediction.coordinates) - camera.center.float()).norm(dim=1).max())
    with torch.inference_mode():
        view = Raycaster(near=0.1, far=far)(prediction, camera)
    labels = None
    if view.semantic_logits is not None and view.semantic_logits.shape[-1]:
        classes = torch.where(view.hit, view.semantic_logits.argmax(-1), IGNORE_LABEL)
        labels = _on_white(label_picture(classes, class_palette(view.semantic_logits.shape[-1])), view)
    probability = prediction.occupancy_probability
    return Overview(
        _on_white(_shape_picture(prediction, view), view),
        None if view.color is None else _on_white(color_picture(view.color), view),
        labels,
        None if probability is None else _on_white(probability_picture(probability, view), view),
    )


def _shape_picture(prediction: ScenePrediction, view: RenderedView) -> Tensor:
    forward = view.camera.camera_to_world[:3, 2].to(view.normal)
    # Light from the camera and from above, and enough of it everywhere that walls are not black.
    light = 0.35 * (view.normal @ -forward).clamp(0, 1) + 0.25 * view.normal[..., 2].clamp(0, 1) + 0.42
    base = view.normal.new_tensor(_OBSERVED).expand_as(view.normal)
    if prediction.observed is not None:
        seen = prediction.observed[view.voxel.clamp(min=0)]
        base = torch.where(seen.unsqueeze(-1), base, view.normal.new_tensor(_COMPLETED))
    return color_picture(base * light.unsqueeze(-1))


def _on_white(picture: Tensor, view: RenderedView) -> Tensor:
    return torch.where(view.hit.unsqueeze(-1), picture, torch.tensor(255, dtype=torch.uint8))
