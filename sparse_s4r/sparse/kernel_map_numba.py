"""The table of neighbours from that of the coarse cells on the CPU in a compiled loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sparse_s4r.geometry.compiled import compiled, inlined
from sparse_s4r.structures.parallel import run_ranges

_PART = 1 << 14
# Of unsigned indices numba knows that they do not count from the end: half the time.
_U = np.uintp


def supports(slots: Tensor) -> bool:
    """Whether these kernels serve the tensor's device."""
    return slots.device.type == "cpu"


def descend(slots: Tensor, parents: Tensor, children: Tensor) -> Tensor:
    """See ``kernel_map_torch.descend``; quick where cells of one parent follow each other."""
    place, around, child = (value.contiguous().numpy() for value in (slots, parents, children))
    table = np.empty((len(place), 27), dtype=np.int32)
    run_ranges(lambda start, stop: _descend(table, place, around, child, start, stop), len(place), _PART)
    return torch.from_numpy(table)


def permute(table: Tensor, order: Tensor) -> Tensor:
    """See ``kernel_map_torch.permute``."""
    rows = np.append(order.numpy().astype(np.int32), np.int32(len(order)))
    values = table.numpy()
    result = np.empty_like(values)
    run_ranges(lambda start, stop: _permute(result, values, rows, start, stop), len(values), _PART)
    return torch.from_numpy(result)


@compiled
def _permute(result: Any, table: Any, rows: Any, start: int, stop: int) -> None:
    for i in range(_U(start), _U(stop)):
        row = result[_U(rows[i])]
        for tap in range(_U(table.shape[1])):
            row[tap] = rows[_U(table[i, tap])]


@compiled
def _descend(table: Any, slots: Any, parents: Any, children: Any, start: int, stop: int) -> None:
    # Rows of the 4^3 cells around the last parent: its own 2^3 and one more on every side.
    near = np.empty(64, dtype=np.int32)
    last = -1
    for i in range(_U(start), _U(stop)):
        slot = slots[i]
        if slot >> 3 != last:
            last = slot >> 3
            _look_around(near, parents[_U(last)], children)
        octant = _U(slot & 7)
        corner = (octant >> _U(2)) * _U(16) + ((octant >> _U(1)) & _U(1)) * _U(4) + (octant & _U(1))
        row = table[i]
        for x in range(_U(3)):
            for y in range(_U(3)):
                for z in range(_U(3)):
                    row[(x * _U(3) + y) * _U(3) + z] = near[corner + x * _U(16) + y * _U(4) + z]


@inlined
def _look_around(near: Any, parents: Any, children: Any) -> None:
    # Of each axis, position 0 lies in the parent before, 1 and 2 in the own one, 3 in the one after.
    for x in range(_U(4)):
        for y in range(_U(4)):
            tap = ((x + _U(1)) >> _U(1)) * _U(9) + ((y + _U(1)) >> _U(1)) * _U(3)
            octant = ((x + _U(1)) & _U(1)) * _U(4) + ((y + _U(1)) & _U(1)) * _U(2)
            before, own, after = (
                _U(8) * _U(parents[tap]) + octant,
                _U(8) * _U(parents[tap + _U(1)]) + octant,
                _U(8) * _U(parents[tap + _U(2)]) + octant,
            )
            place = x * _U(16) + y * _U(4)
            near[place] = children[before + _U(1)]
            near[place + _U(1)] = children[own]
            near[place + _U(2)] = children[own + _U(1)]
            near[place + _U(3)] = children[after]
