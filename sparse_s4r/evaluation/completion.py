"""Surface that the input did not contain: how much of it is found, and how much of what is found is real."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sparse_s4r.evaluation.surface import surface_scores
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.pyramid import FREE_BIT, SURFACE_BIT, ObservationPyramid
from sparse_s4r.structures import ObservationGrid, ScenePrediction, SparseTSDF


@dataclass(frozen=True)
class CompletionScores:
    """Recall and precision over surface voxels outside the input.

    A surface voxel has a distance of less than one voxel.

    Attributes:
        missing: Surface voxels of the target that the input scan does not have.
        recovered: Those of them that the prediction has as surface.
        recall: ``recovered / missing``.
        completed: Surface voxels of the prediction outside the input scan, in space that the target saw.
        correct: Those of them that lie in the target's surface or next to it (within one voxel).
        precision: ``correct / completed``.
        unjudged: Surface voxels of the prediction outside the input scan, in space that no training frame saw:
            nothing here says whether they are right.
    """

    missing: int
    recovered: int
    recall: float
    completed: int
    correct: int
    precision: float
    unjudged: int


def completion_scores(
    prediction: ScenePrediction, scan: SparseTSDF, target: SparseTSDF, observation: ObservationGrid
) -> CompletionScores:
    """Score a prediction against the fuller scan.

    Args:
        prediction: The prediction.
        scan: The input scan.
        target: Scan of all training frames.
        observation: What all training frames saw; predictions in unknown space are not judged.
    """
    voxel = target.grid.voxel_size
    surface = target.coordinates[target.tsdf.abs() < voxel]
    predicted = prediction.coordinates[prediction.tsdf.abs() < voxel]
    seen = (ObservationPyramid(observation).bits(predicted, 1) & (SURFACE_BIT | FREE_BIT)) != 0
    found = surface_scores(predicted, surface, scan.coordinates, seen)
    return CompletionScores(
        found.missing,
        found.recovered,
        found.missing_recall,
        found.completed,
        found.near,
        found.completed_precision_near,
        found.unjudged,
    )


def _share(mask: Tensor) -> float:
    return float(mask.double().mean()) if len(mask) else math.nan


def true_precision(
    prediction: ScenePrediction, scan: SparseTSDF, surface_distance: Callable[[Tensor], Tensor]
) -> float:
    """Share of all surface voxels outside the input scan that lie within two voxels of the true surface.

    Unlike ``CompletionScores.precision`` it judges space that no frame saw; it needs a scene whose truth is known.

    Args:
        prediction: The prediction.
        scan: The input scan.
        surface_distance: Distance (P,) in metres of world points (P, 3) to the true surface.

    Returns:
        A share, NaN when nothing was completed.
    """
    voxel = prediction.grid.voxel_size
    predicted = prediction.coordinates[prediction.tsdf.abs() < voxel]
    completed = predicted[VoxelHash(scan.coordinates).rows(predicted) < 0]
    return _share(surface_distance(prediction.grid.centers(completed)) < 2 * voxel)
