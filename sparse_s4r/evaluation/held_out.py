"""Renders against frames that took no part in input or training."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sparse_s4r.evaluation.similarity import Array, structural_similarity
from sparse_s4r.structures import RenderedView, RGBDFrame


@dataclass(frozen=True)
class ViewErrors:
    """Differences between renders and frames, over all pixels of all frames.

    Attributes:
        frames: Number of frames.
        coverage: Share of the pixels with measured depth that the render hits.
        depth_median: Median absolute depth difference over pixels with a hit and a measured depth, metres.
        depth_p90: 90th percentile of the same, metres.
        depth_within_5cm: Share of the pixels with measured depth that are hit within 5 cm; a miss counts as wrong.
        color_psnr: PSNR of colour over pixels with a hit, dB; None without colour.
        color_ssim: Mean structural similarity of colour over pixels with a hit and a measured depth; None without
            colour.
    """

    frames: int
    coverage: float
    depth_median: float
    depth_p90: float
    depth_within_5cm: float
    color_psnr: float | None
    color_ssim: float | None = None


def view_errors(pairs: Iterable[tuple[RenderedView, RGBDFrame]], masks: Iterable[Tensor] | None = None) -> ViewErrors:
    """Compare renders with frames.

    Args:
        pairs: Rendered views and the frames of the same cameras.
        masks: Per pair, the pixels (H, W) bool to compare; None: all. With the pixels that two methods both hit,
            their depth and colour errors speak of the same pixels.

    Raises:
        ValueError: No pair, or fewer masks than pairs.
    """
    differences: list[Tensor] = []
    squares: list[Tensor] = []
    similar: list[Array] = []
    frames = measured = hits = near = 0
    chosen = iter(masks) if masks is not None else None
    for view, frame in pairs:
        frames += 1
        area = torch.ones_like(view.hit) if chosen is None else next(chosen, None)
        if area is None:
            raise ValueError(f"masks: expected one per pair, got {frames - 1} and more pairs")
        valid = area & (frame.depth > 0)
        both = valid & view.hit
        difference = (view.depth - frame.depth.to(view.depth)).abs()[both]
        differences.append(difference)
        measured, hits, near = (
            measured + int(valid.sum()),
            hits + int(both.sum()),
            near + int((difference < 0.05).sum()),
        )
        if view.color is not None:
            squares.append(((view.color - frame.color.to(view.color)) ** 2)[area & view.hit].flatten())
            similar.append(structural_similarity(view.color, frame.color, both))
    if not frames:
        raise ValueError("pairs: expected at least one rendered view with its frame, got none")
    depth = torch.cat(differences)
    return ViewErrors(
        frames,
        hits / measured if measured else 0.0,
        _quantile(depth, 0.5),
        _quantile(depth, 0.9),
        near / measured if measured else 0.0,
        _psnr(torch.cat(squares)) if squares else None,
        _mean(np.concatenate(similar)) if similar else None,
    )


def _quantile(values: Tensor, share: float) -> float:
    """Quantile by rank; torch.quantile refuses more than 2^24 values."""
    if not len(values):
        return math.nan
    return float(values.kthvalue(max(1, math.ceil(share * len(values)))).values)


def _psnr(squares: Tensor) -> float:
    mean = float(squares.double().mean()) if len(squares) else math.nan
    return math.inf if mean == 0 else -10 * math.log10(mean)


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else math.nan
