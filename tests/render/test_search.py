from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse_s4r.render.blocks import index_blocks
from sparse_s4r.render.rays import Rays, cast_rays
from sparse_s4r.render.search import SearchField, make_search_field, search
from sparse_s4r.render.search_numba import search_numba
from sparse_s4r.structures import Camera, GridSpec, ScenePrediction
from tests.oracles.raycast import first_front_face
from tests.render.fields import box_distance, look_at, make_field, plane_depth, plane_field, sphere_depth, sphere_field

Searcher = Callable[[SearchField, Rays], Tensor]
both = pytest.mark.parametrize("searcher", [search, search_numba], ids=["torch", "numba"])
LIMITS = (0.1, 10.0)


def find(
    searcher: Searcher,
    prediction: ScenePrediction,
    camera: Camera,
    limits: tuple[float, float] = LIMITS,
    step_voxels: float = 0.5,
) -> Tensor:
    """Depth (H, W) from the search, NaN for a miss."""
    index = index_blocks(prediction.coordinates)
    field = make_search_field(index, prediction.tsdf, prediction.grid.voxel_size)
    rays = cast_rays(camera, prediction.grid, index, limits, step_voxels, field.values.dtype)
    return searcher(field, rays).view(camera.height, camera.width)


def bumpy(points: Tensor) -> Tensor:
    """A ball with waves on it: no symmetry, every slope."""
    wave = 0.02 * torch.sin(31 * points[:, 0] + 17 * points[:, 1]) * torch.cos(23 * points[:, 2])
    return points.norm(dim=1) - 0.2 + wave


@both
def test_agrees_with_the_dense_marcher_even_with_holes(searcher: Searcher) -> None:
    prediction = make_field(bumpy, 0.32)
    prediction = prediction.select(torch.rand(len(prediction)) > 0.01)
    camera = look_at((0.7, -0.5, 0.4), (0, 0, 0), (10, 8), 12)
    depth = find(searcher, prediction, camera)
    low = prediction.coordinates.amin(0)
    volume = np.full((prediction.coordinates.amax(0) - low + 1).tolist(), np.nan)
    volume[tuple((prediction.coordinates - low).T.numpy())] = prediction.tsdf.numpy()
    origin = (prediction.grid.to_voxels(camera.center[None])[0] - low).numpy()
    compared = hits = 0
    for row in range(camera.height):
        for column in range(camera.width):
            direction = (camera.ray_directions()[row, column] / prediction.grid.voxel_size).numpy()
            spacing = 0.5 / float(np.linalg.norm(direction))
            expected, open_ = first_front_face(volume, origin, direction, LIMITS, spacing)
            if open_:
                continue
            compared += 1
            hits += not np.isnan(expected)
            # Search tolerance 1e-12 voxels over a slope that is at least 1e-4 here.
            assert float(depth[row, column]) == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert compared > 40
    assert hits > 15


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("step_voxels", [0.5, 1.0])
def test_numba_equals_torch(dtype: torch.dtype, step_voxels: float) -> None:
    prediction = make_field(lambda points: torch.minimum(bumpy(points), box_distance(points, (0.3, 0.1, 0.1))), 0.45)
    prediction = replace(prediction, tsdf=prediction.tsdf.to(dtype))
    prediction = prediction.select(torch.rand(len(prediction)) > 0.01)
    camera = look_at((0.9, -0.7, 0.5), (0, 0, 0), (80, 64), 90)
    one, two = (find(each, prediction, camera, step_voxels=step_voxels) for each in (search, search_numba))
    assert torch.equal(torch.isnan(one), torch.isnan(two))
    assert (~torch.isnan(one)).sum() > 500
    # Same samples, same brackets; float32 resolves depth to 1e-7 and the root to its tolerance over the slope.
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5, equal_nan=True)


@both
@settings(max_examples=12)
@given(
    eye=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: float(np.linalg.norm(v)) > 0.1),
    distance=st.floats(0.5, 3.0),
    shift=st.tuples(*[st.integers(-3, 3)] * 3),
)
def test_sphere_from_anywhere(
    searcher: Searcher, eye: tuple[float, float, float], distance: float, shift: tuple[int, int, int]
) -> None:
    radius = 0.3
    grid = GridSpec(0.02, tuple(0.32 * step for step in shift))  # type: ignore[arg-type]
    unit = np.array(eye) / np.linalg.norm(eye)
    camera = look_at(tuple(unit * distance), (0, 0, 0), (9, 7), 9 * distance)
    depth, expected = find(searcher, sphere_field(radius, grid=grid), camera), sphere_depth(camera, radius)
    # Trilinear interpolation of a distance with curvature 1/R per tangent errs by at most 3 h^2 / (8 R'), R' the
    # smallest radius of a corner; along the ray this is divided by the cosine to the normal. Flatter rays than
    # 0.3 graze within the error's reach.
    normal = torch.nn.functional.normalize(camera.unproject(expected.nan_to_num()), dim=-1)
    direction = camera.ray_directions()
    cosine = -(normal * direction).sum(-1) / direction.norm(dim=-1)
    clear = ~torch.isnan(expected) & (cosine > 0.3)
    bound = 3 * 0.02**2 / (8 * (radius - 0.035)) / cosine
    error = (depth - expected).abs()
    assert clear.any()
    assert (error[clear] <= bound[clear]).all()
    # A ray that passes farther from the ball than that error cannot hit it.
    nearest = torch.linalg.cross(direction, camera.center.expand_as(direction), dim=-1).norm(dim=-1)
    passes = nearest / direction.norm(dim=-1) > radius + 3 * 0.02**2 / (8 * (radius - 0.035))
    assert torch.isnan(depth[passes]).all()


