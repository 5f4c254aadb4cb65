"""Moves of rows in torch operations: the reference, on every device."""

from __future__ import annotations

from torch import Tensor

from sparse_s4r.sparse.gather_gemm_torch import padded


def supports(features: Tensor) -> bool:
    """Always."""
    return True


def take(features: Tensor, rows: Tensor) -> Tensor:
    """``features[rows]`` for rows (M,) int64, zeros where a row is N, the number of rows. Not differentiable."""
    return padded(features).index_select(0, rows)


def place(features: Tensor, rows: Tensor, count: int) -> Tensor:
    """``count`` rows of zeros with ``features`` (M, C) put at ``rows`` (M,) int64.

    Rows below ``count`` occur at most once; what goes to row ``count`` is dropped.
    """
    result = features.new_zeros(count + 1, features.shape[1])
    return result.index_copy_(0, rows, features)[:count]
