"""What goes into training and what comes out of the network, for one scene."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparse_s4r.structures.checks import expect_same_device, expect_tensor
from sparse_s4r.structures.field import ObservationGrid, SparseTSDF
from sparse_s4r.structures.frame import RGBDFrame
from sparse_s4r.structures.grid import GridSpec
from sparse_s4r.structures.labelled import LabelledField
from sparse_s4r.structures.motion import SampleBox, SampleMotion
from sparse_s4r.structures.truth import SceneTruth


@dataclass(frozen=True)
class SceneSample:
    """One training example: an incomplete scan, the fuller one, and views of the latter.

    Attributes:
        name: Scene (and crop) it comes from; named in errors and logs.
        input: Scan fused from the kept frames.
        target: Scan fused from all training frames, on the same grid.
        input_observation: Voxel states according to the kept frames.
        target_observation: Voxel states according to all training frames.
        frames: Views to compare renders with; pixels whose surface lies outside the box have depth 0.
        box: Lower and upper (exclusive) voxel indices of a crop; None for a whole scene.
        holes: Boxes that were cut out of the input; what its frames saw in them must not be used.
        scene_index: Which scene of the data set it comes from; -1 where there is no data set.
        motion: How scans, observations, frames and boxes were moved from where the scene has them; None: not at all.
        truth: The true surface and its classes, moved and cropped alike; None where it is not known.
        lifted: The fuller scan with the views' labels lifted to its voxels, moved and cropped alike; or None.
    """

    name: str
    input: SparseTSDF
    target: SparseTSDF
    input_observation: ObservationGrid
    target_observation: ObservationGrid
    frames: tuple[RGBDFrame, ...]
    box: SampleBox | None = None
    holes: tuple[SampleBox, ...] = ()
    scene_index: int = -1
    motion: SampleMotion | None = None
    truth: SceneTruth | None = None
    lifted: LabelledField | None = None

    def to(self, device: torch.device | str) -> SceneSample:
        """The same sample with its tensors on ``device``."""
        return replace(
            self,
            input=self.input.to(device),
            target=self.target.to(device),
            input_observation=self.input_observation.to(device),
            target_observation=self.target_observation.to(device),
            frames=tuple(frame.to(device) for frame in self.frames),
            box=None if self.box is None else (self.box[0].to(device), self.box[1].to(device)),
            holes=tuple((lower.to(device), upper.to(device)) for lower, upper in self.holes),
            truth=None if self.truth is None else self.truth.to(device),
            lifted=None if self.lifted is None else self.lifted.to(device),
        )


@dataclass(frozen=True)
class LevelOccupancy:
    """Occupancy logits of all candidate cells of one level, before pruning.

    Attributes:
        stride: Edge of a cell in voxels.
        coordinates: (M, 3) int64 cell indices: voxel coordinates divided by ``stride``, floored.
        logits: (M,) float; sigmoid gives the probability that the cell meets the surface band.
    """

    stride: int
    coordinates: Tensor
    logits: Tensor


@dataclass(frozen=True)
class ScenePrediction:
    """A field on sparse voxels that can be rendered: a network's output, or a fused scan seen as one.

    Attributes:
        grid: Placement of the voxels.
        coordinates: (N, 3) int64, unique.
        tsdf: (N,) float metres, positive in front of the surface.
        color: (N, 3) float RGB in [0, 1], or None.
        semantic_logits: (N, K) float, or None.
        observed: (N,) bool, True where the input scan had the voxel; None if unknown.
        occupancy: Per level from coarse to fine; empty for a fused scan.
        occupancy_probability: (N,) float in [0, 1], probability that the voxel lies in the band of the true surface,
            calibrated for completed voxels; None if unknown. Of observed voxels, too, it is the network's own.
        label_confidence: (N,) float in [0, 1], calibrated probability that the class of the largest logit is right;
            None without classes or if unknown.
    """

    grid: GridSpec
    coordinates: Tensor
    tsdf: Tensor
    color: Tensor | None = None
    semantic_logits: Tensor | None = None
    observed: Tensor | None = None
    occupancy: tuple[LevelOccupancy, ...] = ()
    occupancy_probability: Tensor | None = None
    label_confidence: Tensor | None = None

    def __post_init__(self) -> None:
        expect_tensor("ScenePrediction.coordinates", self.coordinates, ("N", 3), floating=False)
        count = len(self.coordinates)
        expect_tensor("ScenePrediction.tsdf", self.tsdf, (count,), floating=True)
        if self.color is not None:
            expect_tensor("ScenePrediction.color", self.color, (count, 3), floating=True)
        if self.semantic_logits is not None:
            expect_tensor("ScenePrediction.semantic_logits", self.semantic_logits, (count, "K"), floating=True)
        if self.observed is not None:
            expect_tensor("ScenePrediction.observed", self.observed, (count,), floating=False)
        for name in ("occupancy_probability", "label_confidence"):
            value = getattr(self, name)
            if value is not None:
                expect_tensor(f"ScenePrediction.{name}", value, (count,), floating=True)
        expect_same_device(
            coordinates=self.coordinates, tsdf=self.tsdf, color=self.color, semantic_logits=self.semantic_logits
        )

    def __len__(self) -> int:
        return len(self.coordinates)

    @classmethod
    def from_scan(cls, scan: SparseTSDF) -> ScenePrediction:
        """A fused scan as a field to render."""
        return cls(scan.grid, scan.coordinates, scan.tsdf, scan.color)

    def select(self, keep: Tensor) -> ScenePrediction:
        """The voxels at ``keep``, a bool mask (N,) or row indices; the occupancy stays."""
        return replace(
            self,
            coordinates=self.coordinates[keep],
            tsdf=self.tsdf[keep],
            color=None if self.color is None else self.color[keep],
            semantic_logits=None if self.semantic_logits is None else self.semantic_logits[keep],
            observed=None if self.observed is None else self.observed[keep],
            occupancy_probability=None if self.occupancy_probability is None else self.occupancy_probability[keep],
            label_confidence=None if self.label_confidence is None else self.label_confidence[keep],
        )
