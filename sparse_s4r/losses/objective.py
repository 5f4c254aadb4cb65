"""The weighted sum of all terms, with the steps from which each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.losses.image import color_loss, depth_loss, semantic_loss
from sparse_s4r.losses.volume import occupancy_loss, tsdf_loss
from sparse_s4r.structures import GridSpec, LossReport, RenderedView, RGBDFrame, ScenePrediction, SparseTSDF


@dataclass(frozen=True)
class Term:
    """Weight of a term and the first step at which it counts."""

    weight: float
    start: int = 0

    def active(self, step: int) -> bool:
        """Whether the term counts at ``step``."""
        return self.weight > 0 and step >= self.start


@dataclass(frozen=True)
class Target:
    """What a prediction is compared with in 3D.

    Attributes:
        scan: Scan of all training frames.
        observation: What all training frames saw.
        input: The input scan: what of the target was missing.
    """

    scan: SparseTSDF
    observation: ObservationPyramid
    input: SparseTSDF


@dataclass(frozen=True)
class SceneLoss:
    """S4R's objective for one scene.

    Attributes:
        occupancy: Per-level occupancy.
        tsdf: Signed distance.
        depth: Rendered depth.
        color: Rendered colour.
        semantic: Rendered semantics against labels of real views.
        missing_weight: Weight of surface that the input lacks, in the 3D terms.
        unknown_weight: Weight of unseen space, as empty, in the 3D terms.
        gate_voxels: Largest depth difference, voxels, at which colour and semantics of a pixel count.
        lab: Compare colour in Lab.
        log_tsdf: Compare log-transformed distances.

    Source: S4R section 3.3; every term is divided by its own number of valid pixels or voxels.
    """

    occupancy: Term
    tsdf: Term
    depth: Term
    color: Term
    semantic: Term
    missing_weight: float
    unknown_weight: float
    gate_voxels: float
    lab: bool
    log_tsdf: bool

    def wants_views(self, step: int) -> bool:
        """Whether any 2D term counts at ``step``, that is, whether views have to be rendered."""
        return any(term.active(step) for term in (self.depth, self.color, self.semantic))

    def __call__(
        self,
        prediction: ScenePrediction,
        target: Target,
        views: Sequence[tuple[RenderedView, RGBDFrame]],
        step: int,
    ) -> LossReport:
        """Evaluate all terms that are active at ``step``.

        Args:
            prediction: Predicted field.
            target: Compared with in 3D.
            views: Rendered views with the frames that they are compared with; may be empty.
            step: Training step, from 0.

        Returns:
            The weighted sum with its terms; 2D terms are means over the views.
        """
        parts = self._volume_parts(prediction, target, step) + self._image_parts(views, target.scan.grid, step)
        total = prediction.tsdf.new_zeros(())
        terms: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        for name, term, value, count in parts:
            total = total + term.weight * value
            terms[name] = terms.get(name, torch.zeros_like(total)) + value.detach()
            counts[name] = counts.get(name, 0) + count
        return LossReport(total, terms, counts)

    def _volume_parts(self, prediction: ScenePrediction, target: Target, step: int) -> list[Part]:
        parts: list[Part] = []
        if self.occupancy.active(step):
            for level in prediction.occupancy:
                value, count = occupancy_loss(
                    level, target.observation, target.input, self.missing_weight, self.unknown_weight
                )
                parts.append((f"occupancy_{level.stride}", self.occupancy, value, count))
        if self.tsdf.active(step):
            value, count = tsdf_loss(
                prediction, target.scan, target.observation, self.missing_weight, self.unknown_weight, self.log_tsdf
            )
            parts.append(("tsdf", self.tsdf, value, count))
        return parts

    def _image_parts(self, views: Sequence[tuple[RenderedView, RGBDFrame]], grid: GridSpec, step: int) -> list[Part]:
        parts: list[Part] = []
        gate = self.gate_voxels * grid.voxel_size
        for view, frame in views:
            if self.depth.active(step):
                parts.append(("depth", self.depth, *depth_loss(view, frame)))
            if self.color.active(step) and view.color is not None:
                parts.append(("color", self.color, *color_loss(view, frame, gate, self.lab)))
            if self.semantic.active(step) and view.semantic_logits is not None:
                parts.append(("semantic", self.semantic, *semantic_loss(view, frame, gate)))
        return [(name, term, value / len(views), count) for name, term, value, count in parts]


# Name, term, value () and number of valid pixels or voxels.
Part = tuple[str, Term, Tensor, int]
