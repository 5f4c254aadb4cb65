"""A field on voxels against the scan of all frames or the true surface: geometry, labels and colour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.evaluation.chamfer import ChamferScores
from sparse_s4r.evaluation.distance_errors import DistanceErrors
from sparse_s4r.evaluation.labels import VoxelConfusion, voxel_confusion
from sparse_s4r.evaluation.reference import NARROW, WIDE, Reference
from sparse_s4r.evaluation.surface import ErrorSum, SurfaceScores, surface_scores
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.structures import IGNORE_LABEL, ScenePrediction, SceneTruth, SparseTSDF


@dataclass(frozen=True)
class VoxelScores:
    """Scores against one reference; they can be added over scenes. docs/evaluation.md defines every figure.

    Attributes:
        narrow: Surface below one voxel.
        wide: Surface below three voxels.
        labels: Classes over the reference's surface (below one voxel) with a valid label; None if either has none.
        color_seen: Mean absolute difference of the three channels, in [0, 1], over the reference's surface
            that the input and the field have.
        color_completed: The same over the reference's surface that the field has and the input does not.
        distances: Differences of distances; None where not computed.
        chamfer: Distances between the surfaces; None where not computed, or if the reference's band is not complete.
    """

    narrow: SurfaceScores
    wide: SurfaceScores
    labels: VoxelConfusion | None
    color_seen: ErrorSum
    color_completed: ErrorSum
    distances: DistanceErrors | None = None
    chamfer: ChamferScores | None = None

    def __add__(self, other: VoxelScores) -> VoxelScores:
        return VoxelScores(
            self.narrow + other.narrow,
            self.wide + other.wide,
            None if self.labels is None or other.labels is None else self.labels + other.labels,
            self.color_seen + other.color_seen,
            self.color_completed + other.color_completed,
            None if self.distances is None or other.distances is None else self.distances + other.distances,
            None if self.chamfer is None or other.chamfer is None else self.chamfer + other.chamfer,
        )


def score_voxels(
    prediction: ScenePrediction, labels: Tensor | None, reference: Reference, scan: SparseTSDF, classes: int
) -> VoxelScores:
    """Score a field on the voxels of a reference.

    Args:
        prediction: A network's, or a scan as one.
        labels: (P,) int64 class of the field's voxels, ``IGNORE_LABEL`` for none; None for a field without labels.
        reference: What it is compared with, on the same grid.
        scan: The input scan.
        classes: Number of classes.

    Raises:
        ValueError: Fields on different grids.
    """
    if prediction.grid != reference.field.grid or scan.grid != prediction.grid:
        raise ValueError(f"grid: expected one, got {prediction.grid}, {reference.field.grid} and {scan.grid}")
    known = reference.known_space()
    surfaces = []
    for threshold in (NARROW, WIDE):
        predicted = _surface(prediction, threshold)
        judged = None if known is None else known.holds(predicted)
        true = _surface(reference.field, threshold)
        complete = reference.is_complete(threshold)
        surfaces.append(surface_scores(predicted, true, scan.coordinates, judged, complete))
    near = reference.field.tsdf.abs() < NARROW * reference.field.grid.voxel_size
    cells = reference.field.coordinates[near]
    row = VoxelHash(prediction.coordinates).rows(cells)
    confusion = None
    if labels is not None and reference.labels is not None and classes:
        confusion = voxel_confusion(_at(labels, row), reference.labels[near], classes)
    seen = VoxelHash(scan.coordinates).rows(cells) >= 0
    colors = _color_errors(prediction, reference.field.select(near), row)
    return VoxelScores(surfaces[0], surfaces[1], confusion, _sum(colors, seen), _sum(colors, ~seen))


def labels_of(prediction: ScenePrediction) -> Tensor | None:
    """Class (N,) int64 of every voxel of a prediction; None without semantics."""
    logits = prediction.semantic_logits
    return None if logits is None or not logits.shape[1] else logits.argmax(dim=1)


def labels_at(truth: SceneTruth, coordinates: Tensor) -> Tensor:
    """True class (N,) int64 at voxels (N, 3): that of the voxel, or of the nearest of the 26 around; else none.

    A scan's surface may lie a voxel beside the true one, where a field without a complete band has nothing.
    """
    voxels = VoxelHash(truth.field.coordinates)
    axis = torch.arange(-1, 2)
    offsets = torch.cartesian_prod(axis, axis, axis)
    offsets = offsets[offsets.square().sum(dim=1).argsort(stable=True)]
    result = torch.full((len(coordinates),), IGNORE_LABEL)
    left = torch.arange(len(coordinates))
    for offset in offsets:
        row = voxels.rows(coordinates[left] + offset)
        result[left[row >= 0]] = truth.labels[row[row >= 0]]
        left = left[row < 0]
    return result


def _surface(field: ScenePrediction | SparseTSDF, threshold: float) -> Tensor:
    return field.coordinates[field.tsdf.abs() < threshold * field.grid.voxel_size]


def _at(labels: Tensor, row: Tensor) -> Tensor:
    """``labels`` at rows (R,), none where a row is -1."""
    if not len(labels):
        return torch.full(row.shape, IGNORE_LABEL)
    return torch.where(row >= 0, labels.long()[row], IGNORE_LABEL)


def _color_errors(prediction: ScenePrediction, surface: SparseTSDF, row: Tensor) -> Tensor | None:
    """Mean absolute RGB difference (R,) float64 at the voxels of ``surface``, NaN where the field has none."""
    if prediction.color is None or surface.color is None:
        return None
    result = torch.full((len(surface),), torch.nan, dtype=torch.float64)
    found = row >= 0
    result[found] = (prediction.color[row[found]] - surface.color[found]).abs().double().mean(dim=1)
    return result


def _sum(errors: Tensor | None, where: Tensor) -> ErrorSum:
    if errors is None:
        return ErrorSum()
    chosen = errors[where & ~errors.isnan()]
    return ErrorSum(float(chosen.sum()), len(chosen))
