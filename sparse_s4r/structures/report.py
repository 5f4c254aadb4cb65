"""What a loss returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
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

    @classmethod
    def mean(cls, reports: Sequence[LossReport]) -> LossReport:
        """Mean total, without gradient; of every term the mean over the reports in which it counted anywhere."""
        total = torch.stack([report.total.detach() for report in reports]).mean()
        terms: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        for name in dict.fromkeys(name for report in reports for name in report.terms):
            having = [report for report in reports if name in report.terms]
            counted = [report for report in having if report.counts[name]] or having
            terms[name] = torch.stack([report.terms[name] for report in counted]).mean()
            counts[name] = sum(report.counts[name] for report in having)
        return cls(total, terms, counts)
