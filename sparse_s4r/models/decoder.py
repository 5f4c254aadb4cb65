"""One step of a decoder: up-sample, take in the encoders' features of the level, refine."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse_s4r.sparse.layers import Pointwise, ResidualBlock, Upsample
from sparse_s4r.sparse.tensor import VoxelTensor


class DecoderLevel(nn.Module):
    """Transposed convolution to the next finer level, fusion with the skips, residual blocks.

    Args:
        coarse: Channels of the coarser level.
        width: Channels of this level.
        skip: Channels of both encoders together at this level.
        blocks: Residual blocks.

    Source: S4R section 3: the stacked geometry and colour features of a level go to every decoder.
    """

    def __init__(self, coarse: int, width: int, skip: int, blocks: int) -> None:
        super().__init__()
        self.up = Upsample(coarse, width)
        self.fuse = nn.Linear(width + skip, width, bias=False)
        self.activate = Pointwise(nn.Sequential(nn.BatchNorm1d(width), nn.ReLU()))
        self.blocks = nn.Sequential(*[ResidualBlock(width) for _ in range(blocks)])

    def follow(self, coarse: VoxelTensor, sites: VoxelTensor, skip_features: Tensor) -> VoxelTensor:
        """Bring ``coarse`` onto ``sites`` of half the edge and refine it with the encoders' features (N, skip)."""
        return self.refine(self.up(coarse, sites), skip_features)

    def refine(self, raised: VoxelTensor, skip_features: Tensor) -> VoxelTensor:
        """Fuse up-sampled features (N, width) with the encoders' (N, skip) at the same sites."""
        own, skip = torch.split(self.fuse.weight.T, [raised.features.shape[1], skip_features.shape[1]])
        # Two products instead of one of both side by side, which would have to be copied and, in training, kept.
        fused = torch.addmm(raised.features @ own, skip_features, skip)
        refined: VoxelTensor = self.blocks(self.activate(raised.with_features(fused)))
        return refined
