"""What virtual cameras are like, and what makes one unfit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class VirtualViewOptions:
    """What virtual cameras are like, and what makes one unfit.

    Attributes:
        width: Picture width, pixels.
        height: Picture height, pixels.
        field_of_view: Horizontal, between the outer edges of the picture, degrees.
        pull_back: Least and largest distance to the target beyond that of the real camera, metres.
        azimuth: Largest turn around the target against the real camera, seen from above, degrees to either side.
        max_pitch: Largest angle of the optical axis to the horizontal, degrees.
        clearance: Radius of the ball around the camera in which every voxel was seen free, metres.
        separation: Two views whose places are nearer than this, metres, and whose axes are less than half a field of
            view apart, count as alike; the later one is not taken.
        min_hits: Least share of pixels that see a surface.
        max_behind: Largest share of pixels that look at a surface from behind.
        min_median_depth: Least median z-depth of the pixels that see a surface, metres.
        far: Largest z-depth, metres.
        check_width: Width of the pictures in which the shares are counted, pixels; at most ``width``.
        tries: Candidates looked at per camera asked for.

    Raises:
        ValueError: A value out of range.
    """

    width: int = 320
    height: int = 256
    field_of_view: float = 95.0
    pull_back: tuple[float, float] = (0.3, 1.5)
    azimuth: float = 45.0
    max_pitch: float = 30.0
    clearance: float = 0.2
    separation: float = 0.5
    min_hits: float = 0.6
    max_behind: float = 0.02
    min_median_depth: float = 1.0
    far: float = 10.0
    check_width: int = 64
    tries: int = 100

    def __post_init__(self) -> None:
        _expect_range("far", self.far, 1e-3, 1e6)
        _expect_range("field_of_view", self.field_of_view, 1, 170)
        _expect_range("azimuth", self.azimuth, 0, 180)
        _expect_range("max_pitch", self.max_pitch, 0, 85)
        _expect_range("clearance", self.clearance, 0, 5)
        _expect_range("separation", self.separation, 0, 1000)
        _expect_range("min_hits", self.min_hits, 0, 1)
        _expect_range("max_behind", self.max_behind, 0, 1)
        _expect_range("min_median_depth", self.min_median_depth, 0, self.far)
        _expect_range("pull_back[0]", self.pull_back[0], 0, self.pull_back[1])
        _expect_range("pull_back[1]", self.pull_back[1], self.pull_back[0], 100)
        _expect_range("height", self.height, 1, 1 << 14)
        _expect_range("width", self.width, 1, 1 << 14)
        _expect_range("check_width", self.check_width, 1, self.width)
        _expect_range("tries", self.tries, 1, 1 << 20)

    def intrinsics(self) -> Tensor:
        """(3, 3) float64 pixels: square pixels, the optical axis through the middle of the picture."""
        focal = 0.5 * self.width / math.tan(0.5 * math.radians(self.field_of_view))
        rows = [[focal, 0.0, (self.width - 1) / 2], [0.0, focal, (self.height - 1) / 2], [0.0, 0.0, 1.0]]
        return torch.tensor(rows, dtype=torch.float64)


def _expect_range(name: str, value: float, lower: float, upper: float) -> None:
    if not (math.isfinite(value) and lower <= value <= upper):
        raise ValueError(f"VirtualViewOptions.{name}: expected a number in [{lower:g}, {upper:g}], got {value}")
