"""Neighbouring frames compared under all the assumptions that a capture may have got wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.report.agreement import Agreement, Pairs, agreement
from sparse_s4r.data.report.facts import Trial
from sparse_s4r.data.report.sample import CaptureSample, compared_pairs, turns

Kind = Literal["reading", "unit", "order", "focal", "size"]
# Units in use differ by these: mm and m, cm, inch, foot, 0.1 mm, 0.2 mm (TUM), 0.25 mm (Matterport).
UNITS = (0.001, 0.01, 0.0254, 0.1, 0.2, 0.25, 0.3048, 0.5, 2.0, 1 / 0.3048, 4.0, 5.0, 10.0, 1 / 0.0254, 100.0, 1000.0)
_FOCALS = (0.5, 0.67, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0)
# Sizes at which images are often stored, as shares of each other.
_SIZES = (0.25, 1 / 3, 0.5, 2 / 3, 0.75, 0.8, 1.25, 4 / 3, 1.5, 2.0, 3.0, 4.0)
_LAGS = (-3, -2, -1, 1, 2, 3)


@dataclass(frozen=True)
class Assumption:
    """One of the things that may be otherwise than declared.

    Attributes:
        kind: What it changes.
        name: In words.
        value: Factor of the depth or of the focal length.
        agreement: How the neighbours agree under it.
    """

    kind: Kind
    name: str
    value: float
    agreement: Agreement

    @property
    def trial(self) -> Trial:
        """As the report has it."""
        found = self.agreement
        return Trial(self.name, found.error, found.metres, found.overlap, found.overlapping)


@dataclass(frozen=True)
class Trials:
    """All comparisons.

    Attributes:
        convention: The declared convention.
        declared: As the capture says.
        readings: Camera-to-world and its inverse, in OpenCV and OpenGL axes.
        others: What else was tried.
        motion: (turn in degrees, baseline as a share of the depth), medians over the pairs.
    """

    convention: str
    declared: Agreement
    readings: tuple[Assumption, ...]
    others: tuple[Assumption, ...]
    motion: tuple[float, float]

    @property
    def best(self) -> Assumption | None:
        """The assumption other than the declared one under which neighbours agree best."""
        changed = [trial for trial in (*self.readings, *self.others) if trial.name != self.convention]
        return min(changed, key=lambda trial: trial.agreement.error) if changed else None


@dataclass(frozen=True)
class _Reading:
    world_to_camera: bool
    axes: Literal["opencv", "opengl"]
    change: Callable[[Tensor], Tensor] | None = None
    words: str = ""

    @property
    def name(self) -> str:
        direction = "world-to-camera" if self.world_to_camera else "camera-to-world"
        return f"{direction}, {self.words or ('OpenGL axes' if self.axes == 'opengl' else 'OpenCV axes')}"


def _matrix(rows: list[list[float]]) -> Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = torch.tensor(rows, dtype=torch.float64)
    return matrix


_MIRROR = _matrix([[1, 0, 0], [0, -1, 0], [0, 0, 1]])
_QUARTER = _matrix([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
_ROBOT = _matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
_STANDARD = tuple(_Reading(inverse, axes) for axes in ("opencv", "opengl") for inverse in (False, True))
_UNUSUAL: tuple[tuple[str, Callable[[Tensor, bool], Tensor]], ...] = (
    ("left-handed axes (Unity: y up, z forward)", lambda pose, inverse: _MIRROR @ pose @ _MIRROR),
    ("camera turned by 90 degrees", lambda pose, inverse: _turned(pose, _QUARTER, inverse)),
    ("camera turned by -90 degrees", lambda pose, inverse: _turned(pose, _QUARTER.T, inverse)),
    ("camera turned by 180 degrees", lambda pose, inverse: _turned(pose, _QUARTER @ _QUARTER, inverse)),
    ("robot axes (ROS: x forward, z up)", lambda pose, inverse: _turned(pose, _ROBOT, inverse)),
)


def run_trials(capture: Capture, sample: CaptureSample, depth: float) -> Trials:
    """Compare the pairs of the sample under every assumption.

    Args:
        capture: The capture.
        sample: Of the capture.
        depth: Median depth, metres.
    """
    pairs = compared_pairs(sample)
    poses = sample.poses[pairs.indices]
    declared = agreement(pairs, poses)
    stored = {index: capture.stored_pose(index) for index in torch.unique(pairs.indices).tolist()}
    readings = [_try_reading(capture, stored, pairs, reading) for reading in _STANDARD]
    others = [
        _try_reading(capture, stored, pairs, _Reading(inverse, "opencv", _bind(change, inverse), words))
        for words, change in _UNUSUAL
        for inverse in (False, True)
    ]
    others += [Assumption("unit", f"depth x {factor:.4g}", factor, agreement(pairs, poses, factor)) for factor in UNITS]
    others += _try_orders(sample, pairs)
    others += _try_intrinsics(pairs, poses)
    convention = _Reading(capture.world_to_camera, capture.axes).name
    return Trials(convention, declared, tuple(readings), tuple(others), _motion(poses, depth))


def _turned(pose: Tensor, turn: Tensor, inverse: bool) -> Tensor:
    """A pose whose camera has other axes: the turn belongs on the camera's side."""
    return turn.T @ pose if inverse else pose @ turn


