"""Terms between a rendered view and what was really seen or what a segmenter says, each over its own valid pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from sparse_s4r.losses.lab import rgb_to_lab01
from sparse_s4r.structures import IGNORE_LABEL, RenderedView, RGBDFrame


@dataclass(frozen=True)
class LabelledView:
    """A view that no camera took, with the labels that a segmenter gave to its picture.

    Attributes:
        view: What was rendered.
        picture: (H, W, 3) float RGB in [0, 1], what the segmenter saw.
        labels: (H, W) int64, what it said; ``IGNORE_LABEL`` where it said nothing or was not sure.
        counts: (H, W) bool, pixels that are to be compared: those that show the prediction.
    """

    view: RenderedView
    picture: Tensor
    labels: Tensor
    counts: Tensor


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
    valid = same_surface(view, frame, gate)
    rendered, seen = view.color[valid], frame.color.to(view.color)[valid]
    if lab:
        rendered, seen = rgb_to_lab01(rendered), rgb_to_lab01(seen)
    return _mean((rendered - seen).abs().mean(-1), view.color)


def semantic_loss(view: RenderedView, frame: RGBDFrame, gate: float, min_confidence: float = 0.0) -> tuple[Tensor, int]:
    """Mean cross-entropy of rendered logits against the frame's labels, over the pixels of ``color_loss``.

    Pixels labelled ``IGNORE_LABEL`` do not count, nor those whose label is less sure than ``min_confidence``; labels
    of a frame without confidence are all sure.

    Returns:
        The loss () in nats, 0 with zero gradient when no pixel is valid, and the number of valid pixels.

    Source: S4R equation 3.
    """
    logits = _logits(view)
    if frame.labels is None:
        return _mean(logits.new_zeros(0), logits)
    valid = same_surface(view, frame, gate)
    if frame.confidence is not None:
        valid = valid & (frame.confidence >= min_confidence)
    return _cross_entropy(logits, frame.labels, valid)


def virtual_loss(labelled: LabelledView) -> tuple[Tensor, int]:
    """Mean cross-entropy of rendered logits against a segmenter's labels of the rendered colour.

    Returns:
        The loss () in nats, 0 with zero gradient when no pixel is valid, and the number of valid pixels.
        Differentiable in the rendered logits alone.

    Source: S4R equation 4.
    """
    return _cross_entropy(_logits(labelled.view), labelled.labels, labelled.counts & labelled.view.hit)


def _logits(view: RenderedView) -> Tensor:
    if view.semantic_logits is None:
        raise ValueError("view.semantic_logits: expected rendered logits, got None; the network has no classes")
    return view.semantic_logits


def _cross_entropy(logits: Tensor, labels: Tensor, valid: Tensor) -> tuple[Tensor, int]:
    valid = valid & (labels != IGNORE_LABEL)
    return _mean(F.cross_entropy(logits[valid], labels[valid], reduction="none"), logits)


def same_surface(view: RenderedView, frame: RGBDFrame, gate: float) -> Tensor:
    """Pixels (H, W) bool at which rendered and measured depth differ by less than ``gate`` metres."""
    near = (view.depth.detach() - frame.depth.to(view.depth)).abs() < gate
    return view.hit & (frame.depth > 0) & near


def _masked_mean(values: Tensor, valid: Tensor) -> tuple[Tensor, int]:
    return _mean(values[valid], values)


def _mean(values: Tensor, source: Tensor) -> tuple[Tensor, int]:
    """Mean of ``values``; of none, a zero that still belongs to the graph of ``source``."""
    if values.numel() == 0:
        return source.flatten()[:1].sum() * 0.0, 0
    return values.mean(), values.numel()
