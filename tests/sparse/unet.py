"""A small network with every step an engine has."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_s4r.sparse.layers import Convolution, Downsample, Pointwise, ResidualBlock, Upsample
from sparse_s4r.sparse.tensor import VoxelTensor


class SmallUNet(nn.Module):
    """Two levels down; one up onto all children, pruned by predicted occupancy; one up onto the input's sites."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, 4, bias=True)
        self.fine = ResidualBlock(4)
        self.halve = Downsample(4, 6)
        self.middle = ResidualBlock(6)
        self.quarter = Downsample(6, 8)
        self.coarse = ResidualBlock(8)
        self.generate = Upsample(8, 6)
        self.fuse = Pointwise(nn.Sequential(nn.Linear(12, 6), nn.BatchNorm1d(6), nn.ReLU()))
        self.occupancy = nn.Linear(6, 1)
        self.back = Upsample(6, 4)
        self.last = Convolution(4, 2)

    def forward(self, voxels: VoxelTensor) -> tuple[VoxelTensor, VoxelTensor, Tensor]:
        """Pruned voxels of stride 2, voxels on the input's sites, and occupancy logits."""
        fine = self.fine(self.stem(voxels))
        middle = self.middle(self.halve(fine))
        raised = self.generate(self.coarse(self.quarter(middle)))
        fused = self.fuse(raised.with_features(torch.cat([raised.features, raised.lookup(middle)], dim=1)))
        logits = self.occupancy(fused.features).squeeze(1)
        pruned = fused.prune(logits > logits.median())
        return pruned, self.last(self.back(pruned, fine)), logits
