"""Trilinear interpolation on sparse voxels."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.geometry.hash import VoxelHash

# Farther out than any voxel that has a key; keeps the conversion to integers defined.
_FAR = float(1 << 16)


def sample_trilinear(voxels: VoxelHash, values: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Interpolate between the eight voxels around each position.

    Args:
        voxels: Look-up of N voxels (x, y, z), whose rows are those of ``values``.
        values: (N, C) float; differentiable.
        positions: (P, 3) float, in voxels, the centre of voxel i at i (see ``GridSpec.to_voxels``);
            differentiable except where a coordinate is a whole number, where the derivative is that of the cell above.

    Returns:
        Values (P, C), zeros where not valid; and valid (P,) bool, True where all eight voxels are present. A position
        that is not finite is not valid.

    Raises:
        ValueError: Another shape.
    """
    if values.dim() != 2 or len(values) != len(voxels):
        raise ValueError(f"values: expected shape ({len(voxels)}, C), one row per voxel, got {tuple(values.shape)}")
    if positions.dim() != 2 or positions.shape[1] != 3:
        raise ValueError(f"positions: expected shape (P, 3), got {tuple(positions.shape)}")
    rows, valid = _corner_rows(voxels, positions)
    result = values.new_zeros(len(positions), values.shape[1])
    if not bool(valid.any()):
        # Multiplied by nothing but zeros, so that the result hangs on its inputs as it does elsewhere.
        return result + 0 * (values.sum() + positions[:0].sum()), valid
    inside = valid.nonzero().squeeze(1)
    weights = _corner_weights(positions[inside])
    corners = values.index_select(0, rows[inside].view(-1)).view(-1, 8, values.shape[1])
    return result.index_copy(0, inside, (weights.unsqueeze(2) * corners).sum(dim=1)), valid


def _corner_rows(voxels: VoxelHash, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (P, 8) int64 of the voxels around each position, x slowest, and whether all are present, (P,)."""
    at = positions.detach()
    near = (at.abs() < _FAR).all(dim=1)
    base = torch.floor(torch.where(near[:, None], at, 0)).long()
    cells = base[:, None] + _corners(positions.device)
    rows = voxels.rows(cells.view(-1, 3)).view(-1, 8)
    return rows, near & (rows >= 0).all(dim=1)


def _corner_weights(positions: Tensor) -> Tensor:
    """Weights (P, 8) of the corners; they sum to one."""
    fraction = (positions - torch.floor(positions.detach()))[:, None]
    upper = _corners(positions.device).bool()
    x, y, z = torch.where(upper, fraction, 1 - fraction).unbind(dim=2)
    return x * y * z


def _corners(device: torch.device) -> Tensor:
    """(8, 3) int64, x slowest."""
    bit = torch.arange(2, device=device)
    return torch.cartesian_prod(bit, bit, bit)
