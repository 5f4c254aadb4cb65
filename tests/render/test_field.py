from __future__ import annotations

import numpy as np
import pytest
import torch

from sparse_s4r.render.blocks import index_blocks
from sparse_s4r.render.field import NOTHING, PARTIAL, WHOLE, make_search_field
from tests.render.fields import make_field


@pytest.mark.parametrize("compiled", [False, True], ids=["torch", "numba"])
@pytest.mark.parametrize("min_corners", [5, 6, 8])
def test_marks_equal_those_of_a_dense_volume(compiled: bool, min_corners: int) -> None:
    prediction = make_field(lambda points: points.norm(dim=1) - 0.2, 0.3)
    prediction = prediction.select(torch.rand(len(prediction)) > 0.05)
    index = index_blocks(prediction.coordinates)
    field = make_search_field(index, prediction.tsdf, 0.02, min_corners, compiled)
    volume = np.full((index.size + 9).tolist(), np.nan)
    local = prediction.coordinates - index.lower
    volume[tuple(local.T.numpy())] = prediction.tsdf.numpy()
    blocks = torch.cartesian_prod(*[torch.arange(int(length) // 8 + 1) for length in index.size])
    number = index.find_blocks(blocks)
    seen = set()
    for block, at in zip(blocks.tolist(), number.tolist(), strict=True):
        if at < 0:
            continue
        x, y, z = (8 * part for part in block)
        part = volume[x : x + 9, y : y + 9, z : z + 9]
        corners = np.stack([part[i : i + 8, j : j + 8, k : k + 8] for i, j, k in np.ndindex(2, 2, 2)])
        count = (~np.isnan(corners)).sum(0)
        crossed = (corners > 0).any(0) & (corners <= 0).any(0) & (count >= min_corners)
        expected = np.where(crossed, np.where(count == 8, WHOLE, PARTIAL), NOTHING)
        marks = field.cells[at * 512 : (at + 1) * 512].view(8, 8, 8).numpy()
        assert np.array_equal(marks, expected)
        seen.update(np.unique(expected).tolist())
        way = int(index.find_blocks(torch.tensor([block]), field.ways))
        assert (way == at) if crossed.any() else (way < 0)
    assert seen == ({NOTHING, WHOLE} if min_corners == 8 else {NOTHING, WHOLE, PARTIAL})
