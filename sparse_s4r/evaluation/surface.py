"""Surface voxels of a prediction against those of a reference, in counts that can be added over scenes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.geometry.hash import VoxelHash


@dataclass(frozen=True)
class ErrorSum:
    """Sum of an error over voxels and their number, which can be added over scenes."""

    total: float = 0.0
    voxels: int = 0

    def __add__(self, other: ErrorSum) -> ErrorSum:
        return ErrorSum(self.total + other.total, self.voxels + other.voxels)

    @property
    def mean(self) -> float:
        """Mean error, NaN without voxels."""
        return ratio(self.total, self.voxels)


@dataclass(frozen=True)
class SurfaceScores:
    """Counts of surface voxels; docs/evaluation.md defines the figures that follow from them.

    "Outside the input" is where the input scan has no voxel in its band.

    Attributes:
        reference: Surface voxels of the reference.
        predicted: Surface voxels of the prediction where the reference can judge.
        common: Voxels that are both.
        missing: Surface voxels of the reference outside the input.
        recovered: Those of them that the prediction has.
        completed: Surface voxels of the prediction outside the input, where the reference can judge.
        correct: Those of them that are surface of the reference.
        near: Those of them that are surface of the reference or next to it (27 voxels).
        unjudged: Surface voxels of the prediction outside the input, where the reference cannot judge.
        complete: Whether the reference holds all voxels nearer to its surface than the threshold; where not, what it
            lacks is not known to be wrong, and intersection over union and exact precision are NaN.
    """

    reference: int
    predicted: int
    common: int
    missing: int
    recovered: int
    completed: int
    correct: int
    near: int
    unjudged: int
    complete: bool = True

    def __add__(self, other: SurfaceScores) -> SurfaceScores:
        return SurfaceScores(
            self.reference + other.reference,
            self.predicted + other.predicted,
            self.common + other.common,
            self.missing + other.missing,
            self.recovered + other.recovered,
            self.completed + other.completed,
            self.correct + other.correct,
            self.near + other.near,
            self.unjudged + other.unjudged,
            self.complete and other.complete,
        )

    @property
    def iou(self) -> float:
        """``common / (reference + predicted - common)``."""
        return ratio(self.common, self.reference + self.predicted - self.common) if self.complete else math.nan

    @property
    def recall(self) -> float:
        """``common / reference``."""
        return ratio(self.common, self.reference)

    @property
    def precision(self) -> float:
        """``common / predicted``."""
        return ratio(self.common, self.predicted) if self.complete else math.nan

    @property
    def missing_recall(self) -> float:
        """``recovered / missing``: recall of surface that the input does not have."""
        return ratio(self.recovered, self.missing)

    @property
    def completed_precision(self) -> float:
        """``correct / completed``: precision of what is predicted outside the input, at the very voxel."""
        return ratio(self.correct, self.completed) if self.complete else math.nan

    @property
    def completed_precision_near(self) -> float:
        """``near / completed``: the same within one voxel."""
        return ratio(self.near, self.completed)


def surface_scores(
    predicted: Tensor, reference: Tensor, scan: Tensor, judged: Tensor | None = None, complete: bool = True
) -> SurfaceScores:
    """Count surface voxels.

    Args:
        predicted: (P, 3) int64, surface voxels of the prediction, unique.
        reference: (R, 3) int64, surface voxels of the reference, unique.
        scan: (N, 3) int64, all voxels of the input scan's band.
        judged: (P,) bool, where the reference can judge the prediction; surface of the reference always counts. None:
            everywhere.
        complete: See ``SurfaceScores.complete``.
    """
    in_scan, in_reference, in_prediction = VoxelHash(scan), VoxelHash(reference), VoxelHash(predicted)
    is_reference = in_reference.rows(predicted) >= 0
    known = torch.ones_like(is_reference) if judged is None else judged | is_reference
    outside = in_scan.rows(predicted) < 0
    found = in_prediction.rows(reference) >= 0
    missing = in_scan.rows(reference) < 0
    completed = outside & known
    return SurfaceScores(
        reference=len(reference),
        predicted=int(known.sum()),
        common=int(is_reference.sum()),
        missing=int(missing.sum()),
        recovered=int((missing & found).sum()),
        completed=int(completed.sum()),
        correct=int((completed & is_reference).sum()),
        near=int(is_near(predicted[completed], in_reference).sum()),
        unjudged=int((outside & ~known).sum()),
        complete=complete,
    )


def is_near(coordinates: Tensor, voxels: VoxelHash) -> Tensor:
    """True (N,) where one of the 27 voxels around is in ``voxels``."""
    axis = torch.arange(-1, 2, device=coordinates.device)
    near = torch.zeros(len(coordinates), dtype=torch.bool, device=coordinates.device)
    for offset in torch.cartesian_prod(axis, axis, axis):
        near |= voxels.rows(coordinates + offset) >= 0
    return near


def ratio(part: float, whole: float) -> float:
    """``part / whole``, NaN where there is no whole."""
    return part / whole if whole else math.nan
