"""The table of neighbours from that of the coarse cells on the CPU in a compiled loop."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from sparse_s4r.structures.parallel import run_parts

_PART = 1 << 14


def supports(slots: Tensor) -> bool:
    """Whether these kernels serve the tensor's device."""
    return slots.device.type == "cpu"


def descend(slots: Tensor, parents: Tensor, children: Tensor) -> Tensor:
    """See ``kernel_map_torch.descend``; quick where cells of one parent follow each other."""
    place, around, child = (value.contiguous().numpy() for value in (slots, parents, children))
    table = np.empty((len(place), 27), dtype=np.int32)

    def work(part: int) -> None:
        _descend(table, place, around, child, part * _PART, min((part + 1) * _PART, len(place)))

    run_parts(work, -(-len(place) // _PART))
    return torch.from_numpy(table)


def permute(table: Tensor, order: Tensor) -> Tensor:
    """See ``kernel_map_torch.permute``."""
    rows = np.append(order.numpy().astype(np.int32), np.int32(len(order)))
    values = table.numpy()
    result = np.empty_like(values)

    def work(part: int) -> None:
        _permute(result, values, rows, part * _PART, min((part + 1) * _PART, len(values)))

    run_parts(work, -(-len(values) // _PART))
    return torch.from_numpy(result)


@numba.njit(nogil=True, cache=True)
def _permute(result: Any, table: Any, rows: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        for tap in range(table.shape[1]):
            result[rows[i], tap] = rows[table[i, tap]]


@numba.njit(nogil=True, cache=True)
def _descend(table: Any, slots: Any, parents: Any, children: Any, start: int, stop: int) -> None:
    # Rows of the 4^3 cells around the last parent: its own 2^3 and one more on every side.
    near = np.empty(64, dtype=np.int32)
    last = -1
    for i in range(start, stop):
        parent, octant = slots[i] >> 3, slots[i] & 7
        if parent != last:
            _look_around(near, parents[parent], children)
            last = parent
        corner = (octant >> 2) * 16 + ((octant >> 1) & 1) * 4 + (octant & 1)
        for x in range(3):
            for y in range(3):
                for z in range(3):
                    table[i, (x * 3 + y) * 3 + z] = near[corner + x * 16 + y * 4 + z]


@numba.njit(nogil=True, cache=True, inline="always")
def _look_around(near: Any, parents: Any, children: Any) -> None:
    # Of each axis, position 0 lies in the parent before, 1 and 2 in the own one, 3 in the one after.
    for x in range(4):
        for y in range(4):
            for z in range(4):
                parent = parents[((x + 1) >> 1) * 9 + ((y + 1) >> 1) * 3 + ((z + 1) >> 1)]
                octant = ((x + 1) & 1) * 4 + ((y + 1) & 1) * 2 + ((z + 1) & 1)
                near[x * 16 + y * 4 + z] = children[8 * np.int64(parent) + octant]
