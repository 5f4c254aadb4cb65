"""Frames whose pose jumps away from the camera's path and back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.report.agreement import View, agreement, make_pairs, make_view
from sparse_s4r.data.report.facts import Finding
from sparse_s4r.data.report.sample import turns
from sparse_s4r.structures.errors import DataError

# A step is a jump if it is so many times longer than the usual one, and longer than what a hand does within a frame
# or two at video rate: metres, degrees.
_TIMES = 10.0
_LEAST, _LEAST_TURN = 0.5, 30.0
# Longer excursions are walks that were recorded with a gap.
_LONGEST = 5
_WIDTH = 160
# Depth of neighbours under right poses agrees to about 1 %; within a room, wrong ones are off by tens of percent.
_DISAGREES = 0.1
_AGREES = 0.05


@dataclass(frozen=True)
class PoseJumps:
    """What was found.

    Attributes:
        wrong: Position in the capture and reason of each frame whose depth speaks against its pose.
        findings: What the report should say.
    """

    wrong: dict[int, str]
    findings: tuple[Finding, ...]


def find_pose_jumps(capture: Capture) -> PoseJumps:
    """Look for poses that leave the path and come back within a few frames, and ask the depth images about them.

    A pose is wrong if the frame's depth does not fit that of its neighbours on the path as it stands: it differs by
    more than 10 %, or shows nothing in common with them although it would, to 5 %, with a pose on the path.

    Args:
        capture: A capture in which every pose can be used, in the order of recording.
    """
    poses = torch.stack([capture.pose(index) for index in range(len(capture))])
    excursions = find_excursions(poses)
    wrong: dict[int, str] = {}
    kept: list[str] = []
    for start, stop in excursions:
        for index in range(start, stop):
            frame = capture.frames[index]
            away = _away(poses, index, start - 1)
            reason = _against(capture, poses, index, start - 1, stop)
            if reason is None:
                kept.append(f"{frame.name} ({away})")
            else:
                wrong[index] = f"{frame.pose_file}: frame {frame.name}: the pose jumps {away} and back, and {reason}"
    return PoseJumps(wrong, _findings(capture, wrong, kept))


def find_excursions(poses: Tensor) -> list[tuple[int, int]]:
    """Ranges (start, stop) of frames, of ``poses`` (N, 4, 4), that lie between a jump away and a jump back."""
    if len(poses) < 5:
        return []
    step = (poses[1:, :3, 3] - poses[:-1, :3, 3]).norm(dim=1)
    turn = turns(poses[1:], poses[:-1])
    far = max(_LEAST, _TIMES * float(step.median()))
    wide = max(_LEAST_TURN, _TIMES * float(turn.median()))
    jumps = torch.nonzero((step > far) | (turn > wide)).squeeze(1).tolist()
    found: list[tuple[int, int]] = []
    for away, back in itertools.pairwise(jumps):
        before, after = poses[away], poses[back + 1]
        returns = float((before[:3, 3] - after[:3, 3]).norm()) <= far and float(turns(before, after)) <= wide
        if back - away <= _LONGEST and returns and not (found and found[-1][1] > away):
            found.append((away + 1, back + 1))
    return found


def _away(poses: Tensor, index: int, before: int) -> str:
    metres = float((poses[index, :3, 3] - poses[before, :3, 3]).norm())
    return f"{metres:.2f} m and {float(turns(poses[index], poses[before])):.0f} degrees away"


def _against(capture: Capture, poses: Tensor, index: int, before: int, after: int) -> str | None:
    """Why the depth of a frame speaks against its pose; None if it does not, or says nothing."""
    try:
        own, *others = (_view(capture, number) for number in (index, before, after))
    except DataError:
        # Has its line when its turn comes to be written.
        return None
    declared = min(_error(own, other, poses[index], poses[other.index]) for other in others)
    if _DISAGREES < declared < torch.inf:
        return f"its depth differs by {declared:.0%} from that of its neighbours"
    on_path = min(_error(own, other, poses[other.index], poses[other.index]) for other in others)
    if declared == torch.inf and on_path < _AGREES:
        return f"its depth shows what its neighbours see: with their pose it agrees to {on_path:.1%}"
    return None


def _error(own: View, other: View, own_pose: Tensor, other_pose: Tensor) -> float:
    """Relative error of depth between two views with poses (4, 4); infinite without overlap."""
    pairs = make_pairs([(replace(own, index=0), replace(other, index=1))])
    return agreement(pairs, torch.stack([own_pose, other_pose])[None]).error


def _view(capture: Capture, index: int) -> View:
    width = min(_WIDTH, capture.sizes(index)[0][0])
    frame = capture.read_frame(index, width)
    return make_view(index, frame.depth, frame.camera.intrinsics)


def _findings(capture: Capture, wrong: dict[int, str], kept: list[str]) -> tuple[Finding, ...]:
    found = []
    if wrong:
        names = ", ".join(capture.frames[index].name for index in list(wrong)[:5])
        found.append(
            Finding(
                "poses that jump away and back",
                "warning",
                f"{len(wrong)} frames are far from the camera's path and their depth speaks against it: {names}",
                "they are left out; nothing to do unless they are many",
            )
        )
    if kept:
        found.append(
            Finding(
                "poses that jump away and back",
                "warning",
                f"{len(kept)} frames are far from the camera's path, and their depth does not speak against it: "
                + "; ".join(kept[:5]),
                "they are used; look at the camera path in report.png, and remove them if it is wrong",
            )
        )
    return tuple(found)
