"""Searches in sets of keys on the CPU in compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparse_s4r.geometry.compiled import compiled, inlined
from sparse_s4r.sparse import morton
from sparse_s4r.structures.parallel import run_parts, run_ranges

_PART = 1 << 16
_BATCH_BITS = morton.BATCH_BITS
# Of unsigned indices numba knows that they do not count from the end: loops become vector instructions.
_U = np.uintp


def supports(keys: Tensor) -> bool:
    """Whether these kernels serve the tensor's device."""
    return keys.device.type == "cpu"


def is_ascending(keys: Tensor) -> bool:
    """See ``sites_torch``, as of all functions here."""
    values = keys.numpy()
    ascending = np.ones(_parts(len(values)), dtype=np.bool_)

    def work(part: int) -> None:
        ascending[part] = _is_ascending(values, part * _PART, min((part + 1) * _PART, len(values) - 1))

    run_parts(work, len(ascending))
    return bool(ascending.all())


def argsort(keys: Tensor) -> Tensor:
    """See ``sites_torch``, whose sort is the quickest at hand, unless there is nothing to sort."""
    return torch.arange(len(keys)) if is_ascending(keys) else torch.argsort(keys)


def find(keys: Tensor, wanted: Tensor) -> Tensor:
    """See ``sites_torch``; quick where ``wanted`` ascends, too, or nearly."""
    values, queries = keys.contiguous().numpy(), wanted.contiguous().view(-1).numpy()
    result = np.empty(len(queries), dtype=np.int64)
    run_ranges(lambda start, stop: _find(result, values, queries, start, stop), len(queries), _PART)
    return torch.from_numpy(result).view(wanted.shape)


def parents(keys: Tensor) -> tuple[Tensor, Tensor]:
    """See ``sites_torch``."""
    values = keys.contiguous().numpy()
    count = len(values)
    starts = np.zeros(_parts(count) + 1, dtype=np.int64)

    def count_parents(part: int) -> None:
        starts[part + 1] = _count_parents(values, part * _PART, min((part + 1) * _PART, count))

    run_parts(count_parents, len(starts) - 1)
    starts = np.cumsum(starts)
    coarse, slots = np.empty(int(starts[-1]), dtype=np.int64), np.empty(count, dtype=np.int64)

    def fill(part: int) -> None:
        _fill_parents(coarse, slots, values, part * _PART, min((part + 1) * _PART, count), starts[part])

    run_parts(fill, len(starts) - 1)
    return torch.from_numpy(coarse), torch.from_numpy(slots)


def inverse(places: Tensor, count: int, spare: int = 0) -> Tensor:
    """See ``sites_torch``."""
    index = places.contiguous().numpy()
    rows: NDArray[np.int32] = np.full(count + spare, len(index), dtype=np.int32)
    run_ranges(lambda start, stop: _invert(rows, index, count, start, stop), len(index), _PART)
    return torch.from_numpy(rows)


def encode(coordinates: Tensor, stride: int) -> tuple[Tensor, int]:
    """See ``sites_torch``."""
    cells = coordinates.contiguous().numpy()
    keys = np.empty(len(cells), dtype=np.int64)
    first_bad = np.full(_parts(len(cells)), -1, dtype=np.int64)
    bits = morton.AXIS_BITS - morton.level_of(stride)

    def work(part: int) -> None:
        first_bad[part] = _encode(keys, cells, bits, part * _PART, min((part + 1) * _PART, len(cells)))

    run_parts(work, len(first_bad))
    bad = first_bad[first_bad >= 0]
    return torch.from_numpy(keys), int(bad[0]) if len(bad) else -1


def decode(keys: Tensor, stride: int) -> Tensor:
    """See ``sites_torch``."""
    values = keys.contiguous().numpy()
    cells = np.empty((len(values), 4), dtype=np.int64)
    bits = morton.AXIS_BITS - morton.level_of(stride)
    run_ranges(lambda start, stop: _decode(cells, values, bits, start, stop), len(values), _PART)
    return torch.from_numpy(cells)


