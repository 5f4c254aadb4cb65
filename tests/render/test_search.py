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
from sparse_s4r.render.field import SearchField, make_search_field
from sparse_s4r.render.rays import Rays, cast_rays
from sparse_s4r.render.search import Found, search
from sparse_s4r.render.search_numba import search_numba
from sparse_s4r.structures import Camera, GridSpec, ScenePrediction
from tests.oracles.raycast import first_front_face
from tests.render.fields import box_distance, look_at, make_field, plane_depth, plane_field, sphere_depth, sphere_field

Searcher = Callable[[SearchField, Rays], Found]
both = pytest.mark.parametrize("searcher", [search, search_numba], ids=["torch", "numba"])
LIMITS = (0.1, 10.0)


def found_by(
    searcher: Searcher,
    prediction: ScenePrediction,
    camera: Camera,
    limits: tuple[float, float] = LIMITS,
    min_corners: int = 8,
) -> Found:
    index = index_blocks(prediction.coordinates)
    field = make_search_field(index, prediction.tsdf, prediction.grid.voxel_size, min_corners)
    return searcher(field, cast_rays([camera], prediction.grid, index.lower, *limits))


def find(
    searcher: Searcher,
    prediction: ScenePrediction,
    camera: Camera,
    limits: tuple[float, float] = LIMITS,
    min_corners: int = 8,
) -> Tensor:
    """Depth (H, W) from the search, NaN for a miss."""
    found = found_by(searcher, prediction, camera, limits, min_corners)
    return found.depth.view(camera.height, camera.width)


def bumpy(points: Tensor) -> Tensor:
    """A ball with waves on it: no symmetry, every slope."""
    wave = 0.02 * torch.sin(31 * points[:, 0] + 17 * points[:, 1]) * torch.cos(23 * points[:, 2])
    return points.norm(dim=1) - 0.2 + wave


@both
@pytest.mark.parametrize("min_corners", [5, 7, 8])
@pytest.mark.parametrize("rough", [0.0, 0.02])
def test_agrees_with_the_polynomials_of_a_dense_volume(searcher: Searcher, min_corners: int, rough: float) -> None:
    prediction = make_field(bumpy, 0.32)
    # Noise as large as a voxel makes cells with all shapes of cubics and several zeros along one ray.
    prediction = replace(prediction, tsdf=prediction.tsdf + rough * torch.randn_like(prediction.tsdf))
    prediction = prediction.select(torch.rand(len(prediction)) > 0.05)
    camera = look_at((0.7, -0.5, 0.4), (0, 0, 0), (20, 16), 40)
    depth = find(searcher, prediction, camera, min_corners=min_corners)
    low = prediction.coordinates.amin(0)
    volume = np.full((prediction.coordinates.amax(0) - low + 1).tolist(), np.nan)
    volume[tuple((prediction.coordinates - low).T.numpy())] = prediction.tsdf.numpy()
    origin = (prediction.grid.to_voxels(camera.center[None])[0] - low).numpy()
    hits = 0
    for row in range(camera.height):
        for column in range(camera.width):
            direction = (camera.ray_directions()[row, column] / prediction.grid.voxel_size).numpy()
            expected, _ = first_front_face(volume, origin, direction, LIMITS, min_corners)
            hits += not np.isnan(expected)
            # Both resolve the zero to 1e-12 voxels over a slope that is at least 1e-4 here.
            assert float(depth[row, column]) == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert hits > 100


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("min_corners", [5, 8])
def test_numba_equals_torch(dtype: torch.dtype, min_corners: int) -> None:
    prediction = make_field(lambda points: torch.minimum(bumpy(points), box_distance(points, (0.3, 0.1, 0.1))), 0.45)
    prediction = replace(prediction, tsdf=prediction.tsdf.to(dtype))
    prediction = prediction.select(torch.rand(len(prediction)) > 0.01)
    camera = look_at((0.9, -0.7, 0.5), (0, 0, 0), (80, 64), 90)
    one, two = (found_by(each, prediction, camera, min_corners=min_corners) for each in (search, search_numba))
    assert torch.equal(one.slot, two.slot)
    assert (one.slot >= 0).sum() > 500
    # The same operations in the same order on numbers of the same type; filled corners are summed in another order.
    torch.testing.assert_close(one.depth, two.depth, rtol=0, atol=1e-12, equal_nan=True)
    torch.testing.assert_close(one.along, two.along, rtol=0, atol=1e-9)


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
def test_a_camera_at_any_distance_sees_the_same(searcher: Searcher) -> None:
    # 2 km from the scene, where float32 would resolve no more than 0.1 mm.
    sphere = sphere_field(0.3)
    near = look_at((2000.0, 300.0, -100.0), (0, 0, 0), (9, 7), 40_000)
    depth = find(searcher, sphere, near, limits=(0.1, 5000.0))
    expected = sphere_depth(near, 0.3)
    clear = ~torch.isnan(expected) & ~torch.isnan(depth)
    assert clear.sum() > 20
    assert float((depth - expected)[clear].abs().median()) < 3 * 0.02**2 / (8 * 0.265)


