"""What was observed of cells of several voxels: the observation grid pooled to every stride."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.keys import pack_keys, unpack_keys
from sparse_s4r.structures import BLOCK, ObservationGrid, VoxelState

# One bit per state, so that pooling is a bitwise or and a cell tells all states that occur in it.
UNKNOWN_BIT, FREE_BIT, SURFACE_BIT = 1, 2, 4
_BIT_OF_STATE = {VoxelState.UNKNOWN: UNKNOWN_BIT, VoxelState.FREE: FREE_BIT, VoxelState.SURFACE: SURFACE_BIT}


class ObservationPyramid:
    """Bits of the states that occur in cells of 1, 2, 4, 8 or 16 voxels.

    Args:
        observation: State of every voxel; what it does not hold is unknown.
    """

    def __init__(self, observation: ObservationGrid) -> None:
        lut = torch.zeros(256, dtype=torch.uint8, device=observation.block_state.device)
        for state, bit in _BIT_OF_STATE.items():
            lut[int(state)] = bit
        mixed = observation.block_state == ObservationGrid.MIXED
        fine = lut[observation.voxel_state.long()].view(-1, BLOCK, BLOCK, BLOCK)
        self._blocks = VoxelHash(observation.block_coordinates)
        self._uniform = lut[observation.block_state.long()]
        self._mixed_row = torch.where(mixed, torch.cumsum(mixed, 0) - 1, -1)
        self._levels = {1: fine}
        for stride in (2, 4, 8):
            self._levels[stride] = _pool(self._levels[stride // 2])
        whole = self._uniform.clone()
        whole[mixed] = self._levels[8].view(-1)
        self._double_bits = _merge_blocks(observation.block_coordinates, whole)
        self._double = VoxelHash(self._double_bits[0])

    def bits(self, cells: Tensor, stride: int) -> Tensor:
        """Bits of the states that occur in cells.

        Args:
            cells: (M, 3) int64 cell indices: voxel coordinates divided by ``stride``, floored.
            stride: Edge of a cell in voxels: 1, 2, 4, 8 or 16.

        Returns:
            (M,) uint8, an or of ``UNKNOWN_BIT``, ``FREE_BIT`` and ``SURFACE_BIT``.

        Raises:
            ValueError: Another stride.
        """
        if stride == 2 * BLOCK:
            return _known(self._double_bits[1], self._double.rows(cells))
        if stride not in self._levels:
            raise ValueError(f"stride: expected 1, 2, 4, 8 or {2 * BLOCK}, got {stride}")
        per_block = BLOCK // stride
        blocks = torch.div(cells, per_block, rounding_mode="floor")
        rows = self._blocks.rows(blocks)
        result = _known(self._uniform, rows)
        stored = (rows >= 0).nonzero().squeeze(1)
        mixed = self._mixed_row[rows[stored]]
        inside, mixed = stored[mixed >= 0], mixed[mixed >= 0]
        local = cells[inside] - blocks[inside] * per_block
        flat = (local[:, 0] * per_block + local[:, 1]) * per_block + local[:, 2]
        result[inside] = self._levels[stride].reshape(-1, per_block**3)[mixed, flat]
        return result

    def states(self, cells: Tensor, stride: int = 1) -> Tensor:
        """``VoxelState`` (M,) uint8 of cells: SURFACE if any voxel is, else FREE if any is, else UNKNOWN."""
        bits = self.bits(cells, stride)
        free = torch.where((bits & FREE_BIT) != 0, int(VoxelState.FREE), int(VoxelState.UNKNOWN))
        return torch.where((bits & SURFACE_BIT) != 0, int(VoxelState.SURFACE), free).to(torch.uint8)

    def surface(self, cells: Tensor, stride: int) -> Tensor:
        """True (M,) where a cell holds a surface voxel."""
        return (self.bits(cells, stride) & SURFACE_BIT) != 0

    def entirely_free(self, cells: Tensor, stride: int) -> Tensor:
        """True (M,) where every voxel of a cell was seen to be free."""
        return self.bits(cells, stride) == FREE_BIT


def _known(bits: Tensor, rows: Tensor) -> Tensor:
    """``bits`` at ``rows`` (M,), unknown where a row is -1; also of a table without rows."""
    result = torch.full(rows.shape, UNKNOWN_BIT, dtype=torch.uint8, device=rows.device)
    stored = rows >= 0
    result[stored] = bits[rows[stored]]
    return result


def _pool(bits: Tensor) -> Tensor:
    """Halve each of the last three axes of (M, S, S, S) bits."""
    bits = bits[:, 0::2] | bits[:, 1::2]
    bits = bits[:, :, 0::2] | bits[:, :, 1::2]
    return bits[:, :, :, 0::2] | bits[:, :, :, 1::2]


def _merge_blocks(blocks: Tensor, bits: Tensor) -> tuple[Tensor, Tensor]:
    """Cells (D, 3) of 2^3 blocks and their bits (D,); a block that is not stored counts as unknown."""
    # By key: torch.unique over rows sorts them twenty times slower.
    keys = pack_keys(torch.div(blocks, 2, rounding_mode="floor"))
    parents, inverse, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    merged = torch.zeros(len(parents), dtype=torch.uint8, device=bits.device)
    merged[counts < 8] = UNKNOWN_BIT
    for bit in _BIT_OF_STATE.values():
        has = torch.zeros(len(parents), dtype=torch.bool, device=bits.device)
        has[inverse[(bits & bit) != 0]] = True
        merged |= has.to(torch.uint8) * bit
    return unpack_keys(parents), merged
