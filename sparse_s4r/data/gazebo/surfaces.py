"""Triangles of shapes with what they are painted with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sparse_s4r.data.gazebo.textures import Texture

# For what has neither texture nor colour.
PLAIN = (0.7, 0.7, 0.7)


@dataclass(frozen=True)
class Surface:
    """Triangles of one material.

    Attributes:
        name: Name of the part in its file.
        triangles: (T, 3, 3) float64 corners, metres, z up.
        uv: (T, 3, 2) float32 texture coordinates, v upwards; None without texture.
        color: RGB in [0, 1] where there is no texture.
        texture: The image, or None.
    """

    name: str
    triangles: np.ndarray
    uv: np.ndarray | None = None
    color: tuple[float, float, float] = PLAIN
    texture: Texture | None = None

    def moved(self, pose: np.ndarray) -> Surface:
        """The surface under an affine motion (4, 4)."""
        return replace(self, triangles=self.triangles @ pose[:3, :3].T + pose[:3, 3])

    def solid(self) -> Surface:
        """Without triangles that have no area or no finite corner: no ray meets them."""
        edges = self.triangles[:, 1:] - self.triangles[:, :1]
        with np.errstate(invalid="ignore", over="ignore"):
            area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
        keep = np.isfinite(self.triangles).all(axis=(1, 2)) & np.isfinite(area) & (area > 1e-12)
        return replace(self, triangles=self.triangles[keep], uv=None if self.uv is None else self.uv[keep])
