"""Triangle mesh with attributes per vertex."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sparse_s4r.structures.checks import expect_tensor


@dataclass(frozen=True)
class Mesh:
    """Triangles in the world.

    Attributes:
        vertices: (V, 3) float metres.
        faces: (F, 3) int64 vertex indices, counter-clockwise seen from free space.
        color: (V, 3) float RGB in [0, 1], or None.
        labels: (V,) int64 class, or None.
        observed: (V,) bool, True where the input scan had the surface; None if unknown.
        probability: (V,) float in [0, 1] that there is surface; None if unknown.
    """

    vertices: Tensor
    faces: Tensor
    color: Tensor | None = None
    labels: Tensor | None = None
    observed: Tensor | None = None
    probability: Tensor | None = None

    def __post_init__(self) -> None:
        expect_tensor("Mesh.vertices", self.vertices, ("V", 3), floating=True)
        expect_tensor("Mesh.faces", self.faces, ("F", 3), floating=False)
        count = len(self.vertices)
        if self.color is not None:
            expect_tensor("Mesh.color", self.color, (count, 3), floating=True)
        if self.labels is not None:
            expect_tensor("Mesh.labels", self.labels, (count,), floating=False)
        if self.observed is not None:
            expect_tensor("Mesh.observed", self.observed, (count,), floating=False)
        if self.probability is not None:
            expect_tensor("Mesh.probability", self.probability, (count,), floating=True)
