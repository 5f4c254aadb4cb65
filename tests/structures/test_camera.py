"""The pinhole camera against hand numbers and its own inverse."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparse_s4r.structures import Camera

ANGLE = st.floats(-math.pi, math.pi)
METRES = st.floats(-20.0, 20.0)


def rotation(yaw: float, pitch: float, roll: float) -> Tensor:
    """A product of turns around the three axes, (3, 3) float64."""
    result = torch.eye(3, dtype=torch.float64)
    for axis, angle in enumerate((roll, pitch, yaw)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = torch.eye(3, dtype=torch.float64)
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[second, first] = math.sin(angle)
        turn[first, second] = -math.sin(angle)
        result = turn @ result
    return result


def make_camera(
    pose: Tensor | None = None, focal: tuple[float, float] = (100.0, 50.0), size: tuple[int, int] = (8, 6)
) -> Camera:
    width, height = size
    intrinsics = torch.tensor([[focal[0], 0.0, 3.0], [0.0, focal[1], 2.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    return Camera(intrinsics, torch.eye(4, dtype=torch.float64) if pose is None else pose, width, height)


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = rotation(draw(ANGLE), draw(ANGLE), draw(ANGLE))
    pose[:3, 3] = torch.tensor([draw(METRES) for _ in range(3)], dtype=torch.float64)
    size = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return make_camera(pose, (draw(st.floats(5.0, 500.0)), draw(st.floats(5.0, 500.0))), size)


def test_projects_by_hand() -> None:
    # 2 m ahead, 0.04 m right and 0.2 m down: 100 * 0.02 + 3 and 50 * 0.1 + 2.
    pixels, depth = make_camera().project(torch.tensor([[0.04, 0.2, 2.0]], dtype=torch.float64))
    torch.testing.assert_close(pixels, torch.tensor([[5.0, 7.0]], dtype=torch.float64))
    assert depth.tolist() == [2.0]


def test_projects_from_a_turned_camera_by_hand() -> None:
    # Looks along world +x, with world -z down in the picture and world -y to the right.
    pose = torch.tensor(
        [[0.0, 0, 1, 1], [-1, 0, 0, 2], [0, -1, 0, 3], [0, 0, 0, 1]],
        dtype=torch.float64,
    )
    camera = make_camera(pose)
    assert camera.center.tolist() == [1.0, 2.0, 3.0]
    pixels, depth = camera.project(torch.tensor([[5.0, 1.96, 2.92]], dtype=torch.float64))
    torch.testing.assert_close(pixels, torch.tensor([[4.0, 3.0]], dtype=torch.float64))
    assert depth.tolist() == [4.0]
    _, behind = camera.project(torch.tensor([[0.0, 2.0, 3.0]], dtype=torch.float64))
    assert behind.tolist() == [-1.0]


def test_integer_pixels_are_pixel_centres() -> None:
    # The principal point (3, 2) is a pixel: its ray is the optical axis, with z = 1.
    directions = make_camera().ray_directions()
    assert directions.shape == (6, 8, 3)
    assert directions[2, 3].tolist() == [0.0, 0.0, 1.0]
    torch.testing.assert_close(directions[0, 4], torch.tensor([0.01, -0.04, 1.0], dtype=torch.float64))


@given(cameras(), st.floats(0.1, 10.0))
def test_projection_inverts_unprojection(camera: Camera, depth: float) -> None:
    given_depth = torch.full((camera.height, camera.width), depth, dtype=torch.float64)
    pixels, z = camera.project(camera.unproject(given_depth).view(-1, 3))
    rows, columns = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    expected = torch.stack([columns, rows], dim=-1).view(-1, 2).double()
    # 1e-9: float64 rounding of positions up to 30 m, times focal 500 px over depth 0.1 m.
    torch.testing.assert_close(pixels, expected, rtol=0, atol=1e-9)
    torch.testing.assert_close(z, given_depth.flatten(), rtol=0, atol=1e-12)


@given(cameras(), st.integers(1, 40), st.integers(1, 40))
def test_resizing_commutes_with_projection(camera: Camera, width: int, height: int) -> None:
    points = camera.unproject(torch.full((camera.height, camera.width), 2.0, dtype=torch.float64)).view(-1, 3)
    scale = torch.tensor([width / camera.width, height / camera.height], dtype=torch.float64)
    before, after = camera.project(points)[0], camera.resized(width, height).project(points)[0]
    torch.testing.assert_close(after, (before + 0.5) * scale - 0.5, rtol=0, atol=1e-8)


def test_resizing_keeps_the_outline() -> None:
    # The left edge of the first pixel, at -0.5, stays the left edge whatever the size.
    small = make_camera().resized(4, 3)
    assert (small.width, small.height) == (4, 3)
    assert small.intrinsics.tolist() == [[50.0, 0.0, 1.25], [0.0, 25.0, 0.75], [0.0, 0.0, 1.0]]


def test_unprojection_is_differentiable_and_keeps_the_type_of_the_depth() -> None:
    depth = torch.full((6, 8), 2.0, requires_grad=True)
    points = make_camera().unproject(depth)
    assert points.dtype == torch.float32
    points[2, 3].sum().backward()
    assert depth.grad is not None
    assert depth.grad[2, 3] == 1.0


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (0, 3, float("nan"), "NaN or infinity; the frame's tracking was lost"),
        (3, 0, 1.0, "last row 0 0 0 1.*transposed"),
        (0, 0, 2.0, "expected a rotation"),
        (0, 0, -1.0, "determinant of -1"),
    ],
)
def test_refuses_a_pose_that_is_no_rigid_motion(row: int, column: int, value: float, message: str) -> None:
    pose = torch.eye(4, dtype=torch.float64)
    pose[row, column] = value
    with pytest.raises(ValueError, match=message):
        make_camera(pose)


def test_refuses_impossible_cameras() -> None:
    with pytest.raises(ValueError, match="at least 1x1 pixel, got 0x6"):
        make_camera(size=(0, 6))
    with pytest.raises(ValueError, match="focal lengths > 0"):
        make_camera(focal=(-1.0, 1.0))
    with pytest.raises(ValueError, match="focal lengths > 0"):
        make_camera(focal=(float("nan"), 1.0))
    with pytest.raises(ValueError, match=r"Camera.intrinsics: expected shape \(3, 3\), got \(4, 4\)"):
        Camera(torch.eye(4), torch.eye(4), 2, 2)
    with pytest.raises(ValueError, match=r"depth: expected shape \(6, 8\), got \(8, 6\)"):
        make_camera().unproject(torch.ones(8, 6))


def test_accepts_a_pose_of_four_decimals() -> None:
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = rotation(0.3, -0.7, 1.9)
    assert make_camera((pose * 1e4).round() / 1e4).width == 8
