"""Rendered views and frames of a few pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sparse_s4r.structures import Camera, RenderedView, RGBDFrame


def camera(width: int, height: int = 1) -> Camera:
    return Camera(torch.eye(3, dtype=torch.float64), torch.eye(4, dtype=torch.float64), width, height)


def make_view(
    depth: Sequence[float],
    hit: Sequence[bool] | None = None,
    color: Tensor | None = None,
    logits: Tensor | None = None,
    requires_grad: bool = False,
) -> RenderedView:
    """A row of pixels; ``color`` (W, 3) and ``logits`` (W, K)."""
    row = torch.tensor([depth], requires_grad=requires_grad)
    return RenderedView(
        camera(len(depth)),
        torch.tensor([hit if hit is not None else [True] * len(depth)]),
        row,
        torch.zeros(1, len(depth), 3),
        None if color is None else color[None],
        None if logits is None else logits[None],
        torch.zeros(1, len(depth), dtype=torch.int64),
    )


def make_frame(depth: Sequence[float], color: Tensor | None = None, labels: Sequence[int] | None = None) -> RGBDFrame:
    """A row of pixels; black without ``color`` (W, 3)."""
    return RGBDFrame(
        "row",
        camera(len(depth)),
        torch.zeros(1, len(depth), 3) if color is None else color[None],
        torch.tensor([depth]),
        None if labels is None else torch.tensor([labels]),
    )
