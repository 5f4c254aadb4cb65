"""What a loss returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LossReport:
    """The weighted sum and its parts.

    Attributes:
        total: () float, the value to differentiate.
        terms: Unweighted value () of every term that was active, by name.
        counts: Number of valid pixels or voxels behind each term.
    """

    total: Tensor
    terms: dict[str, Tensor]
    counts: dict[str, int]
