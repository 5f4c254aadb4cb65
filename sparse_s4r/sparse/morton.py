"""Keys of cells in Morton order, in which a cell's children and its spatial neighbours lie close together.

The three low bits of a key are the octant in the parent, x first; the rest is the parent's key. So the children of
sorted cells are sorted, parents come by a shift, and rows in key order are friendly to the cache.
"""

from __future__ import annotations

import torch
from torch import Tensor

# As in geometry.keys: 18 bits per axis at stride 1, 9 bits of batch.
AXIS_BITS = 18
BATCH_BITS = 9


def level_of(stride: int) -> int:
    """Number of halvings from stride 1 to ``stride``; ValueError unless it is a power of two up to 2^17."""
    level = stride.bit_length() - 1
    if stride < 1 or stride != 1 << level or level >= AXIS_BITS:
        raise ValueError(f"stride: expected a power of two from 1 to {1 << (AXIS_BITS - 1)}, got {stride}")
    return level


def in_range(coordinates: Tensor, stride: int) -> Tensor:
    """True (N,) for cells (N, 4) of ``stride`` voxels that have a key."""
    half = 1 << (AXIS_BITS - 1 - level_of(stride))
    batch, cells = coordinates[:, 0], coordinates[:, 1:]
    return ((cells >= -half) & (cells < half)).all(dim=1) & (batch >= 0) & (batch < 1 << BATCH_BITS)


def encode(coordinates: Tensor, stride: int) -> Tensor:
    """Keys (N,) int64 of cells (N, 4) int64 [batch, x, y, z] that are ``in_range``."""
    bits = AXIS_BITS - level_of(stride)
    shifted = coordinates[:, 1:] + (1 << (bits - 1))
    x, y, z = (_spread(shifted[:, axis]) for axis in range(3))
    return (coordinates[:, 0] << (3 * bits)) | (x << 2) | (y << 1) | z


def decode(keys: Tensor, stride: int) -> Tensor:
    """Cells (N, 4) int64 [batch, x, y, z] of ``keys`` (N,)."""
    bits = AXIS_BITS - level_of(stride)
    within = keys & ((1 << (3 * bits)) - 1)
    columns = [_gather(within >> shift) - (1 << (bits - 1)) for shift in (2, 1, 0)]
    return torch.stack([keys >> (3 * bits), *columns], dim=1)


_SPREADS = (
    (32, 0x001F00000000FFFF),
    (16, 0x001F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)


def _spread(value: Tensor) -> Tensor:
    """Bit i of ``value`` to bit 3 i, for up to 21 bits."""
    for shift, mask in _SPREADS:
        value = (value | (value << shift)) & mask
    return value


def _gather(value: Tensor) -> Tensor:
    """Bit 3 i of ``value`` to bit i."""
    value = value & _SPREADS[-1][1]
    for (shift, _), (_, mask) in zip(reversed(_SPREADS), [*reversed(_SPREADS[:-1]), (0, 0x1FFFFF)], strict=True):
        value = (value | (value >> shift)) & mask
    return value
