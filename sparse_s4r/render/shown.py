"""Rendered colour as a segmenter can be shown it."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.structures import RenderedView


def shown_picture(view: RenderedView) -> Tensor:
    """The rendered colour (H, W, 3), RGB in [0, 1], without gradient; misses have the mean colour of the rest.

    Raises:
        ValueError: A view without colour.
    """
    if view.color is None:
        raise ValueError("view.color: expected a rendered colour, got None; the network has no colour decoder")
    color = view.color.detach().float().clamp(0, 1)
    seen = color[view.hit]
    mean = seen.mean(dim=0) if len(seen) else color.new_full((3,), 0.5)
    return torch.where(view.hit.unsqueeze(-1), color, mean)
