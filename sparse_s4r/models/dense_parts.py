"""Encoder and decoder of dense 3D convolutions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DenseResidualBlock(nn.Module):
    """Pre-activation residual block of two 3x3x3 convolutions on (B, C, X, Y, Z)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
        )

    def forward(self, volume: Tensor) -> Tensor:
        """The block's input plus its change of it."""
        change: Tensor = self.body(volume)
        return volume + change


class DenseEncoder(nn.Module):
    """Features of one modality at strides 1, 2, 4, 8, 16.

    Args:
        in_channels: Channels of the input.
        widths: Channels per level, fine to coarse.
        blocks: Residual blocks per level.
    """

    def __init__(self, in_channels: int, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv3d(in_channels, widths[0], 3, padding=1, bias=False)
        self.levels = nn.ModuleList(
            nn.Sequential(*[DenseResidualBlock(width) for _ in range(blocks)]) for width in widths
        )
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv3d(fine, coarse, 2, stride=2, bias=False), nn.BatchNorm3d(coarse), nn.ReLU())
            for fine, coarse in itertools.pairwise(widths)
        )

    def forward(self, volume: Tensor) -> list[Tensor]:
        """Features (B, C_l, X_l, Y_l, Z_l) per level, fine to coarse."""
        features = [self.levels[0](self.stem(volume))]
        for down, level in zip(self.downs, list(self.levels)[1:], strict=True):
            features.append(level(down(features[-1])))
        return features


class DenseDecoder(nn.Module):
    """From the code at stride 16 to values at stride 1, taking in the skips of every level.

    Args:
        widths: Channels per level, fine to coarse.
        encoders: Number of encoders whose features are stacked in the skips.
        blocks: Residual blocks per level.
        out_channels: Channels of the output.
    """

    def __init__(self, widths: Sequence[int], encoders: int, blocks: int, out_channels: int) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.ups = nn.ModuleList(nn.ConvTranspose3d(coarse, fine, 2, stride=2, bias=False) for fine, coarse in pairs)
        self.fuses = nn.ModuleList(
            nn.Sequential(nn.Conv3d((1 + encoders) * fine, fine, 1, bias=False), nn.BatchNorm3d(fine), nn.ReLU())
            for fine, _ in pairs
        )
        self.levels = nn.ModuleList(
            nn.Sequential(*[DenseResidualBlock(fine) for _ in range(blocks)]) for fine, _ in pairs
        )
        self.head = nn.Conv3d(widths[0], out_channels, 1)

    def forward(self, code: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Values (B, out_channels, X, Y, Z) from ``code`` and ``skips``, fine to coarse."""
        volume = code
        for level in reversed(range(len(skips))):
            raised = torch.cat([self.ups[level](volume), skips[level]], dim=1)
            volume = self.levels[level](self.fuses[level](raised))
        values: Tensor = self.head(volume)
        return values
