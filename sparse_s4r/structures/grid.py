"""The voxel grid: where voxels lie in the world."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Strides 1, 2, 4, 8, 16: four halvings. Results are equal under a shift only by a multiple of 2**LEVELS voxels,
# so every origin, crop and shift is a multiple of it.
LEVELS = 4
CELL = 2**LEVELS


@dataclass(frozen=True)
class GridSpec:
    """Placement of a voxel grid; voxel (i, j, k) has its value at ``origin + (index + 0.5) * voxel_size``.

    Attributes:
        voxel_size: Edge of a voxel, metres.
        origin: World corner of voxel (0, 0, 0), metres, a multiple of ``voxel_size * CELL``.
        truncation_voxels: Truncation of the signed distance, voxels.

    Raises:
        ValueError: A size <= 0, or an origin off the coarse lattice.
    """

    voxel_size: float
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    truncation_voxels: float = 3.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.voxel_size) and self.voxel_size > 0):
            raise ValueError(f"GridSpec.voxel_size: expected metres > 0, got {self.voxel_size}")
        if not (math.isfinite(self.truncation_voxels) and self.truncation_voxels > 0):
            raise ValueError(f"GridSpec.truncation_voxels: expected a number > 0, got {self.truncation_voxels}")
        cells = [value / (self.voxel_size * CELL) for value in self.origin]
        if any(not math.isfinite(cell) or abs(cell - round(cell)) > 1e-4 for cell in cells):
            raise ValueError(
                f"GridSpec.origin: expected multiples of {CELL} voxels ({self.voxel_size * CELL:g} m), "
                f"got {self.origin}; use GridSpec.around()"
            )

    @classmethod
    def around(cls, lower: Tensor, voxel_size: float, truncation_voxels: float = 3.0) -> GridSpec:
        """The grid whose origin is the coarse lattice corner at or below ``lower`` (3,) metres."""
        cell = voxel_size * CELL
        x, y, z = (math.floor(float(value) / cell) * cell for value in lower)
        return cls(voxel_size, (x, y, z), truncation_voxels)

    @property
    def truncation(self) -> float:
        """Truncation of the signed distance in metres."""
        return self.truncation_voxels * self.voxel_size

    def centers(self, coordinates: Tensor, stride: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
        """World centres (N, 3) in metres of cells ``coordinates`` (N, 3) of edge ``stride`` voxels."""
        origin = torch.tensor(self.origin, dtype=torch.float64, device=coordinates.device)
        return ((coordinates.double() + 0.5) * (self.voxel_size * stride) + origin).to(dtype)

    def to_voxels(self, points: Tensor) -> Tensor:
        """Continuous voxel coordinates (P, 3) of world ``points`` (P, 3): the centre of voxel i is at i."""
        origin = torch.tensor(self.origin, dtype=points.dtype, device=points.device)
        return (points - origin) / self.voxel_size - 0.5

    def indices(self, points: Tensor) -> Tensor:
        """Voxels (P, 3) int64 that contain world ``points`` (P, 3) metres."""
        return torch.floor(self.to_voxels(points) + 0.5).long()
