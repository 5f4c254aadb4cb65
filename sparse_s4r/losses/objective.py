"""The weighted sum of all terms, with the steps from which each counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.losses.image import LabelledView, color_loss, depth_loss, semantic_loss, virtual_loss
from sparse_s4r.losses.perceptual import Features, perceptual_loss
from sparse_s4r.losses.truth import semantic_3d_loss, true_occupancy_loss, true_tsdf_loss
from sparse_s4r.losses.volume import occupancy_loss, tsdf_loss
from sparse_s4r.structures import (
    GridSpec,
    LabelledField,
    LevelOccupancy,
    LossReport,
    RenderedView,
    RGBDFrame,
    ScenePrediction,
    SparseTSDF,
)
from sparse_s4r.structures.truth import SceneTruth


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
        truth: The true scene; None where it is not known.
        lifted: ``scan`` with labels lifted from the views; None where there are none.
    """

    scan: SparseTSDF
    observation: ObservationPyramid
    input: SparseTSDF
    truth: SceneTruth | None = None
    lifted: LabelledField | None = None


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
        virtual: Rendered semantics against labels of the rendered colour, on virtual views.
        semantic_3d: Semantics of the voxels against the true labels.
        lifted: Semantics of the voxels against labels lifted from the real views.
        adversarial: How well a discriminator tells rendered from real pictures.
        perceptual: Features of rendered and real pictures.
        features: The network of these; None: there is no such term.
        min_confidence: Pixels whose label is less sure do not count in the 2D semantic terms.
        supervision: Whether occupancy and distance are those of the fuller scan or of the truth.

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
    virtual: Term = Term(0.0)
    semantic_3d: Term = Term(0.0)
    lifted: Term = Term(0.0)
    adversarial: Term = Term(0.0)
    perceptual: Term = Term(0.0)
    features: Features | None = None
    min_confidence: float = 0.0
    supervision: Literal["scan", "truth"] = "scan"

    def wants_views(self, step: int) -> bool:
        """Whether any term of real views counts at ``step``, that is, whether they have to be rendered."""
        terms = (self.depth, self.color, self.semantic, self.adversarial, self.perceptual)
        return any(term.active(step) for term in terms)

    @property
    def needs_truth(self) -> bool:
        """Whether a term compares with the truth."""
        return self.supervision == "truth" or self.semantic_3d.weight > 0

    def __call__(
        self,
        prediction: ScenePrediction,
        target: Target,
        views: Sequence[tuple[RenderedView, RGBDFrame]],
        step: int,
        virtual: Sequence[LabelledView] = (),
        judged: Sequence[tuple[Tensor, int]] = (),
    ) -> LossReport:
        """Evaluate all terms that are active at ``step``.

        Args:
            prediction: Predicted field.
            target: Compared with in 3D.
            views: Rendered views with the frames that they are compared with; may be empty.
            step: Training step, from 0.
            virtual: Rendered virtual views with a segmenter's labels; may be empty.
            judged: Per view, what a discriminator makes of it: the loss () and the patches; empty where there is none.

        Returns:
            The weighted sum with its terms; 2D terms are means over the views.

        Raises:
            ValueError: A term compares with the truth or with lifted labels, and the target has none; or there is
                no network for the perceptual term.
        """
        parts = self._volume_parts(prediction, target, step) + self._label_parts(prediction, target, step)
        parts += self._image_parts(views, target.scan.grid, step) + self._virtual_parts(virtual, step)
        if self.adversarial.active(step):
            parts += [("adversarial", self.adversarial, value / len(judged), count) for value, count in judged]
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
                parts.append((f"occupancy_{level.stride}", self.occupancy, *self._occupancy(level, target)))
        if self.tsdf.active(step):
            parts.append(("tsdf", self.tsdf, *self._tsdf(prediction, target)))
        return parts

    def _occupancy(self, level: LevelOccupancy, target: Target) -> tuple[Tensor, int]:
        weights = (self.missing_weight, self.unknown_weight)
        if self.supervision == "truth":
            return true_occupancy_loss(level, _truth(target).field, target.observation, target.input, *weights)
        return occupancy_loss(level, target.observation, target.input, *weights)

    def _tsdf(self, prediction: ScenePrediction, target: Target) -> tuple[Tensor, int]:
        weights = (self.missing_weight, self.unknown_weight)
        if self.supervision == "truth":
            truth = _truth(target).field
            return true_tsdf_loss(prediction, truth, target.scan, target.observation, weights, self.log_tsdf)
        return tsdf_loss(prediction, target.scan, target.observation, *weights, self.log_tsdf)

    def _label_parts(self, prediction: ScenePrediction, target: Target, step: int) -> list[Part]:
        parts: list[Part] = []
        if prediction.semantic_logits is None:
            return parts
        if self.semantic_3d.active(step):
            parts.append(("semantic_3d", self.semantic_3d, *semantic_3d_loss(prediction, _truth(target))))
        if self.lifted.active(step):
            if target.lifted is None:
                raise ValueError("target.lifted: expected the scan with labels, got None; switch the term off")
            parts.append(("lifted", self.lifted, *semantic_3d_loss(prediction, target.lifted)))
        return parts

    def _virtual_parts(self, views: Sequence[LabelledView], step: int) -> list[Part]:
        if not self.virtual.active(step):
            return []
        parts = [virtual_loss(view) for view in views]
        return [("virtual", self.virtual, value / len(views), count) for value, count in parts]

    def _image_parts(self, views: Sequence[tuple[RenderedView, RGBDFrame]], grid: GridSpec, step: int) -> list[Part]:
        parts: list[Part] = []
        gate = self.gate_voxels * grid.voxel_size
        for view, frame in views:
            if self.depth.active(step):
                parts.append(("depth", self.depth, *depth_loss(view, frame)))
            if self.color.active(step) and view.color is not None:
                parts.append(("color", self.color, *color_loss(view, frame, gate, self.lab)))
            if self.semantic.active(step) and view.semantic_logits is not None:
                parts.append(("semantic", self.semantic, *semantic_loss(view, frame, gate, self.min_confidence)))
            if self.perceptual.active(step):
                if self.features is None:
                    raise ValueError("features: expected a network for the perceptual term, got None")
                parts.append(("perceptual", self.perceptual, *perceptual_loss(view, frame, gate, self.features)))
        return [(name, term, value / len(views), count) for name, term, value, count in parts]


def _truth(target: Target) -> SceneTruth:
    if target.truth is None:
        raise ValueError("target.truth: expected the true scene, got None; compare with the scan instead")
    return target.truth


# Name, term, value () and number of valid pixels or voxels.
Part = tuple[str, Term, Tensor, int]
