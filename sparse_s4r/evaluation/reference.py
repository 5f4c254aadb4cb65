"""What fields are compared with, and the space in which it can judge them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.pyramid import FREE_BIT, SURFACE_BIT, ObservationPyramid
from sparse_s4r.structures import BLOCK, ObservationGrid, SceneTruth, SparseTSDF, VoxelState

# A voxel is surface if its distance is below one voxel, or, less strictly, below three.
NARROW, WIDE = 1.0, 3.0
# Blocks that are looked at together when known voxels are counted: 2 MB of flags.
_CHUNK = 4096


@dataclass(frozen=True)
class Reference:
    """What fields are compared with.

    Attributes:
        field: Distances and colour.
        labels: (N,) int64 class of every voxel, ``IGNORE_LABEL`` for none; None without labels.
        observation: Voxels outside of ``field`` can be judged where it says free; None: everywhere.
        band: Metres; voxels that are nearer to the surface than this are all in ``field``. None for a scan, whose band
            is by definition what it has.
    """

    field: SparseTSDF
    labels: Tensor | None = None
    observation: ObservationGrid | None = None
    band: float | None = None

    @classmethod
    def of_truth(cls, truth: SceneTruth) -> Reference:
        """The true surface; what lies outside of its band is wrong, also in walls and where no frame looked."""
        return cls(truth.field, truth.labels, None, truth.band)

    def is_complete(self, threshold: float) -> bool:
        """Whether no voxel of the surface with ``threshold`` (voxels) is lacking."""
        # A band of 0.95 truncations stands for the whole one, as in fused scans.
        reach = min(threshold * self.field.grid.voxel_size, 0.95 * self.field.grid.truncation)
        return self.band is None or self.band > reach * (1 - 1e-6)

    def known_space(self) -> KnownSpace | None:
        """Where it can judge; None: everywhere."""
        return None if self.observation is None else KnownSpace(self.field.coordinates, self.observation)


class KnownSpace:
    """The voxels that frames saw: free ones, and all of the scan's.

    Args:
        scan: (N, 3) int64, voxels of the scan.
        observation: What the scan's frames saw of its box.
    """

    def __init__(self, scan: Tensor, observation: ObservationGrid) -> None:
        self._observation = observation
        self._pyramid = ObservationPyramid(observation)
        self._blocks = VoxelHash(observation.block_coordinates)
        mixed = observation.block_state == ObservationGrid.MIXED
        self._mixed_row = torch.where(mixed, torch.cumsum(mixed, 0) - 1, -1)
        # A scan may reach out of its box, where the observation says nothing.
        self._outside = scan[~self._seen(scan)]
        self._in_outside = VoxelHash(self._outside)

    def holds(self, voxels: Tensor) -> Tensor:
        """True (P,) where a voxel (P, 3) was seen."""
        return self._seen(voxels) | (self._in_outside.rows(voxels) >= 0)

    def count(self, without: KnownSpace | None = None) -> int:
        """Number of voxels that were seen, and are not in ``without``."""
        blocks, total = self._observation.block_coordinates, 0
        for first in range(0, len(blocks), _CHUNK):
            seen = self._seen_in_blocks(blocks[first : first + _CHUNK])
            if without is not None:
                seen &= ~without._seen_in_blocks(blocks[first : first + _CHUNK])
            total += int(seen.sum())
        if without is None:
            return total + len(self._outside)
        return total + int((~without.holds(self._outside)).sum()) - int(self._seen(without._outside).sum())

    def _seen(self, voxels: Tensor) -> Tensor:
        return (self._pyramid.bits(voxels, 1) & (SURFACE_BIT | FREE_BIT)) != 0

    def _seen_in_blocks(self, blocks: Tensor) -> Tensor:
        """(B, BLOCK**3) bool for blocks (B, 3)."""
        result = torch.zeros(len(blocks), BLOCK**3, dtype=torch.bool)
        row = self._blocks.rows(blocks)
        stored = row >= 0
        state = self._observation.block_state[row[stored]]
        seen = ((state != int(VoxelState.UNKNOWN)) & (state != ObservationGrid.MIXED))[:, None].repeat(1, BLOCK**3)
        mixed = self._mixed_row[row[stored]]
        seen[mixed >= 0] = self._observation.voxel_state[mixed[mixed >= 0]] != int(VoxelState.UNKNOWN)
        result[stored] = seen
        return result