def _parts(count: int) -> int:
    return -(-count // _PART)


@compiled
def _is_ascending(keys: Any, start: int, stop: int) -> bool:
    bad = 0
    for i in range(_U(start), _U(stop)):
        bad += keys[i + _U(1)] <= keys[i]
    return bad == 0


@compiled
def _find(result: Any, keys: Any, wanted: Any, start: int, stop: int) -> None:
    count = len(keys)
    low = 0
    for i in range(start, stop):
        key = wanted[i]
        # Strides that double, from the last hit; a key before it is looked for from the start.
        if low > 0 and keys[low - 1] >= key:
            low = 0
        step = 1
        high = low
        while high < count and keys[high] < key:
            low = high + 1
            high += step
            step *= 2
        high = min(high, count)
        while low < high:
            middle = (low + high) // 2
            if keys[middle] < key:
                low = middle + 1
            else:
                high = middle
        result[i] = low if low < count and keys[low] == key else count


@compiled
def _count_parents(keys: Any, start: int, stop: int) -> int:
    count = 0
    for i in range(start, stop):
        count += i == 0 or (keys[i] >> 3) != (keys[i - 1] >> 3)
    return count


@compiled
def _fill_parents(parents: Any, slots: Any, keys: Any, start: int, stop: int, first: int) -> None:
    row = first - 1
    for i in range(start, stop):
        parent = keys[i] >> 3
        if i == 0 or parent != keys[i - 1] >> 3:
            row += 1
            parents[row] = parent
        slots[i] = 8 * row + (keys[i] & 7)


@compiled
def _invert(rows: Any, places: Any, count: int, start: int, stop: int) -> None:
    for i in range(_U(start), _U(stop)):
        if places[i] < count:
            rows[_U(places[i])] = i


@compiled
def _encode(keys: Any, cells: Any, bits: int, start: int, stop: int) -> int:
    """Fills ``keys`` and gives the first row out of range, else -1."""
    half = 1 << (bits - 1)
    first_bad = stop
    for i in range(_U(start), _U(stop)):
        batch, x, y, z = cells[i, 0], cells[i, 1] + half, cells[i, 2] + half, cells[i, 3] + half
        # One comparison for both ends: shifted out of [0, 2 half), bits above are set.
        bad = ((x | y | z) >> bits) | (batch >> _BATCH_BITS)
        first_bad = min(first_bad, int(i) if bad != 0 else stop)
        keys[i] = (batch << (3 * bits)) | (_spread(x) << 2) | (_spread(y) << 1) | _spread(z)
    return first_bad if first_bad < stop else -1


@compiled
def _decode(cells: Any, keys: Any, bits: int, start: int, stop: int) -> None:
    half = 1 << (bits - 1)
    for i in range(_U(start), _U(stop)):
        within = keys[i] & ((1 << (3 * bits)) - 1)
        cells[i, 0] = keys[i] >> (3 * bits)
        cells[i, 1] = _gather(within >> 2) - half
        cells[i, 2] = _gather(within >> 1) - half
        cells[i, 3] = _gather(within) - half


@inlined
def _spread(value: int) -> int:
    """Bit i to bit 3 i; see ``morton``."""
    value = (value | (value << 32)) & 0x001F00000000FFFF
    value = (value | (value << 16)) & 0x001F0000FF0000FF
    value = (value | (value << 8)) & 0x100F00F00F00F00F
    value = (value | (value << 4)) & 0x10C30C30C30C30C3
    return (value | (value << 2)) & 0x1249249249249249


@inlined
def _gather(value: int) -> int:
    """Bit 3 i to bit i."""
    value &= 0x1249249249249249
    value = (value | (value >> 2)) & 0x10C30C30C30C30C3
    value = (value | (value >> 4)) & 0x100F00F00F00F00F
    value = (value | (value >> 8)) & 0x001F0000FF0000FF
    value = (value | (value >> 16)) & 0x001F00000000FFFF
    return (value | (value >> 32)) & 0x1FFFFF
