"""Tables of neighbours on a GPU, in Triton: the descent of a 3^3 table, and the order in which a product reads one.

The coarsest table is still searched by torch: it has at most some hundred rows, and a sort with binary search gives
the same rows in every run, which insertion into a hash table by atomics does not.

The kernels call nothing of Triton's own library of jitted functions (``tl.zeros``, ``tl.sum``, ...). So they run in
Triton's interpreter even where Triton itself was imported without it.
"""

# What triton.jit makes of a function has no type, and its arguments are pointers and numbers to the compiler alone.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from sparse_s4r.sparse.kernel_map_torch import permute

__all__ = ["Tiles", "descend", "on_device_of", "permute", "supports", "tiles_of"]

# Entries of the table that one program of the descent writes.
_DESCENT_BLOCK = 1024
# Rows of which one program finds the taps.
_MASK_BLOCK = 128
# Rows are put in order of their taps within windows of this many: near enough for the cache, and the longest that
# torch sorts in the shared memory of one block.
_WINDOW = 4096
# Taps that fit into the sign-free bits of the int32 by which rows are sorted.
_MOST_SORTED_TAPS = 30


@triton.jit
def descend_kernel(slots, parents, child, table, count, block: tl.constexpr):
    """One entry of the table per lane; entries are numbered row by row, 27 to a row."""
    first = tl.program_id(0).to(tl.int64) * block
    first_row = first // 27
    # From here 32 bits do, and divide faster.
    entry = (first - first_row * 27).to(tl.int32) + tl.arange(0, block)
    row = entry // 27
    tap = entry - row * 27
    inside = first_row + row < count
    slot = tl.load(slots + first_row + row, mask=inside, other=0)
    octant = (slot & 7).to(tl.int32)
    # Along each axis the neighbour lies at -1, 0, 1 or 2 halves of the parent's edge.
    x = (octant >> 2) + tap // 9 - 1
    y = ((octant >> 1) & 1) + tap // 3 % 3 - 1
    z = (octant & 1) + tap % 3 - 1
    parent_tap = ((x >> 1) + 1) * 9 + ((y >> 1) + 1) * 3 + (z >> 1) + 1
    parent = tl.load(parents + (slot >> 3) * 27 + parent_tap, mask=inside, other=0).to(tl.int64)
    place = parent * 8 + ((x & 1) * 4 + (y & 1) * 2 + (z & 1))
    tl.store(table + first + tl.arange(0, block), tl.load(child + place, mask=inside, other=0), mask=inside)


@triton.jit
def mask_kernel(table, masks, rows_out, rows_in, taps: tl.constexpr, block: tl.constexpr):
    """Bit t of a row's mask: the row has a cell at tap t."""
    row = tl.program_id(0) * block + tl.arange(0, block)
    inside = row < rows_out
    entries = table + row.to(tl.int64) * taps
    mask = tl.full((block,), 0, tl.int32)
    for tap in range(taps):
        seen = tl.load(entries + tap, mask=inside, other=rows_in) < rows_in
        mask |= seen.to(tl.int32) << tap
    tl.store(masks + row, mask, mask=inside)


@triton.jit
def tile_kernel(table, order, seen, rows_out, rows_in, taps: tl.constexpr, lanes: tl.constexpr, block: tl.constexpr):
    """One tile per program, one tap per lane: 1 where any row of the tile has a cell at the tap."""
    tile = tl.program_id(0)
    tap = tl.arange(0, lanes)
    found = tl.full((lanes,), 0, tl.int32)
    for step in range(block):
        position = tile * block + step
        inside = position < rows_out
        row = tl.load(order + position, mask=inside, other=0)
        # One comparison instead of "and": the interpreter takes no mask made of a vector and a scalar.
        present = tap < tl.where(inside, taps, 0)
        entry = tl.load(table + row.to(tl.int64) * taps + tap, mask=present, other=rows_in)
        found |= (entry < rows_in).to(tl.int32)
    tl.store(seen + tile * taps + tap, found, mask=tap < taps)


@dataclass(frozen=True)
class Tiles:
    """How a product walks through a table: which rows go together, and which taps they need.

    Attributes:
        order: (M,) int32 rows of the table; each run of ``block`` of them is a tile.
        taps: (T, K) int32, per tile the taps at which any of its rows has a cell, ascending, then the others.
        counts: (T,) int32 number of the former.
    """

    order: Tensor
    taps: Tensor
    counts: Tensor


_known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
# In the interpreter, which takes tensors of the CPU, kernels are no longer what the compiler takes.
_INTERPRETED = not isinstance(descend_kernel, triton.JITFunction)


