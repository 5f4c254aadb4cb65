"""Distances between two surfaces in metres: accuracy, completeness, Chamfer distance and F-score."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import open3d as o3d
import torch
from scipy.spatial import cKDTree

from sparse_s4r.evaluation.reference import KnownSpace
from sparse_s4r.evaluation.surface import ratio
from sparse_s4r.geometry.mesh_extraction import extract_mesh
from sparse_s4r.structures import GridSpec, Mesh, ScenePrediction

# As many as the script that computes the figures of the SPSG paper draws.
POINTS = 30_000
STRICT, LOOSE = 0.02, 0.05

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PointDistances:
    """Distances of points to a surface, in sums that can be added over scenes.

    Attributes:
        points: Number of points.
        total: Sum of their distances, metres; NaN if there was no surface to measure to.
        strict: Number of points nearer than 2 cm.
        loose: Number of points nearer than 5 cm.
    """

    points: int
    total: float
    strict: int
    loose: int

    @classmethod
    def of(cls, distances: Array) -> PointDistances:
        """Of distances (P,) in metres, infinite where there is no surface."""
        total = float(distances.sum()) if bool(np.isfinite(distances).all()) else math.nan
        return cls(len(distances), total, int((distances < STRICT).sum()), int((distances < LOOSE).sum()))

    def __add__(self, other: PointDistances) -> PointDistances:
        return PointDistances(
            self.points + other.points,
            self.total + other.total,
            self.strict + other.strict,
            self.loose + other.loose,
        )

    @property
    def mean(self) -> float:
        """Metres; NaN without points or without a surface to measure to."""
        return ratio(self.total, self.points)


@dataclass(frozen=True)
class ChamferScores:
    """Two surfaces compared; docs/evaluation.md defines the figures.

    Attributes:
        to_reference: From points of the prediction, where the reference can judge, to the reference's surface.
        to_prediction: From points of the reference to the predicted surface.
        points_to_reference: Like ``to_reference``, to the nearest point drawn on the reference.
        points_to_prediction: Like ``to_prediction``, to the nearest point drawn on the prediction.
    """

    to_reference: PointDistances
    to_prediction: PointDistances
    points_to_reference: PointDistances
    points_to_prediction: PointDistances

    def __add__(self, other: ChamferScores) -> ChamferScores:
        return ChamferScores(
            self.to_reference + other.to_reference,
            self.to_prediction + other.to_prediction,
            self.points_to_reference + other.points_to_reference,
            self.points_to_prediction + other.points_to_prediction,
        )

    @property
    def accuracy(self) -> float:
        """Mean distance of the prediction's points to the reference, metres."""
        return self.to_reference.mean

    @property
    def completeness(self) -> float:
        """Mean distance of the reference's points to the prediction, metres."""
        return self.to_prediction.mean

    @property
    def chamfer(self) -> float:
        """Mean of accuracy and completeness, metres."""
        return (self.accuracy + self.completeness) / 2

    @property
    def chamfer_points(self) -> float:
        """The same between two sets of points, neither of which has all of its surface; metres."""
        return (self.points_to_reference.mean + self.points_to_prediction.mean) / 2

    @property
    def f_strict(self) -> float:
        """Harmonic mean of the shares of points within 2 cm; 0 without a prediction, NaN without a reference."""
        return self._f(self.to_reference.strict, self.to_prediction.strict)

    @property
    def f_loose(self) -> float:
        """The same within 5 cm."""
        return self._f(self.to_reference.loose, self.to_prediction.loose)

    def _f(self, right: int, found: int) -> float:
        if not self.to_prediction.points:
            return math.nan
        precision = right / self.to_reference.points if self.to_reference.points else 0.0
        recall = found / self.to_prediction.points
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


class Surface:
    """A mesh, points drawn on it, and distances to it.

    Args:
        mesh: Triangles; none is a surface too.
        seed: Of the points. Two surfaces that are compared want two seeds, or equal ones get equal points.
        points: Number of points.
    """

    def __init__(self, mesh: Mesh, seed: int, points: int = POINTS) -> None:
        self.points = draw_points(mesh, points, seed)
        self._tree = cKDTree(self.points) if len(self.points) else None
        self._scene: o3d.t.geometry.RaycastingScene | None = None
        if len(self.points):
            self._scene = o3d.t.geometry.RaycastingScene()
            self._scene.add_triangles(
                o3d.core.Tensor(mesh.vertices.float().numpy()), o3d.core.Tensor(mesh.faces.numpy().astype(np.uint32))
            )

    @classmethod
    def of_field(cls, field: ScenePrediction, seed: int, points: int = POINTS) -> Surface:
        """Where a field changes its sign, by ``extract_mesh``."""
        return cls(extract_mesh(field), seed, points)

    def distances(self, points: Array) -> Array:
        """Distance (P,) in metres of points (P, 3) to the triangles; infinite without any."""
        if self._scene is None or not len(points):
            return np.full(len(points), np.inf)
        found = self._scene.compute_distance(o3d.core.Tensor(points.astype(np.float32)), torch.get_num_threads())
        return np.asarray(found.numpy(), dtype=np.float64)

    def point_distances(self, points: Array) -> Array:
        """Distance (P,) in metres of points (P, 3) to the nearest of ``points``; infinite without any."""
        if self._tree is None or not len(points):
            return np.full(len(points), np.inf)
        return np.asarray(self._tree.query(points)[0], dtype=np.float64)


def draw_points(mesh: Mesh, count: int, seed: int) -> Array:
    """Points (count, 3) in metres on triangles, by area: at equal steps along the sum of areas, anywhere in a triangle.

    A mesh without area gives none. The points do not depend on the order of triangles, which Open3D's threads mix.
    """
    corners = mesh.vertices.double().numpy()[mesh.faces.numpy()]
    corners = corners[np.lexsort(corners.reshape(-1, 9).T)]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    reached = np.cumsum(np.linalg.norm(np.cross(first, second), axis=1))
    if not len(reached) or not reached[-1] > 0:
        return np.zeros((0, 3))
    rng = np.random.default_rng(seed)
    place = (np.arange(count) + rng.random()) / count * reached[-1]
    triangle = np.searchsorted(reached, place, side="right").clip(max=len(reached) - 1)
    weight = rng.random((count, 2))
    # Half of the parallelogram is folded onto the other half, which is the triangle.
    weight = np.where(weight.sum(axis=1, keepdims=True) > 1, 1 - weight, weight)
    points: Array = corners[triangle, 0] + weight[:, :1] * first[triangle] + weight[:, 1:] * second[triangle]
    return points


def chamfer_scores(predicted: Surface, reference: Surface, known: KnownSpace | None, grid: GridSpec) -> ChamferScores:
    """Compare a predicted surface with a reference's.

    Args:
        predicted: The prediction's.
        reference: The reference's.
        known: Where the reference can judge; points of the prediction in other voxels take no part, but the surface
            there may be the one nearest to a point of the reference. None: everywhere.
        grid: Of the voxels that ``known`` speaks of.
    """
    points = predicted.points
    if known is not None and len(points):
        points = points[known.holds(grid.indices(torch.from_numpy(points))).numpy()]
    return ChamferScores(
        PointDistances.of(reference.distances(points)),
        PointDistances.of(predicted.distances(reference.points)),
        PointDistances.of(reference.point_distances(points)),
        PointDistances.of(predicted.point_distances(reference.points)),
    )
