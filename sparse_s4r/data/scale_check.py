"""Evidence that a capture's depth is in another unit than declared."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sparse_s4r.structures import RGBDFrame

# Room captures measure from a few decimetres to a few metres; a median outside is a wrong unit rather than a room.
PLAUSIBLE = (0.2, 30.0)
# Units in use, 1 mm, 0.1 mm, 0.2 mm (TUM), 0.25 mm and 1 cm, differ by these factors. A factor of 1000 shows in the
# median, and would make the baseline vanish, which fits any pair of views about as well.
FACTORS = (0.1, 0.2, 0.25, 4.0, 5.0, 10.0)
# A view that agrees with its neighbour this well gives no reason to look for another unit, and one that agrees
# worse than this is no evidence for the unit with which it does.
_CONSISTENT = 0.005
_CREDIBLE = 0.02
_MIN_OVERLAP = 0.05


def scale_warnings(pairs: Sequence[tuple[RGBDFrame, RGBDFrame]]) -> tuple[str, ...]:
    """Lines that say why the depth scale is suspect; none if it is not.

    Two signs are looked at: the median depth, and how well the depth of one view predicts that of a neighbouring
    one. With a wrong unit depth and baseline no longer fit, so another unit predicts better.

    Args:
        pairs: Overlapping views some centimetres apart.
    """
    found = []
    depths = torch.cat([frame.depth[frame.depth > 0] for pair in pairs for frame in pair] or [torch.empty(0)])
    if len(depths) == 0:
        return ()
    median = float(depths.median())
    if not PLAUSIBLE[0] <= median <= PLAUSIBLE[1]:
        found.append(
            f"depth scale: the median depth of {2 * len(pairs)} frames is {median:.3g} m; rooms lie between "
            f"{PLAUSIBLE[0]:g} and {PLAUSIBLE[1]:g} m; check depth_scale"
        )
    declared = reprojection_error(pairs, 1.0)
    errors = {factor: reprojection_error(pairs, factor) for factor in FACTORS}
    best = min(errors, key=lambda factor: errors[factor])
    if declared > _CONSISTENT and errors[best] < min(_CREDIBLE, 0.5 * declared):
        now = "do not overlap" if declared == float("inf") else f"agree only to {declared:.2%}"
        found.append(
            f"depth scale: neighbouring frames agree to {errors[best]:.2%} of the depth if depth is multiplied by "
            f"{best:g}, and {now} as declared; check depth_scale"
        )
    return tuple(found)


def reprojection_error(pairs: Sequence[tuple[RGBDFrame, RGBDFrame]], factor: float) -> float:
    """Median over pairs of the median relative error of predicted depth, depth being multiplied by ``factor``.

    Returns:
        The error as a share of the depth; infinity if fewer than half of the pairs overlap.
    """
    errors = [_pair_error(first, second, factor) for first, second in pairs]
    known = [error for error in errors if error is not None]
    if not known or 2 * len(known) < len(pairs):
        return float("inf")
    return float(torch.tensor(known).median())


def _pair_error(first: RGBDFrame, second: RGBDFrame, factor: float) -> float | None:
    valid = first.depth > 0
    points = first.camera.unproject(first.depth * factor)[valid]
    pixels, predicted = second.camera.project(points)
    column, row = torch.round(pixels).nan_to_num(nan=-1, posinf=-1, neginf=-1).unbind(dim=1)
    inside = (predicted > 0) & (column >= 0) & (row >= 0)
    inside &= (column < second.camera.width) & (row < second.camera.height)
    seen = second.depth[row[inside].long(), column[inside].long()] * factor
    predicted = predicted[inside][seen > 0]
    seen = seen[seen > 0]
    if len(seen) < max(1, _MIN_OVERLAP * int(valid.sum())):
        return None
    return float(((seen - predicted).abs() / predicted).median())
