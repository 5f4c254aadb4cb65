"""Which points lie near the voxels of a scan."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.keys import pack_keys, unpack_keys
from sparse_s4r.structures import BLOCK, GridSpec

_BITS = BLOCK.bit_length() - 1
# The paper's distance between a depth sample and a near-surface voxel, metres.
_NEAR = 0.02
# Offsets of voxels that are tried around a point grow with the cube of distance / voxel size.
_MAX_REACH = 8.0


class NearSurface:
    """Tells for points whether the centre of a stored voxel lies within a distance of them.

    The voxels stand as one byte each in blocks of ``BLOCK``^3, so memory follows the occupied blocks and a look-up
    searches a few thousand blocks instead of a million voxels.

    Args:
        grid: Placement of the voxels.
        coordinates: (N, 3) int64 voxels of the band; none is allowed.
        distance: Largest distance from a point to the centre of a voxel, metres, inclusive; None for the paper's 2 cm,
            or for one voxel where voxels are larger: a smaller reach would leave out samples in the voxels themselves.

    Attributes:
        distance: The distance that is used, metres.

    Raises:
        ValueError: A distance <= 0, not finite, or more than 8 voxels.
    """

    def __init__(self, grid: GridSpec, coordinates: Tensor, distance: float | None = None) -> None:
        distance = max(_NEAR, grid.voxel_size) if distance is None else distance
        if not (math.isfinite(distance) and 0 < distance <= _MAX_REACH * grid.voxel_size):
            raise ValueError(
                f"NearSurface.distance: expected metres in (0, {_MAX_REACH * grid.voxel_size:g}], that is up to "
                f"{_MAX_REACH:g} voxels, got {distance}"
            )
        self.distance = distance
        self._grid = grid
        device = coordinates.device
        blocks, inverse = torch.unique(pack_keys(coordinates >> _BITS), return_inverse=True)
        self._blocks = VoxelHash(unpack_keys(blocks))
        # The last row stays empty: it answers for blocks that are not stored, whose row is -1.
        self._stored = torch.zeros(len(blocks) + 1, BLOCK**3, dtype=torch.bool, device=device)
        self._stored[inverse, _within(coordinates)] = True
        # A quick look at the box settles most samples of a frame that a crop does not hold; a hair more for rounding.
        margin = distance / grid.voxel_size + 1e-6
        self._bounds = None if not len(coordinates) else (coordinates.amin(0) - margin, coordinates.amax(0) + margin)
        self._offsets = _offsets(grid, distance).to(device)

    @torch.no_grad()
    def contains(self, points: Tensor) -> Tensor:
        """Whether a stored voxel's centre lies within the distance.

        Args:
            points: (P, 3) world metres on the device of the voxels; computed in float64. One that is not finite is
                near nothing.

        Returns:
            (P,) bool.
        """
        near = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        if self._bounds is None:
            return near
        position = self._grid.to_voxels(points.double())
        lower, upper = self._bounds
        open_rows = ((position >= lower) & (position <= upper)).all(dim=1).nonzero().squeeze(1)
        position = position[open_rows]
        voxel = position.round()
        fraction, voxel = position - voxel, voxel.long()
        limit = (self.distance / self._grid.voxel_size) ** 2
        # Nearest voxels first: most points are settled by the one that they lie in.
        for offset in self._offsets:
            reached = ((fraction - offset) ** 2).sum(dim=1) <= limit
            tried = reached.nonzero().squeeze(1)
            found = tried[self._holds(voxel[tried] + offset)]
            if len(found):
                near[open_rows[found]] = True
                rest = torch.ones(len(open_rows), dtype=torch.bool, device=points.device)
                rest[found] = False
                open_rows, voxel, fraction = open_rows[rest], voxel[rest], fraction[rest]
        return near

    def _holds(self, voxels: Tensor) -> Tensor:
        return self._stored[self._blocks.rows(voxels >> _BITS), _within(voxels)]


def _within(voxels: Tensor) -> Tensor:
    """Place (N,) of voxels in their blocks, x slowest."""
    local = voxels & (BLOCK - 1)
    return (local[:, 0] << (2 * _BITS)) | (local[:, 1] << _BITS) | local[:, 2]


def _offsets(grid: GridSpec, distance: float) -> Tensor:
    """Offsets (K, 3) int64 of voxels that can be near a point of voxel 0, nearest first."""
    # A point lies up to half a voxel from the centre of its own; a hair more for rounding.
    reach = math.floor(distance / grid.voxel_size + 0.5 + 1e-9)
    axis = torch.arange(-reach, reach + 1)
    offsets = torch.cartesian_prod(axis, axis, axis)
    closest = ((offsets.abs() - 0.5).clamp(min=0) ** 2).sum(dim=1)
    offsets = offsets[closest <= (distance / grid.voxel_size) ** 2 + 1e-9]
    return offsets[torch.sort((offsets**2).sum(dim=1), stable=True).indices]
