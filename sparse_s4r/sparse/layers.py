"""Layers: they own the weights and call the tensor's methods, so the input's type chooses the engine."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sparse_s4r.sparse.norm import batch_norm, batch_norm_relu
from sparse_s4r.sparse.tensor import VoxelTensor


class Convolution(nn.Module):
    """Convolution with an odd kernel onto the same sites.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Odd edge of the kernel.
        bias: Whether to add a bias; superfluous before a batch normalisation.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, bias: bool = False) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size: expected an odd number, got {kernel_size}; use Downsample for k = 2")
        taps = kernel_size**3
        self.weight = _kernel(taps, in_channels, out_channels, fan_in=taps * in_channels)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, voxels: VoxelTensor) -> VoxelTensor:
        """Convolve."""
        result = voxels.conv(self.weight)
        return result if self.bias is None else result.with_features(result.features + self.bias)


class Downsample(nn.Module):
    """Convolution with k = 2 and stride 2 onto the occupied cells of twice the edge."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = _kernel(8, in_channels, out_channels, fan_in=8 * in_channels)

    def forward(self, voxels: VoxelTensor) -> VoxelTensor:
        """Go to the coarser level."""
        return voxels.down(self.weight)


class Upsample(nn.Module):
    """Transposed convolution with k = 2 and stride 2, onto given sites or all children."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        # Kernels do not overlap when k = stride: an output sees one tap, so its fan is the channels alone.
        self.weight = _kernel(8, in_channels, out_channels, fan_in=in_channels)

    def forward(self, voxels: VoxelTensor, target: VoxelTensor | None = None) -> VoxelTensor:
        """Go to the finer level: onto ``target``'s sites, or all eight children of every site."""
        return voxels.up(self.weight, target)


class Pointwise(nn.Module):
    """A module on features, e.g. BatchNorm1d, ReLU or Linear, applied to every site alone.

    A BatchNorm1d, also within a Sequential, that in training meets fewer than two rows normalises by its running
    statistics and leaves them as they are: the variance of one row is undefined, and pruning may leave as few.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, voxels: VoxelTensor) -> VoxelTensor:
        """Apply to the features."""
        return voxels.with_features(_apply(self.module, voxels.features))


class ResidualBlock(nn.Module):
    """Pre-activation residual block: twice batch norm, ReLU and a 3^3 convolution, added to the input.

    Source: S4R section 3 names residual blocks; the pre-activation form is SG-NN's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            Pointwise(nn.Sequential(nn.BatchNorm1d(channels), nn.ReLU())),
            Convolution(channels, channels),
            Pointwise(nn.Sequential(nn.BatchNorm1d(channels), nn.ReLU())),
            Convolution(channels, channels),
        )

    def forward(self, voxels: VoxelTensor) -> VoxelTensor:
        """Refine the features."""
        return voxels.with_features(voxels.features + self.branch(voxels).features)


def _apply(module: nn.Module, features: Tensor) -> Tensor:
    if isinstance(module, nn.Sequential):
        steps = list(module)
        while steps:
            step = steps.pop(0)
            if isinstance(step, nn.BatchNorm1d) and steps and isinstance(steps[0], nn.ReLU):
                steps.pop(0)
                features = batch_norm_relu(step, features)
            else:
                features = _apply(step, features)
        return features
    if isinstance(module, nn.BatchNorm1d):
        return batch_norm(module, features)
    result: Tensor = module(features)
    return result


def _kernel(taps: int, in_channels: int, out_channels: int, fan_in: int) -> nn.Parameter:
    """Kaiming-normal weights for ReLU: variance 2 / fan_in."""
    return nn.Parameter(torch.randn(taps, in_channels, out_channels) * math.sqrt(2.0 / max(fan_in, 1)))
