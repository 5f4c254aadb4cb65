"""Rendered depth against formulas: planes and faces exactly, a sphere between two bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sparse_s4r.render import Raycaster
from sparse_s4r.structures import Camera, GridSpec, ScenePrediction
from tests.render.fields import box_distance, look_at, make_field, plane_depth, sphere_depth

BACKENDS = ["torch", "numba"]
# The origin of the second one is off the world's, and its voxels are of a size that binary numbers cannot hold.
GRIDS = [GridSpec(0.02), GridSpec(0.05, (-2.4, 1.6, -0.8), 3.0)]
# Straight down, from the side, and close to grazing.
PLANES = [(0.0, 0.0, 1.0), (0.3, -0.2, 1.0), (-0.6, 0.5, 1.0), (0.9, 0.4, 0.5)]
WALL_EYES = [(0.1, 0.05, 0.9), (-0.2, 0.15, 1.3), (0.0, -0.1, 0.5)]
BODY_EYES = [(1.2, 0.3, -0.4), (-0.5, 1.0, 0.6), (0.4, -0.9, 0.9), (0.0, 0.0, 1.1), (-1.3, 0.0, 0.0)]
OFFSET = 0.0123
WALL = 1.0
RADIUS = 0.4
HALF = (0.25, 0.2, 0.15)


def plane(
    normal: Sequence[float], offset: float, grid: GridSpec, dtype: torch.dtype = torch.float64
) -> ScenePrediction:
    unit = torch.nn.functional.normalize(torch.tensor(normal, dtype=torch.float64), dim=0)
    return make_field(lambda points: points @ unit - offset, WALL, grid, dtype)


def seen_wall(camera: Camera, normal: Sequence[float], offset: float) -> tuple[Tensor, Tensor]:
    """Depth (H, W) of the plane, and where it lies well inside the cube that holds voxels."""
    depth = plane_depth(camera, normal, offset)
    inside = (depth > 0) & (camera.unproject(depth).abs().amax(dim=-1) < 0.9 * WALL)
    assert inside.sum() > 100
    return depth, inside


def box_depth(camera: Camera, half: Sequence[float]) -> Tensor:
    """Depth (H, W) of the box around the origin by its slabs, NaN where the ray misses it."""
    size, direction = torch.tensor(half, dtype=torch.float64), camera.ray_directions()
    one, two = (-size - camera.center) / direction, (size - camera.center) / direction
    enter, leave = torch.minimum(one, two).amax(-1), torch.maximum(one, two).amin(-1)
    return torch.where(enter < leave, enter, torch.nan)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("grid", GRIDS, ids=["2 cm", "5 cm"])
@pytest.mark.parametrize("normal", PLANES)
def test_planes_are_exact(normal: tuple[float, float, float], grid: GridSpec, backend: str) -> None:
    raycaster = Raycaster(backend=backend)  # type: ignore[arg-type]
    field = raycaster.prepare(plane(normal, OFFSET, grid))
    unit = torch.nn.functional.normalize(torch.tensor(normal, dtype=torch.float64), dim=0)
    for eye in WALL_EYES:
        camera = look_at(eye, (0.02, -0.01, 0), (24, 20), 60)
        view = raycaster.render(field, camera)
        expected, inside = seen_wall(camera, normal, OFFSET)
        assert view.hit[inside].all()
        # Trilinear interpolation reproduces what is linear: only rounding remains.
        torch.testing.assert_close(view.depth[inside], expected[inside], rtol=0, atol=1e-9)
        torch.testing.assert_close(view.normal[inside], unit.expand(int(inside.sum()), 3), rtol=0, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("offset", [0.01, 0.0, -0.03], ids=["on centres", "between", "on other centres"])
def test_walls_on_the_lattice_have_no_holes(offset: float, sign: float, axis: int, backend: str) -> None:
    raycaster = Raycaster(backend=backend)  # type: ignore[arg-type]
    normal = [0.0, 0.0, 0.0]
    normal[axis] = sign
    # Voxels of 2 cm have centres at odd centimetres: there the distance is 0 and the surface runs between two cells.
    field = raycaster.prepare(plane(normal, offset, GRIDS[0]))
    eyes = torch.tensor(WALL_EYES, dtype=torch.float64)
    for eye in eyes.roll(axis + 1, dims=1) * (sign if sign < 0 else 1.0):
        camera = look_at(eye.tolist(), (0.003, 0.002, -0.004), (24, 20), 60)
        view = raycaster.render(field, camera)
        expected, inside = seen_wall(camera, normal, offset)
        assert view.hit[inside].all()
        torch.testing.assert_close(view.depth[inside], expected[inside], rtol=0, atol=1e-9)


def test_planes_in_float32_are_exact_to_its_rounding() -> None:
    for normal in PLANES:
        field = plane(normal, OFFSET, GRIDS[0], torch.float32)
        for eye in WALL_EYES:
            camera = look_at(eye, (0.02, -0.01, 0), (24, 20), 60)
            view = Raycaster()(field, camera)
            assert view.depth.dtype == torch.float32
            expected, inside = seen_wall(camera, normal, OFFSET)
            assert view.hit[inside].all()
            # Distances of up to 0.06 m are rounded by 2e-9 m, of which a slope of 0.1 makes 2e-8 m; depths of up to
            # 4 m by 1.2e-7 m.
            torch.testing.assert_close(view.depth.double()[inside], expected[inside], rtol=0, atol=2e-7)


def test_linear_colors_and_logits_are_exact() -> None:
    field = plane(PLANES[1], OFFSET, GRIDS[0])
    centers = field.grid.centers(field.coordinates, dtype=torch.float64)
    to_color = torch.tensor([[0.2, 0.1, 0.0], [-0.1, 0.3, 0.1], [0.3, 0.0, -0.2]], dtype=torch.float64)
    to_logits = torch.arange(12, dtype=torch.float64).view(3, 4) - 5
    field = replace(field, color=0.5 + centers @ to_color, semantic_logits=centers @ to_logits)
    camera = look_at(WALL_EYES[1], (0, 0, 0), (24, 20), 60)
    view = Raycaster()(field, camera)
    points = camera.unproject(plane_depth(camera, PLANES[1], OFFSET))
    torch.testing.assert_close(view.color, 0.5 + points @ to_color, rtol=0, atol=1e-9)
    torch.testing.assert_close(view.semantic_logits, points @ to_logits, rtol=0, atol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("voxel_size", [0.02, 0.04])
def test_a_sphere_lies_within_its_curvature_bound(voxel_size: float, backend: str) -> None:
    raycaster = Raycaster(backend=backend)  # type: ignore[arg-type]
    ball = make_field(lambda points: points.norm(dim=1) - RADIUS, RADIUS + 0.2, GridSpec(voxel_size))
    field = raycaster.prepare(ball)
    # Interpolation along one axis after the other errs by at most h^2/8 times the second derivative along each. Those
    # of |x| are between 0 and 1/r, and r is at least R - sqrt(3) h in a cell that meets the surface. Lines through a
    # convex function lie above it: the rendered ball is smaller, by no more than that.
    bound = 3 * voxel_size**2 / (8 * (RADIUS - math.sqrt(3) * voxel_size))
    for eye in BODY_EYES:
        camera = look_at(eye, (0, 0, 0), (40, 32), 50)
        view = raycaster.render(field, camera)
        outer, inner = sphere_depth(camera, RADIUS), sphere_depth(camera, RADIUS - bound)
        assert not view.hit[torch.isnan(outer)].any()
        within = ~torch.isnan(inner)
        assert view.hit[within].all()
        assert within.sum() > 200
        assert (view.depth >= outer - 1e-9)[within].all()
        assert (view.depth <= inner + 1e-9)[within].all()


def test_half_the_voxel_is_a_quarter_of_the_error() -> None:
    camera = look_at(BODY_EYES[0], (0, 0, 0), (40, 32), 50)
    expected, errors = sphere_depth(camera, RADIUS), []
    seen = ~torch.isnan(sphere_depth(camera, 0.9 * RADIUS))
    for voxel_size in (0.04, 0.02, 0.01):
        ball = make_field(lambda points: points.norm(dim=1) - RADIUS, RADIUS + 0.2, GridSpec(voxel_size))
        errors.append(float((Raycaster()(ball, camera).depth - expected)[seen].mean()))
    # The mean over a thousand rays keeps the law to some per cent.
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_box_is_exact_on_its_faces(backend: str) -> None:
    raycaster = Raycaster(backend=backend)  # type: ignore[arg-type]
    size = 0.02
    field = raycaster.prepare(make_field(lambda points: box_distance(points, HALF), 0.35, GridSpec(size)))
    sides = set()
    for eye in BODY_EYES:
        camera = look_at(eye, (0, 0, 0), (48, 40), 90)
        view = raycaster.render(field, camera)
        expected = box_depth(camera, HALF)
        known = ~torch.isnan(expected)
        inside = torch.tensor(HALF, dtype=torch.float64) - camera.unproject(expected.nan_to_num()).abs()
        # Two voxels from every edge a cell at the face sees that face alone, before it and behind it.
        flat = known & (inside.sort(dim=-1).values[..., 1] > 2 * size)
        assert view.hit[flat].all()
        torch.testing.assert_close(view.depth[flat], expected[flat], rtol=0, atol=1e-9)
        points = camera.unproject(expected)[flat]
        sides |= {(int(axis), bool(side > 0)) for axis, side in zip(*_side(points), strict=True)}
        assert not view.hit[~known].any()
        # Around an edge the distance is convex, so the rendered box is smaller: where three faces meet within a cell,
        # its middle interpolates 7/8 h for h/2, and nothing is worse.
        off = box_distance(camera.unproject(view.depth)[view.hit], HALF)
        assert off.max() < 1e-9
        assert off.min() > -3 / 8 * size
    assert len(sides) == 6


def _side(points: Tensor) -> tuple[Tensor, Tensor]:
    """Axis (P,) and signed coordinate (P,) of the face that every point lies on."""
    axis = (points.abs() - torch.tensor(HALF, dtype=points.dtype)).abs().argmin(dim=1)
    return axis, points.gather(1, axis.unsqueeze(1)).squeeze(1)
