"""Depth of a camera in another number of pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparse_s4r.data.registration import AGREEMENT

# As in the registration of depth: surfaces seen at a flatter angle than 10 degrees are not told from edges.
_STEEPEST = math.tan(math.radians(80))


def resample_depth(depth: Tensor, focal: float, width: int, height: int) -> Tensor:
    """The depth image that the same camera has with ``width`` x ``height`` pixels.

    Where pixels become smaller, depth is interpolated between neighbours of one surface, linear in inverse depth,
    which is exact on planes; across edges, at the rim and where a neighbour is missing the nearest pixel is picked.
    Where pixels become larger, the one at the new pixel's centre is picked.

    Args:
        depth: (H, W) float metres, 0 = missing.
        focal: Focal length in pixels of ``depth``.
        width: Columns of the result.
        height: Rows of the result.

    Returns:
        (height, width) float32 metres, 0 = missing.
    """
    rows, columns = depth.shape
    # Pixels of both images, whose outlines agree: centre i lies at (i + 0.5) s - 0.5.
    vertical = (torch.arange(height, dtype=torch.float64) + 0.5) * (rows / height) - 0.5
    horizontal = (torch.arange(width, dtype=torch.float64) + 0.5) * (columns / width) - 0.5
    picked = depth[_nearest(vertical, rows)][:, _nearest(horizontal, columns)]
    if height <= rows or width <= columns or rows < 2 or columns < 2:
        return picked.float()
    top, left = vertical.floor().clamp(0, rows - 2).long(), horizontal.floor().clamp(0, columns - 2).long()
    down, right = (vertical - top)[:, None], (horizontal - left)[None]
    corners = torch.stack([depth[top + i][:, left + j] for i in (0, 1) for j in (0, 1)]).double()
    nearest, farthest = corners.amin(dim=0), corners.amax(dim=0)
    agreement = max(AGREEMENT, _STEEPEST / focal)
    inside = (down >= 0) & (down <= 1) & (right >= 0) & (right <= 1)
    whole = inside & (nearest > 0) & (farthest - nearest < agreement * nearest)
    weights = torch.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
    inverse = (weights / torch.where(whole, corners, 1.0)).sum(dim=0)
    return torch.where(whole, 1 / inverse, picked.double()).float()


def _nearest(place: Tensor, count: int) -> Tensor:
    return (place + 0.5).floor().long().clamp(0, count - 1)
