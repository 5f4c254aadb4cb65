"""RGB to CIE Lab, scaled to [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

# sRGB primaries to XYZ, and the D65 white point (IEC 61966-2-1).
_RGB_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
_WHITE = (0.95047, 1.0, 1.08883)
_EPSILON = (6 / 29) ** 3


def rgb_to_lab01(rgb: Tensor) -> Tensor:
    """Convert sRGB to Lab with L / 100, (a + 100) / 200, (b + 100) / 200.

    Args:
        rgb: (..., 3) sRGB in [0, 1].

    Returns:
        (..., 3), about [0, 1]. Differentiable.

    Source: CIE 15:2004; the scaling is SPSG's (S4R supplies no other).
    """
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)
    xyz = linear @ linear.new_tensor(_RGB_TO_XYZ).T / linear.new_tensor(_WHITE)
    # clamp before the root: its gradient at 0 is infinite, and torch.where would pass the NaN on.
    root = torch.where(xyz > _EPSILON, xyz.clamp(min=_EPSILON) ** (1 / 3), xyz * (841 / 108) + 4 / 29)
    x, y, z = root.unbind(-1)
    return torch.stack([(116 * y - 16) / 100, (500 * (x - y) + 100) / 200, (200 * (y - z) + 100) / 200], dim=-1)
