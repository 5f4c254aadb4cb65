"""Do convex bodies overlap, and by how much: separating axes on hulls that are computed from corners alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull


@dataclass(frozen=True)
class Body:
    """A convex body: corners, face normals and edge directions of its hull, and its box."""

    corners: np.ndarray
    normals: np.ndarray
    edges: np.ndarray

    @property
    def low(self) -> np.ndarray:
        """Lower corner of its box."""
        return self.corners.min(axis=0)

    @property
    def high(self) -> np.ndarray:
        """Upper corner of its box."""
        return self.corners.max(axis=0)


def make_body(points: np.ndarray) -> Body:
    """The hull of ``points`` (P, 3)."""
    hull = ConvexHull(points)
    normals = _directions(hull.equations[:, :3])
    corners = points[hull.vertices]
    triangles = points[hull.simplices]
    edges = np.concatenate([triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 1]])
    edges = np.concatenate([edges, triangles[:, 0] - triangles[:, 2]])
    return Body(corners, normals, _directions(edges))


def gap(first: Body, second: Body) -> float:
    """Largest distance by which an axis separates two bodies; minus the least depth of overlap if none does.

    For bodies apart it is a lower bound of their distance, and exact unless two corners or a corner and an edge are
    nearest.
    """
    axes = np.concatenate([first.normals, second.normals])
    crossed = np.cross(first.edges[:, None], second.edges[None]).reshape(-1, 3)
    length = np.linalg.norm(crossed, axis=1)
    axes = np.concatenate([axes, crossed[length > 1e-6] / length[length > 1e-6, None]])
    a, b = first.corners @ axes.T, second.corners @ axes.T
    return float(np.maximum(b.min(axis=0) - a.max(axis=0), a.min(axis=0) - b.max(axis=0)).max())


def near_pairs(bodies: list[Body], margin: float) -> list[tuple[int, int]]:
    """Pairs of bodies whose boxes are within ``margin`` of each other."""
    low, high = np.array([body.low for body in bodies]), np.array([body.high for body in bodies])
    meet = ((low[:, None] <= high[None] + margin) & (low[None] <= high[:, None] + margin)).all(axis=-1)
    first, second = np.nonzero(np.triu(meet, 1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def supported(count: int, touching: list[tuple[int, int]], grounded: list[bool]) -> list[bool]:
    """Which of ``count`` bodies hold on to a grounded one through a chain of touching ones."""
    near: dict[int, list[int]] = {index: [] for index in range(count)}
    for first, second in touching:
        near[first].append(second)
        near[second].append(first)
    held = list(grounded)
    queue = [index for index in range(count) if held[index]]
    while queue:
        for other in near[queue.pop()]:
            if not held[other]:
                held[other] = True
                queue.append(other)
    return held


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors, one of each direction and its opposite."""
    length = np.linalg.norm(vectors, axis=1)
    units = vectors[length > 1e-9] / length[length > 1e-9, None]
    sign = np.where(
        np.abs(units[:, 2]) > 1e-6, units[:, 2], np.where(np.abs(units[:, 1]) > 1e-6, units[:, 1], units[:, 0])
    )
    return np.unique(np.round(units * np.sign(sign)[:, None], 7), axis=0)
