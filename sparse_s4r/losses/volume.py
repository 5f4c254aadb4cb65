"""Terms between the predicted field and the fuller scan; unseen space counts as empty, a little."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.keys import pack_keys
from sparse_s4r.geometry.pyramid import FREE_BIT, SURFACE_BIT, ObservationPyramid
from sparse_s4r.structures import LevelOccupancy, ScenePrediction, SparseTSDF


def occupancy_loss(
    level: LevelOccupancy,
    target: ObservationPyramid,
    scan: SparseTSDF,
    missing_weight: float,
    unknown_weight: float,
) -> tuple[Tensor, int]:
    """Binary cross-entropy of a level's occupancy over its candidates.

    A cell is occupied if any of its voxels is surface, and empty if none is and some voxel was seen to be free.
    What no frame saw is empty with ``unknown_weight``.

    Args:
        level: Candidates of the level.
        target: Observation by all training frames.
        scan: The input scan.
        missing_weight: Weight of cells that are surface in the target and hold no voxel of the input; others weigh 1.
        unknown_weight: Weight of cells that no frame saw. At 0, as in SG-NN, nothing holds back what is generated
            behind walls, and whole scenes fill up.

    Returns:
        The loss (), 0 with zero gradient when no cell counts, and the number of cells that were seen.

    Source: SG-NN section 3.3; the weight as SPSG applies it, on missing surface only.
    """
    bits = target.bits(level.coordinates, level.stride)
    surface = (bits & SURFACE_BIT) != 0
    known = (bits & (SURFACE_BIT | FREE_BIT)) != 0
    return occupancy_cross_entropy(level, surface, known, scan, missing_weight, unknown_weight)


def occupancy_cross_entropy(
    level: LevelOccupancy,
    surface: Tensor,
    known: Tensor,
    scan: SparseTSDF,
    missing_weight: float,
    unknown_weight: float,
) -> tuple[Tensor, int]:
    """Weighted binary cross-entropy of a level's M candidates, whatever tells their states.

    Args:
        level: Candidates of the level.
        surface: (M,) bool, cells that are occupied; all others are empty.
        known: (M,) bool, cells whose state is known; the others weigh ``unknown_weight``.
        scan: The input scan.
        missing_weight: Weight of occupied cells that hold no voxel of the input; others weigh 1.
        unknown_weight: Weight of cells that are not known.

    Returns:
        As ``occupancy_loss``.
    """
    cells = torch.unique(pack_keys(torch.div(scan.coordinates, level.stride, rounding_mode="floor")))
    missing = surface & ~torch.isin(pack_keys(level.coordinates), cells)
    weight = torch.where(missing, missing_weight, torch.where(known, 1.0, unknown_weight)).to(level.logits)
    losses = F.binary_cross_entropy_with_logits(level.logits, surface.to(level.logits), reduction="none")
    return (losses * weight).sum() / weight.sum().clamp(min=1.0), int(known.sum())


def tsdf_loss(
    prediction: ScenePrediction,
    target: SparseTSDF,
    observation: ObservationPyramid,
    missing_weight: float,
    unknown_weight: float,
    logarithmic: bool,
) -> tuple[Tensor, int]:
    """Mean absolute difference of signed distances, in voxels.

    Free voxels have the target +truncation. Voxels that no frame saw have -truncation, the usual reading of space
    behind surfaces, with ``unknown_weight``.

    Args:
        prediction: Predicted field; its tsdf may exceed the truncation and is clamped here.
        target: Scan fused from all training frames.
        observation: Observation by all training frames.
        missing_weight: Weight of target voxels that the input does not hold; others weigh 1.
        unknown_weight: Weight of voxels that no frame saw.
        logarithmic: Compare sign(d) ln(1 + |d|), which stresses the zero crossing.

    Returns:
        The loss (), 0 with zero gradient when no voxel counts, and the number of voxels that were seen.

    Source: S4R section 3 (3D L1); log transform, weight and the reading of unseen voxels from SPSG.
    """
    limit = target.grid.truncation
    rows = VoxelHash(target.coordinates).rows(prediction.coordinates)
    surface = rows >= 0
    free = ~surface & ((observation.bits(prediction.coordinates, 1) & FREE_BIT) != 0)
    truth = torch.where(free, limit, -limit).to(prediction.tsdf)
    truth[surface] = target.tsdf.to(truth)[rows[surface]]
    weights = (missing_weight, unknown_weight)
    return distance_difference(prediction, truth, surface, surface | free, weights, logarithmic)


def distance_difference(
    prediction: ScenePrediction,
    truth: Tensor,
    surface: Tensor,
    known: Tensor,
    weights: tuple[float, float],
    logarithmic: bool,
) -> tuple[Tensor, int]:
    """Weighted mean difference of signed distances, in voxels, whatever tells the true ones.

    Args:
        prediction: Predicted field of N voxels; its tsdf may exceed the truncation and is clamped here.
        truth: (N,) true distances within the truncation, metres.
        surface: (N,) bool, voxels of the true band.
        known: (N,) bool, voxels whose distance is known.
        weights: Of surface that the input does not hold, and of voxels that are not known; others weigh 1.
        logarithmic: Compare sign(d) ln(1 + |d|).

    Returns:
        As ``tsdf_loss``.
    """
    limit, voxel = prediction.grid.truncation, prediction.grid.voxel_size
    missing_weight, unknown_weight = weights
    weight = torch.where(known, 1.0, unknown_weight).to(truth)
    if prediction.observed is not None:
        weight = torch.where(surface & ~prediction.observed, missing_weight, weight)
    # Leaky: a value beyond the truncation still finds its way back.
    inside = prediction.tsdf.clamp(-limit, limit)
    clamped = inside + 0.01 * (prediction.tsdf - inside)
    difference = (_transform(clamped / voxel, logarithmic) - _transform(truth / voxel, logarithmic)).abs()
    return (difference * weight).sum() / weight.sum().clamp(min=1.0), int(known.sum())


def _transform(distance: Tensor, logarithmic: bool) -> Tensor:
    return torch.sign(distance) * torch.log1p(distance.abs()) if logarithmic else distance
