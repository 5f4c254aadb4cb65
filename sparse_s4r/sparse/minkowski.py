"""The minkowski engine: MinkowskiEngine's own operations, as ``make minkowski`` installs it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sparse_s4r.sparse.minkowski_maps import MinkowskiSites, convolution_mode, kernel_generator
from sparse_s4r.sparse.tensor import VoxelTensor, expect_halving_kernel, expect_odd_kernel, kernel_edge


class MinkowskiVoxels:
    """Voxels of which every step is MinkowskiEngine's (see ``VoxelTensor``).

    Kernel maps are built once per pair of sets of cells and shared, as in a network written for MinkowskiEngine:
    all that comes from one ``make_voxels`` has one coordinate manager. Where two managers meet, in ``up`` onto a
    target and in ``lookup``, one copies the other's cells, once.

    It computes in float32 or float64; half types are converted there and back. With two threads or more its weight
    gradients differ in the last bits from run to run.

    Args:
        sites: The cells.
        features: (N, C) float.
    """

    def __init__(self, sites: MinkowskiSites, features: Tensor) -> None:
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

    def with_features(self, features: Tensor) -> MinkowskiVoxels:
        """``features`` (N, D) on the same sites."""
        return MinkowskiVoxels(self.sites, features)

    def conv(self, weight: Tensor) -> MinkowskiVoxels:
        """Convolution with an odd kernel, centred, onto the same sites."""
        edge = expect_odd_kernel(weight, self.features.shape[1])
        if edge == 1:
            # So does MinkowskiEngine's own layer.
            return self.with_features(self.features @ weight[0])
        return self.with_features(self._convolve(weight, self.sites, self.sites.key, kernel_generator(edge, 1)))

    def down(self, weight: Tensor) -> MinkowskiVoxels:
        """Convolution with k = 2 and stride 2; rows in MinkowskiEngine's order."""
        expect_halving_kernel(weight, self.features.shape[1])
        coarse = self.sites.coarse()
        return MinkowskiVoxels(coarse, self._convolve(weight, self.sites, coarse.key, kernel_generator(2, 2)))

    def up(self, weight: Tensor, target: VoxelTensor | None = None) -> MinkowskiVoxels:
        """Transposed convolution with k = 2 and stride 2, onto ``target``'s sites or all children."""
        expect_halving_kernel(weight, self.features.shape[1])
        if self.stride == 1:
            raise ValueError("up: expected cells of stride 2 or more, got stride 1; there are no finer cells")
        if target is None:
            key = self.sites.children_key()
            generator = kernel_generator(2, 2, expand=True)
            features = self._convolve(weight, self.sites, key, generator, transposed=True)
            return MinkowskiVoxels(MinkowskiSites(self.sites.manager, key), features)
        onto = _expect_minkowski(target).sites
        if 2 * onto.stride != self.stride:
            raise ValueError(f"up: expected a target of stride {self.stride // 2}, got {onto.stride}")
        here = self.sites.within(onto.manager)
        features = self._convolve(weight, here, onto.key, kernel_generator(2, 2), transposed=True)
        return MinkowskiVoxels(onto, features)

    def prune(self, keep: Tensor) -> MinkowskiVoxels:
        """The sites at ``keep`` (N,) bool, in the same order."""
        if keep.dtype != torch.bool or keep.shape != (len(self.sites),):
            raise ValueError(f"keep: expected bool ({len(self.sites)},), got {keep.dtype} {tuple(keep.shape)}")
        kept = self.sites.select(keep)
        return MinkowskiVoxels(kept, _carry(self.features, self.sites, kept, keep))

    def lookup(self, other: VoxelTensor) -> Tensor:
        """Features (N, D) of ``other`` at my sites; zeros where it has none.

        This is MinkowskiEngine's pruning with my sites as those to keep: it copies rows along the map of a kernel
        of size 1 and leaves zeros elsewhere. A union, whose cells are merged and hashed anew and then pruned back,
        took five times as long (306,000 cells, 16 channels, two cores: 57 against 268 ms for the union alone); the
        same map taken out and used to index took 1.7 times.
        """
        other = _expect_minkowski(other)
        if other.stride != self.stride:
            raise ValueError(f"lookup: expected voxels of stride {self.stride}, got {other.stride}")
        if other.sites.same_as(self.sites):
            return other.features
        there = other.sites.within(self.sites.manager)
        everything = other.features.new_ones(len(there), dtype=torch.bool)
        return _carry(other.features, there, self.sites, everything)

    def _convolve(
        self, weight: Tensor, sites: MinkowskiSites, onto: Any, generator: Any, transposed: bool = False
    ) -> Tensor:
        """Features at the map with the key ``onto``, of mine at ``sites``, which are my own or a copy of them."""
        engine = sites.manager.engine
        function = engine.MinkowskiConvolutionTransposeFunction if transposed else engine.MinkowskiConvolutionFunction
        dtype = torch.promote_types(self.features.dtype, weight.dtype)
        result: Tensor = function.apply(
            self.features.to(_wide(dtype)),
            _x_fastest(weight).to(_wide(dtype)),
            generator,
            convolution_mode(),
            sites.key,
            onto,
            sites.manager.itself,
        )
        return result.to(dtype)


def _carry(features: Tensor, here: MinkowskiSites, there: MinkowskiSites, keep: Tensor) -> Tensor:
    """Rows (M, C) at the sites ``there`` of ``features`` at ``here``, both in one manager; zeros at other sites."""
    if min(len(here), len(there), features.shape[1]) == 0:
        # MinkowskiEngine reads past the end of its empty map, and warns of tensors without rows.
        none = torch.zeros(0, dtype=torch.int64, device=features.device)
        return features.new_zeros(len(there), features.shape[1]).index_add(0, none, features[:0])
    manager = here.manager
    result: Tensor = manager.engine.MinkowskiPruningFunction.apply(
        features.to(_wide(features.dtype)), keep.contiguous(), here.key, there.key, manager.itself
    )
    return result.to(features.dtype)


def _x_fastest(weight: Tensor) -> Tensor:
    """Taps with z slowest to x fastest changed from ours with x slowest: (k^3, C_in, C_out), contiguous."""
    edge = kernel_edge(weight)
    grid = weight.view(edge, edge, edge, *weight.shape[1:])
    return grid.transpose(0, 2).reshape(weight.shape).contiguous()


def _wide(dtype: torch.dtype) -> torch.dtype:
    """The type to compute in: MinkowskiEngine has no half types."""
    return torch.float32 if dtype.itemsize < 4 else dtype


def _expect_minkowski(voxels: VoxelTensor) -> MinkowskiVoxels:
    if not isinstance(voxels, MinkowskiVoxels):
        raise TypeError(
            f"expected voxels of the minkowski engine, got {type(voxels).__name__}; make both by one engine"
        )
    return voxels
