"""Voxel coordinates packed into one integer, so that sets of voxels are sets of sortable keys."""

from __future__ import annotations

import torch
from torch import Tensor

# 18 bits per axis reach +-131,072 voxels (2.6 km at 2 cm); 9 bits of batch reach 512 scenes; together 63 bits.
AXIS_BITS = 18
BATCH_BITS = 9
_HALF = 1 << (AXIS_BITS - 1)


def pack_keys(coordinates: Tensor) -> Tensor:
    """Pack voxel coordinates into sortable keys.

    Keys order voxels by (batch, x, y, z).

    Args:
        coordinates: (N, 3) integer (x, y, z), or (N, 4) integer (batch, x, y, z).

    Returns:
        (N,) int64, unique per voxel.

    Raises:
        ValueError: Another shape, or a coordinate out of range.
    """
    if coordinates.dim() != 2 or coordinates.shape[1] not in (3, 4):
        raise ValueError(f"coordinates: expected shape (N, 3) or (N, 4), got {tuple(coordinates.shape)}")
    spatial = coordinates[:, -3:].long()
    if len(spatial) and (int(spatial.min()) < -_HALF or int(spatial.max()) >= _HALF):
        raise ValueError(
            f"coordinates: expected values in [{-_HALF}, {_HALF}), got {int(spatial.min())} to {int(spatial.max())}; "
            "use a larger voxel or an origin nearer to the scene"
        )
    shifted = spatial + _HALF
    keys = (shifted[:, 0] << (2 * AXIS_BITS)) | (shifted[:, 1] << AXIS_BITS) | shifted[:, 2]
    if coordinates.shape[1] == 3:
        return keys
    batch = coordinates[:, 0].long()
    if len(batch) and (int(batch.min()) < 0 or int(batch.max()) >= 1 << BATCH_BITS):
        raise ValueError(f"coordinates: expected a batch index in [0, {1 << BATCH_BITS}), got {int(batch.max())}")
    return (batch << (3 * AXIS_BITS)) | keys


def unpack_keys(keys: Tensor, with_batch: bool = False) -> Tensor:
    """Coordinates (N, 3), or (N, 4) with the batch first, int64, of ``keys`` (N,)."""
    mask = (1 << AXIS_BITS) - 1
    columns = [((keys >> (AXIS_BITS * shift)) & mask) - _HALF for shift in (2, 1, 0)]
    if with_batch:
        columns.insert(0, keys >> (3 * AXIS_BITS))
    return torch.stack(columns, dim=1)


def key_offset(offsets: Tensor) -> Tensor:
    """Key differences (K,) of coordinate ``offsets`` (K, 3): ``pack(c + o) == pack(c) + key_offset(o)`` in range."""
    offsets = offsets.long()
    return (offsets[:, 0] << (2 * AXIS_BITS)) + (offsets[:, 1] << AXIS_BITS) + offsets[:, 2]
