"""One posed RGB-D frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparse_s4r.structures.camera import Camera
from sparse_s4r.structures.checks import expect_same_device, expect_tensor

# Label of a pixel or voxel that takes no part in any loss or metric.
IGNORE_LABEL = 255


@dataclass(frozen=True)
class RGBDFrame:
    """Colour, depth and camera of one view; depth is registered to colour.

    Attributes:
        name: Identifier within its capture.
        camera: Camera of both images.
        color: (H, W, 3) float RGB in [0, 1].
        depth: (H, W) float z-depth in metres, 0 = missing.
        labels: (H, W) int64 class per pixel, ``IGNORE_LABEL`` = none; None when the frame has no labels.
        confidence: (H, W) float in [0, 1], how sure the labels are; None when that is not known.

    Raises:
        ValueError: Sizes that differ from the camera's.
    """

    name: str
    camera: Camera
    color: Tensor
    depth: Tensor
    labels: Tensor | None = None
    confidence: Tensor | None = None

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        expect_tensor(f"color of frame {self.name}", self.color, (*size, 3), floating=True)
        expect_tensor(f"depth of frame {self.name}", self.depth, size, floating=True)
        if self.labels is not None:
            expect_tensor(f"labels of frame {self.name}", self.labels, size, floating=False)
        if self.confidence is not None:
            expect_tensor(f"confidence of frame {self.name}", self.confidence, size, floating=True)
        expect_same_device(color=self.color, depth=self.depth, labels=self.labels, confidence=self.confidence)

    def to(self, device: torch.device | str) -> RGBDFrame:
        """The same frame with its tensors on ``device``."""
        return replace(
            self,
            camera=self.camera.to(device),
            color=self.color.to(device),
            depth=self.depth.to(device),
            labels=None if self.labels is None else self.labels.to(device),
            confidence=None if self.confidence is None else self.confidence.to(device),
        )
