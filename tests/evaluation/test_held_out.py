"""Differences of renders and frames on rows of pixels worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sparse_s4r.evaluation.held_out import view_errors
from tests.losses.views import camera, make_frame, make_view


def test_by_hand() -> None:
    # Off by 0.04 and 0.1 m, exact, a miss, and a hit where nothing was measured.
    view = make_view([1.04, 1.1, 2.0, 0.0, 3.0], [True, True, True, False, True])
    errors = view_errors([(view, make_frame([1.0, 1.0, 2.0, 1.0, 0.0]))])
    assert errors.frames == 1
    assert errors.coverage == 3 / 4
    assert errors.depth_median == pytest.approx(0.04, abs=1e-6)
    assert errors.depth_p90 == pytest.approx(0.1, abs=1e-6)
    assert errors.depth_within_5cm == 2 / 4
    assert errors.color_psnr is None


def test_pixels_of_all_frames_count_alike() -> None:
    first = make_view([1.0]), make_frame([1.5])
    second = make_view([1.0, 1.0, 1.0]), make_frame([1.0, 1.0, 1.0])
    errors = view_errors([first, second])
    assert (errors.frames, errors.depth_median, errors.depth_p90) == (2, 0.0, 0.5)
    assert errors.depth_within_5cm == 3 / 4


def test_quantiles_are_those_of_numpy_by_rank() -> None:
    torch.manual_seed(1)
    depth = torch.rand(1001) + 1
    errors = view_errors([(make_view(depth.tolist()), make_frame([1.0] * 1001))])
    difference = (depth - 1).abs().numpy()
    assert errors.depth_median == pytest.approx(np.quantile(difference, 0.5, method="inverted_cdf"), abs=1e-6)
    assert errors.depth_p90 == pytest.approx(np.quantile(difference, 0.9, method="inverted_cdf"), abs=1e-6)


def test_color_counts_where_the_render_hits() -> None:
    color = torch.tensor([[0.5, 0.5, 0.5], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    seen = torch.tensor([[0.6, 0.5, 0.5], [0.0, 0.0, 0.1], [0.0, 0.0, 0.0]])
    view = make_view([1.0, 1.0, 1.0], [True, True, False], color)
    errors = view_errors([(view, make_frame([1.0, 0.0, 1.0], seen))])
    # Two of six values are off by 0.1.
    assert errors.color_psnr == pytest.approx(-10 * math.log10(0.02 / 6), abs=1e-4)
    assert view_errors([(view, make_frame([1.0, 1.0, 1.0], color))]).color_psnr == math.inf


def test_masks_choose_the_pixels() -> None:
    color = torch.tensor([[0.5] * 3, [0.0] * 3])
    view, frame = make_view([1.0, 9.0], color=color), make_frame([1.0, 1.0], torch.tensor([[0.5] * 3, [1.0] * 3]))
    errors = view_errors([(view, frame)], [torch.tensor([[True, False]])])
    assert (errors.coverage, errors.depth_p90, errors.depth_within_5cm) == (1.0, 0.0, 1.0)
    assert errors.color_psnr == math.inf


def test_similarity_counts_where_both_have_a_surface() -> None:
    color = torch.rand(12, 3)
    view = make_view([1.0] * 12, [True] * 10 + [False] * 2, color)
    # Equal where both have a surface; the last but one pair of pixels has no measured depth.
    seen = torch.cat([color[:8], torch.rand(4, 3)])
    errors = view_errors([(view, make_frame([1.0] * 8 + [0.0] * 2 + [1.0] * 2, seen))])
    # A single row holds less than half of the window's weight: nothing to judge.
    assert errors.color_ssim is not None
    assert math.isnan(errors.color_ssim)
    tall = replace(view, hit=view.hit.repeat(11, 1), depth=view.depth.repeat(11, 1), color=color.repeat(11, 1, 1))
    frame = make_frame([1.0] * 8 + [0.0] * 2 + [1.0] * 2, seen)
    high = replace(frame, depth=frame.depth.repeat(11, 1), color=seen.repeat(11, 1, 1), camera=camera(12, 11))
    assert view_errors([(replace(tall, camera=camera(12, 11)), high)]).color_ssim == pytest.approx(1.0)
    assert view_errors([(make_view([1.0]), make_frame([1.0]))]).color_ssim is None


def test_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="pairs: expected at least one"):
        view_errors([])
    blind = view_errors([(make_view([1.0], [False], torch.zeros(1, 3)), make_frame([1.0]))])
    assert (blind.coverage, blind.depth_within_5cm) == (0.0, 0.0)
    assert math.isnan(blind.depth_median)
    assert blind.color_psnr is not None
    assert math.isnan(blind.color_psnr)
    unmeasured = view_errors([(make_view([1.0]), make_frame([0.0]))])
    assert (unmeasured.coverage, unmeasured.depth_within_5cm) == (0.0, 0.0)


def test_masks_must_be_as_many_as_pairs() -> None:
    pair = make_view([1.0]), make_frame([1.0])
    with pytest.raises(ValueError, match="masks: expected one per pair"):
        view_errors([pair, pair], [torch.ones(1, 1, dtype=torch.bool)])
