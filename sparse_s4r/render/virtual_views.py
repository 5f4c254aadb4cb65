"""Cameras beside the real ones: wider, farther from what they look at, and in space that was seen to be free."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from sparse_s4r.render.free_space import FreeSpace
from sparse_s4r.render.view_quality import ViewJudge, ViewQuality
from sparse_s4r.render.virtual_options import VirtualViewOptions
from sparse_s4r.structures import Camera, ObservationGrid, ScenePrediction, SparseTSDF
from sparse_s4r.structures.errors import DataError

# Targets are taken from this middle part of a real picture, where people hold what they want to show.
_MIDDLE = 0.5
# Finding a target costs two rays, asking whether a place is clear far less: several places per target.
_PLACES = 8


class Refusal(Enum):
    """The first test that a candidate failed, in the order of the tests."""

    NO_TARGET = "the real camera's ray meets no surface"
    NO_ROOM = "no free space where the camera might stand"
    NOT_CLEAR = "something or unseen space within the clearance"
    HIDDEN = "target hidden, or unseen space before it"
    FEW_HITS = "too few pixels that see a surface"
    TOO_CLOSE = "surfaces too close"
    BEHIND = "surfaces seen from behind"
    ALIKE = "like a view taken before"


@dataclass(frozen=True)
class VirtualView:
    """One virtual camera and where it comes from.

    Attributes:
        camera: On the CPU, float64.
        source: Index of the real camera it derives from.
        target: (3,) float64 world metres, the surface point in the middle of its picture.
        quality: What it sees of the scan.
    """

    camera: Camera
    source: int
    target: Tensor
    quality: ViewQuality


@dataclass(frozen=True)
class VirtualViews:
    """What a search for virtual views found.

    Attributes:
        views: At least one, at most ``asked``.
        asked: How many were asked for; fewer views than that mean that the tries ran out.
        refusals: Why each of the other candidates was not taken, in their order.
    """

    views: tuple[VirtualView, ...]
    asked: int
    refusals: tuple[Refusal, ...]

    @property
    def complete(self) -> bool:
        """Whether as many were found as asked for."""
        return len(self.views) == self.asked


class VirtualViewSampler:
    """Draws virtual views of one scan by trying random candidates.

    A candidate takes a surface point in the middle part of a real camera's view as its target, goes around it and
    backs away from it, and looks at it, upright. It is taken if it stands in space that was seen free, sees its target
    and passes the tests on its picture.

    Args:
        scan: What the views look at; +z is up.
        observation: What was seen of the scan's space, on the same grid and device.
        options: What the cameras are like.

    Raises:
        ValueError: The two have different grids.

    Source: S4R section 4 (wider field of view, camera pulled away from objects); the search is this project's own.
    """

    def __init__(
        self,
        scan: SparseTSDF | ScenePrediction,
        observation: ObservationGrid,
        options: VirtualViewOptions | None = None,
    ) -> None:
        if scan.grid != observation.grid:
            raise ValueError(
                f"VirtualViewSampler: expected scan and observation on one grid, got {scan.grid} and "
                f"{observation.grid}; load both from the same scene"
            )
        self.options = options or VirtualViewOptions()
        self._voxel_size = scan.grid.voxel_size
        self._free = FreeSpace(observation, self.options.clearance)
        prediction = scan if isinstance(scan, ScenePrediction) else ScenePrediction.from_scan(scan)
        self._judge = ViewJudge(prediction, self.options.far)

    def sample(self, cameras: Sequence[Camera], count: int, seed: int) -> VirtualViews:
        """Draw up to ``count`` views, the same for the same arguments; more of them begin with the same ones.

        Args:
            cameras: Real cameras to derive from, in turn in a random order.
            count: How many are wanted.
            seed: Seed of all choices.

        Returns:
            What was found within ``count * options.tries`` candidates.

        Raises:
            ValueError: No camera, or ``count`` < 1.
            DataError: No candidate passed.
        """
        if count < 1:
            raise ValueError(f"VirtualViewSampler.sample: expected count >= 1, got {count}")
        if not cameras:
            raise ValueError("VirtualViewSampler.sample: expected at least one real camera, got none")
        generator = torch.Generator().manual_seed(seed)
        found: list[VirtualView] = []
        refused: list[Refusal] = []
        order: list[int] = []
        for _ in range(count * self.options.tries):
            order = order or torch.randperm(len(cameras), generator=generator).tolist()
            source = order.pop()
            random = torch.rand(2 + 4 * _PLACES, generator=generator, dtype=torch.float64).tolist()
            outcome = self._try(cameras[source].to("cpu"), source, random)
            if isinstance(outcome, Refusal):
                refused.append(outcome)
            elif any(self._alike(outcome.camera, view.camera) for view in found):
                refused.append(Refusal.ALIKE)
            else:
                found.append(outcome)
            if len(found) == count:
                break
        if not found:
            raise DataError(
                f"virtual views: expected at least one of {len(refused)} candidates to be fit, got none "
                f"({count_refusals(refused)}); use a fuller scan, or relax the options that refused most"
            )
        return VirtualViews(tuple(found), count, tuple(refused))

    def _try(self, real: Camera, source: int, random: list[float]) -> VirtualView | Refusal:
        """A view from random numbers in [0, 1), or the test that it failed."""
        options = self.options
        target = self._target(real, random[0], random[1])
        if target is None:
            return Refusal.NO_TARGET
        places = self._places(real.center.double(), target, torch.tensor(random[2:], dtype=torch.float64))
        if not len(places):
            return Refusal.NO_ROOM
        place = next((place for place in places if self._free.is_clear(place)), None)
        if place is None:
            return Refusal.NOT_CLEAR
        camera = Camera(options.intrinsics(), upright_pose(place, target), options.width, options.height)
        if not self._sees(camera, target):
            return Refusal.HIDDEN
        check_height = max(1, round(options.height * options.check_width / options.width))
        quality = self._judge.judge(camera.resized(options.check_width, check_height))
        if quality.hits < options.min_hits:
            return Refusal.FEW_HITS
        if quality.median_depth < options.min_median_depth:
            return Refusal.TOO_CLOSE
        if quality.behind > options.max_behind:
            return Refusal.BEHIND
        return VirtualView(camera, source, target, quality)

    def _target(self, real: Camera, across: float, down: float) -> Tensor | None:
        """The surface point (3,) at a pixel of the middle part of a real picture."""
        column = (0.5 + _MIDDLE * (across - 0.5)) * real.width - 0.5
        row = (0.5 + _MIDDLE * (down - 0.5)) * real.height - 0.5
        depth = self._judge.depth_at(real, column, row)
        if depth <= 0:
            return None
        pixel = torch.tensor([column, row, 1.0], dtype=torch.float64)
        local = depth * torch.linalg.solve(real.intrinsics.double(), pixel)
        pose = real.camera_to_world.double()
        target: Tensor = pose[:3, :3] @ local + pose[:3, 3]
        return target

    def _places(self, real: Tensor, target: Tensor, random: Tensor) -> Tensor:
        """Places (P, 3) in free blocks behind the real camera, perhaps none, from numbers in [0, 1), four for each."""
        # Free space is rare beside what was not seen, so places are drawn from it rather than tested against it.
        centers = self._free.block_centers
        rows = self._fits(centers, real, target).nonzero().squeeze(1)
        if not len(rows):
            return centers[:0]
        drawn = random.view(-1, 4)
        places = centers[rows[(drawn[:, 0] * len(rows)).long()]] + (drawn[:, 1:] - 0.5) * self._free.block_edge
        fitting: Tensor = places[self._fits(places, real, target)]
        return fitting

    def _fits(self, places: Tensor, real: Tensor, target: Tensor) -> Tensor:
        """Whether places (P, 3) lie behind the real camera as the options say, (P,) bool."""
        away, real_away = places - target, real - target
        distance, level = away.norm(dim=1), away[:, :2].norm(dim=1)
        near, far = (float(real_away.norm()) + more for more in self.options.pull_back)
        turn = torch.atan2(away[:, 1], away[:, 0]) - torch.atan2(real_away[1], real_away[0])
        turn = torch.remainder(turn + math.pi, 2 * math.pi) - math.pi
        fits: Tensor = (distance >= near) & (distance <= far) & (turn.abs() <= math.radians(self.options.azimuth))
        fits &= away[:, 2].abs() <= level * math.tan(math.radians(self.options.max_pitch))
        return fits

    def _alike(self, one: Camera, other: Camera) -> bool:
        apart = float((one.center - other.center).norm())
        cosine = float(one.camera_to_world[:3, 2] @ other.camera_to_world[:3, 2])
        return apart < self.options.separation and cosine > math.cos(math.radians(self.options.field_of_view / 2))

    def _sees(self, camera: Camera, target: Tensor) -> bool:
        """Whether the first surface along the optical axis is the target's, through space that was seen."""
        distance = float((target - camera.center).norm())
        depth = self._judge.depth_at(camera, (camera.width - 1) / 2, (camera.height - 1) / 2)
        # Either depth is that of an interpolated surface, good to a fraction of a voxel unless it is seen edge-on.
        if abs(depth - distance) > 2 * self._voxel_size:
            return False
        return self._free.is_seen_between(camera.center, target)


def count_refusals(refusals: Sequence[Refusal]) -> str:
    """How often each reason occurs, most frequent first, for messages."""
    counts = Counter(refusals).most_common()
    return "; ".join(f"{number} times {refusal.value}" for refusal, number in counts) or "none refused"


def upright_pose(place: Tensor, target: Tensor) -> Tensor:
    """Camera-to-world (4, 4) float64 of a camera at ``place`` (3,) that looks at ``target`` (3,), +z up.

    Raises:
        ValueError: The target is straight above or below, or at the place.
    """
    away = (target - place).double()
    level = float(away[:2].norm())
    if level <= 1e-6 * float(away.norm()) or level == 0:
        raise ValueError(f"upright_pose: expected a target aside of {place.tolist()}, got {target.tolist()}")
    forward = away / away.norm()
    right = torch.stack([forward[1], -forward[0], forward.new_zeros(())]) / forward[:2].norm()
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)
    pose[:3, 3] = place
    return pose
