"""Where space was seen to be free, and whether a place in it has room around it and a view of another place."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.structures import BLOCK, ObservationGrid, VoxelState

# Every so many of the voxels around a place are asked first: most places are refused by few of them.
_FIRST = 29


class FreeSpace:
    """Answers from the voxel states that the frames left behind; the frames themselves are not needed.

    Args:
        observation: State of every voxel; what it does not hold is unknown, and so never free.
        clearance: Radius of the ball around a place that must be free, metres.

    Raises:
        ValueError: A negative clearance.
    """

    def __init__(self, observation: ObservationGrid, clearance: float) -> None:
        if not (math.isfinite(clearance) and clearance >= 0):
            raise ValueError(f"FreeSpace.clearance: expected metres >= 0, got {clearance}")
        self._grid = observation.grid
        self._device = observation.block_state.device
        self._pyramid = ObservationPyramid(observation)
        self._radius = clearance / self._grid.voxel_size
        # Relative to the voxel of the place, in which the place lies up to half a voxel off the centre on each axis.
        reach = math.floor(self._radius + 1)
        axis = torch.arange(-reach, reach + 1)
        offsets = torch.cartesian_prod(axis, axis, axis)
        nearest = ((offsets.abs() - 1).clamp(min=0) ** 2).sum(dim=1)
        self._offsets = offsets[nearest <= self._radius**2].to(self._device)
        free = observation.block_state == int(VoxelState.FREE)
        self._blocks = observation.grid.centers(observation.block_coordinates[free], BLOCK, torch.float64).cpu()

    @property
    def block_centers(self) -> Tensor:
        """Centres (B, 3) float64 world metres, on the CPU, of the blocks in which every voxel was seen free."""
        return self._blocks

    @property
    def block_edge(self) -> float:
        """Edge of such a block, metres."""
        return self._grid.voxel_size * BLOCK

    def is_clear(self, place: Tensor) -> bool:
        """Whether the ball of the clearance around ``place`` (3,) metres touches only voxels that were seen free."""
        position = self._grid.to_voxels(place.double().to(self._device).view(1, 3))
        voxel = position.round().long()
        # The place alone is one look-up and refuses most.
        if not self._all(voxel, VoxelState.FREE):
            return False
        gap = ((voxel + self._offsets - position).abs() - 0.5).clamp(min=0)
        touched = (gap**2).sum(dim=1) <= self._radius**2
        around = voxel + self._offsets[touched]
        return self._all(around[::_FIRST], VoxelState.FREE) and self._all(around, VoxelState.FREE)

    def is_seen_between(self, start: Tensor, end: Tensor) -> bool:
        """Whether every voxel on the segment between two places (3,) metres was seen, free or as surface.

        Samples lie at most half a voxel apart.
        """
        first, last = self._grid.to_voxels(torch.stack([start, end]).double().to(self._device))
        count = math.ceil(2 * float((last - first).norm())) + 1
        share = torch.linspace(0, 1, count, dtype=torch.float64, device=self._device).unsqueeze(1)
        voxels = (first + share * (last - first)).round().long()
        return self._all(voxels, VoxelState.FREE, VoxelState.SURFACE)

    def _all(self, voxels: Tensor, *states: VoxelState) -> bool:
        found = self._pyramid.states(voxels)
        allowed = torch.tensor([int(state) for state in states], dtype=found.dtype, device=found.device)
        return bool(torch.isin(found, allowed).all())
