"""All figures of a prediction: held-out views, completion and labels, beside those of the fused input."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparse_s4r.data.images import load_labels
from sparse_s4r.data.prediction_format import load_prediction_of
from sparse_s4r.data.scene_format import Scene, open_scene
from sparse_s4r.evaluation.completion import CompletionScores, completion_scores, true_precision
from sparse_s4r.evaluation.held_out import ViewErrors, view_errors
from sparse_s4r.evaluation.labels import LabelScores, label_scores
from sparse_s4r.render.raycaster import Raycaster
from sparse_s4r.structures import RenderedView, RGBDFrame, ScenePrediction
from sparse_s4r.structures.errors import DataError

Pairs = list[tuple[RenderedView, RGBDFrame]]


@dataclass(frozen=True)
class Metrics:
    """What ``metrics.json`` holds; docs/evaluation.md defines every figure.

    Attributes:
        prediction: Prediction against the held-out frames.
        input: Fused input against the same frames.
        prediction_where_both_hit: Prediction over the pixels that both hit.
        input_where_both_hit: Fused input over the same pixels.
        prediction_where_input_misses: Prediction over measured pixels where the fused input has nothing to show.
        labels: Rendered classes against the held-out frames' labels; None without labels.
        completion: Surface outside the input.
        true_precision: Share of all completed surface within two voxels of the true one; None where truth is unknown.
        frames: Names of the held-out frames.
    """

    prediction: ViewErrors
    input: ViewErrors
    prediction_where_both_hit: ViewErrors
    input_where_both_hit: ViewErrors
    prediction_where_input_misses: ViewErrors
    labels: LabelScores | None
    completion: CompletionScores
    true_precision: float | None
    frames: tuple[str, ...]


def evaluate_prediction(
    prediction_folder: Path,
    scene_folder: Path,
    frames: Sequence[str] = (),
    width: int | None = None,
    labels: Path | None = None,
    surface_distance: Callable[[Tensor], Tensor] | None = None,
) -> Metrics:
    """Evaluate a saved prediction on the frames of a scene.

    Args:
        prediction_folder: Made by ``s4r predict``.
        scene_folder: The scene it was made of.
        frames: Names of frames; none: the scene's held-out frames.
        width: Width to render at, pixels; None: as stored.
        labels: Folder of label images NAME.png in the prediction's classes, of the size of the renders, to compare
            with instead of the scene's own; for true labels where the scene's are guesses. Without it, classes other
            than the scene's are not judged.
        surface_distance: Distance (P,) of world points (P, 3) to the true surface, metres, where it is known.

    Raises:
        DataError: No held-out frames, unreadable folders, or a prediction on another grid.
    """
    scene = open_scene(scene_folder)
    prediction, info = load_prediction_of(prediction_folder, scene, other_classes=True)
    names = tuple(frames) or scene.frame_names("held_out")
    if not names:
        raise DataError(f"{scene_folder}: expected held-out frames, got none; import with --held-out 0.1")
    scan, target = scene.load_scan("input"), scene.load_scan("target")
    predicted = render_pairs(prediction, scene, names, width)
    fused = render_pairs(ScenePrediction.from_scan(scan), scene, names, width)
    both = [view.hit & other.hit for (view, _), (other, _) in zip(predicted, fused, strict=True)]
    missed: list[Tensor] = [~view.hit for view, _ in fused]
    return Metrics(
        prediction=view_errors(predicted),
        input=view_errors(fused),
        prediction_where_both_hit=view_errors(predicted, both),
        input_where_both_hit=view_errors(fused, both),
        prediction_where_input_misses=view_errors(predicted, missed),
        labels=_label_scores(predicted, labels, scene, info.class_names),
        completion=completion_scores(prediction, scan, target, scene.load_observation("target")),
        true_precision=None if surface_distance is None else true_precision(prediction, scan, surface_distance),
        frames=names,
    )


def render_pairs(prediction: ScenePrediction, scene: Scene, names: Sequence[str], width: int | None = None) -> Pairs:
    """Render ``prediction`` at the cameras of frames; each view with its frame, without gradient."""
    raycaster = Raycaster()
    with torch.inference_mode():
        field = raycaster.prepare(prediction)
        frames = [scene.load_frame(name, width=width) for name in names]
        return [(raycaster.render(field, frame.camera), frame) for frame in frames]


def _label_scores(pairs: Pairs, labels: Path | None, scene: Scene, class_names: Sequence[str]) -> LabelScores | None:
    """Scores of the classes; None where there are none, or none to compare with."""
    if not class_names or (labels is None and scene.class_names != tuple(class_names)):
        return None
    return label_scores(_relabelled(pairs, labels), len(class_names))


def _relabelled(pairs: Pairs, labels: Path | None) -> Pairs:
    if labels is None:
        return pairs
    try:
        return [(view, replace(frame, labels=load_labels(labels / f"{frame.name}.png"))) for view, frame in pairs]
    except ValueError as error:
        raise DataError(f"{labels}: {error}") from error


def save_metrics(metrics: Metrics, path: Path) -> None:
    """Write ``metrics`` as JSON; figures that are not finite, such as an error over no pixels, are null."""
    path.write_text(json.dumps(_finite(asdict(metrics)), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """``value`` with None for NaN and infinity, for which JSON has no words."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
