"""What is wrong with rendered depth, as figures: against a judge, and at pixels that a hole in the field touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class ErrorRecord:
    """Depth of one renderer against that of a judge, over all pixels of some images; None for "beyond any number".

    Attributes:
        case: What was looked at.
        renderer: Whose depth.
        judge: By whose depth.
        images: How many.
        pixels: Of all images.
        hit_share: Of all pixels, where the renderer hits.
        judge_hit_share: Of all pixels, where the judge hits.
        missed_share: Of the judge's hits, where the renderer has none.
        elsewhere_share: Of the judge's hits, where the renderer hits another surface: off by more than ``reach``.
        extra_share: Of all pixels, where the renderer hits and the judge does not.
        median_mm: Median of the absolute error where both hit.
        bias_mm: Median of the signed error where both hit; > 0: the renderer sees too deep.
        mean_mm: Mean of the signed error where both hit the same surface.
        p95_mm: 95th percentile of the absolute error where both hit.
        max_mm: Largest absolute error where both hit.
        median_all_mm: As ``median_mm`` over all hits of the judge, a miss being an infinite error.
        p95_all_mm: As ``p95_mm`` over all hits of the judge, a miss being an infinite error.
    """

    case: str
    renderer: str
    judge: str
    images: int
    pixels: int
    hit_share: float
    judge_hit_share: float
    missed_share: float
    elsewhere_share: float
    extra_share: float
    median_mm: float | None
    bias_mm: float | None
    mean_mm: float | None
    p95_mm: float | None
    max_mm: float | None
    median_all_mm: float | None
    p95_all_mm: float | None


def compare(case: str, renderer: str, judge: str, images: Sequence[Pair], reach: float) -> ErrorRecord:
    """Figures over ``images``, pairs (rendered, judge's) of depths (H, W) in metres with 0 for no hit.

    ``reach``: Metres; a larger error is another surface.
    """
    depth = torch.cat([one.double().flatten() for one, _ in images])
    truth = torch.cat([one.double().flatten() for _, one in images])
    hit, known = depth > 0, truth > 0
    error = (depth - truth)[hit & known] * 1e3
    same = error[error.abs() <= 1e3 * reach]
    judged = torch.where(hit, (depth - truth).abs() * 1e3, torch.inf)[known]
    return ErrorRecord(
        case,
        renderer,
        judge,
        len(images),
        depth.numel(),
        hit_share=_share(hit),
        judge_hit_share=_share(known),
        missed_share=_share(~hit[known]),
        elsewhere_share=float((error.abs() > 1e3 * reach).sum()) / max(int(known.sum()), 1),
        extra_share=_share(hit & ~known),
        median_mm=_quantile(error.abs(), 0.5),
        bias_mm=_quantile(error, 0.5),
        mean_mm=_finite(float(same.mean())) if len(same) else None,
        p95_mm=_quantile(error.abs(), 0.95),
        max_mm=_quantile(error.abs(), 1.0),
        median_all_mm=_quantile(judged, 0.5),
        p95_all_mm=_quantile(judged, 0.95),
    )


@dataclass(frozen=True)
class SpeckleRecord:
    """Pixels that a hole in the field touches, judged by the depth images.

    Attributes:
        renderer: Who renders.
        images: How many.
        speckles: Pixels that see nothing, or something ``reach`` behind all 8 around them, though all of those hit.
        speckles_measured: Of them, where the depth image has a value.
        speckles_surface: Of these, where that value lies within ``reach`` of the depths around: a hole in a surface.
        gained: Pixels that hit where the strict renderer misses, or that hit ``reach`` before it does.
        gained_measured: Of them, where the depth image has a value.
        gained_right: Of these, where it agrees within ``reach``: what the strict renderer got wrong and this one right.
        gained_median_mm: Median absolute error of those that agree.
        spoiled: Pixels that agree with the depth image in the strict rendering and not in this one.
    """

    renderer: str
    images: int
    speckles: int
    speckles_measured: int
    speckles_surface: int
    gained: int
    gained_measured: int
    gained_right: int
    gained_median_mm: float | None
    spoiled: int


def count_speckles(
    renderer: str, images: Sequence[Tensor], strict: Sequence[Tensor], real: Sequence[Tensor], reach: float
) -> SpeckleRecord:
    """Count over ``images`` (H, W) of a renderer, the same by the ``strict`` one, and the ``real`` depth images."""
    counts, errors = torch.zeros(7, dtype=torch.int64), []
    for depth, base, truth in zip(images, strict, real, strict=True):
        nearest, deepest, holes = _surrounded(depth, reach)
        inner = truth[1:-1, 1:-1]
        surface = holes & (inner > nearest - reach) & (inner < deepest + reach)
        measured = truth > 0
        fits, base_fits = (measured & (one > 0) & ((one - truth).abs() <= reach) for one in (depth, base))
        new = (depth > 0) & ((base <= 0) | (base > depth + reach))
        kinds = (holes, holes & (inner > 0), surface & (inner > 0), new, new & measured, new & fits, base_fits & ~fits)
        counts += torch.stack([kind.sum() for kind in kinds])
        errors.append((depth - truth)[new & fits].abs() * 1e3)
    holes_in_all, holes_measured, holes_surface, gained, gained_measured, right, spoiled = counts.tolist()
    return SpeckleRecord(
        renderer,
        len(images),
        speckles=holes_in_all,
        speckles_measured=holes_measured,
        speckles_surface=holes_surface,
        gained=gained,
        gained_measured=gained_measured,
        gained_right=right,
        gained_median_mm=_quantile(torch.cat(errors).double(), 0.5),
        spoiled=spoiled,
    )


def _surrounded(depth: Tensor, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of all inner pixels (H - 2, W - 2): least and greatest depth around them, and which are speckles."""
    around = torch.nn.functional.unfold(depth[None, None].double(), 3)[0]
    around = around[torch.arange(9) != 4].view(8, depth.shape[0] - 2, depth.shape[1] - 2)
    nearest, deepest, inner = around.amin(0), around.amax(0), depth[1:-1, 1:-1]
    return nearest, deepest, (nearest > 0) & ((inner <= 0) | (inner > deepest + reach))


def _share(which: Tensor) -> float:
    return float(which.double().mean()) if which.numel() else 0.0


def _quantile(values: Tensor, at: float) -> float | None:
    """Of any number of values, without mixing two of which one may be infinite."""
    if not len(values):
        return None
    return _finite(float(values.kthvalue(1 + round(at * (len(values) - 1))).values))


def _finite(value: float) -> float | None:
    return round(value, 6) if abs(value) < float("inf") else None
