"""Depth as stored: range, holes and their pattern."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.data.images import DEPTH_LIMIT
from sparse_s4r.data.readers import stored as store
from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.readers.decode import decode_depth
from sparse_s4r.data.registration import fill_gaps
from sparse_s4r.data.report.facts import DepthFacts
from sparse_s4r.structures.errors import DataError

# Images whose depth is read, fewer if they are large; of them so many are searched for gaps.
_IMAGES, _PIXELS, _SEARCHED = 128, 40_000_000, 16
# Values per image that enter the percentiles.
_VALUES = 5000
_BINS = 60
# One-pixel gaps that continue in a line this often form a grid rather than speckle.
_LINES = 0.5


def depth_facts(capture: Capture, usable: list[int], size: tuple[int, int], depth_max: float) -> DepthFacts:
    """Look at stored depth images, spread over the capture, before gaps are filled and sizes changed.

    Args:
        capture: The capture.
        usable: Positions of the frames to choose from.
        size: (width, height) of a depth image; the larger, the fewer are read.
        depth_max: Largest depth that is fused, metres.

    Raises:
        DataError: None of the images can be decoded.
    """
    chosen = _spread(usable, min(_IMAGES, max(_SEARCHED, _PIXELS // (size[0] * size[1]))))
    searched = set(_spread(chosen, _SEARCHED))
    valid, values, gaps, saturated = [], [], [], []
    failed: DataError | None = None
    for index in chosen:
        frame = capture.frames[index]
        try:
            depth = decode_depth(
                frame.depth, capture.depth_scale, capture.invalid_depth, frame.confidence, capture.min_confidence
            )
            if index in searched:
                saturated.append(_saturated(capture, index))
        except DataError as error:
            failed = error
            continue
        valid.append(_share(depth > 0))
        measured = depth[depth > 0]
        values.append(measured[:: max(1, len(measured) // _VALUES)])
        if index in searched:
            gaps.append(_gaps(depth))
    if not valid:
        raise failed or DataError(f"{capture.name}: expected depth images, got none")
    return _facts(capture, depth_max, torch.tensor(valid), torch.cat(values), gaps, torch.tensor(saturated))


def _facts(
    capture: Capture, depth_max: float, valid: Tensor, measured: Tensor, gaps: list[tuple[float, float]], full: Tensor
) -> DepthFacts:
    nearest, median, farthest = measured.quantile(torch.tensor([0.01, 0.5, 0.99])).tolist()
    bin_width = max(farthest * 1.1, 1e-6) / _BINS
    counts = torch.bincount((measured / bin_width).long().clamp(max=_BINS - 1), minlength=_BINS)
    share, lines = torch.tensor(gaps or [(0.0, 0.0)]).mean(dim=0).tolist()
    return DepthFacts(
        scale=capture.depth_scale,
        images=len(valid),
        valid=float(valid.mean()),
        nearest=nearest,
        median=median,
        farthest=farthest,
        single_gaps=share,
        grid=share > 0 and lines > _LINES,
        repaired=capture.repair_gaps,
        invalid_values=capture.invalid_depth,
        saturated=float(full.mean()) if len(full) else 0.0,
        beyond=_share(measured > depth_max),
        histogram=tuple((counts / len(measured)).tolist()),
        bin_width=bin_width,
    )


def _spread(indices: list[int], count: int) -> list[int]:
    count = min(count, len(indices))
    return [indices[int((number + 0.5) * len(indices) / count)] for number in range(count)]


def _saturated(capture: Capture, index: int) -> float:
    """Share of the pixels that hold the largest number of 16 bits, where that counts as depth."""
    raw = store.load_depth(capture.frames[index].depth)
    if raw.is_floating_point() or DEPTH_LIMIT in capture.invalid_depth:
        return 0.0
    return _share(raw == DEPTH_LIMIT)


def _gaps(depth: Tensor) -> tuple[float, float]:
    """Share of the pixels that are one-pixel gaps, and how many of those continue along a row or column."""
    gaps = (depth == 0) & (fill_gaps(depth) > 0)
    if not bool(gaps.any()):
        return 0.0, 0.0
    padded = torch.nn.functional.pad(gaps, (1, 1, 1, 1))
    across = padded[1:-1, :-2] | padded[1:-1, 2:]
    along = padded[:-2, 1:-1] | padded[2:, 1:-1]
    return _share(gaps), float((across | along)[gaps].float().mean())


def _share(mask: Tensor) -> float:
    return float(mask.float().mean())
