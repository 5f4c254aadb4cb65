"""Structural similarity of two pictures of which only a part can be compared."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from torch import Tensor

# Of Wang et al.: a Gaussian window of 11 x 11 pixels, and constants for values in [0, 1].
_SIGMA, _REACH = 1.5, 5
_C1, _C2 = 0.01**2, 0.03**2
# A window of which less can be compared says nothing of structure.
_LEAST = 0.5

Array = npt.NDArray[np.float64]


def structural_similarity(first: Tensor, second: Tensor, mask: Tensor) -> Array:
    """Similarity at the pixels of a mask, from windows of which other pixels are left out.

    Means, variances and covariance are Gaussian averages over the pixels of the mask alone: pixels outside have weight
    0 and the others' weights are scaled to a sum of 1. Where the whole window lies in the mask this is the usual SSIM.
    Pixels with less than half of the window's weight in the mask are left out.

    Args:
        first: (H, W, C) float in [0, 1].
        second: (H, W, C) float in [0, 1].
        mask: (H, W) bool, pixels that both pictures show.

    Returns:
        (P,) in [-1, 1], mean over the channels, at the pixels that are judged; none for an empty mask.

    Source:
        Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity",
        2004.
    """
    inside = mask.cpu().numpy()
    weight = _blur(inside.astype(np.float64))
    judged = inside & (weight >= _LEAST)
    if not judged.any():
        return np.zeros(0)
    result = np.zeros(int(judged.sum()))
    channels = first.shape[-1]
    for channel in range(channels):
        x, y = (np.where(inside, p[..., channel].double().cpu().numpy(), 0.0) for p in (first, second))
        mean_x, mean_y, xx, yy, xy = (_blur(v)[judged] / weight[judged] for v in (x, y, x * x, y * y, x * y))
        above = (2 * mean_x * mean_y + _C1) * (2 * (xy - mean_x * mean_y) + _C2)
        below = (mean_x**2 + mean_y**2 + _C1) * (xx - mean_x**2 + yy - mean_y**2 + _C2)
        result += above / below / channels
    return result


def _blur(values: Array) -> Array:
    blurred: Array = gaussian_filter(values, _SIGMA, mode="constant", radius=_REACH)
    return blurred
