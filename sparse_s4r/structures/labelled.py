"""A field whose voxels have classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from sparse_s4r.structures.checks import expect_same_device, expect_tensor
from sparse_s4r.structures.field import SparseTSDF


@dataclass(frozen=True)
class LabelledField:
    """Voxels with signed distances, colours and classes.

    Attributes:
        field: Signed distances and colours.
        labels: (N,) int64 class of each voxel, ``IGNORE_LABEL`` for none.

    Raises:
        ValueError: Labels of another number than the voxels.
    """

    field: SparseTSDF
    labels: Tensor

    def __post_init__(self) -> None:
        expect_tensor(f"{type(self).__name__}.labels", self.labels, (len(self.field),), floating=False)
        expect_same_device(coordinates=self.field.coordinates, labels=self.labels)

    def __len__(self) -> int:
        return len(self.field)

    def select(self, keep: Tensor) -> Self:
        """The voxels at ``keep``, a bool mask (N,) or row indices."""
        return replace(self, field=self.field.select(keep), labels=self.labels[keep])

    def to(self, device: torch.device | str) -> Self:
        """The same field with its tensors on ``device``."""
        return replace(self, field=self.field.to(device), labels=self.labels.to(device))
