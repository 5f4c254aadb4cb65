"""Another camera's exposure and white balance, applied alike to all colours of a sample."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparse_s4r.structures import RGBDFrame, SparseTSDF


@dataclass(frozen=True)
class ColorChange:
    """``brightness + contrast * (gain * rgb ** gamma - 0.5) + 0.5``, cut to [0, 1].

    Attributes:
        gain: (3,) factor per channel.
        brightness: Added.
        contrast: Factor about mid grey.
        gamma: Exponent.
    """

    gain: Tensor
    brightness: float
    contrast: float
    gamma: float

    def apply(self, color: Tensor) -> Tensor:
        """``color`` (..., 3) RGB in [0, 1], changed."""
        changed = self.gain.to(color) * color.clamp(0, 1) ** self.gamma
        return (self.brightness + self.contrast * (changed - 0.5) + 0.5).clamp_(0, 1)

    def scan(self, scan: SparseTSDF) -> SparseTSDF:
        """``scan`` with its colour changed, if it has any."""
        return scan if scan.color is None else replace(scan, color=self.apply(scan.color))

    def frame(self, frame: RGBDFrame) -> RGBDFrame:
        """``frame`` with its colour changed."""
        return replace(frame, color=self.apply(frame.color))


def draw_color_change(strength: float, generator: torch.Generator) -> ColorChange:
    """A random change of every part by up to ``strength``; half of it for the brightness."""
    values = strength * (2 * torch.rand(6, generator=generator) - 1)
    brightness, contrast, gamma = values[3:].tolist()
    return ColorChange(1 + values[:3], 0.5 * brightness, 1 + contrast, 1 + gamma)
