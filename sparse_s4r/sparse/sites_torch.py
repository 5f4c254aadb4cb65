"""Searches in sets of keys in torch operations: the reference, on every device."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.sparse import morton


def supports(keys: Tensor) -> bool:
    """Always."""
    return True


def is_ascending(keys: Tensor) -> bool:
    """Whether every key (N,) int64 is larger than the one before it."""
    return bool((keys[1:] > keys[:-1]).all())


def argsort(keys: Tensor) -> Tensor:
    """Rows (N,) int64 in the order of their keys; of equal keys in any order."""
    return torch.argsort(keys)


def find(keys: Tensor, wanted: Tensor) -> Tensor:
    """Positions, int64 and of the shape of ``wanted``, in ascending ``keys`` (N,); N where the key is absent."""
    if len(keys) == 0:
        return torch.zeros_like(wanted)
    position = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
    return torch.where(keys[position] == wanted, position, len(keys))


def parents(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Keys (M,) of the parents of ascending ``keys`` (N,), ascending, and slots (N,): 8 * parent's row + octant."""
    coarse, inverse = torch.unique_consecutive(keys >> 3, return_inverse=True)
    return coarse, inverse * 8 + (keys & 7)


def inverse(places: Tensor, count: int, spare: int = 0) -> Tensor:
    """Rows (count + spare,) int32 of distinct ``places`` (N,) int64, N where there is none.

    Places from ``count`` on are left out; the spare ones have none.
    """
    rows = torch.full((count + 1 + spare,), len(places), dtype=torch.int32, device=places.device)
    rows[places.clamp(max=count)] = torch.arange(len(places), dtype=torch.int32, device=places.device)
    rows[count] = len(places)
    return rows[: count + spare]


def encode(coordinates: Tensor, stride: int) -> tuple[Tensor, int]:
    """Keys (N,) int64 of cells (N, 4) int64 [batch, x, y, z], and the first row that is out of range, else -1."""
    outside = (~morton.in_range(coordinates, stride)).nonzero()
    return morton.encode(coordinates, stride), int(outside[0]) if len(outside) else -1


def decode(keys: Tensor, stride: int) -> Tensor:
    """Cells (N, 4) int64 of ``keys`` (N,)."""
    return morton.decode(keys, stride)
