"""Agreement of views against plain numpy, view by view, and figures that follow from geometry alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sparse_s4r.data.report.agreement import agreement, make_pairs, make_view
from tests.data import captures

K = torch.from_numpy(captures.K)


def wall(distance: float) -> torch.Tensor:
    return torch.full((60, 80), distance)


def poses(*moved: tuple[float, float, float]) -> torch.Tensor:
    """(B, 2, 4, 4): the second view of each pair stands at ``moved``."""
    both = torch.eye(4, dtype=torch.float64).repeat(len(moved), 2, 1, 1)
    both[:, 1, :3, 3] = torch.tensor(moved, dtype=torch.float64).reshape(-1, 3)
    return both


def test_error_is_the_share_by_which_depth_is_off() -> None:
    pairs = make_pairs([(make_view(0, wall(2.0), K), make_view(1, wall(1.6), K))])
    # Half a metre nearer the wall is 1.5 m off; 1.6 m is measured.
    found = agreement(pairs, poses((0.0, 0.0, 0.5)))
    assert found.error == pytest.approx(0.1 / 1.5, rel=1e-5)
    assert found.metres == pytest.approx(0.1, rel=1e-5)
    assert found.overlapping == found.pairs == 1
    # What is seen from 2 m and from 1.5 m: (1.5 / 2)^2 of it.
    assert found.overlap == pytest.approx(0.75**2, abs=0.04)


def test_a_factor_scales_depth_but_not_the_way() -> None:
    pairs = make_pairs([(make_view(0, wall(4.0), K), make_view(1, wall(3.0), K))])
    assert agreement(pairs, poses((0.0, 0.0, 0.5)), 0.5).error == pytest.approx(0.0, abs=1e-6)
    assert agreement(pairs, poses((0.0, 0.0, 0.5)), 1.0).error == pytest.approx(0.5 / 3.5, rel=1e-5)


def test_pairs_that_do_not_overlap_do_not_count_unless_they_are_most() -> None:
    near, far = make_view(0, wall(2.0), K), make_view(1, wall(2.0), K)
    pairs = make_pairs([(near, far)] * 3)
    away = (50.0, 0.0, 0.0)
    assert agreement(pairs, poses((0.1, 0.0, 0.0), (0.1, 0.0, 0.0), away)).error == pytest.approx(0.0, abs=1e-6)
    lost = agreement(pairs, poses((0.1, 0.0, 0.0), away, away))
    assert math.isinf(lost.error)
    assert (lost.overlapping, lost.pairs) == (1, 3)
    assert math.isinf(agreement(make_pairs([]), poses()).error)


def test_views_of_different_sizes_compare_as_if_alone() -> None:
    small = torch.full((30, 40), 2.0)
    shrunk = torch.diag(torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64)) @ K
    one = (make_view(0, wall(2.0), K), make_view(1, wall(2.1), K))
    other = (make_view(2, small, shrunk), make_view(3, small * 1.2, shrunk))
    alone = [agreement(make_pairs([pair]), poses((0.1, 0.0, 0.0))).error for pair in (one, other)]
    together = agreement(make_pairs([one, other]), poses((0.1, 0.0, 0.0), (0.1, 0.0, 0.0)))
    # Of two numbers, torch's median is the smaller.
    assert together.error == pytest.approx(min(alone))
    assert alone == pytest.approx([0.05, 0.2], rel=1e-4)


def test_a_room_agrees_as_in_plain_numpy() -> None:
    first, second = captures.room_poses()[:2]
    depths = [captures.room_depth(pose) for pose in (first, second)]
    both = torch.stack([torch.from_numpy(first), torch.from_numpy(second)])[None]
    views = [make_view(index, torch.from_numpy(depth).float(), K) for index, depth in enumerate(depths)]
    found = agreement(make_pairs([(views[0], views[1])]), both)
    errors = []
    for row in range(60):
        for column in range(80):
            ray = np.linalg.inv(captures.K) @ [column, row, 1.0]
            world = first[:3, :3] @ (ray * depths[0][row, column]) + first[:3, 3]
            local = second[:3, :3].T @ (world - second[:3, 3])
            u, v, _ = captures.K @ local / local[2]
            if local[2] > 0 and 0 <= round(u) < 80 and 0 <= round(v) < 60:
                errors.append(abs(depths[1][round(v), round(u)] - local[2]) / local[2])
    # 2000 of the 4800 pixels are compared.
    assert found.error == pytest.approx(float(np.median(errors)), rel=0.15)
    assert found.overlap == pytest.approx(len(errors) / 4800, abs=0.03)
