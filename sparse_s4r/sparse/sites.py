"""A set of cells and its relations to other sets, each found once and shared by all tensors on the set."""

from __future__ import annotations

import weakref
from functools import cached_property

import torch
from torch import Tensor

from sparse_s4r.sparse import morton
from sparse_s4r.sparse.backend import kernels


class Sites:
    """Unique cells of one stride, in a fixed order of rows.

    Relations are kept with the set: a tensor that is made on the same ``Sites`` finds them ready. A set holds its
    coarse sets; coarse sets know their children only as long as someone else holds these, so nothing leaks.

    Args:
        keys: (N,) int64 Morton keys, unique.
        stride: Edge of a cell in voxels.
    """

    def __init__(self, keys: Tensor, stride: int) -> None:
        self.keys = keys
        self.stride = stride
        self._is_sorted: bool = kernels("sites", keys).is_ascending(keys)
        self._coarse: tuple[Sites, Tensor] | None = None
        # A known set that includes all my parents, and my slots in it: of generated cells, what they came from.
        self._ancestors: tuple[Sites, Tensor] | None = None
        self._children: weakref.ref[Sites] | None = None
        self._rows_in: weakref.WeakKeyDictionary[Sites, Tensor] = weakref.WeakKeyDictionary()
        self._by_slot: weakref.WeakKeyDictionary[Sites, tuple[Tensor, Tensor]] = weakref.WeakKeyDictionary()
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
        keys, outside = kernels("sites", coordinates).encode(coordinates, stride)
        if outside >= 0:
            raise ValueError(
                f"coordinates: expected cells within +-{(1 << (morton.AXIS_BITS - 1)) // stride} and a batch in "
                f"[0, {1 << morton.BATCH_BITS}), got {coordinates[outside].tolist()}; use a larger voxel or an origin "
                "nearer to the scene"
            )
        sites = cls(keys, stride)
        if sites.order is not None and not kernels("sites", keys).is_ascending(sites.sorted_keys):
            sites._refuse_repeated()
        return sites

    def _refuse_repeated(self) -> None:
        twice = self.sorted_keys[1:] == self.sorted_keys[:-1]
        example = morton.decode(self.sorted_keys[1:][twice][:1], self.stride)[0].tolist()
        raise ValueError(
            f"coordinates: expected unique cells, got {int(twice.sum())} repeated, e.g. {example}; "
            "remove repeats with torch.unique(dim=0)"
        )

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def coordinates(self) -> Tensor:
        """(N, 4) int64 [batch, x, y, z]."""
        cells: Tensor = kernels("sites", self.keys).decode(self.keys, self.stride)
        return cells

    @cached_property
    def order(self) -> Tensor | None:
        """Rows in order of their keys; None if they stand so."""
        return None if self._is_sorted else kernels("sites", self.keys).argsort(self.keys)

    @cached_property
    def sorted_keys(self) -> Tensor:
        """(N,) int64, ascending."""
        return self.keys if self.order is None else self.keys[self.order]

    def rows_of(self, keys: Tensor) -> Tensor:
        """Rows, int64 and of the shape of ``keys``; ``len(self)`` where the cell is absent."""
        position: Tensor = kernels("sites", keys).find(self.sorted_keys, keys)
        if self.order is None:
            return position
        # The absent position is N, and so is the absent row.
        return torch.nn.functional.pad(self.order, (0, 1), value=len(self))[position]

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
        chosen = Sites(self.keys[rows], self.stride)
        if self._ancestors is not None:
            coarse, slots = self._ancestors
            chosen._ancestors = coarse, slots[rows]
        return chosen

    def coarse(self) -> tuple[Sites, Tensor]:
        """The cells of twice the edge that contain mine, and my slots in them.

        Returns:
            The coarse set of M cells, in key order; and slots (N,) int64: 8 * parent row + octant.
        """
        if self._coarse is None:
            parents, slots = kernels("sites", self.keys).parents(self.sorted_keys)
            if self.order is not None:
                slots = torch.empty_like(slots).index_copy_(0, self.order, slots)
            morton.level_of(2 * self.stride)
            self._coarse = Sites(parents, 2 * self.stride), slots
        return self._coarse

    def ancestors(self) -> tuple[Sites, Tensor]:
        """As ``coarse``, but the set may hold more cells and be in another order: what is known serves."""
        return self.coarse() if self._ancestors is None else self._ancestors

    def children(self) -> Sites:
        """All eight children of every cell, row 8 * parent row + octant."""
        known = None if self._children is None else self._children()
        if known is not None:
            return known
        if self.stride == 1:
            raise ValueError("up: expected cells of stride 2 or more, got stride 1; there are no finer cells")
        octants = torch.arange(8, device=self.keys.device)
        children = Sites(((self.keys << 3)[:, None] | octants).view(-1), self.stride // 2)
        children._coarse = children._ancestors = self, torch.arange(8 * len(self), device=self.keys.device)
        self._children = weakref.ref(children)
        return children

    def slots_in(self, coarse: Sites) -> Tensor:
        """My slots (N,) int64 in the children of ``coarse``, ``8 * len(coarse)`` where the parent is absent."""
        if 2 * self.stride != coarse.stride:
            raise ValueError(f"up: expected a target of stride {coarse.stride // 2}, got {self.stride}")
        known, slots = self.ancestors()
        if known is coarse:
            return slots
        rows = known.rows_in(coarse)
        return torch.clamp(rows[slots >> 3] * 8 + (slots & 7), max=8 * len(coarse))

    def by_slot_of(self, coarse: Sites) -> Tensor:
        """My rows (8 M + 8,) int32 by their slots in ``coarse`` of M cells, ``len(self)`` where there is none.

        The last eight are those of an absent coarse cell, whose row is M.
        """
        return self._slots_of(coarse)[0]

    def octants_of(self, coarse: Sites) -> Tensor:
        """My rows (M, 8) int32 by the octants of every cell of ``coarse``, ``len(self)`` where there is none."""
        return self._slots_of(coarse)[1]

    def _slots_of(self, coarse: Sites) -> tuple[Tensor, Tensor]:
        if coarse not in self._by_slot:
            slots, count = self.slots_in(coarse), 8 * len(coarse)
            rows = kernels("sites", slots).inverse(slots, count, spare=8)
            # Both are kept: a GPU's kernels keep what they find out about a table with the tensor itself.
            self._by_slot[coarse] = rows, rows[:count].view(-1, 8)
        return self._by_slot[coarse]


def storage_order(coordinates: Tensor, stride: int = 1) -> Tensor:
    """Rows (N,) int64 of cells (N, 4) in the order that is quick to work on: neighbours in space close in memory."""
    search = kernels("sites", coordinates)
    keys, _ = search.encode(coordinates.long(), stride)
    rows: Tensor = search.argsort(keys)
    return rows
