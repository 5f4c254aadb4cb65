"""Predicted voxels with their scores and the truth about them: what a calibration is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparse_s4r.config import ModelConfig
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.geometry.fusion import BAND
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.pyramid import FREE_BIT, SURFACE_BIT, ObservationPyramid
from sparse_s4r.inference.predict import predict_scene
from sparse_s4r.structures import IGNORE_LABEL, ScenePrediction, SceneTruth
from sparse_s4r.structures.errors import DataError

# Probabilities closer to 0 or 1 than this have no logit worth the name.
_CERTAIN = 1e-7


@dataclass(frozen=True)
class ScoredVoxels:
    """The voxels of one prediction, or of several together.

    Attributes:
        logits: (N,) float64 occupancy logits.
        occupied: (N,) bool, whether the voxel is in the band of the true surface.
        observed: (N,) bool, whether the input scan had it.
        truth: Whether the true surface told; else the fuller scan did, of the voxels in seen space alone.
        class_logits: (M, K) float32 of those whose true class is known; None without.
        labels: (M,) int64 their classes.
    """

    logits: Tensor
    occupied: Tensor
    observed: Tensor
    truth: bool
    class_logits: Tensor | None = None
    labels: Tensor | None = None


def score_voxels(network: nn.Module, model: ModelConfig, scene: Scene) -> ScoredVoxels:
    """Predict a scene and look up the truth about every voxel.

    The truth is the scene's true surface where it is known in the whole band. Else it is the fuller scan, and voxels in
    space that no training frame saw are left out; classes are then not judged.

    Args:
        network: In evaluation mode.
        model: How the network is to be used.
        scene: Its input scan is predicted.

    Raises:
        DataError: A network that gives no probabilities.
    """
    observation = scene.load_observation("input") if model.use_free_space else None
    prediction = predict_scene(network, scene.load_scan("input"), observation, model.keep_observed)
    probability, observed = prediction.occupancy_probability, prediction.observed
    if probability is None or observed is None:
        raise DataError(f"{scene.path}: expected a network that gives occupancy probabilities; the dense one does not")
    truth = scene.load_truth()
    whole = truth is not None and truth.band >= BAND * truth.field.grid.truncation
    if truth is None or not whole:
        occupied, known = _by_scan(prediction, scene)
        classes: tuple[Tensor | None, Tensor | None] = None, None
    else:
        occupied, known = _by_truth(prediction, truth), torch.ones_like(observed)
        classes = _classes(prediction, truth) if scene.class_names == model.class_names else (None, None)
    logits = torch.logit(probability.double(), eps=_CERTAIN)
    return ScoredVoxels(logits[known], occupied[known], observed[known], whole, *classes)


def together(parts: list[ScoredVoxels]) -> ScoredVoxels:
    """The voxels of all ``parts``, at least one.

    Raises:
        DataError: Some were judged by the truth and some by the fuller scan. These are different questions: what is
            made up in space that nobody saw is mostly wrong, and only the truth tells.
    """
    if len({part.truth for part in parts}) > 1:
        raise DataError("scenes: expected all with their true surface or all without, got both; leave out one kind")
    logits = [part.class_logits for part in parts if part.class_logits is not None]
    labels = [part.labels for part in parts if part.labels is not None]
    return ScoredVoxels(
        torch.cat([part.logits for part in parts]),
        torch.cat([part.occupied for part in parts]),
        torch.cat([part.observed for part in parts]),
        parts[0].truth,
        torch.cat(logits) if logits else None,
        torch.cat(labels) if labels else None,
    )


def _by_truth(prediction: ScenePrediction, truth: SceneTruth) -> Tensor:
    field = truth.field
    rows = VoxelHash(field.coordinates).rows(prediction.coordinates)
    return (rows >= 0) & (field.tsdf[rows].abs() < BAND * field.grid.truncation)


def _by_scan(prediction: ScenePrediction, scene: Scene) -> tuple[Tensor, Tensor]:
    """Whether each voxel is in the fuller scan, and whether a training frame saw its place."""
    bits = ObservationPyramid(scene.load_observation("target")).bits(prediction.coordinates, 1)
    return (bits & SURFACE_BIT) != 0, (bits & (SURFACE_BIT | FREE_BIT)) != 0


def _classes(prediction: ScenePrediction, truth: SceneTruth) -> tuple[Tensor | None, Tensor | None]:
    """Class logits and true classes of the voxels next to the true surface."""
    if prediction.semantic_logits is None:
        return None, None
    near = truth.select((truth.field.tsdf.abs() < truth.field.grid.voxel_size) & (truth.labels != IGNORE_LABEL))
    rows = VoxelHash(near.field.coordinates).rows(prediction.coordinates)
    found = rows >= 0
    return prediction.semantic_logits[found].float(), near.labels[rows[found]]
