"""Difference of rendered and real pictures as a 2D network sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sparse_s4r.losses.image import same_surface
from sparse_s4r.structures import RenderedView, RGBDFrame

# (B, 3, H, W) RGB in [0, 1] -> maps (B, C, h, w), of any number and sizes; differentiable in the pictures.
Features = Callable[[Tensor], Sequence[Tensor]]


def perceptual_loss(view: RenderedView, frame: RGBDFrame, gate: float, features: Features) -> tuple[Tensor, int]:
    """Mean squared difference of features, over their cells with a pixel at which both show the same surface.

    Where they do not, the real picture is put in place of the rendered one, so that the network sees no edge that is
    none.

    Args:
        view: Rendered view with colour.
        frame: What was seen.
        gate: As for ``color_loss``, metres.
        features: The network.

    Returns:
        The loss (), a mean over the maps, 0 with zero gradient when no pixel is valid, and the number of valid pixels.
        Differentiable in the rendered colour.

    Raises:
        ValueError: A view without colour.

    Source: Johnson et al. 2016; pixels that are put in place as in SPSG.
    """
    if view.color is None:
        raise ValueError("view.color: expected a rendered colour, got None; the network has no colour decoder")
    valid = same_surface(view, frame, gate)
    if not bool(valid.any()):
        return view.color.sum() * 0.0, 0
    # A network with fixed weights is told nothing of the training's precision.
    with torch.autocast(view.color.device.type, enabled=False):
        real = frame.color.to(view.color).float()
        rendered = torch.where(valid.unsqueeze(-1), view.color.float(), real)
        maps = features(torch.stack([rendered, real]).permute(0, 3, 1, 2))
        shown = valid.float()[None, None]
        values = []
        for image in maps:
            counts = F.adaptive_max_pool2d(shown, image.shape[-2:])[0, 0] > 0
            difference = (image[0] - image[1].detach()).square().mean(0)
            values.append(difference[counts].mean())
        return torch.stack(values).mean(), int(valid.sum())
