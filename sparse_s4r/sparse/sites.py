"""A set of cells and its relations to other sets, each found once and shared by all tensors on the set."""

from __future__ import annotations

import weakref
from functools import cached_property

import torch
from torch import Tensor

from sparse_s4r.sparse import morton


class Sites:
    """Unique cells of one stride, in a fixed order of rows.

    Relations are kept with the set: a tensor that is made on the same ``Sites`` finds them ready. A set holds its
    coarse set; coarse sets know their children only as long as someone else holds these, so nothing leaks.

    Args:
        keys: (N,) int64 Morton keys, unique.
        stride: Edge of a cell in voxels.
    """

    def __init__(self, keys: Tensor, stride: int) -> None:
        self.keys = keys
        self.stride = stride
        self._is_sorted = bool((keys[1:] > keys[:-1]).all())
        self._coarse: tuple[Sites, Tensor] | None = None
        self._children: weakref.ref[Sites] | None = None
        self._rows_in: weakref.WeakKeyDictionary[Sites, Tensor] = weakref.WeakKeyDictionary()
        self.neighbour_tables: dict[int, Tensor] = {}

    @classmethod
    def of(cls, coordinates: Tensor, stride: int) -> Sites:
        """The set of cells (N, 4) integer [batch, x, y, z], rows as given.

        Raises:
            ValueError: Another shape, a coordinate out of range, or a cell that stands twice.
        """
        if coordinates.dim() != 2 or coordinates.shape[1] != 4 or coordinates.dtype.is_floating_point:
            raise ValueError(
                "coordinates: expected integer (N, 4) [batch, x, y, z], "
                f"got {coordinates.dtype} of shape {tuple(coordinates.shape)}"
            )
        coordinates = coordinates.long()
        inside = morton.in_range(coordinates, stride)
        if not bool(inside.all()):
            row = coordinates[int((~inside).nonzero()[0])].tolist()
            raise ValueError(
                f"coordinates: expected cells within +-{(1 << (morton.AXIS_BITS - 1)) // stride} and a batch in "
                f"[0, {1 << morton.BATCH_BITS}), got {row}; use a larger voxel or an origin nearer to the scene"
            )
        sites = cls(morton.encode(coordinates, stride), stride)
        twice = sites.sorted_keys[1:] == sites.sorted_keys[:-1]
        if bool(twice.any()):
            example = morton.decode(sites.sorted_keys[1:][twice][:1], stride)[0].tolist()
            raise ValueError(
                f"coordinates: expected unique cells, got {int(twice.sum())} repeated, e.g. {example}; "
                "remove repeats with torch.unique(dim=0)"
            )
        return sites

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def coordinates(self) -> Tensor:
        """(N, 4) int64 [batch, x, y, z]."""
        return morton.decode(self.keys, self.stride)

    @cached_property
    def _order(self) -> Tensor | None:
        """Rows in order of their keys; None if they stand so."""
        return None if self._is_sorted else torch.argsort(self.keys)

    @cached_property
    def sorted_keys(self) -> Tensor:
        """(N,) int64, ascending."""
        return self.keys if self._order is None else self.keys[self._order]

    def rows_of(self, keys: Tensor) -> Tensor:
        """Rows, int64 and of the shape of ``keys``; ``len(self)`` where the cell is absent."""
        count = len(self)
        if count == 0:
            return torch.zeros_like(keys)
        position = torch.searchsorted(self.sorted_keys, keys).clamp_(max=count - 1)
        found = self.sorted_keys[position] == keys
        rows = position if self._order is None else self._order[position]
        return torch.where(found, rows, count)

    def rows_in(self, other: Sites) -> Tensor:
        """Rows (N,) int64 in ``other`` of my cells, ``len(other)`` where it lacks them."""
        if other.stride != self.stride:
            raise ValueError(f"expected voxels of stride {self.stride}, got {other.stride}")
        if other is self:
            return torch.arange(len(self), device=self.keys.device)
        if other not in self._rows_in:
            self._rows_in[other] = other.rows_of(self.keys)
        return self._rows_in[other]

    def select(self, rows: Tensor) -> Sites:
        """The cells at ``rows`` (M,) int64."""
        return Sites(self.keys[rows], self.stride)

    def coarse(self) -> tuple[Sites, Tensor]:
        """The cells of twice the edge that contain mine, and my slots in them.

        Returns:
            The coarse set of M cells, in key order; and slots (N,) int64: 8 * parent row + octant.
        """
        if self._coarse is None:
            parents, inverse = torch.unique_consecutive(self.sorted_keys >> 3, return_inverse=True)
            slots = inverse * 8 + (self.sorted_keys & 7)
            if self._order is not None:
                slots = torch.empty_like(slots).index_copy_(0, self._order, slots)
            morton.level_of(2 * self.stride)
            self._coarse = Sites(parents, 2 * self.stride), slots
        return self._coarse

    def children(self) -> Sites:
        """All eight children of every cell, row 8 * parent row + octant."""
        known = None if self._children is None else self._children()
        if known is not None:
            return known
        if self.stride == 1:
            raise ValueError("up: expected cells of stride 2 or more, got stride 1; there are no finer cells")
        octants = torch.arange(8, device=self.keys.device)
        children = Sites(((self.keys << 3)[:, None] | octants).view(-1), self.stride // 2)
        children._coarse = self, torch.arange(8 * len(self), device=self.keys.device)
        self._children = weakref.ref(children)
        return children

    def slots_in(self, coarse: Sites) -> Tensor:
        """My slots (N,) int64 in the children of ``coarse``, ``8 * len(coarse)`` where the parent is absent."""
        if 2 * self.stride != coarse.stride:
            raise ValueError(f"up: expected a target of stride {coarse.stride // 2}, got {self.stride}")
        mine, slots = self.coarse()
        if mine is coarse:
            return slots
        rows = mine.rows_in(coarse)
        return torch.clamp(rows[slots >> 3] * 8 + (slots & 7), max=8 * len(coarse))
