from __future__ import annotations

import pytest
import torch

from sparse_s4r.render.view_quality import ViewJudge
from sparse_s4r.structures import ScenePrediction
from tests.render.fields import box_distance, look_at, make_field, plane_depth, plane_field

SIZE = (40, 32)


def plane() -> ScenePrediction:
    """The plane z = 0.013 in a square of 1 m, free above."""
    return plane_field((0, 0, 1), 0.013)


def test_from_the_front_all_is_hit_and_nothing_seen_from_behind() -> None:
    camera = look_at((0.05, 0.02, 1.0), (0.1, 0.0, 0.0), SIZE, 120)
    quality = ViewJudge(plane(), 10).judge(camera)
    assert (quality.hits, quality.behind) == (1.0, 0.0)
    depth = plane_depth(camera, (0, 0, 1), 0.013)
    # The median is the lower of the two in the middle.
    assert quality.median_depth == pytest.approx(float(depth.median()), abs=1e-6)


def test_from_behind_nothing_is_hit_and_all_seen_from_behind() -> None:
    camera = look_at((0.05, 0.02, -1.0), (0.1, 0.0, 0.0), SIZE, 120)
    quality = ViewJudge(plane(), 10).judge(camera)
    assert (quality.hits, quality.behind, quality.median_depth) == (0.0, 1.0, 0.0)


def test_shares_are_those_of_the_pixels_that_see_the_square() -> None:
    for height, seen in ((1.2, "hits"), (-1.2, "behind")):
        camera = look_at((0.1, 0.0, height), (0.3, 0.05, 0.0), SIZE, 30)
        points = camera.unproject(plane_depth(camera, (0, 0, 1), 0.013))
        # Eight voxels must stand around a hit: the outermost cells at +-0.49 m.
        inside = (points[..., :2].abs() < 0.49).all(dim=-1)
        quality = ViewJudge(plane(), 10).judge(camera)
        assert getattr(quality, seen) == pytest.approx(float(inside.double().mean()), abs=2 / inside.numel())
        assert quality.hits + quality.behind == getattr(quality, seen)


def test_a_back_face_counts_where_it_comes_before_the_front_and_not_after() -> None:
    # A block with its front and its back: whoever looks at it sees its front first.
    block = make_field(lambda points: box_distance(points, (0.2, 0.3, 0.1)), 0.5)
    quality = ViewJudge(block, 10).judge(look_at((0.1, 0.1, 1.5), (0.0, 0.0, 0.0), SIZE, 60))
    assert 0.1 < quality.hits < 0.9
    assert quality.behind == 0.0
    # From within it all rays leave through a back, whatever stands beyond.
    quality = ViewJudge(block, 10).judge(look_at((0.0, 0.0, 0.0), (1.0, 0.2, 0.1), SIZE, 60))
    assert quality.behind == 1.0


def test_one_ray_tells_the_depth_of_its_pixel() -> None:
    judge = ViewJudge(plane(), 10)
    camera = look_at((0.1, -0.1, 1.2), (0.2, 0.05, 0.0), SIZE, 120)
    depth = plane_depth(camera, (0, 0, 1), 0.013)
    for row, column in ((0, 0), (7, 31), (31, 39)):
        assert judge.depth_at(camera, column, row) == pytest.approx(float(depth[row, column]), abs=1e-6)
    assert judge.depth_at(look_at((0.1, -0.1, -1.2), (0.2, 0.05, 0.0), SIZE, 120), 5, 5) == 0
    assert judge.depth_at(look_at((2.0, 2.0, 1.0), (4.0, 4.0, 0.0), SIZE, 120), 5, 5) == 0


def test_a_surface_that_is_first_passed_from_behind_has_no_depth() -> None:
    # One sheet faces up; the one 0.4 m above it faces down.
    lower, upper = plane(), plane_field((0, 0, -1), -0.413)
    both = ScenePrediction(
        lower.grid, torch.cat([lower.coordinates, upper.coordinates]), torch.cat([lower.tsdf, upper.tsdf])
    )
    judge = ViewJudge(both, 10)
    between = look_at((0.0, 0.0, 0.25), (0.05, 0.0, 0.5), SIZE, 120)
    assert judge.depth_at(between, 19.5, 15.5) == pytest.approx((0.413 - 0.25) * (0.05**2 + 0.25**2) ** 0.5 / 0.25)
    below = look_at((0.0, 0.0, -0.6), (0.05, 0.0, 0.5), SIZE, 120)
    assert judge.judge(below).hits == 1.0
    assert judge.judge(below).behind == 1.0
    assert judge.depth_at(below, 20, 16) == 0