@both
def test_rays_that_start_in_the_band_before_the_surface_hit_it(searcher: Searcher) -> None:
    camera = look_at((0, 0, 0.02), (0, 0, -1), (3, 3), 30)
    depth = find(searcher, plane_field((0, 0, 1), 0.0), camera, limits=(0.005, 1.0))
    torch.testing.assert_close(depth, plane_depth(camera, (0, 0, 1), 0.0), rtol=0, atol=1e-12)


@both
def test_rays_that_start_in_the_band_behind_the_surface_do_not(searcher: Searcher) -> None:
    camera = look_at((0, 0, -0.02), (0, 0, -1), (3, 3), 30)
    assert torch.isnan(find(searcher, plane_field((0, 0, 1), 0.0), camera, limits=(0.005, 1.0))).all()
    # Nor one that starts there and comes out.
    camera = look_at((0, 0, -0.02), (0, 0, 1), (3, 3), 30)
    assert torch.isnan(find(searcher, plane_field((0, 0, 1), 0.0), camera, limits=(0.005, 1.0))).all()


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
def test_grazing_rays_see_a_plane_to_the_last(searcher: Searcher) -> None:
    # The ray descends by 1 m in 500 over a plane half a metre long: a slope of 0.002.
    plane = make_field(lambda points: points[:, 2] - 0.0031, 0.6)
    camera = look_at((-0.55, 0.004, 0.0041), (0.45, 0.004, 0.0021), (1, 1), 30)
    depth = find(searcher, plane, camera, limits=(0.01, 5.0))
    torch.testing.assert_close(depth, plane_depth(camera, (0, 0, 1), 0.0031), rtol=0, atol=1e-9)


@both
def test_a_sheet_thinner_than_a_voxel_is_not_stepped_over(searcher: Searcher) -> None:
    # Behind the surface for 2 mm, a tenth of a voxel, at one layer of voxels only.
    layer = 0.01
    sheet = make_field(lambda points: (points[:, 2] - layer).abs() - 0.001, 0.3)
    camera = look_at((0.013, 0.021, 0.8), (0.0, 0.0, 0.0), (20, 16), 60)
    depth = find(searcher, sheet, camera)
    torch.testing.assert_close(depth, plane_depth(camera, (0, 0, 1), layer + 0.001), rtol=0, atol=1e-9)