def _bind(change: Callable[[Tensor, bool], Tensor], inverse: bool) -> Callable[[Tensor], Tensor]:
    return lambda pose: change(pose, inverse)


def _try_reading(capture: Capture, stored: dict[int, Tensor], pairs: Pairs, reading: _Reading) -> Assumption:
    """The capture itself reads the poses otherwise, so that those of a depth camera are moved as ever."""
    other = replace(capture, world_to_camera=reading.world_to_camera, axes=reading.axes, axis_alignment=None)
    poses: dict[int, Tensor] = {}
    for index, pose in stored.items():
        changed = pose if reading.change is None else reading.change(pose)
        poses[index] = replace(other, frames=(replace(capture.frames[index], pose=changed),)).pose(0)
    of_pairs = [torch.stack([poses[one], poses[two]]) for one, two in pairs.indices.tolist()]
    both = torch.stack(of_pairs) if of_pairs else torch.zeros((0, 2, 4, 4), dtype=torch.float64)
    return Assumption("reading", reading.name, 1.0, agreement(pairs, both))


def _try_orders(sample: CaptureSample, pairs: Pairs) -> list[Assumption]:
    """Poses that belong to other frames: shifted, backwards, or sorted as text where frames are sorted as numbers."""
    usable = torch.tensor(sample.usable)
    count = len(usable)
    # As if frames were named by their numbers.
    text = torch.tensor(sorted(range(count), key=str))
    place = torch.zeros(len(sample.poses), dtype=torch.int64)
    place[usable] = torch.arange(count)
    at = place[pairs.indices]
    orders = [(f"poses shifted by {lag:+d} frames", (at + lag).clamp(0, count - 1)) for lag in _LAGS]
    orders.append(("poses in reverse order", count - 1 - at))
    orders.append(("poses sorted as text (1, 10, 2)", text[at]))
    orders.append(("frames sorted as text (1, 10, 2)", torch.argsort(text)[at]))
    return [
        Assumption("order", name, 1.0, agreement(pairs, sample.poses[usable[position]])) for name, position in orders
    ]


def _try_intrinsics(pairs: Pairs, poses: Tensor) -> list[Assumption]:
    """Another focal length, or all intrinsics scaled as for images of another size."""
    tried: list[tuple[Kind, str, float, Tensor]] = [
        ("focal", f"focal length x {factor:g}", factor, torch.tensor([[factor, 1, 1], [1, factor, 1], [1, 1, 1]]))
        for factor in _FOCALS
    ]
    tried += [
        ("size", f"intrinsics x {factor:.3g}", factor, torch.tensor([[factor], [factor], [1.0]])) for factor in _SIZES
    ]
    return [
        Assumption(kind, name, factor, agreement(replace(pairs, intrinsics=pairs.intrinsics * change), poses))
        for kind, name, factor, change in tried
    ]


def _motion(poses: Tensor, depth: float) -> tuple[float, float]:
    if len(poses) == 0:
        return 0.0, 0.0
    baseline = (poses[:, 0, :3, 3] - poses[:, 1, :3, 3]).norm(dim=1)
    return float(turns(poses[:, 0], poses[:, 1]).median()), float(baseline.median()) / max(depth, 1e-9)
