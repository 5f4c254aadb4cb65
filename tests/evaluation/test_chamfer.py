"""Distances between surfaces: by hand, by all pairs, and by other libraries."""

import math

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.distance import cdist

from sparse_s4r.evaluation.chamfer import ChamferScores, PointDistances, Surface, chamfer_scores, draw_points
from sparse_s4r.evaluation.reference import KnownSpace
from sparse_s4r.structures import BLOCK, GridSpec, Mesh, ObservationGrid, ScenePrediction, VoxelState

GRID = GridSpec(0.02)
EMPTY = Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))


def square(z: float, width: float = 0.3) -> Mesh:
    """A square from (0, 0) of two triangles, at a height."""
    corners = torch.tensor([[0.0, 0.0, z], [width, 0.0, z], [width, 1.0, z], [0.0, 1.0, z]])
    return Mesh(corners, torch.tensor([[0, 1, 2], [0, 2, 3]]))


def test_two_parallel_squares_by_hand() -> None:
    found = chamfer_scores(Surface(square(0.03), 1), Surface(square(0.0), 0), None, GRID)
    assert found.accuracy == pytest.approx(0.03, abs=1e-6)
    assert found.completeness == pytest.approx(0.03, abs=1e-6)
    assert found.chamfer == pytest.approx(0.03, abs=1e-6)
    assert (found.f_strict, found.f_loose) == (0.0, 1.0)
    assert found.to_reference.points == found.to_prediction.points == 30_000


def test_half_of_the_surface_by_hand() -> None:
    # The prediction has half of the reference's width: all of it is right, and of the rest, 0 to 15 cm away, the first
    # 2 or 5 cm are within reach.
    found = chamfer_scores(Surface(square(0.0, 0.15), 1), Surface(square(0.0), 0), None, GRID)
    assert found.accuracy == pytest.approx(0, abs=1e-6)
    assert found.completeness == pytest.approx(0.5 * 0.075, abs=1e-3)
    for value, reach in ((found.f_strict, 0.02), (found.f_loose, 0.05)):
        recall = (0.15 + reach) / 0.3
        assert value == pytest.approx(2 * recall / (1 + recall), abs=5e-3)


def test_what_the_reference_cannot_judge_takes_no_part() -> None:
    # Voxels of x below 16, 32 cm, were seen to be free; the prediction goes on beyond.
    blocks = torch.cartesian_prod(torch.arange(2), torch.arange(7), torch.arange(2))
    free = torch.full((len(blocks),), int(VoxelState.FREE), dtype=torch.uint8)
    none = torch.zeros(0, BLOCK**3, dtype=torch.uint8)
    known = KnownSpace(torch.zeros(0, 3, dtype=torch.int64), ObservationGrid(GRID, blocks, free, none))
    wide = square(0.01, 0.64)
    predicted, reference = Surface(wide, 1), Surface(square(0.01, 0.32), 0)
    judged = chamfer_scores(predicted, reference, known, GRID)
    assert judged.to_reference.points == pytest.approx(15_000, abs=300)
    assert judged.accuracy == pytest.approx(0, abs=1e-6)
    assert chamfer_scores(predicted, reference, None, GRID).accuracy == pytest.approx(0.5 * 0.16, abs=1e-3)


def test_points_against_all_pairs() -> None:
    rng = np.random.default_rng(0)
    meshes = [Mesh(torch.from_numpy(rng.random((30, 3))), torch.from_numpy(rng.integers(0, 30, (20, 3)))) for _ in "ab"]
    a, b = (Surface(mesh, seed, 200) for seed, mesh in enumerate(meshes))
    found = chamfer_scores(a, b, None, GRID)
    pairs = cdist(a.points, b.points)
    assert found.points_to_reference.mean == pytest.approx(pairs.min(axis=1).mean())
    assert found.points_to_prediction.mean == pytest.approx(pairs.min(axis=0).mean())
    assert found.chamfer_points == pytest.approx((pairs.min(axis=1).mean() + pairs.min(axis=0).mean()) / 2)
    assert found.points_to_reference.loose == int((pairs.min(axis=1) < 0.05).sum())
    # Distances to the triangles: by another library, and never more than to the points on them.
    other = trimesh.Trimesh(meshes[1].vertices.numpy(), meshes[1].faces.numpy(), process=False)
    exact = b.distances(a.points)
    assert np.allclose(exact, nearest_by_planes(other.triangles, a.points), atol=1e-5)
    assert np.all(exact <= pairs.min(axis=1) + 1e-5)


