"""One number from three, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from sparse_s4r.evaluation.held_out import ViewErrors
from sparse_s4r.refine.score import score_of, score_prediction
from sparse_s4r.structures import Camera, GridSpec, RGBDFrame, ScenePrediction


def make_errors(within: float, coverage: float, psnr: float | None) -> ViewErrors:
    return ViewErrors(1, coverage, 0.01, 0.02, within, psnr)


def test_the_mean_of_depth_twice_coverage_and_color() -> None:
    # 20 dB are a root mean square error of 0.1.
    score = score_of(make_errors(0.6, 0.8, 20.0))
    assert score.color_error == pytest.approx(0.1)
    assert score.total == pytest.approx((2 * 0.6 + 0.8 + 0.9) / 4)
    assert score_of(make_errors(1.0, 1.0, math.inf)).total == pytest.approx(1.0)


def test_without_color_it_does_not_count() -> None:
    score = score_of(make_errors(0.6, 0.9, None))
    assert (score.color_error, score.total) == (None, pytest.approx((2 * 0.6 + 0.9) / 3))


def test_nothing_hit_is_as_bad_as_can_be() -> None:
    assert score_of(make_errors(0.0, 0.0, math.nan)).total == 0.0


def test_a_wall_where_the_frame_saw_it() -> None:
    # A wall across z = 1.01 m, of which the field has the left half; the camera looks along z.
    grid = GridSpec(0.02, (0.0, 0.0, 0.0), 3.0)
    coordinates = torch.cartesian_prod(torch.arange(-60, 0), torch.arange(-60, 61), torch.arange(48, 54))
    tsdf = 1.01 - grid.centers(coordinates)[:, 2]
    color = torch.full((len(tsdf), 3), 0.5)
    wall = ScenePrediction(grid, coordinates, tsdf.float(), color)
    intrinsics = torch.tensor([[20.0, 0.0, 9.5], [0.0, 20.0, 9.5], [0.0, 0.0, 1.0]], dtype=torch.float64)
    camera = Camera(intrinsics, torch.eye(4, dtype=torch.float64), 20, 20)
    frame = RGBDFrame("wall", camera, torch.full((20, 20, 3), 0.7), torch.full((20, 20), 1.01))
    score = score_prediction(wall, [frame])
    assert score.coverage == pytest.approx(0.5, abs=0.051)
    assert score.within_5cm == score.coverage
    assert score.color_error == pytest.approx(0.2, abs=1e-4)
    # The same wall 8 cm nearer than the frame says.
    far = RGBDFrame("wall", camera, torch.full((20, 20, 3), 0.7), torch.full((20, 20), 1.09))
    assert score_prediction(wall, [far]).within_5cm == 0.0
