"""From voxel coordinates to rows of a table."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.geometry.keys import pack_keys


class VoxelHash:
    """Look-up of rows by voxel: sorted keys and a binary search, the same on every device.

    Args:
        coordinates: (N, 3) or (N, 4) integer voxel coordinates, unique.

    Raises:
        ValueError: A voxel stands twice; the message names it.
    """

    def __init__(self, coordinates: Tensor) -> None:
        keys = pack_keys(coordinates)
        self.keys, self._rows = torch.sort(keys)
        twice = self.keys[1:] == self.keys[:-1]
        if bool(twice.any()):
            row = int(self._rows[int(twice.nonzero()[0])])
            raise ValueError(
                f"coordinates: expected unique voxels, got {int(twice.sum())} repeated, e.g. "
                f"{coordinates[row].tolist()}; remove repeats with torch.unique(dim=0)"
            )

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, coordinates: Tensor) -> Tensor:
        """Rows (P,) int64 of ``coordinates`` (P, 3) or (P, 4), -1 where the voxel is absent."""
        return self.rows_of_keys(pack_keys(coordinates))

    def rows_of_keys(self, keys: Tensor) -> Tensor:
        """Rows, int64 and of the shape of ``keys``, of packed voxels; -1 where the voxel is absent."""
        if len(self.keys) == 0:
            return torch.full_like(keys, -1)
        position = torch.searchsorted(self.keys, keys).clamp_(max=len(self.keys) - 1)
        return torch.where(self.keys[position] == keys, self._rows[position], -1)