@both
def test_a_surface_through_voxel_centres_has_no_holes(searcher: Searcher) -> None:
    # The distances at the faces are 0 but for their own rounding, and so are sums of them.
    half = (0.25, 0.17, 0.13)
    box = make_field(lambda points: box_distance(points, half), 0.35)
    assert int((box.tsdf.abs() < 1e-15).sum()) > 1000
    camera = look_at((0.9, -0.8, 0.7), (0, 0, 0), (160, 128), 240)
    depth = find(searcher, box, camera)
    points = camera.unproject(depth.nan_to_num())
    # A true ray box test: the slabs of the three axes.
    direction = camera.ray_directions()
    walls = torch.tensor(half, dtype=torch.float64) * torch.tensor([[-1.0], [1.0]])
    times = (walls.view(2, 1, 1, 3) - camera.center) / direction
    enter, leave = times.amin(0).amax(-1), times.amax(0).amin(-1)
    # Beyond a voxel from the silhouette, where the interpolated edges are cut off.
    through = leave - enter > 0.06
    assert through.sum() > 2000
    assert not torch.isnan(depth[through]).any()
    flat = through & ((torch.tensor(half, dtype=torch.float64) - points.abs()).sort(-1).values[..., 1] > 0.04)
    assert flat.sum() > 1000
    torch.testing.assert_close(depth[flat], enter[flat], rtol=0, atol=1e-9)


@both
def test_rays_that_enter_on_an_edge_of_the_lattice_are_searched(searcher: Searcher) -> None:
    # The ray of column 150 comes in where x and z are both those of voxel centres, at the border of two blocks.
    plane = make_field(lambda points: points[:, 2] - 0.0137, 1.0, GridSpec(0.16))
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    pose[:3, 3] = torch.tensor([0.1, 0.05, 1.2], dtype=torch.float64)
    intrinsics = torch.tensor([[380.0, 0, 159.5], [0, 380.0, 127.5], [0, 0, 1.0]], dtype=torch.float64)
    camera = Camera(intrinsics, pose, 320, 256)
    direction = (plane.grid.to_voxels(camera.center[None])[0], camera.ray_directions()[0, 150] / 0.16)
    assert (direction[0] + 0.8 * direction[1])[[0, 2]].frac().abs().max() < 1e-12
    torch.testing.assert_close(
        find(searcher, plane, camera), torch.full((256, 320), 1.2 - 0.0137).double(), rtol=0, atol=1e-6
    )


@both
@settings(max_examples=100)
@given(
    corner=st.tuples(*[st.integers(-12, 11)] * 3),
    goal=st.tuples(*[st.integers(-12, 11)] * 2),
    shape=st.integers(0, 2**31),
)
def test_rays_through_corners_of_cells_meet_what_the_oracle_meets(
    searcher: Searcher, corner: tuple[int, int, int], goal: tuple[int, int], shape: int
) -> None:
    # From one voxel centre straight to another: every wall on the way is met at a corner, an edge or a simple ratio.
    generator = torch.Generator().manual_seed(shape)
    plane = plane_field((0, 0, 1), 0.0137, half=0.26)
    plane = plane.select(torch.rand(len(plane), generator=generator) > 0.02)
    eye = plane.grid.centers(torch.tensor([[corner[0], corner[1], 25 + abs(corner[2])]]), dtype=torch.float64)[0]
    target = plane.grid.centers(torch.tensor([[goal[0], goal[1], 0]]), dtype=torch.float64)[0]
    camera = look_at(tuple(eye.tolist()), tuple(target.tolist()), (1, 1), 30)
    low = plane.coordinates.amin(0)
    volume = np.full((plane.coordinates.amax(0) - low + 1).tolist(), np.nan)
    volume[tuple((plane.coordinates - low).T.numpy())] = plane.tsdf.numpy()
    origin = (plane.grid.to_voxels(camera.center[None])[0] - low).numpy()
    direction = (camera.ray_directions()[0, 0] / 0.02).numpy()
    expected, _ = first_front_face(volume, origin, direction, LIMITS, 5)
    depth = float(find(searcher, plane, camera, min_corners=5)[0, 0])
    # A ray along an edge may be counted to either side of it, and one of the cells there may lack corners.
    if np.isnan(expected) == np.isnan(depth):
        assert depth == pytest.approx(expected, abs=1e-9, nan_ok=True)
    else:
        position = origin + np.nanmax([expected, depth]) * direction
        assert np.abs(position - position.round())[:2].min() < 1e-9


