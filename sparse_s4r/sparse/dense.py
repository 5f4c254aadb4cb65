"""The dense engine: torch's ``conv3d`` on a box of cells.

Masked, it is the reference of the other engines: what lies off the sites is zero after every step. Unmasked, it is
the dense baseline, in which every cell of the box is a site and empty space gets values, too: another function.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sparse_s4r.sparse.box import Box
from sparse_s4r.sparse.tensor import VoxelTensor, expect_halving_kernel, expect_odd_kernel


class DenseVoxels:
    """Voxels of which every step is computed on a grid (see ``VoxelTensor``).

    Args:
        box: Cells of the grid.
        coordinates: (N, 4) int64 sites in the box, unique.
        features: (N, C) float.
        masked: False if the sites are all cells of the box, row-major; ``prune`` then keeps them all.
    """

    def __init__(self, box: Box, coordinates: Tensor, features: Tensor, masked: bool) -> None:
        if features.dim() != 2 or len(features) != len(coordinates):
            raise ValueError(f"features: expected shape ({len(coordinates)}, C), got {tuple(features.shape)}")
        self.box = box
        self.masked = masked
        self._coordinates = coordinates
        self._features = features

    @classmethod
    def of(cls, box: Box, coordinates: Tensor, features: Tensor, masked: bool) -> DenseVoxels:
        """Voxels with features (N, C) at unique cells (N, 4); the baseline has zeros at the other cells of the box."""
        voxels = cls(box, coordinates, features, masked=True)
        if masked:
            return voxels
        return cls(box, box.cells(coordinates.device), _rows(voxels._grid()), masked=False)

    @property
    def coordinates(self) -> Tensor:
        """(N, 4) int64 [batch, x, y, z] at this level."""
        return self._coordinates

    @property
    def features(self) -> Tensor:
        """(N, C) float."""
        return self._features

    @property
    def stride(self) -> int:
        """Edge of a cell in voxels."""
        return self.box.stride

    def with_features(self, features: Tensor) -> DenseVoxels:
        """``features`` (N, D) on the same sites."""
        return DenseVoxels(self.box, self.coordinates, features, self.masked)

    def conv(self, weight: Tensor) -> DenseVoxels:
        """Convolution with an odd kernel, centred, onto the same sites."""
        edge = expect_odd_kernel(weight, self.features.shape[1])
        grid = F.conv3d(self._grid(), _kernel(weight, edge).permute(4, 3, 0, 1, 2), padding=edge // 2)
        return self._on(grid, self.box, self.coordinates)

    def down(self, weight: Tensor) -> DenseVoxels:
        """Convolution with k = 2 and stride 2."""
        expect_halving_kernel(weight, self.features.shape[1])
        box = self.box.halved()
        grid = F.conv3d(self._grid(), _kernel(weight, 2).permute(4, 3, 0, 1, 2), stride=2)
        parents = self.coordinates.clone()
        parents[:, 1:] >>= 1
        return self._on(grid, box, torch.unique(parents, dim=0))

    def up(self, weight: Tensor, target: VoxelTensor | None = None) -> DenseVoxels:
        """Transposed convolution with k = 2 and stride 2, onto ``target``'s sites or all children."""
        expect_halving_kernel(weight, self.features.shape[1])
        box = self.box.doubled()
        grid = F.conv_transpose3d(self._grid(), _kernel(weight, 2).permute(3, 4, 0, 1, 2), stride=2)
        if target is None:
            cells = box.cells(grid.device) if not self.masked else _children(self.coordinates)
            return self._on(grid, box, cells)
        onto = _expect_dense(target)
        if onto.stride != box.stride:
            raise ValueError(f"up: expected a target of stride {box.stride}, got {onto.stride}")
        return onto.with_features(_at(grid, box, onto.coordinates))

    def prune(self, keep: Tensor) -> DenseVoxels:
        """The sites at ``keep`` (N,) bool; of the baseline, whose box stays whole, all sites."""
        if keep.dtype != torch.bool or keep.shape != (len(self.coordinates),):
            raise ValueError(f"keep: expected bool ({len(self.coordinates)},), got {keep.dtype} {tuple(keep.shape)}")
        if not self.masked:
            return self
        return DenseVoxels(self.box, self.coordinates[keep], self.features[keep], self.masked)

    def lookup(self, other: VoxelTensor) -> Tensor:
        """Features (N, D) of ``other`` at my sites; zeros where it has none."""
        other = _expect_dense(other)
        if other.stride != self.stride:
            raise ValueError(f"lookup: expected voxels of stride {self.stride}, got {other.stride}")
        return _at(other._grid(), other.box, self.coordinates)

    def _grid(self) -> Tensor:
        """Features on the box, (B, C, X, Y, Z), zeros off the sites."""
        channels = self.features.shape[1]
        rows = self.features
        if self.masked:
            count = self.box.batch * self.box.shape[0] * self.box.shape[1] * self.box.shape[2]
            positions, _ = self.box.positions(self.coordinates)
            rows = rows.new_zeros(count, channels).index_put((positions,), rows)
        return rows.view(self.box.batch, *self.box.shape, channels).permute(0, 4, 1, 2, 3)

    def _on(self, grid: Tensor, box: Box, coordinates: Tensor) -> DenseVoxels:
        """What a step left on ``grid``, at the sites ``coordinates``."""
        features = _at(grid, box, coordinates) if self.masked else _rows(grid)
        return DenseVoxels(box, coordinates, features, self.masked)


def _rows(grid: Tensor) -> Tensor:
    """A grid (B, C, X, Y, Z) as rows (B X Y Z, C)."""
    return grid.permute(0, 2, 3, 4, 1).flatten(0, 3)


def _at(grid: Tensor, box: Box, coordinates: Tensor) -> Tensor:
    """Values (N, C) of ``grid`` on ``box`` at cells (N, 4), zeros outside."""
    positions, inside = box.positions(coordinates)
    return torch.where(inside[:, None], _rows(grid)[positions], 0)


def _children(coordinates: Tensor) -> Tensor:
    """The eight children (8 N, 4) of every cell, x slowest."""
    bit = torch.arange(2, device=coordinates.device)
    octants = F.pad(torch.cartesian_prod(bit, bit, bit), (1, 0))
    doubled = coordinates * torch.tensor([1, 2, 2, 2], device=coordinates.device)
    return (doubled[:, None] + octants).view(-1, 4)


def _kernel(weight: Tensor, edge: int) -> Tensor:
    """Weight (k^3, C_in, C_out) as (k, k, k, C_in, C_out)."""
    return weight.view(edge, edge, edge, *weight.shape[1:])


def _expect_dense(voxels: VoxelTensor) -> DenseVoxels:
    if not isinstance(voxels, DenseVoxels):
        raise TypeError(f"expected voxels of the dense engine, got {type(voxels).__name__}; make both by one engine")
    return voxels
