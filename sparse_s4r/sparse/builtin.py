"""The builtin engine: kernels of its own for CPU and GPU, torch operations everywhere."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.sparse.gather_gemm import convolve, fold, take, unfold
from sparse_s4r.sparse.kernel_map import neighbours
from sparse_s4r.sparse.sites import Sites
from sparse_s4r.sparse.tensor import VoxelTensor, expect_halving_kernel, expect_odd_kernel


class BuiltinVoxels:
    """Voxels as rows of features on a set of sites (see ``VoxelTensor``).

    Results are the same bits in every run: nothing is summed by atomics.

    Args:
        sites: The cells.
        features: (N, C) float.
    """

    def __init__(self, sites: Sites, features: Tensor) -> None:
        if features.dim() != 2 or len(features) != len(sites) or not features.dtype.is_floating_point:
            raise ValueError(
                f"features: expected floats of shape ({len(sites)}, C), one row per site, "
                f"got {features.dtype} of shape {tuple(features.shape)}"
            )
        self.sites = sites
        self._features = features

    @property
    def coordinates(self) -> Tensor:
        """(N, 4) int64 [batch, x, y, z] at this level."""
        return self.sites.coordinates

    @property
    def features(self) -> Tensor:
        """(N, C) float."""
        return self._features

    @property
    def stride(self) -> int:
        """Edge of a cell in voxels."""
        return self.sites.stride

    def with_features(self, features: Tensor) -> BuiltinVoxels:
        """``features`` (N, D) on the same sites."""
        return BuiltinVoxels(self.sites, features)

    def conv(self, weight: Tensor) -> BuiltinVoxels:
        """Convolution with an odd kernel, centred, onto the same sites."""
        edge = expect_odd_kernel(weight, self.features.shape[1])
        if edge == 1:
            return self.with_features(self.features @ weight[0])
        return self.with_features(convolve(self.features, weight, neighbours(self.sites, edge)))

    def down(self, weight: Tensor) -> BuiltinVoxels:
        """Convolution with k = 2 and stride 2; rows in key order."""
        expect_halving_kernel(weight, self.features.shape[1])
        coarse, slots = self.sites.coarse()
        return BuiltinVoxels(coarse, fold(self.features, weight, self.sites.octants_of(coarse), slots))

    def up(self, weight: Tensor, target: VoxelTensor | None = None) -> BuiltinVoxels:
        """Transposed convolution with k = 2 and stride 2, onto ``target``'s sites or all children."""
        expect_halving_kernel(weight, self.features.shape[1])
        onto = self.sites.children() if target is None else _expect_builtin(target).sites
        if target is None:
            _, inputs, outputs = weight.shape
            # Every child is wanted, in the order in which one product gives them.
            matrix = weight.transpose(0, 1).reshape(inputs, 8 * outputs)
            return BuiltinVoxels(onto, (self.features @ matrix).view(len(onto), outputs))
        children, slots = onto.octants_of(self.sites), onto.slots_in(self.sites)
        return BuiltinVoxels(onto, unfold(self.features, weight, children, slots))

    def prune(self, keep: Tensor) -> BuiltinVoxels:
        """The sites at ``keep`` (N,) bool."""
        if keep.dtype != torch.bool or keep.shape != (len(self.sites),):
            raise ValueError(f"keep: expected bool ({len(self.sites)},), got {keep.dtype} {tuple(keep.shape)}")
        rows = keep.nonzero().squeeze(1)
        return BuiltinVoxels(self.sites.select(rows), take(self.features, rows))

    def lookup(self, other: VoxelTensor) -> Tensor:
        """Features (N, D) of ``other`` at my sites; zeros where it has none."""
        other = _expect_builtin(other)
        if other.sites is self.sites:
            return other.features
        return take(other.features, self.sites.rows_in(other.sites))


def _expect_builtin(voxels: VoxelTensor) -> BuiltinVoxels:
    if not isinstance(voxels, BuiltinVoxels):
        raise TypeError(f"expected voxels of the builtin engine, got {type(voxels).__name__}; make both by one engine")
    return voxels
