"""A predicted scene on disk: docs/prediction-format.md."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from sparse_s4r.data.scene import Scene
from sparse_s4r.structures import IGNORE_LABEL, Calibration, GridSpec, ScenePrediction
from sparse_s4r.structures.errors import DataError

PREDICTION_NAME = "prediction.safetensors"
_FORMAT = "sparse_s4r prediction 1"


@dataclass(frozen=True)
class PredictionInfo:
    """What the metadata of a prediction says.

    Attributes:
        class_names: Classes of the labels; empty without semantics.
        up: Up axis in the world.
        checkpoint: SHA-256 of the checkpoint that made it, hexadecimal.
        calibration: Behind its probabilities.
    """

    class_names: tuple[str, ...]
    up: tuple[float, float, float]
    checkpoint: str
    calibration: Calibration = field(default_factory=Calibration)


def save_prediction(prediction: ScenePrediction, info: PredictionInfo, folder: Path) -> None:
    """Write ``prediction.safetensors`` to ``folder``.

    Raises:
        ValueError: The prediction lacks ``observed``, or ``info`` names another number of classes.
    """
    if prediction.observed is None:
        raise ValueError("prediction.observed: expected a mask, got None")
    classes = 0 if prediction.semantic_logits is None else prediction.semantic_logits.shape[1]
    if len(info.class_names) != classes:
        raise ValueError(f"class_names: expected {classes}, one per class of the logits, got {len(info.class_names)}")
    count = len(prediction)
    labels = torch.full((count,), IGNORE_LABEL, dtype=torch.uint8)
    confidence = torch.zeros(count, dtype=torch.float16)
    if prediction.semantic_logits is not None and classes:
        labels = prediction.semantic_logits.argmax(dim=1).to(torch.uint8)
        sure = prediction.label_confidence
        confidence = (info.calibration.confidence(prediction.semantic_logits) if sure is None else sure).half()
    limit = prediction.grid.truncation
    tensors = {
        "coordinates": prediction.coordinates.int(),
        "tsdf": prediction.tsdf.float().clamp(-limit, limit),
        "labels": labels,
        "confidence": confidence,
        "observed": prediction.observed,
    }
    if prediction.occupancy_probability is not None:
        tensors["occupancy_probability"] = prediction.occupancy_probability.half()
    if prediction.color is not None:
        tensors["color"] = (prediction.color.clamp(0, 1) * 255).round().to(torch.uint8)
    grid = prediction.grid
    metadata = {
        "format": _FORMAT,
        "voxel_size": repr(grid.voxel_size),
        "origin": json.dumps(grid.origin),
        "truncation_voxels": repr(grid.truncation_voxels),
        "class_names": json.dumps(info.class_names),
        "up": json.dumps(info.up),
        "checkpoint": info.checkpoint,
        "calibration": json.dumps(asdict(info.calibration)),
    }
    save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, folder / PREDICTION_NAME, metadata)


def load_prediction(folder: Path) -> tuple[ScenePrediction, PredictionInfo]:
    """Read a prediction folder; labels come back as one-hot logits, so that they can be rendered.

    Predictions of earlier versions have no ``occupancy_probability`` and come back without it.

    Raises:
        DataError: No prediction there, or not a readable one.
    """
    path = folder / PREDICTION_NAME
    if not path.is_file():
        raise DataError(f"{path}: expected a prediction made by s4r predict, found none")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _assemble(tensors, metadata)
    except (SafetensorError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a readable prediction: {error}; run s4r predict again") from error


def load_prediction_of(
    folder: Path, scene: Scene, other_classes: bool = False
) -> tuple[ScenePrediction, PredictionInfo]:
    """``load_prediction``, of a given scene.

    Args:
        folder: Made by ``s4r predict``.
        scene: The scene it was made of.
        other_classes: Allow classes other than those of the scene's labels, as of weights from elsewhere.

    Raises:
        DataError: It is a prediction of another scene: on another grid, or with other classes.
    """
    prediction, info = load_prediction(folder)
    if prediction.grid != scene.grid:
        raise DataError(
            f"{folder}: expected a prediction on the grid of {scene.path}, {scene.grid}, got {prediction.grid}; "
            "predict that scene, or name the one it was made of"
        )
    if not other_classes and info.class_names and scene.class_names not in (None, info.class_names):
        raise DataError(
            f"{folder}: expected the classes of {scene.path}, {list(scene.class_names or ())}, got "
            f"{list(info.class_names)}; import the scene with the labels that the network was trained on"
        )
    return prediction, info


def predicted_scan(folder: Path) -> str:
    """Which of the scene's scans a prediction was made of, "input" or "target", as prediction.json says.

    Predictions of earlier versions do not say it, nor do fields that another program wrote: "input".

    Raises:
        DataError: A prediction.json that is not readable.
    """
    path = folder / "prediction.json"
    if not path.is_file():
        return "input"
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("scan", "input"))
    except (ValueError, AttributeError) as error:
        raise DataError(f"{path}: not a readable summary: {error}; run s4r predict again") from error


def _assemble(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> tuple[ScenePrediction, PredictionInfo]:
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"expected the format {_FORMAT!r}, got {metadata.get('format')!r}")
    x, y, z = json.loads(metadata["origin"])
    grid = GridSpec(float(metadata["voxel_size"]), (x, y, z), float(metadata["truncation_voxels"]))
    names = tuple(json.loads(metadata["class_names"]))
    labels = tensors["labels"].long()
    if names and len(labels) and int(labels.max()) >= len(names):
        raise ValueError(f"expected labels below {len(names)}, one per class name, got up to {int(labels.max())}")
    logits = F.one_hot(labels, len(names)).float() if names else None
    probability = tensors["occupancy_probability"].float() if "occupancy_probability" in tensors else None
    prediction = ScenePrediction(
        grid,
        tensors["coordinates"].long(),
        tensors["tsdf"],
        tensors["color"].float() / 255 if "color" in tensors else None,
        logits,
        tensors["observed"],
        occupancy_probability=probability,
        label_confidence=tensors["confidence"].float() if names else None,
    )
    up = json.loads(metadata["up"])
    calibration = Calibration(**json.loads(metadata.get("calibration", "{}")))
    return prediction, PredictionInfo(names, (up[0], up[1], up[2]), metadata["checkpoint"], calibration)
