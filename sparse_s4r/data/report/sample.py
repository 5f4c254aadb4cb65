"""The frames that a data report looks at: places spread over the capture, each with a neighbour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.report.agreement import Pairs, View, make_pairs, make_view
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import DataError

PLACES = 20
WIDTH = 320
# Depth is compared at this width.
_COMPARED = 160
# A neighbour follows within this many frames and is turned by no more than this, so that the views overlap. The turn
# between two frames is the same under all readings of the poses.
_REACH = 30
_MOST_TURN = 25.0
# Where frames are few, views turned by more have to do.
_FARTHEST_TURN = 45.0
# So much motion tells readings apart: degrees, metres.
_GOOD_TURN, _GOOD_BASELINE = 15.0, 0.5
_ENOUGH = 1.8
# Frames far apart in time are poor neighbours, should the poses be wrong.
_DELAY = 0.02
# So are frames much farther apart than need be; beyond this multiple of the good distance the nearest pose of all is
# the better neighbour, as where frames have no order.
_FAR, _FARTHEST = 0.5, 4.0


@dataclass(frozen=True)
class CaptureSample:
    """Decoded frames of a capture.

    Attributes:
        poses: (N, 4, 4) float64 of all frames: camera to world as declared; NaN for frames without a usable pose.
        indices: (F,) position in the capture of each frame in ``frames``, ascending.
        frames: (F,) frames of ``WIDTH`` pixels or less, in the capture's world.
        places: Positions in the capture of the evenly spaced ones among them.
        pairs: Positions in the capture of neighbours that should overlap.
        skipped: One line per frame without a usable pose or, of those looked at, without usable images.
    """

    poses: Tensor
    indices: tuple[int, ...]
    frames: tuple[RGBDFrame, ...]
    places: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    skipped: tuple[str, ...]

    @property
    def usable(self) -> list[int]:
        """Positions of the frames with a usable pose."""
        found: list[int] = torch.nonzero(torch.isfinite(self.poses[:, 0, 0])).squeeze(1).tolist()
        return found

    def frame(self, index: int) -> RGBDFrame:
        """The decoded frame at ``index`` of the capture."""
        return self.frames[self.indices.index(index)]


def draw_sample(capture: Capture, places: int = PLACES) -> CaptureSample:
    """Read all poses and decode a few frames.

    Args:
        capture: The capture; frames that cannot be used are left out with a line.
        places: Number of places.

    Raises:
        DataError: Not a single frame can be decoded.
    """
    poses, skipped = _all_poses(capture)
    usable: list[int] = torch.nonzero(torch.isfinite(poses[:, 0, 0])).squeeze(1).tolist()
    count = min(places, len(usable))
    starts = [usable[int((number + 0.5) * len(usable) / count)] for number in range(count)]
    partners = {start: _partner(poses, usable, start) for start in starts}
    wanted = sorted({*starts, *(partner for partner in partners.values() if partner is not None)})
    decoded: dict[int, RGBDFrame] = {}
    for index in wanted:
        try:
            decoded[index] = capture.read_frame(index, min(WIDTH, capture.sizes(index)[0][0]))
        except DataError as error:
            skipped.append(str(error))
    if not decoded:
        reasons = "".join(f"\n  {line}" for line in skipped[:5])
        raise DataError(f"{capture.name}: expected frames that can be read, got none of {len(capture)}:{reasons}")
    return CaptureSample(
        poses,
        tuple(decoded),
        tuple(decoded.values()),
        tuple(start for start in starts if start in decoded) or tuple(decoded),
        tuple((one, other) for one, other in partners.items() if other is not None and {one, other} <= set(decoded)),
        tuple(dict.fromkeys(skipped)),
    )


def compared_pairs(sample: CaptureSample) -> Pairs:
    """The pairs of the sample, ready to be compared."""

    @cache
    def view(index: int) -> View:
        frame = sample.frame(index)
        step = max(1, round(frame.camera.width / _COMPARED))
        # Every n-th pixel, picked: coordinates divide by n without an offset.
        shrink = torch.tensor([1 / step, 1 / step, 1.0], dtype=torch.float64)
        return make_view(index, frame.depth[::step, ::step], shrink[:, None] * frame.camera.intrinsics)

    return make_pairs([(view(one), view(other)) for one, other in sample.pairs])


def turns(one: Tensor, other: Tensor) -> Tensor:
    """Angles (...) in degrees between poses (..., 4, 4)."""
    trace = (one[..., :3, :3] * other[..., :3, :3]).sum(dim=(-2, -1))
    return torch.rad2deg(torch.acos(((trace - 1) / 2).clamp(-1, 1)))


def _all_poses(capture: Capture) -> tuple[Tensor, list[str]]:
    poses = torch.full((len(capture), 4, 4), torch.nan, dtype=torch.float64)
    skipped = []
    for index in range(len(capture)):
        try:
            poses[index] = capture.pose(index)
        except DataError as error:
            skipped.append(str(error))
    return poses, skipped


def _partner(poses: Tensor, usable: list[int], start: int) -> int | None:
    """A frame after ``start``, or else before it, that sees much of the same from elsewhere; None without any."""
    position = usable.index(start)
    following = usable[position + 1 : position + 1 + _REACH]
    preceding = usable[max(0, position - _REACH) : position][::-1]
    others = [index for index in usable if index != start]
    for candidates, most in ((following, _MOST_TURN), (preceding, _MOST_TURN), (others, _MOST_TURN)):
        found = _best(poses, candidates, start, most, candidates is others)
        if found is not None:
            return found
    return _best(poses, others, start, _FARTHEST_TURN, True)


def _best(poses: Tensor, candidates: list[int], start: int, most: float, anywhere: bool) -> int | None:
    """Of candidates that come next, the first with enough motion; of those from anywhere, the nearest."""
    if not candidates:
        return None
    turn = turns(poses[start], poses[candidates])
    baseline = (poses[candidates, :3, 3] - poses[start, :3, 3]).norm(dim=1) / _GOOD_BASELINE
    if anywhere:
        score = -baseline - turn / most
    else:
        score = (turn / _GOOD_TURN).clamp(max=1) + baseline.clamp(max=1) - _DELAY * torch.arange(len(candidates))
        score -= _FAR * (baseline - 2).clamp(min=0)
        score[baseline > _FARTHEST] = -torch.inf
    score[turn > most] = -torch.inf
    enough = torch.nonzero(score >= _ENOUGH)
    best = int(enough[0]) if len(enough) else int(score.argmax())
    return candidates[best] if bool(torch.isfinite(score[best])) else None
