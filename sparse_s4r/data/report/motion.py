"""The camera's way: steps, jumps, time stamps, and whether poses and pictures follow each other."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.report.facts import MotionFacts
from sparse_s4r.data.report.sample import CaptureSample, turns

# A step so many times the usual one, and so long in metres, is no walking. Quick turns are no jumps.
_JUMP, _JUMP_LENGTH = 10.0, 0.3
_GAP = 5.0
_RANDOM = 2000


def motion_facts(capture: Capture, sample: CaptureSample, image_order: float) -> MotionFacts:
    """Measure the path of all usable poses.

    Args:
        capture: The capture.
        sample: Of the capture.
        image_order: From ``picture_order``.
    """
    usable = sample.usable
    poses = sample.poses[usable]
    steps = (poses[1:, :3, 3] - poses[:-1, :3, 3]).norm(dim=1)
    turned = turns(poses[:-1], poses[1:])
    step, turn = _median(steps), _median(turned)
    names = [capture.names[index] for index in usable]
    far = (steps > _JUMP * step) & (steps > _JUMP_LENGTH)
    jumps = tuple(
        f"{names[at]} to {names[at + 1]}: {float(steps[at]):.2f} m and {float(turned[at]):.0f} degrees"
        for at in torch.nonzero(far).squeeze(1).tolist()
    )
    repeated = int((poses[1:] == poses[:-1]).all(dim=2).all(dim=1).sum()) if len(poses) > 1 else 0
    duration, rate, gaps, backward = _times(capture, usable)
    return MotionFacts(
        float(steps.sum()),
        step,
        turn,
        jumps,
        repeated,
        _pose_order(poses, steps, turned),
        image_order,
        duration,
        rate,
        gaps,
        backward,
    )


def picture_order(frames: list[Tensor], neighbours: list[Tensor]) -> float:
    """How often a picture is more like its neighbour than like another one's: 0.5 without any order.

    Args:
        frames: Descriptions (D,) of pictures spread over the capture.
        neighbours: Of the picture before or after each of them.
    """
    if len(frames) < 3:
        return 1.0
    apart = torch.cdist(torch.stack(frames), torch.stack(neighbours))
    own = apart.diagonal()
    nearer = (own[:, None] < apart).double() + 0.5 * (own[:, None] == apart).double()
    nearer.fill_diagonal_(0.0)
    return float(nearer.sum() / (len(apart) * (len(apart) - 1)))


def _pose_order(poses: Tensor, steps: Tensor, turned: Tensor) -> float:
    """Median step as a share of the distance between random poses, lengths and angles counting alike."""
    if len(poses) < 3:
        return 0.0
    generator = torch.Generator().manual_seed(0)
    one = torch.randint(len(poses), (_RANDOM,), generator=generator)
    other = (one + torch.randint(1, len(poses), (_RANDOM,), generator=generator)) % len(poses)
    length = _median((poses[one, :3, 3] - poses[other, :3, 3]).norm(dim=1))
    angle = _median(turns(poses[one], poses[other]))
    shares = [_median(found) / usual for found, usual in ((steps, length), (turned, angle)) if usual > 1e-6]
    return sum(shares) / len(shares) if shares else 0.0


def _times(capture: Capture, usable: list[int]) -> tuple[float | None, float | None, tuple[str, ...], int]:
    stamps = [(capture.names[index], capture.frames[index].timestamp) for index in usable]
    known = [(name, stamp) for name, stamp in stamps if stamp is not None]
    if len(known) < 2:
        return None, None, (), 0
    times = torch.tensor([stamp for _, stamp in known], dtype=torch.float64)
    apart = times[1:] - times[:-1]
    usual = _median(apart)
    gaps = tuple(
        f"{known[at][0]} to {known[at + 1][0]}: {float(apart[at]):.2f} s"
        for at in torch.nonzero(apart > _GAP * usual).squeeze(1).tolist()
        if usual > 0
    )
    return float(times[-1] - times[0]), 1 / usual if usual > 0 else None, gaps, int((apart <= 0).sum())


def _median(values: Tensor) -> float:
    return float(values.median()) if len(values) else 0.0
