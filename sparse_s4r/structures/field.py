"""A fused scan and what was observed of its space."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import torch
from torch import Tensor

from sparse_s4r.structures.checks import expect_same_device, expect_tensor
from sparse_s4r.structures.grid import GridSpec

# Edge of a block of voxels, the unit in which sparse volumes are stored and skipped.
BLOCK = 8


class VoxelState(IntEnum):
    """What the frames say of a voxel."""

    UNKNOWN = 0
    FREE = 1
    SURFACE = 2


@dataclass(frozen=True)
class SparseTSDF:
    """Truncated signed distances on the voxels of a band around the observed surface.

    Attributes:
        grid: Placement of the voxels.
        coordinates: (N, 3) int64, unique, sorted by (x, y, z).
        tsdf: (N,) float metres, positive in front of the surface, within +-truncation.
        weight: (N,) float, number of depth samples averaged.
        color: (N, 3) float RGB in [0, 1]; None for a scan without colour.
    """

    grid: GridSpec
    coordinates: Tensor
    tsdf: Tensor
    weight: Tensor
    color: Tensor | None = None

    def __post_init__(self) -> None:
        expect_tensor("SparseTSDF.coordinates", self.coordinates, ("N", 3), floating=False)
        count = len(self.coordinates)
        expect_tensor("SparseTSDF.tsdf", self.tsdf, (count,), floating=True)
        expect_tensor("SparseTSDF.weight", self.weight, (count,), floating=True)
        if self.color is not None:
            expect_tensor("SparseTSDF.color", self.color, (count, 3), floating=True)
        expect_same_device(coordinates=self.coordinates, tsdf=self.tsdf, weight=self.weight, color=self.color)

    def __len__(self) -> int:
        return len(self.coordinates)

    def select(self, keep: Tensor) -> SparseTSDF:
        """The voxels at ``keep``, a bool mask (N,) or row indices."""
        return replace(
            self,
            coordinates=self.coordinates[keep],
            tsdf=self.tsdf[keep],
            weight=self.weight[keep],
            color=None if self.color is None else self.color[keep],
        )

    def to(self, device: torch.device | str) -> SparseTSDF:
        """The same field with its tensors on ``device``."""
        return replace(
            self,
            coordinates=self.coordinates.to(device),
            tsdf=self.tsdf.to(device),
            weight=self.weight.to(device),
            color=None if self.color is None else self.color.to(device),
        )


@dataclass(frozen=True)
class ObservationGrid:
    """The state of every voxel of a scene's box, in blocks of ``BLOCK``^3 voxels; UNKNOWN outside.

    Attributes:
        grid: Placement of the voxels.
        block_coordinates: (B, 3) int64, unique, sorted by (x, y, z): voxel coordinates divided by BLOCK, floored.
        block_state: (B,) uint8, the ``VoxelState`` of a uniform block; of a mixed block, ``MIXED``.
        voxel_state: (M, BLOCK**3) uint8 for the mixed blocks in the order of their rows, x slowest.
    """

    MIXED = 255

    grid: GridSpec
    block_coordinates: Tensor
    block_state: Tensor
    voxel_state: Tensor

    def __post_init__(self) -> None:
        expect_tensor("ObservationGrid.block_coordinates", self.block_coordinates, ("B", 3), floating=False)
        expect_tensor("ObservationGrid.block_state", self.block_state, (len(self.block_coordinates),), floating=False)
        mixed = int((self.block_state == self.MIXED).sum())
        expect_tensor("ObservationGrid.voxel_state", self.voxel_state, (mixed, BLOCK**3), floating=False)

    def to(self, device: torch.device | str) -> ObservationGrid:
        """The same grid with its tensors on ``device``."""
        return replace(
            self,
            block_coordinates=self.block_coordinates.to(device),
            block_state=self.block_state.to(device),
            voxel_state=self.voxel_state.to(device),
        )
