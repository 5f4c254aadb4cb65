"""What keeps the labels from drifting while a network goes on learning without any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sparse_s4r.config import Config
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.structures import ScenePrediction, SceneSample
from sparse_s4r.structures.errors import ConfigError
from sparse_s4r.training.step import Network, SceneObjective, StepResult

Semantics = Literal["labels", "virtual", "keep", "none"]


def choose_semantics(config: Config, scene: Scene) -> tuple[Semantics, str | None]:
    """What holds the labels of ``scene``, and the label set that does so, None for its own labels.

    Raises:
        ConfigError: What ``refine.semantics`` or ``data.labels`` asks for is not there.
    """
    names, wanted, labels = config.model.class_names, config.refine.semantics, config.data.labels
    if not names or wanted == "none":
        return "none", None
    if wanted == "keep":
        return "keep", None
    # The scene's own labels first, then its label sets; a set that is named alone.
    sets: tuple[str | None, ...] = (None, *scene.label_sets()) if labels is None else (labels,)
    fitting = [one for one in sets if scene.class_names_of(one) == names]
    if wanted == "labels" or (wanted == "auto" and labels is not None):
        if not fitting:
            raise ConfigError(
                f"refine.semantics: expected labels of {scene.path} in the weights' classes, {list(names)}, got none; "
                "make some with s4r label, or set refine.semantics=keep"
            )
        return "labels", fitting[0]
    if wanted == "virtual" and config.segmenter.spec is None:
        raise ConfigError("refine.semantics: virtual expects a segmenter; set segmenter.spec, e.g. shipped")
    if wanted == "auto" and fitting:
        return "labels", fitting[0]
    return ("virtual", None) if config.segmenter.spec is not None else ("keep", None)


@dataclass(frozen=True)
class KeptLabels:
    """Labels of a starting prediction, which the network must not leave.

    Attributes:
        voxels: Where it had voxels, in the scene's own place.
        probabilities: (N, K) float, of its classes.
        weight: Of the divergence from them, in the sum of the terms.
    """

    voxels: VoxelHash
    probabilities: Tensor
    weight: float

    @classmethod
    def of(cls, prediction: ScenePrediction, weight: float) -> KeptLabels:
        """The labels of ``prediction``.

        Raises:
            ValueError: It has none.
        """
        if prediction.semantic_logits is None:
            raise ValueError("prediction.semantic_logits: expected logits, got None")
        # Copies: tensors of inference mode take part in no gradient.
        logits, coordinates = prediction.semantic_logits.clone(), prediction.coordinates.clone()
        return cls(VoxelHash(coordinates), torch.softmax(logits.float(), dim=1), weight)

    def divergence(self, prediction: ScenePrediction, sample: SceneSample) -> tuple[Tensor, int]:
        """Mean Kullback-Leibler divergence () of the prediction's classes from the kept ones, and the voxels compared.

        Voxels that only one of the two has do not count; 0 with zero gradient when none is left.
        """
        if prediction.semantic_logits is None:
            raise ValueError("prediction.semantic_logits: expected logits, got None")
        cells = prediction.coordinates
        if sample.motion is not None:
            cells = sample.motion.inverse().coordinates(cells)
        rows = self.voxels.rows(cells)
        shared = rows >= 0
        logits = prediction.semantic_logits[shared]
        if not len(logits):
            return prediction.semantic_logits.sum() * 0.0, 0
        kept = self.probabilities[rows[shared]]
        return F.kl_div(F.log_softmax(logits.float(), dim=1), kept, reduction="batchmean"), len(logits)


@dataclass(frozen=True)
class KeepingObjective(SceneObjective):
    """An objective with the divergence from kept labels as one more term, ``keep_labels``."""

    kept: KeptLabels | None = None

    @classmethod
    def around(cls, objective: SceneObjective, kept: KeptLabels) -> KeepingObjective:
        """``objective`` with one more term."""
        return cls(**{one.name: getattr(objective, one.name) for one in fields(SceneObjective)}, kept=kept)

    def __call__(self, network: Network, samples: Sequence[SceneSample], step: int) -> tuple[StepResult, ...]:
        """Predict ``samples`` together and compare; see ``SceneObjective``."""
        results = super().__call__(network, samples, step)
        return tuple(self._with_kept(result, sample) for result, sample in zip(results, samples, strict=True))

    def _with_kept(self, result: StepResult, sample: SceneSample) -> StepResult:
        if self.kept is None:
            return result
        value, count = self.kept.divergence(result.prediction, sample)
        report = replace(
            result.report,
            total=result.report.total + self.kept.weight * value,
            terms={**result.report.terms, "keep_labels": value.detach()},
            counts={**result.report.counts, "keep_labels": count},
        )
        return replace(result, report=report)