def supports(slots: Tensor) -> bool:
    """Whether the device of ``slots`` is served: a GPU, or a CPU in Triton's interpreter."""
    return slots.is_cuda or (_INTERPRETED and slots.device.type == "cpu")


def descend(slots: Tensor, parents: Tensor, child: Tensor) -> Tensor:
    """The 3^3 table of fine cells from that of their parents.

    Args:
        slots: (N,) int64, 8 * parent row + octant.
        parents: (M, 27) int32 rows of the parents' neighbours, M where absent.
        child: (8 M + 8,) int32 rows of the parents' children by slot, N where absent, as are those of parent M.

    Returns:
        (N, 27) int32 rows of the neighbours, N where absent; taps row-major, x slowest.

    Raises:
        ValueError: Another shape or dtype.
    """
    _expect("slots", slots, torch.int64, (len(slots),))
    _expect("parents", parents, torch.int32, (len(parents), 27))
    _expect("child", child, torch.int32, (8 * len(parents) + 8,))
    table = torch.empty(len(slots), 27, dtype=torch.int32, device=slots.device)
    if len(slots):
        grid = (triton.cdiv(table.numel(), _DESCENT_BLOCK),)
        with on_device_of(slots):
            descend_kernel[grid](
                slots.contiguous(), parents.contiguous(), child.contiguous(), table, len(slots), block=_DESCENT_BLOCK
            )
    return table


def tiles_of(table: Tensor, rows_in: int, block: int) -> Tiles:
    """The tiles of ``table``, found once and kept as long as the table, or what it is a view of, lives.

    Rows whose cells stand in Morton order hardly ever lack a tap together: of the pairs (tile of 64 rows, tap) of a
    wall of six voxels none are empty, though a ninth of the table is. Sorted by their taps within windows of 4096
    rows they do: 8 % fewer pairs to compute there, 20 % at the coarser levels, of 11 and 23 % that are possible.

    Args:
        table: (M, K) int32, contiguous; entries from 0 to ``rows_in``, which stands for an absent cell.
        rows_in: Number of rows that the table points to.
        block: Rows of a tile.
    """
    # Tensors made in inference mode count no versions; nothing of ours writes to a table once it is made.
    version = None if table.is_inference() else table._version
    # A view may be made anew for every product: what lives on is the tensor that it shows.
    owner = table if table._base is None else table._base
    known = _known.setdefault(owner, {})  # type: ignore[no-untyped-call]
    key = (version, table.storage_offset(), tuple(table.shape), rows_in, block)
    if key not in known:
        known[key] = _find_tiles(table, rows_in, block)
    tiles: Tiles = known[key]
    return tiles


def on_device_of(value: Tensor) -> AbstractContextManager[object]:
    """Context in which kernels start on the device of ``value``; Triton takes the current one."""
    return torch.cuda.device(value.device) if value.is_cuda else nullcontext()


def _find_tiles(table: Tensor, rows_in: int, block: int) -> Tiles:
    rows, taps = table.shape
    order = _order(table, rows_in)
    count = triton.cdiv(rows, block)
    seen = torch.empty(count, taps, dtype=torch.int32, device=table.device)
    with on_device_of(table):
        tile_kernel[(count,)](table, order, seen, rows, rows_in, taps, triton.next_power_of_2(taps), block, num_warps=1)
    ascending = torch.sort(seen, dim=1, descending=True, stable=True).indices
    return Tiles(order, ascending.int(), seen.sum(dim=1, dtype=torch.int32))


def _order(table: Tensor, rows_in: int) -> Tensor:
    """Rows (M,) int32 in order of their taps within each window; as they stand if there are too many taps."""
    rows, taps = table.shape
    own = torch.arange(rows, dtype=torch.int32, device=table.device)
    if taps > _MOST_SORTED_TAPS:
        return own
    # What fills up the last window sorts behind every mask.
    windows = triton.cdiv(rows, _WINDOW)
    masks = torch.full((windows * _WINDOW,), 2**31 - 1, dtype=torch.int32, device=table.device)
    with on_device_of(table):
        mask_kernel[(triton.cdiv(rows, _MASK_BLOCK),)](table, masks, rows, rows_in, taps, _MASK_BLOCK)
    within = torch.sort(masks.view(windows, _WINDOW), dim=1, stable=True).indices.int()
    starts = torch.arange(0, windows * _WINDOW, _WINDOW, dtype=torch.int32, device=table.device)
    return (within + starts[:, None]).view(-1)[:rows]


def _expect(name: str, value: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    if value.dtype != dtype or tuple(value.shape) != shape:
        raise ValueError(f"{name}: expected {dtype} of shape {shape}, got {value.dtype} of shape {tuple(value.shape)}")