def nearest_by_planes(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance of every point to every triangle, the least of those to its three edges and to its inside."""
    result = np.full((len(points), len(triangles)), np.inf)
    for number, corners in enumerate(triangles):
        for start, end in ((0, 1), (1, 2), (2, 0)):
            edge = corners[end] - corners[start]
            length = edge @ edge
            along = ((points - corners[start]) @ edge / length).clip(0, 1) if length else np.zeros(len(points))
            gap = np.linalg.norm(points - corners[start] - along[:, None] * edge, axis=1)
            result[:, number] = np.minimum(result[:, number], gap)
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        if normal @ normal < 1e-18:
            continue
        offset = points - corners[0]
        height = offset @ normal / np.linalg.norm(normal)
        weight = np.linalg.lstsq((corners[1:] - corners[0]).T, offset.T, rcond=None)[0]
        inside = (weight >= 0).all(axis=0) & (weight.sum(axis=0) <= 1)
        result[inside, number] = np.abs(height[inside])
    return result.min(axis=1)


def test_points_are_drawn_by_area_and_seed() -> None:
    # Two triangles of which one has a ninth of the other's area.
    corners = torch.tensor([[0.0, 0, 0], [3, 0, 0], [0, 3, 0], [9, 0, 0], [10, 0, 0], [9, 1, 0]])
    mesh = Mesh(corners, torch.tensor([[0, 1, 2], [3, 4, 5]]))
    points = draw_points(mesh, 10_000, 3)
    small = points[:, 0] > 5
    assert int(small.sum()) == pytest.approx(1000, abs=1)
    # The centre of the points is that of the triangle, and they fill it.
    assert np.allclose(points[~small].mean(axis=0), [1, 1, 0], atol=0.03)
    assert np.all(points[~small].sum(axis=1) <= 3 + 1e-6)
    assert points[~small].sum(axis=1).max() > 2.9
    assert np.array_equal(points, draw_points(mesh, 10_000, 3))
    assert not np.array_equal(points, draw_points(mesh, 10_000, 4))
    assert np.array_equal(points, draw_points(Mesh(corners, mesh.faces.flip(0)), 10_000, 3))


def test_fields_perfect_and_empty() -> None:
    cells = torch.cartesian_prod(torch.arange(-12, 12), torch.arange(-12, 12), torch.arange(-12, 12))
    distance = GRID.centers(cells).norm(dim=1) - 0.15
    near = distance.abs() < 0.057
    ball = ScenePrediction(GRID, cells[near], distance[near])
    reference = Surface.of_field(ball, 0)
    # On the sphere but for the chords of 2 cm voxels.
    assert np.abs(np.linalg.norm(reference.points, axis=1) - 0.15).max() < 1e-3
    perfect = chamfer_scores(Surface.of_field(ball, 1), reference, None, GRID)
    assert perfect.chamfer == pytest.approx(0, abs=1e-6)
    assert (perfect.f_strict, perfect.f_loose) == (1.0, 1.0)
    # Two draws of one surface never coincide.
    assert 0 < perfect.chamfer_points < 0.003
    nothing = chamfer_scores(Surface(EMPTY, 1), reference, None, GRID)
    assert (nothing.f_strict, nothing.f_loose) == (0.0, 0.0)
    assert math.isnan(nothing.accuracy)
    assert math.isnan(nothing.completeness)
    assert math.isnan(chamfer_scores(reference, Surface(EMPTY, 1), None, GRID).f_strict)


def test_scenes_add_up() -> None:
    one = PointDistances.of(np.array([0.01, 0.03, 0.2]))
    two = PointDistances.of(np.array([0.04]))
    assert (one.points, one.strict, one.loose) == (3, 1, 2)
    assert (one + two).mean == pytest.approx(0.07)
    both = ChamferScores(one, two, one, two) + ChamferScores(two, two, two, two)
    assert both.f_loose == pytest.approx(2 * 0.75 / 1.75)
    assert both.accuracy == pytest.approx(0.07)
