"""Torch's own convolutions, on which the dense engine rests, follow the relation that the oracle states."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F


def _asymmetric(edge: int) -> torch.Tensor:
    """A kernel (edge, edge, edge) of distinct numbers: no flip, transposition or permutation maps it onto itself."""
    return torch.arange(1, edge**3 + 1, dtype=torch.float64).view(edge, edge, edge)


@pytest.mark.parametrize("edge", [3, 5])
def test_conv3d_reads_what_lies_at_plus_the_tap(edge: int) -> None:
    grid = torch.zeros(1, 1, 9, 9, 9, dtype=torch.float64)
    grid[0, 0, 4, 4, 4] = 1
    result = F.conv3d(grid, _asymmetric(edge)[None, None], padding=edge // 2)[0, 0]
    for tap in itertools.product(range(edge), repeat=3):
        # The output at p sees the impulse at tap t if p + t - edge // 2 is where the impulse is.
        x, y, z = (4 - t + edge // 2 for t in tap)
        assert result[x, y, z] == _asymmetric(edge)[tap]


def test_strided_conv3d_reads_twice_the_cell_plus_the_tap() -> None:
    for tap in itertools.product(range(2), repeat=3):
        grid = torch.zeros(1, 1, 8, 8, 8, dtype=torch.float64)
        grid[0, 0, 4 + tap[0], 2 + tap[1], 6 + tap[2]] = 1
        result = F.conv3d(grid, _asymmetric(2)[None, None], stride=2)[0, 0]
        assert result[2, 1, 3] == _asymmetric(2)[tap]
        assert result.sum() == _asymmetric(2)[tap]


def test_transposed_conv3d_writes_twice_the_cell_plus_the_tap() -> None:
    grid = torch.zeros(1, 1, 4, 4, 4, dtype=torch.float64)
    grid[0, 0, 2, 1, 3] = 1
    result = F.conv_transpose3d(grid, _asymmetric(2)[None, None], stride=2)[0, 0]
    assert torch.equal(result[4:6, 2:4, 6:8], _asymmetric(2))
    assert result.sum() == _asymmetric(2).sum()
