"""One encoder: residual levels at strides 1, 2, 4, 8, 16 on the voxels of the scan."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn

from sparse_s4r.models.checkpointing import recomputed
from sparse_s4r.sparse.layers import Convolution, Downsample, Pointwise, ResidualBlock
from sparse_s4r.sparse.tensor import VoxelTensor


class Encoder(nn.Module):
    """Features of one modality at every level.

    Args:
        in_channels: Channels of the input features.
        widths: Channels per level, fine to coarse.
        blocks: Residual blocks per level.

    Source: S4R section 3 (two encoders of five residual blocks); widths are not printed there.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.stem = Convolution(in_channels, widths[0])
        self.levels = nn.ModuleList(nn.Sequential(*[ResidualBlock(width) for _ in range(blocks)]) for width in widths)
        self.downs = nn.ModuleList(
            nn.Sequential(Downsample(fine, coarse), Pointwise(nn.Sequential(nn.BatchNorm1d(coarse), nn.ReLU())))
            for fine, coarse in itertools.pairwise(widths)
        )

    def forward(self, voxels: VoxelTensor, recompute: bool = False) -> list[VoxelTensor]:
        """Features per level, fine to coarse, on the voxels' own sites.

        Args:
            voxels: Input features.
            recompute: Keep only the levels' features for the gradient.
        """
        features: list[VoxelTensor] = []
        for enter, level in zip([self.stem, *self.downs], self.levels, strict=True):
            step = nn.Sequential(enter, level)
            features.append(recomputed([step], step, recompute, features[-1] if features else voxels))
        return features