@both
def test_near_and_far_bound_the_depth(searcher: Searcher) -> None:
    plane, camera = plane_field((0, 0, 1), 0.0), look_at((0, 0, 1), (0, 0, 0), (3, 3), 30)
    assert torch.isnan(find(searcher, plane, camera, limits=(0.1, 0.9999))).all()
    assert not torch.isnan(find(searcher, plane, camera, limits=(0.1, 1.0001))).any()
    assert not torch.isnan(find(searcher, plane, camera, limits=(0.9999, 2.0))).any()
    assert torch.isnan(find(searcher, plane, camera, limits=(1.0001, 2.0))).all()


@both
def test_one_missing_corner_opens_the_surface_only_where_all_are_asked_for(searcher: Searcher) -> None:
    plane = plane_field((0, 0, 1), 0.01 + 1e-3)
    camera = look_at((0.011, 0.012, 0.8), (0.011, 0.012, 0), (1, 1), 30)
    whole = find(searcher, plane, camera)
    assert not torch.isnan(whole).any()
    cell = torch.tensor([0, 0, 0])
    for offset in torch.cartesian_prod(*[torch.arange(2)] * 3):
        holed = plane.select((plane.coordinates != cell + offset).any(dim=1))
        assert len(holed) == len(plane) - 1
        assert torch.isnan(find(searcher, holed, camera, min_corners=8)).all()
        # An affine field is filled exactly.
        torch.testing.assert_close(find(searcher, holed, camera, min_corners=7), whole, rtol=0, atol=1e-12)


@both
def test_surface_is_not_continued_beyond_what_has_both_signs(searcher: Searcher) -> None:
    # Only the voxels in front of the plane: extrapolated, the plane would be there.
    plane = plane_field((0, 0, 1), 0.01 + 1e-3)
    camera = look_at((0.011, 0.012, 0.8), (0.011, 0.012, 0), (1, 1), 30)
    assert torch.isnan(find(searcher, plane.select(plane.tsdf > 0), camera, min_corners=5)).all()


@both
def test_a_camera_that_looks_away_or_past_hits_nothing(searcher: Searcher) -> None:
    sphere = sphere_field(0.3)
    assert torch.isnan(find(searcher, sphere, look_at((1, 0, 0), (2, 0, 0)))).all()
    assert torch.isnan(find(searcher, sphere, look_at((5, 0, 0), (5, 5, 0.001)))).all()


@both
@pytest.mark.parametrize("grid_shift", [0.0, 0.013])
def test_rays_along_an_axis_are_searched(searcher: Searcher, grid_shift: float) -> None:
    # Two components of the direction are exactly 0; unshifted, the ray runs along an edge of the cells.
    camera = look_at((0.01 + grid_shift, 0.01, 1), (0.01 + grid_shift, 0.01, 0), (1, 1), 30)
    assert (camera.ray_directions() == 0).sum() == 2
    depth = find(searcher, plane_field((0, 0, 1), 0.0), camera)
    assert float(depth) == pytest.approx(1.0, abs=1e-12)


@both
def test_a_single_layer_of_voxels_has_no_cells(searcher: Searcher) -> None:
    plane = plane_field((0, 0, 1), 0.0)
    layer = plane.select(plane.coordinates[:, 2] == 0)
    assert len(layer) > 100
    assert torch.isnan(find(searcher, layer, look_at((0, 0, 1), (0, 0, 0), (3, 3), 30), min_corners=5)).all()


def test_threads_change_nothing() -> None:
    prediction, camera = make_field(bumpy, 0.32), look_at((0.9, -0.7, 0.5), (0, 0, 0), (100, 96), 110)
    alone = found_by(search_numba, prediction, camera)
    torch.set_num_threads(3)
    several = found_by(search_numba, prediction, camera)
    assert torch.equal(alone.slot, several.slot)
    assert torch.equal(alone.depth.nan_to_num(), several.depth.nan_to_num())
