"""Terms between the predicted field and the true one: full supervision, to compare self-supervision with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.keys import pack_keys
from sparse_s4r.geometry.pyramid import FREE_BIT, SURFACE_BIT, ObservationPyramid
from sparse_s4r.losses.volume import distance_difference, occupancy_cross_entropy
from sparse_s4r.structures import IGNORE_LABEL, LabelledField, LevelOccupancy, ScenePrediction, SparseTSDF


def true_occupancy_loss(
    level: LevelOccupancy,
    truth: SparseTSDF,
    seen: ObservationPyramid,
    scan: SparseTSDF,
    missing_weight: float,
    unknown_weight: float,
) -> tuple[Tensor, int]:
    """Binary cross-entropy of a level's occupancy where the true surface is known, seen or not.

    A cell is occupied if the true band has a voxel in it, and empty if not.

    Args:
        level: Candidates of the level.
        truth: The true field in its band.
        seen: Observation by all training frames.
        scan: The input scan.
        missing_weight: Weight of occupied cells that hold no voxel of the input; others weigh 1.
        unknown_weight: Weight of empty cells that no frame saw: inside walls and behind them.

    Returns:
        The loss (), 0 with zero gradient when no cell counts, and the number of cells that are occupied or were seen.
    """
    cells = torch.unique(pack_keys(torch.div(truth.coordinates, level.stride, rounding_mode="floor")))
    surface = torch.isin(pack_keys(level.coordinates), cells)
    known = surface | ((seen.bits(level.coordinates, level.stride) & (SURFACE_BIT | FREE_BIT)) != 0)
    return occupancy_cross_entropy(level, surface, known, scan, missing_weight, unknown_weight)


def true_tsdf_loss(
    prediction: ScenePrediction,
    truth: SparseTSDF,
    target: SparseTSDF,
    seen: ObservationPyramid,
    weights: tuple[float, float],
    logarithmic: bool,
) -> tuple[Tensor, int]:
    """Mean absolute difference to the true signed distances, in voxels.

    Voxels outside the true band have +truncation where they were seen to be free or the target scan has them in
    front of its surface, which is then noise, and -truncation elsewhere.

    Args:
        prediction: Predicted field.
        truth: The true field in its band.
        target: Scan fused from all training frames.
        seen: Observation by all training frames.
        weights: Of true surface that the input does not hold, and of voxels off the true band that no frame saw.
        logarithmic: Compare sign(d) ln(1 + |d|).

    Returns:
        The loss (), 0 with zero gradient when no voxel counts, and the number of voxels that are true or were seen.
    """
    voxels, limit = prediction.coordinates, truth.grid.truncation
    rows, scanned = VoxelHash(truth.coordinates).rows(voxels), VoxelHash(target.coordinates).rows(voxels)
    surface = rows >= 0
    front = (seen.bits(voxels, 1) & FREE_BIT) != 0
    front[scanned >= 0] = target.tsdf[scanned[scanned >= 0]] > 0
    known = surface | front | (scanned >= 0)
    wanted = torch.where(front, limit, -limit).to(prediction.tsdf)
    wanted[surface] = truth.tsdf.to(wanted)[rows[surface]].clamp(-limit, limit)
    return distance_difference(prediction, wanted, surface, known, weights, logarithmic)


def semantic_3d_loss(prediction: ScenePrediction, labelled: LabelledField) -> tuple[Tensor, int]:
    """Mean cross-entropy of the voxels' logits against labels of voxels: the true ones, or lifted ones.

    Args:
        prediction: Predicted field.
        labelled: Voxels with classes; predicted voxels that it lacks or that have none do not count.

    Returns:
        The loss () in nats, 0 with zero gradient when no voxel has a label, and the number of those that have.

    Raises:
        ValueError: A prediction without logits.

    Source: the "3D CNN" that S4R compares with in section 4.
    """
    logits = prediction.semantic_logits
    if logits is None:
        raise ValueError("prediction.semantic_logits: expected logits, got None; the network has no classes")
    rows = VoxelHash(labelled.field.coordinates).rows(prediction.coordinates)
    labels = torch.full_like(rows, IGNORE_LABEL)
    labels[rows >= 0] = labelled.labels[rows[rows >= 0]].long()
    valid = labels != IGNORE_LABEL
    if not bool(valid.any()):
        return logits.flatten()[:1].sum() * 0.0, 0
    return F.cross_entropy(logits[valid], labels[valid]), int(valid.sum())
