"""Sparse index of voxels: regions of 16^3 blocks of 8^3 voxels, so that empty space is crossed in big steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparse_s4r.render.corners import CORNERS
from sparse_s4r.structures import BLOCK

BLOCK_BITS = 3
REGION_BITS = 4
BLOCK_VOXELS = BLOCK**3
REGION_BLOCKS = 1 << (3 * REGION_BITS)
REGION = BLOCK << REGION_BITS
# 2**24 regions of 2.56 m (at 2 cm) are a cube of 650 m: 64 MB of table. More than that is a stray coordinate.
MAX_REGIONS = 1 << 24


@dataclass(frozen=True)
class BlockIndex:
    """From voxel coordinates to rows; memory grows with the occupied blocks, not with the box.

    Coordinates in it are local: voxel coordinates minus ``lower``.

    Attributes:
        lower: (3,) int64 voxel coordinates of the corner of region 0, multiples of ``REGION``.
        shape: Regions per axis.
        size: (3,) int64, upper bound (exclusive) of the local voxel coordinates.
        regions: (product of shape,) int32 number of an occupied region, -1 for an empty one.
        blocks: (occupied regions * 4096,) int32 number of an occupied block; -1 - n for an empty one in the midst
            of an aligned, empty cube of 2**n blocks per edge, the largest there is.
        neighbors: (B, 8) int32 blocks at +0/+1 per axis, in the order of ``CORNERS``; B where there is none.
        rows: ((B + 1) * 512,) int32 row per voxel, -1 where absent; the last block is empty and stands for all such.
        slots: (N,) int64 place of every voxel in ``rows``.
    """

    lower: Tensor
    shape: tuple[int, int, int]
    size: Tensor
    regions: Tensor
    blocks: Tensor
    neighbors: Tensor
    rows: Tensor
    slots: Tensor

    def find_blocks(self, block: Tensor, table: Tensor | None = None) -> Tensor:
        """Numbers (P,) int64 of the occupied blocks at ``block`` (P, 3), or -1 - n as in ``blocks``.

        Args:
            block: Local voxel coordinates divided by ``BLOCK``, floored.
            table: To look them up in instead of ``blocks``.
        """
        table = self.blocks if table is None else table
        shape = torch.tensor(self.shape, device=block.device)
        region = block >> REGION_BITS
        inside = ((region >= 0) & (region < shape)).all(dim=1)
        region = region.clamp(min=0).minimum(shape - 1)
        number = torch.where(inside, self.regions[_flatten(region, self.shape)].long(), -1)
        x, y, z = (block & ((1 << REGION_BITS) - 1)).unbind(-1)
        within = _join(x, y, z, REGION_BITS)
        found = table[number.clamp(min=0) * REGION_BLOCKS + within].long()
        return torch.where(number >= 0, found, -1 - REGION_BITS)

    def places_of(self, table: Tensor) -> Tensor:
        """Local voxel coordinates (S, 3), divided by ``BLOCK``, of the blocks that ``table`` numbers, in its order.

        Args:
            table: Like ``blocks``.
        """
        ids = (table >= 0).nonzero().squeeze(1)
        region = (self.regions >= 0).nonzero().squeeze(1)[ids >> (3 * REGION_BITS)]
        _, ny, nz = self.shape
        corner = torch.stack([region // (ny * nz), region // nz % ny, region % nz], dim=1) << REGION_BITS
        mask = (1 << REGION_BITS) - 1
        within = torch.stack([ids >> (2 * REGION_BITS) & mask, ids >> REGION_BITS & mask, ids & mask], dim=1)
        return corner + within

    def corner_slot(self, block: Tensor, inner: Tensor, corner: tuple[int, int, int]) -> Tensor:
        """Places in ``rows`` of one corner of cells.

        Args:
            block: int64 numbers of the occupied blocks that the cells start in.
            inner: int64 places 0..511 of the cells in their blocks; broadcast with ``block``.
            corner: Offset from the cell's voxel, of ``CORNERS``.
        """
        mask = BLOCK - 1
        x = (inner >> (2 * BLOCK_BITS)) + corner[0]
        y = (inner >> BLOCK_BITS & mask) + corner[1]
        z = (inner & mask) + corner[2]
        side = _join(x >> BLOCK_BITS, y >> BLOCK_BITS, z >> BLOCK_BITS, 1)
        neighbor = self.neighbors[block, side].long()
        return neighbor * BLOCK_VOXELS + _join(x & mask, y & mask, z & mask, BLOCK_BITS)

    def corner_slots(self, slot: Tensor) -> Tensor:
        """Places (P, 8) int64 in ``rows`` of the corners of the cells at the places ``slot`` (P,)."""
        block, inner = slot // BLOCK_VOXELS, slot % BLOCK_VOXELS
        return torch.stack([self.corner_slot(block, inner, corner) for corner in CORNERS], dim=1)


def index_blocks(coordinates: Tensor, compiled: bool = False) -> BlockIndex:
    """Index voxels.

    Args:
        coordinates: (N, 3) int64, N > 0, unique.
        compiled: Place them by the compiled loops, on the CPU only.

    Raises:
        ValueError: A voxel stands twice, or the voxels span more than ``MAX_REGIONS`` regions.
    """
    low, high = torch.aminmax(coordinates, dim=0)
    lower = low.div(REGION, rounding_mode="floor") * REGION
    size = high - lower + 1
    shape = _region_shape(size)
    if compiled:
        from sparse_s4r.render.blocks_numba import place_voxels_numba

        regions, blocks, rows, slots = place_voxels_numba(coordinates, lower, shape)
    else:
        regions, blocks, rows, slots = place_voxels(coordinates, lower, shape)
    stored = int((rows >= 0).sum())
    if stored != len(coordinates):
        raise ValueError(
            f"coordinates: expected unique voxels, got {len(coordinates) - stored} repeated of {len(coordinates)}; "
            "remove repeats with torch.unique(dim=0)"
        )
    blocks = mark_empty_cubes(blocks)
    bare = BlockIndex(lower, shape, size, regions, blocks, torch.empty(0, 8, dtype=torch.int32), rows, slots)
    return replace(bare, neighbors=_neighbors(bare, len(rows) // BLOCK_VOXELS - 1))


def place_voxels(
    coordinates: Tensor, lower: Tensor, shape: tuple[int, int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """``regions``, ``blocks`` (-1 for an empty one), ``rows`` and ``slots`` of ``BlockIndex``, by torch operations."""
    # Columns of int32: this runs over all voxels once per prediction, and memory traffic is all its cost.
    x, y, z = (coordinates - lower).to(torch.int32).T.contiguous()
    whole, mask = BLOCK_BITS + REGION_BITS, (1 << REGION_BITS) - 1
    region = ((x >> whole) * shape[1] + (y >> whole)) * shape[2] + (z >> whole)
    regions, region_count = _number(region, shape[0] * shape[1] * shape[2])
    within = _join(x >> BLOCK_BITS & mask, y >> BLOCK_BITS & mask, z >> BLOCK_BITS & mask, REGION_BITS)
    block = regions.index_select(0, region).long() * REGION_BLOCKS + within
    blocks, block_count = _number(block, region_count * REGION_BLOCKS)
    inner = _join(x & (BLOCK - 1), y & (BLOCK - 1), z & (BLOCK - 1), BLOCK_BITS)
    slots = blocks.index_select(0, block).long() * BLOCK_VOXELS + inner
    rows = torch.full(((block_count + 1) * BLOCK_VOXELS,), -1, dtype=torch.int32, device=coordinates.device)
    rows[slots] = torch.arange(len(coordinates), dtype=torch.int32, device=coordinates.device)
    return regions, blocks, rows, slots


def number_present(present: Tensor) -> tuple[Tensor, int]:
    """A table (M,) int32 that numbers the True entries of ``present`` (M,) in order, -1 elsewhere; and how many."""
    numbers = present.cumsum(0, dtype=torch.int32)
    return torch.where(present, numbers - 1, -1), int(numbers[-1])


def mark_empty_cubes(blocks: Tensor) -> Tensor:
    """The table ``blocks`` with -1 - n, as ``BlockIndex.blocks`` says, in the place of negative numbers."""
    edge = 1 << REGION_BITS
    marked = blocks.view(-1, edge, edge, edge)
    empty = marked < 0
    for level in range(1, REGION_BITS):
        cubes = edge >> level
        # True where all blocks of an aligned cube of 2**level are empty.
        whole = empty.view(-1, cubes, 1 << level, cubes, 1 << level, cubes, 1 << level).all(2).all(3).all(4)
        spread = whole.view(-1, cubes, 1, cubes, 1, cubes, 1).expand(-1, -1, 1 << level, -1, 1 << level, -1, 1 << level)
        marked = torch.where(spread.reshape(marked.shape), -1 - level, marked)
    return marked.flatten()


def _neighbors(index: BlockIndex, block_count: int) -> Tensor:
    """The (B, 8) table of ``BlockIndex.neighbors``."""
    around = index.places_of(index.blocks).unsqueeze(1) + torch.tensor(CORNERS, device=index.blocks.device)
    found = index.find_blocks(around.reshape(-1, 3))
    return torch.where(found >= 0, found, block_count).to(torch.int32).view(block_count, 8)


def _region_shape(size: Tensor) -> tuple[int, int, int]:
    x, y, z = (-(-int(length) // REGION) for length in size)
    if x * y * z > MAX_REGIONS:
        raise ValueError(
            f"coordinates: expected voxels within {MAX_REGIONS} regions of {REGION}^3, got a box of "
            f"{size.tolist()} voxels; remove stray voxels or split the scene"
        )
    return x, y, z


def _number(ids: Tensor, count: int) -> tuple[Tensor, int]:
    """``number_present`` of those of ``count`` that occur in ``ids``."""
    present = torch.zeros(count, dtype=torch.bool, device=ids.device)
    present[ids] = True
    return number_present(present)


def _flatten(index: Tensor, shape: tuple[int, int, int]) -> Tensor:
    return (index[..., 0] * shape[1] + index[..., 1]) * shape[2] + index[..., 2]


def _join(x: Tensor, y: Tensor, z: Tensor, bits: int) -> Tensor:
    return (x << (2 * bits)) | (y << bits) | z
