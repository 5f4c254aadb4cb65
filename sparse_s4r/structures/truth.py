"""The true surface of a scene, where it is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparse_s4r.structures.checks import expect_same_device, expect_tensor
from sparse_s4r.structures.field import SparseTSDF


@dataclass(frozen=True)
class SceneTruth:
    """The truth about every surface of a scene, seen or not, on the scene's grid.

    Attributes:
        field: Signed Euclidean distance to the true surface, metres, positive in the air of rooms; colour of the
            nearest surface point; ``weight`` is 1. A fused scan measures along the camera's axis, which is larger by
            one over the cosine off a surface that is seen at an angle; on the surface, both are zero.
        labels: (N,) int64 class of the nearest surface point, ``IGNORE_LABEL`` for none.
        band: Metres: every voxel that is nearer to the surface than this is in the field. Half a voxel where only those
            that the surface passes through are known; then what lies farther is not known to be no surface.

    Raises:
        ValueError: Labels of another number than the voxels, or a band <= 0.
    """

    field: SparseTSDF
    labels: Tensor
    band: float

    def __post_init__(self) -> None:
        expect_tensor("SceneTruth.labels", self.labels, (len(self.field),), floating=False)
        expect_same_device(coordinates=self.field.coordinates, labels=self.labels)
        if not self.band > 0:
            raise ValueError(f"SceneTruth.band: expected metres > 0, got {self.band}")

    def __len__(self) -> int:
        return len(self.field)

    def select(self, keep: Tensor) -> SceneTruth:
        """The voxels at ``keep``, a bool mask (N,) or row indices."""
        return replace(self, field=self.field.select(keep), labels=self.labels[keep])

    def to(self, device: torch.device | str) -> SceneTruth:
        """The same truth with its tensors on ``device``."""
        return replace(self, field=self.field.to(device), labels=self.labels.to(device))
