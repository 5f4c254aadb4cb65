"""What a network may ask of sparse voxels, whichever engine holds them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class VoxelTensor(Protocol):
    """Features on a set of cells of ``stride`` voxels; one batch of scenes.

    Rows have no meaning beyond this: ``features`` and ``coordinates`` agree row by row; tensors on the same sites
    (made by ``with_features``, ``conv``, or by the same step from such tensors) agree with each other; and
    ``make_voxels`` keeps the rows as given. ``down`` and ``up`` order rows as suits the engine.

    Weights have the shape (k^3, C_in, C_out), taps row-major with x slowest. A convolution is a cross-correlation,
    as torch's ``conv3d`` with the kernel ``weight[x, y, z, i, o]``; absent cells count as zeros.
    All methods accept tensors without sites, are differentiable in features and weight, and leave ``self`` as it is.
    """

    @property
    def coordinates(self) -> Tensor:
        """(N, 4) int64 cells [batch, x, y, z]: voxel coordinates divided by ``stride``, floored."""

    @property
    def features(self) -> Tensor:
        """(N, C) float."""

    @property
    def stride(self) -> int:
        """Edge of a cell in voxels, a power of two."""

    def with_features(self, features: Tensor) -> VoxelTensor:
        """``features`` (N, D) on the same sites."""

    def conv(self, weight: Tensor) -> VoxelTensor:
        """Convolution with an odd kernel, centred, onto the same sites."""

    def down(self, weight: Tensor) -> VoxelTensor:
        """Convolution with k = 2 and stride 2 onto the cells of twice the edge that contain a site."""

    def up(self, weight: Tensor, target: VoxelTensor | None = None) -> VoxelTensor:
        """Transposed convolution with k = 2 and stride 2.

        Args:
            weight: (8, C_in, C_out).
            target: Voxels of half the edge onto whose sites to go, zeros where the parent is absent; None: onto
                all eight children of every site.
        """

    def prune(self, keep: Tensor) -> VoxelTensor:
        """The sites at ``keep`` (N,) bool, in the same order."""

    def lookup(self, other: VoxelTensor) -> Tensor:
        """Features (N, D) of ``other``, of the same stride, at my sites; zeros where it has none."""


def kernel_edge(weight: Tensor) -> int:
    """Edge k of a kernel (k^3, C_in, C_out).

    Raises:
        ValueError: Another shape, or a number of taps that is no cube.
    """
    edge = round(weight.shape[0] ** (1 / 3)) if weight.dim() == 3 else 0
    if weight.dim() != 3 or edge**3 != weight.shape[0]:
        raise ValueError(f"weight: expected shape (k^3, C_in, C_out), got {tuple(weight.shape)}")
    return edge


def expect_odd_kernel(weight: Tensor, channels: int) -> int:
    """Edge of a centred kernel for ``channels`` input channels; ValueError otherwise."""
    edge = kernel_edge(weight)
    if edge % 2 == 0:
        raise ValueError(f"weight: expected an odd kernel (27 taps for k = 3), got {weight.shape[0]} taps")
    _expect_channels(weight, channels)
    return edge


def expect_halving_kernel(weight: Tensor, channels: int) -> None:
    """Raise ValueError unless ``weight`` is a k = 2 kernel for ``channels`` input channels."""
    if kernel_edge(weight) != 2:
        raise ValueError(f"weight: expected 8 taps (k = 2), got {weight.shape[0]}")
    _expect_channels(weight, channels)


def _expect_channels(weight: Tensor, channels: int) -> None:
    if weight.shape[1] != channels:
        raise ValueError(f"weight: expected {channels} input channels as the features have, got {weight.shape[1]}")
