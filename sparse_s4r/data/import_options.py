"""What an import is told, and what it tells."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from sparse_s4r.data.capture_check import MAX_BAD_SHARE
from sparse_s4r.data.readers.generic import AXES
from sparse_s4r.data.splits import KeepMode
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import DataError

if TYPE_CHECKING:
    from sparse_s4r.data.report import CaptureReport


@dataclass(frozen=True)
class KeyFrameRule:
    """How far the camera must move from one key frame to the next: one of the two suffices.

    Attributes:
        distance: Metres.
        degrees: Turn of the camera.
    """

    distance: float = 0.1
    degrees: float = 10.0

    def __post_init__(self) -> None:
        if not self.distance > 0 or not self.degrees > 0:
            raise DataError(f"key_distance, key_degrees: expected numbers > 0, got {self.distance} and {self.degrees}")


@dataclass(frozen=True)
class ImportOptions:
    """How a capture becomes a scene.

    Attributes:
        voxel_size: Edge of a voxel, metres.
        truncation_voxels: Truncation of the signed distance, voxels.
        keep: Share of the frames not held out that feed the incomplete scan.
        cover: Share of the fuller scan's surface that the incomplete scan is to hold: its frames are chosen for that,
            and ``keep`` is not looked at. None: by ``keep``.
        keep_mode: "random" or "block", see ``choose_splits``.
        held_out: Share of all frames that neither scan sees.
        seed: Seed of the choice of kept frames.
        up: "auto" or the axis of the capture's world that points up: x, -x, y, -y, z, -z.
        yaw: Turn of the scene's world about up, degrees from +x towards +y, after up has become +z. Walls of made homes
            lie along the axes; training scenes should not all lie along the lattice.
        depth_max: Depth beyond which a sample is not fused, metres.
        every: Use every n-th frame.
        image_width: Width of the stored images in pixels; smaller sources keep theirs.
        key_frames: Use only key frames, chosen by motion and sharpness among every n-th; None for all.
        strict: Stop at frames that cannot be used instead of leaving them out.
        max_skipped: Largest share, in [0, 1], of the frames that may be left out because they cannot be used.
    """

    voxel_size: float = 0.02
    truncation_voxels: float = 3.0
    keep: float = 0.5
    cover: float | None = None
    keep_mode: KeepMode = "random"
    held_out: float = 0.1
    seed: int = 0
    up: str = "auto"
    yaw: float = 0.0
    depth_max: float = 6.0
    every: int = 1
    image_width: int = 640
    key_frames: KeyFrameRule | None = None
    strict: bool = False
    max_skipped: float = MAX_BAD_SHARE

    def __post_init__(self) -> None:
        if not self.voxel_size > 0 or not self.depth_max > 0 or not self.truncation_voxels > 0:
            raise DataError(
                f"voxel_size, truncation_voxels and depth_max: expected numbers > 0, got {self.voxel_size}, "
                f"{self.truncation_voxels} and {self.depth_max}"
            )
        if self.every < 1 or self.image_width < 16:
            raise DataError(f"every, image_width: expected at least 1 and 16, got {self.every} and {self.image_width}")
        if self.cover is not None and not 0 < self.cover <= 1:
            raise DataError(f"cover: expected a share in (0, 1], got {self.cover}")
        if self.cover is not None and self.keep_mode != "random":
            raise DataError(f"cover: expected keep_mode random with it, got {self.keep_mode}; leave out one of them")
        if not 0 <= self.max_skipped <= 1:
            raise DataError(f"max_skipped: expected a share in [0, 1], got {self.max_skipped}")
        if self.up != "auto" and self.up not in AXES:
            raise DataError(f"up: expected auto or one of {', '.join(AXES)}, got {self.up!r}")
        if not math.isfinite(self.yaw):
            raise DataError(f"yaw: expected finite degrees, got {self.yaw}")


LabelFrame = Callable[[RGBDFrame], Tensor]


@dataclass(frozen=True)
class Labelling:
    """Labels for the frames of a scene; without a function they come from the capture's own label images.

    Attributes:
        class_names: Name of each label value from 0.
        label_frame: Gives labels (H, W) int64 of a frame, in the scene's world.
        prepare: Makes ``label_frame`` from a few small frames spread over the capture, in the scene's world, for
            labellers that must see the scene first; takes the place of ``label_frame``.
    """

    class_names: tuple[str, ...]
    label_frame: LabelFrame | None = None
    prepare: Callable[[list[RGBDFrame]], LabelFrame] | None = None


@dataclass(frozen=True)
class StageRate:
    """How fast a stage of an import was.

    Attributes:
        title: What was done.
        frames: Number of frames.
        seconds: Wall time.
    """

    title: str
    frames: int
    seconds: float

    def __str__(self) -> str:
        rate = self.frames / self.seconds if self.seconds > 0 else 0.0
        return f"{self.title}: {self.frames} in {self.seconds:.1f} s, {rate:.1f} per second"


@dataclass(frozen=True)
class ImportSummary:
    """What an import did.

    Attributes:
        frames: Number of frames in the scene.
        splits: Number of frames per split.
        skipped: One line per frame left out.
        notes: What the user should know of how the capture was read.
        warnings: What looks wrong.
        voxels_input: Voxels of the incomplete scan.
        voxels_target: Voxels of the fuller scan.
        coverage: Share of the fuller scan's surface that the incomplete scan holds; see ``surface_coverage``.
        extent: Size of the scene's box, metres.
        seconds: Wall time.
        stages: Frames per second of each stage.
        report: What the capture holds and what looks wrong with it.
    """

    frames: int
    splits: dict[str, int]
    skipped: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    voxels_input: int
    voxels_target: int
    coverage: float
    extent: tuple[float, float, float]
    seconds: float
    stages: tuple[StageRate, ...]
    report: CaptureReport


class ImportObserver(Protocol):
    """Told how an import goes on."""

    def stage(self, title: str, total: int) -> None:
        """A stage of ``total`` steps begins."""

    def advance(self) -> None:
        """One step of the stage is done."""


class Silent:
    """Observer that shows nothing."""

    def stage(self, title: str, total: int) -> None:
        """Nothing."""

    def advance(self) -> None:
        """Nothing."""
