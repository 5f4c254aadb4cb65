"""Moves of rows on the CPU in compiled loops: each byte is read and written once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sparse_s4r.geometry.compiled import compiled
from sparse_s4r.structures.parallel import run_ranges

_PART_BYTES = 1 << 20


def supports(features: Tensor) -> bool:
    """Whether these kernels serve the tensor's device and type."""
    return features.device.type == "cpu" and features.dtype in (torch.float32, torch.float64)


def take(features: Tensor, rows: Tensor) -> Tensor:
    """See ``rows_torch.take``."""
    result = features.new_empty(len(rows), features.shape[1])
    out, source, index = result.numpy(), features.detach().contiguous().numpy(), rows.contiguous().numpy()
    run_ranges(lambda start, stop: _take(out, source, index, start, stop), len(index), _part_rows(features))
    return result


def place(features: Tensor, rows: Tensor, count: int) -> Tensor:
    """See ``rows_torch.place``."""
    result = features.new_zeros(count, features.shape[1])
    out, source, index = result.numpy(), features.detach().contiguous().numpy(), rows.contiguous().numpy()
    run_ranges(lambda start, stop: _place(out, source, index, start, stop), len(index), _part_rows(features))
    return result


def _part_rows(features: Tensor) -> int:
    return max(_PART_BYTES // max(features.shape[1] * features.element_size(), 1), 1)


@compiled
def _take(result: Any, features: Any, rows: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        row = rows[i]
        if row < features.shape[0]:
            for channel in range(features.shape[1]):
                result[i, channel] = features[row, channel]
        else:
            for channel in range(features.shape[1]):
                result[i, channel] = 0


@compiled
def _place(result: Any, features: Any, rows: Any, start: int, stop: int) -> None:
    for i in range(start, stop):
        row = rows[i]
        if row < result.shape[0]:
            for channel in range(features.shape[1]):
                result[row, channel] = features[i, channel]
