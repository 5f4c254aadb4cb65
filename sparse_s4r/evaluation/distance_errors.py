"""Differences of a predicted distance field and a reference's, in voxels."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sparse_s4r.evaluation.reference import NARROW, WIDE, KnownSpace, Reference
from sparse_s4r.evaluation.surface import ErrorSum
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.structures import ScenePrediction

_NONE = ErrorSum()
_NO_VOLUME = (_NONE, _NONE, _NONE, _NONE)


@dataclass(frozen=True)
class DistanceErrors:
    """Sums of absolute differences in voxels, over the domains that SG-NN reports.

    Both distances are divided by the voxel size and clamped to the truncation T (3 voxels). A voxel that the prediction
    does not have counts as empty, +T; one that the reference does not have as +T where it saw free space and,
    elsewhere, as T on the prediction's own side, as nothing says which it is. "Known" is the space that the reference
    can judge; "everywhere" adds the predicted voxels outside of it.

    Attributes:
        entire: All known voxels. Free space in which both have nothing counts, with no error.
        entire_everywhere: The same, everywhere.
        unobserved: Known voxels that the input's frames did not see.
        unobserved_everywhere: The same, everywhere.
        predicted: Known voxels with a predicted distance below one voxel.
        predicted_3: Below three voxels.
        predicted_everywhere: Below one voxel, everywhere.
        predicted_3_everywhere: Below three voxels, everywhere.
        target: Voxels with a distance below one voxel in the reference.
        target_3: Below three voxels.
        target_behind: Like ``target``, with -T for a voxel that the prediction does not have.
        target_3_behind: Like ``target_3``, with -T for a voxel that the prediction does not have.

    Source:
        Dai et al., "SG-NN", CVPR 2020, and the L1 errors of its code, which fill what is missing with -T.
    """

    entire: ErrorSum
    entire_everywhere: ErrorSum
    unobserved: ErrorSum
    unobserved_everywhere: ErrorSum
    predicted: ErrorSum
    predicted_3: ErrorSum
    predicted_everywhere: ErrorSum
    predicted_3_everywhere: ErrorSum
    target: ErrorSum
    target_3: ErrorSum
    target_behind: ErrorSum
    target_3_behind: ErrorSum

    def __add__(self, other: DistanceErrors) -> DistanceErrors:
        return DistanceErrors(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def distance_errors(
    prediction: ScenePrediction, reference: Reference, seen_by_input: KnownSpace | None = None
) -> DistanceErrors:
    """Compare the distances of a prediction with those of a reference.

    Args:
        prediction: The field.
        reference: The scan of all frames, or the true surface. One that judges everywhere has no volume to average
            over: ``entire`` and ``unobserved`` are empty, "everywhere" is the same as without. Of one whose band is
            not complete only the figures at its surface are given.
        seen_by_input: What the input's frames saw; None: ``unobserved`` is empty.

    Raises:
        ValueError: Fields on different grids.
    """
    if prediction.grid != reference.field.grid:
        raise ValueError(f"grid: expected that of the reference, {reference.field.grid}, got {prediction.grid}")
    limit = prediction.grid.truncation_voxels
    known = reference.known_space()
    found = _clamped(prediction.tsdf, prediction.grid.voxel_size, limit)
    true = _clamped(reference.field.tsdf, prediction.grid.voxel_size, limit)
    row = VoxelHash(prediction.coordinates).rows(reference.field.coordinates)
    at_reference = _Voxels.of(reference.field.coordinates, _take(found, row, limit), true)
    alone = VoxelHash(reference.field.coordinates).rows(prediction.coordinates) < 0
    others = _Voxels.of(prediction.coordinates[alone], found[alone], torch.where(found[alone] < 0, -limit, limit))
    behind = _Voxels.of(reference.field.coordinates, _take(found, row, -limit), true)
    narrow, wide = true.abs() < NARROW, true.abs() < WIDE
    at_target = (at_reference.sum(narrow), at_reference.sum(wide), behind.sum(narrow), behind.sum(wide))
    if not reference.is_complete(WIDE):
        return DistanceErrors(*_NO_VOLUME, *_NO_VOLUME, *at_target)
    shared = at_reference.select(row >= 0)
    if known is None:
        narrow_wide = (shared.below(NARROW) + others.below(NARROW), shared.below(WIDE) + others.below(WIDE))
        return DistanceErrors(*_NO_VOLUME, *narrow_wide, *narrow_wide, *at_target)
    judged = known.holds(others.coordinates)
    free = others.select(judged)
    free = _Voxels.of(free.coordinates, free.found, torch.full_like(free.found, limit))
    unknown = others.select(~judged)
    narrow_wide = (shared.below(NARROW) + free.below(NARROW), shared.below(WIDE) + free.below(WIDE))
    everywhere = (narrow_wide[0] + unknown.below(NARROW), narrow_wide[1] + unknown.below(WIDE))
    volume = _volume(at_reference, free, unknown, known, seen_by_input)
    return DistanceErrors(*volume, *narrow_wide, *everywhere, *at_target)


@dataclass(frozen=True)
class _Voxels:
    """Voxels (N, 3) with their predicted distance (N,), in voxels, and the absolute difference (N,)."""

    coordinates: Tensor
    found: Tensor
    error: Tensor

    @classmethod
    def of(cls, coordinates: Tensor, found: Tensor, true: Tensor) -> _Voxels:
        return cls(coordinates, found, (found - true).abs())

    def select(self, keep: Tensor) -> _Voxels:
        return _Voxels(self.coordinates[keep], self.found[keep], self.error[keep])

    def sum(self, where: Tensor) -> ErrorSum:
        return ErrorSum(float(self.error[where].sum()), int(where.sum()))

    def below(self, threshold: float) -> ErrorSum:
        return self.sum(self.found.abs() < threshold)


def _volume(
    at_reference: _Voxels, free: _Voxels, unknown: _Voxels, known: KnownSpace, seen: KnownSpace | None
) -> tuple[ErrorSum, ErrorSum, ErrorSum, ErrorSum]:
    """Errors over all known voxels, and over those not seen by the input; each known only and everywhere."""
    parts = (at_reference, free)
    entire = ErrorSum(sum(float(part.error.sum()) for part in parts), known.count())
    beyond = ErrorSum(float(unknown.error.sum()), len(unknown.error))
    if seen is None:
        return entire, entire + beyond, _NONE, _NONE
    unseen = [part.select(~seen.holds(part.coordinates)) for part in (*parts, unknown)]
    totals = [float(part.error.sum()) for part in unseen]
    unobserved = ErrorSum(totals[0] + totals[1], known.count(without=seen))
    return entire, entire + beyond, unobserved, unobserved + ErrorSum(totals[2], len(unseen[2].error))


def _clamped(tsdf: Tensor, voxel_size: float, limit: float) -> Tensor:
    return (tsdf.double() / voxel_size).clamp(-limit, limit)


def _take(found: Tensor, row: Tensor, missing: float) -> Tensor:
    """``found`` at rows (R,), ``missing`` where a row is -1."""
    result = torch.full(row.shape, missing, dtype=found.dtype)
    result[row >= 0] = found[row[row >= 0]]
    return result