@both
def test_rays_that_start_in_the_band_before_the_surface_hit_it(searcher: Searcher) -> None:
    camera = look_at((0, 0, 0.02), (0, 0, -1), (3, 3), 30)
    depth = find(searcher, plane_field((0, 0, 1), 0.0), camera, limits=(0.005, 1.0))
    torch.testing.assert_close(depth, plane_depth(camera, (0, 0, 1), 0.0), rtol=0, atol=1e-12)


@both
def test_back_faces_are_looked_through(searcher: Searcher) -> None:
    # From inside the ball, and from behind a plane: only - to + crossings.
    assert torch.isnan(find(searcher, sphere_field(0.3), look_at((0, 0, 0), (1, 0, 0)), limits=(0.01, 5.0))).all()
    assert torch.isnan(find(searcher, plane_field((0, 0, 1), 0.0), look_at((0, 0, -1), (0, 0, 1)))).all()
    # Behind the first back face stands a front face, and that one is seen.
    walls = make_field(lambda points: torch.where(points[:, 2] < 0, points[:, 2] + 0.2, 0.2 - points[:, 2]), 0.4)
    camera = look_at((0, 0, -1), (0, 0, 1), (3, 3), 30)
    torch.testing.assert_close(
        find(searcher, walls, camera), torch.full((3, 3), 1.2, dtype=torch.float64), rtol=0, atol=1e-12
    )


@both
def test_near_and_far_bound_the_depth(searcher: Searcher) -> None:
    plane, camera = plane_field((0, 0, 1), 0.0), look_at((0, 0, 1), (0, 0, 0), (3, 3), 30)
    assert torch.isnan(find(searcher, plane, camera, limits=(0.1, 0.999))).all()
    # The last sample lies at far itself, however it falls between the steps.
    assert not torch.isnan(find(searcher, plane, camera, limits=(0.1, 1.0005))).any()
    assert not torch.isnan(find(searcher, plane, camera, limits=(0.9995, 2.0))).any()
    assert torch.isnan(find(searcher, plane, camera, limits=(1.001, 2.0))).all()


@both
def test_one_missing_corner_opens_the_surface(searcher: Searcher) -> None:
    plane = plane_field((0, 0, 1), 0.01 + 1e-3)
    camera = look_at((0.011, 0.012, 0.8), (0.011, 0.012, 0), (1, 1), 30)
    assert not torch.isnan(find(searcher, plane, camera)).any()
    cell = torch.tensor([0, 0, 0])
    for offset in torch.cartesian_prod(*[torch.arange(2)] * 3):
        holed = plane.select((plane.coordinates != cell + offset).any(dim=1))
        assert len(holed) == len(plane) - 1
        assert torch.isnan(find(searcher, holed, camera)).all()


@both
def test_a_camera_that_looks_away_or_past_hits_nothing(searcher: Searcher) -> None:
    sphere = sphere_field(0.3)
    assert torch.isnan(find(searcher, sphere, look_at((1, 0, 0), (2, 0, 0)))).all()
    assert torch.isnan(find(searcher, sphere, look_at((5, 0, 0), (5, 5, 0.001)))).all()


@both
def test_rays_along_an_axis_are_searched(searcher: Searcher) -> None:
    # Two components of the direction are exactly 0.
    camera = look_at((0.003, 0.004, 1), (0.003, 0.004, 0), (1, 1), 30)
    assert (camera.ray_directions() == 0).sum() == 2
    depth = find(searcher, plane_field((0, 0, 1), 0.0), camera)
    assert float(depth) == pytest.approx(1.0, abs=1e-12)


def test_threads_change_nothing() -> None:
    prediction, camera = make_field(bumpy, 0.32), look_at((0.9, -0.7, 0.5), (0, 0, 0), (40, 32), 45)
    alone = find(search_numba, prediction, camera)
    torch.set_num_threads(3)
    assert torch.equal(torch.isnan(alone), torch.isnan(find(search_numba, prediction, camera)))
    assert torch.equal(alone.nan_to_num(), find(search_numba, prediction, camera).nan_to_num())
