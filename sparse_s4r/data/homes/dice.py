"""Random choices that are the same on every machine and with every version of the libraries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_T = TypeVar("_T")
# 53 bits fill a double between 0 and 1 evenly.
_BITS = 53


class Dice:
    """Draws from PCG64's raw numbers, whose stream numpy promises to keep; that of ``Generator`` it does not.

    Only uniform numbers: functions of the C library, such as a logarithm, differ in the last bit between machines.
    """

    def __init__(self, *seed: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A number in [low, high), to a tenth of a millimetre or of a thousandth where it is a length or a share."""
        share: float = (int(self._bits.random_raw()) >> (64 - _BITS)) / 2**_BITS
        return round(low + (high - low) * share, 4)

    def integer(self, count: int) -> int:
        """A number in 0 .. count - 1."""
        return (int(self._bits.random_raw()) >> (64 - _BITS)) * count >> _BITS

    def chance(self, share: float) -> bool:
        """True in ``share`` of all draws."""
        return self.integer(1_000_000) < share * 1_000_000

    def choice(self, options: Sequence[_T]) -> _T:
        """One of several."""
        return options[self.integer(len(options))]

    def shuffled(self, options: Sequence[_T]) -> list[_T]:
        """All of several, in any order."""
        left = list(options)
        return [left.pop(self.integer(len(left))) for _ in range(len(left))]
