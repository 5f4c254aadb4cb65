"""Frames at another size: colour averaged over areas, depth and labels picked, the camera to match."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.structures import RGBDFrame


def resize_frame(frame: RGBDFrame, width: int | None = None, height: int | None = None) -> RGBDFrame:
    """The same frame at another size.

    Colour is averaged over the area of each new pixel. Depth, labels and their confidence are picked at the new
    pixel's centre, since an average across an edge is a depth at which nothing stands.

    Args:
        frame: The frame.
        width: New width; from the height by the frame's aspect when None.
        height: New height; from the width likewise. Both None: the frame itself.
    """
    size = _target_size(frame.camera.width, frame.camera.height, width, height)
    if size == (frame.camera.width, frame.camera.height):
        return frame
    new_width, new_height = size
    rows = _nearest(frame.camera.height, new_height).to(frame.depth.device)
    columns = _nearest(frame.camera.width, new_width).to(frame.depth.device)
    return RGBDFrame(
        frame.name,
        frame.camera.resized(new_width, new_height),
        resize_area(frame.color, new_width, new_height),
        frame.depth[rows][:, columns],
        None if frame.labels is None else frame.labels[rows][:, columns],
        None if frame.confidence is None else frame.confidence[rows][:, columns],
    )


def resize_area(image: Tensor, width: int, height: int) -> Tensor:
    """Average an image (H, W, C) over the area of each pixel of ``width`` x ``height``; differentiable."""
    vertical = _overlaps(image.shape[0], height).to(image)
    horizontal = _overlaps(image.shape[1], width).to(image)
    rows = torch.einsum("ab,bwc->awc", vertical, image)
    return torch.einsum("de,aec->adc", horizontal, rows)


def _target_size(old_width: int, old_height: int, width: int | None, height: int | None) -> tuple[int, int]:
    if width is None and height is None:
        return old_width, old_height
    if width is None:
        width = max(1, round(old_width * float(height or 1) / old_height))
    if height is None:
        height = max(1, round(old_height * width / old_width))
    if width < 1 or height < 1:
        raise ValueError(f"resize: expected at least 1x1 pixel, got {width}x{height}")
    return width, height


def _nearest(old: int, new: int) -> Tensor:
    return ((torch.arange(new, dtype=torch.float64) + 0.5) * (old / new)).floor().long().clamp_(max=old - 1)


def _overlaps(old: int, new: int) -> Tensor:
    """(new, old) share of each old pixel in each new one; rows sum to 1."""
    edges = torch.arange(new + 1, dtype=torch.float64) * (old / new)
    lower, upper = edges[:-1, None], edges[1:, None]
    pixel = torch.arange(old, dtype=torch.float64)[None]
    overlap = (torch.minimum(upper, pixel + 1) - torch.maximum(lower, pixel)).clamp(min=0)
    return overlap / overlap.sum(dim=1, keepdim=True)
