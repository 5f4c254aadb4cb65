"""Sparse convolution, cell by cell and tap by tap: slow, and hard to get wrong.

One relation defines every step, with the fine cell f, the coarse cell c and the tap t, all integer triples:
a centred odd kernel of edge k reads f + t - k // 2 at tap t; halving and doubling relate f = 2 c + t, t in {0, 1}^3.
Tap t stands in row (t_x k + t_y) k + t_z of the weight (k^3, C_in, C_out).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Cell = tuple[int, int, int, int]
Field = dict[Cell, NDArray[np.float64]]


def conv(field: Field, weight: NDArray[np.float64]) -> Field:
    """Centred odd kernel onto the same cells."""
    edge = round(len(weight) ** (1 / 3))
    result: Field = {}
    for batch, x, y, z in field:
        total = np.zeros(weight.shape[2])
        for row, (tx, ty, tz) in enumerate(itertools.product(range(edge), repeat=3)):
            seen = (batch, x + tx - edge // 2, y + ty - edge // 2, z + tz - edge // 2)
            if seen in field:
                total += field[seen] @ weight[row]
        result[batch, x, y, z] = total
    return result


def down(field: Field, weight: NDArray[np.float64]) -> Field:
    """k = 2, stride 2, onto the parents."""
    result: Field = {}
    for (batch, x, y, z), value in field.items():
        parent = (batch, x // 2, y // 2, z // 2)
        tap = ((x % 2) * 2 + y % 2) * 2 + z % 2
        result[parent] = result.get(parent, np.zeros(weight.shape[2])) + value @ weight[tap]
    return result


def children(field: Field) -> list[Cell]:
    """The eight children of every cell."""
    return [
        (batch, 2 * x + tx, 2 * y + ty, 2 * z + tz)
        for batch, x, y, z in field
        for tx, ty, tz in itertools.product(range(2), repeat=3)
    ]


def up(field: Field, weight: NDArray[np.float64], target: list[Cell]) -> Field:
    """Transposed k = 2, stride 2, onto ``target``; zeros where the parent is absent."""
    result: Field = {}
    for batch, x, y, z in target:
        parent = (batch, x // 2, y // 2, z // 2)
        tap = ((x % 2) * 2 + y % 2) * 2 + z % 2
        value = field[parent] @ weight[tap] if parent in field else np.zeros(weight.shape[2])
        result[batch, x, y, z] = value
    return result
