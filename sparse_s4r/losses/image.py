"""Terms between a rendered view and the frame that was really seen, each over its own valid pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from sparse_s4r.losses.lab import rgb_to_lab01
from sparse_s4r.structures import IGNORE_LABEL, RenderedView, RGBDFrame


def depth_loss(view: RenderedView, frame: RGBDFrame) -> tuple[Tensor, int]:
    """Mean absolute z-depth difference in metres over pixels with a hit and a measured depth.

    Returns:
        The loss (), 0 with zero gradient when no pixel is valid, and the number of valid pixels.
        Differentiable in the rendered depth.

    Source: S4R equation 1.
    """
    return _masked_mean((view.depth - frame.depth.to(view.depth)).abs(), view.hit & (frame.depth > 0))


def color_loss(view: RenderedView, frame: RGBDFrame, gate: float, lab: bool) -> tuple[Tensor, int]:
    """Mean absolute colour difference over pixels whose rendered surface is the measured one.

    Args:
        view: Rendered view with colour.
        frame: What was seen.
        gate: A pixel counts where rendered and measured depth differ by less than this, metres; beyond it the
            ray met another surface, which must not be painted with this one's colour.
        lab: Compare in Lab scaled to [0, 1] instead of RGB.

    Returns:
        The loss (), 0 with zero gradient when no pixel is valid, and the number of valid pixels.

    Source: S4R equation 2, Lab as in SPSG.
    """
    if view.color is None:
        raise ValueError("view.color: expected a rendered colour, got None; the network has no colour decoder")
    valid = _same_surface(view, frame, gate)
    rendered, seen = view.color[valid], frame.color.to(view.color)[valid]
    if lab:
        rendered, seen = rgb_to_lab01(rendered), rgb_to_lab01(seen)
    return _mean((rendered - seen).abs().mean(-1), view.color)


def semantic_loss(view: RenderedView, frame: RGBDFrame, gate: float) -> tuple[Tensor, int]:
    """Mean cross-entropy of rendered logits against the frame's labels, over the pixels of ``color_loss``.

    Pixels labelled ``IGNORE_LABEL`` do not count.

    Returns:
        The loss () in nats, 0 with zero gradient when no pixel is valid, and the number of valid pixels.

    Source: S4R equation 3.
    """
    if view.semantic_logits is None:
        raise ValueError("view.semantic_logits: expected rendered logits, got None; the network has no classes")
    if frame.labels is None:
        return _mean(view.semantic_logits.new_zeros(0), view.semantic_logits)
    valid = _same_surface(view, frame, gate) & (frame.labels != IGNORE_LABEL)
    losses = F.cross_entropy(view.semantic_logits[valid], frame.labels[valid], reduction="none")
    return _mean(losses, view.semantic_logits)


def _same_surface(view: RenderedView, frame: RGBDFrame, gate: float) -> Tensor:
    near = (view.depth.detach() - frame.depth.to(view.depth)).abs() < gate
    return view.hit & (frame.depth > 0) & near


def _masked_mean(values: Tensor, valid: Tensor) -> tuple[Tensor, int]:
    return _mean(values[valid], values)


def _mean(values: Tensor, source: Tensor) -> tuple[Tensor, int]:
    """Mean of ``values``; of none, a zero that still belongs to the graph of ``source``."""
    if values.numel() == 0:
        return source.flatten()[:1].sum() * 0.0, 0
    return values.mean(), values.numel()
