import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_s4r.data.registration import fill_gaps, register_depth


def intrinsics(focal: float, width: int, height: int) -> torch.Tensor:
    return torch.tensor([[focal, 0, width / 2 - 0.5], [0, focal, height / 2 - 0.5], [0, 0, 1]], dtype=torch.float64)


def plane_depth(k: torch.Tensor, to_plane: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """z-depth of the plane n.x = 1 in the camera's frame, ``to_plane`` = n."""
    rows, columns = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    rays = torch.stack([columns, rows, torch.ones_like(rows)], -1) @ torch.linalg.inv(k).T
    return 1 / (rays @ to_plane)


def small_motion() -> torch.Tensor:
    angle = math.radians(1.5)
    motion = torch.eye(4, dtype=torch.float64)
    motion[0, 0] = motion[2, 2] = math.cos(angle)
    motion[0, 2], motion[2, 0] = math.sin(angle), -math.sin(angle)
    motion[:3, 3] = torch.tensor([-0.025, 0.002, 0.004])
    return motion


@pytest.mark.parametrize(("width", "height", "focal"), [(72, 54, 52.5), (80, 60, 60.0), (200, 150, 150.0)])
def test_slanted_plane_is_exact_up_to_half_a_pixel(width: int, height: int, focal: float) -> None:
    depth_k, color_k = intrinsics(58.5, 80, 60), intrinsics(focal, width, height)
    motion = small_motion()
    normal = torch.tensor([0.25, 0.1, 0.4], dtype=torch.float64)
    depth = plane_depth(depth_k, normal, 80, 60)
    # The same plane in the colour camera's frame: n.(R^T (x - t)) = 1.
    turned = motion[:3, :3] @ normal
    expected = plane_depth(color_k, turned / (1 + turned @ motion[:3, 3]), width, height)
    registered = register_depth(depth, depth_k, color_k, motion, width, height).double()
    # The turn and the baseline move the picture by about 5 % of the focal length; that margin was not seen.
    margin = slice(int(0.08 * focal), -int(0.08 * focal))
    inner = registered[margin, margin]
    assert bool((inner > 0).all())
    # A sample stands for the pixel nearest to it, at most half a pixel off along each axis, and neither to the front
    # nor to the back on average.
    slope = torch.stack(torch.gradient(expected)).abs().sum(dim=0)[margin, margin]
    assert bool(((inner - expected[margin, margin]).abs() <= 0.5 * slope * 1.05 + 1e-6).all())
    assert abs(float(((inner - expected[margin, margin]) / slope).mean())) < 0.05


def test_identity_changes_nothing() -> None:
    k = intrinsics(60.0, 40, 30)
    depth = torch.rand((30, 40), generator=torch.Generator().manual_seed(0)) + 1
    depth[3:9, 5:20] = 0
    registered = register_depth(depth, k, k, torch.eye(4), 40, 30)
    known = depth > 0
    torch.testing.assert_close(registered[known], depth[known])
    assert not bool(registered[4:8, 6:19].any())


def test_nearest_surface_wins() -> None:
    k = intrinsics(60.0, 40, 30)
    depth = torch.full((30, 40), 3.0)
    depth[:, 20:] = 1.0
    shift = torch.eye(4)
    shift[0, 3] = -0.1
    registered = register_depth(depth, k, k, shift, 40, 30)
    # The near half moves 0.1 * 60 / 1 = 6 pixels left and hides the far half, which moves 2.
    assert bool((registered[:, 14:34] == 1.0).all())
    assert bool((registered[:, :14][registered[:, :14] > 0] == 3.0).all())
    # To the right of the near half nothing was seen.
    assert not bool(registered[:, 34:].any())


def test_no_surface_is_made_across_an_edge() -> None:
    depth = torch.full((30, 40), 3.0)
    depth[:, 20:] = 1.0
    registered = register_depth(depth, intrinsics(60.0, 40, 30), intrinsics(180.0, 120, 90), torch.eye(4), 120, 90)
    values = registered.unique()
    assert bool(torch.isclose(values[:, None], torch.tensor([0.0, 1.0, 3.0])).any(dim=1).all())


def test_gap_lines_are_filled_and_holes_stay() -> None:
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(20.0), indexing="ij")
    whole = 1 / (0.5 + 0.002 * rows + 0.001 * columns)
    depth = whole.clone()
    depth[:, 7] = 0
    depth[12] = 0
    depth[2:5, 12:15] = 0
    filled = fill_gaps(depth)
    # Inverse depth is linear on a plane, so the mean of opposite neighbours is exact.
    lines = torch.zeros_like(depth, dtype=torch.bool)
    lines[1:-1, 7] = lines[12, 1:-1] = True
    torch.testing.assert_close(filled[lines], whole[lines])
    assert not bool(filled[3, 13].any())


def test_gap_between_surfaces_stays() -> None:
    depth = torch.tensor([[1.0, 1.0, 0.0, 1.2, 1.2]]).repeat(5, 1)
    assert torch.equal(fill_gaps(depth), depth)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_filling_keeps_what_is_known_and_stays_in_range(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    depth = 1 + torch.rand((9, 11), generator=generator) * 0.05
    depth[torch.rand((9, 11), generator=generator) < 0.4] = 0
    filled = fill_gaps(depth)
    known = depth > 0
    assert torch.equal(filled[known], depth[known])
    new = filled[~known & (filled > 0)]
    # Means lie within the values averaged, up to one rounding.
    assert not len(new) or (
        float(new.min()) >= float(depth[known].min()) - 1e-6 and float(new.max()) <= float(depth.max()) + 1e-6
    )
