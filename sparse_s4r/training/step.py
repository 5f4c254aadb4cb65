"""One training step up to the loss: predict, render, compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sparse_s4r.build import build_features, build_loss, build_raycaster, build_segmenter, build_virtual_options
from sparse_s4r.config import Config
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.losses.adversarial import PicturePair
from sparse_s4r.losses.image import LabelledView
from sparse_s4r.losses.objective import SceneLoss, Target
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.render.raycaster import Raycaster
from sparse_s4r.structures import LossReport, RenderedView, RGBDFrame, ScenePrediction, SceneSample
from sparse_s4r.structures.errors import DataError
from sparse_s4r.training.adversarial import Adversary, make_adversary
from sparse_s4r.training.virtual import SceneSource, VirtualLabels, VirtualViewPool

# Share of the truncation that the truth must cover to say what is no surface; fusion stores 0.95.
_WHOLE_BAND = 0.9

Network = nn.Module | Callable[[Sequence[SceneInput]], list[ScenePrediction]]


@dataclass(frozen=True)
class StepResult:
    """What a step found of one sample, before any weight changed.

    Attributes:
        report: The loss and its terms.
        prediction: The predicted sample.
        views: Rendered real views, each with the frame that it is compared with.
        virtual: Rendered virtual views with a segmenter's labels.
        pairs: Of every real view what a discriminator is shown; empty where there is none.
    """

    report: LossReport
    prediction: ScenePrediction
    views: tuple[tuple[RenderedView, RGBDFrame], ...]
    virtual: tuple[LabelledView, ...] = ()
    pairs: tuple[PicturePair, ...] = ()


@dataclass(frozen=True)
class SceneObjective:
    """Compares a network's prediction of samples with the samples' scans and frames.

    Attributes:
        raycaster: Renders the views.
        loss: Weighs the terms.
        use_free_space: Give the network the free space that the input's frames saw.
        guide_steps: Steps during which it is given the target's cells as well.
        virtual: Renders and labels virtual views; None: there is no such term.
        coarse_steps: First steps in which decoding ends at ``coarse_stride``, and only occupancy is compared.
        coarse_stride: Voxels per cell of the finest level in these.
        adversary: Judges the pictures of real views; None: there is no such term.
    """

    raycaster: Raycaster
    loss: SceneLoss
    use_free_space: bool
    guide_steps: int
    virtual: VirtualLabels | None = None
    coarse_steps: int = 0
    coarse_stride: int = 4
    adversary: Adversary | None = None

    def __call__(self, network: Network, samples: Sequence[SceneSample], step: int) -> tuple[StepResult, ...]:
        """Predict ``samples`` together and compare each; differentiable in the network's weights.

        Raises:
            DataError: A term compares with the truth, and a sample has none.
        """
        seen = [ObservationPyramid(sample.target_observation) for sample in samples]
        scenes = [self._input(sample, pyramid, step) for sample, pyramid in zip(samples, seen, strict=True)]
        parts = zip(network(scenes), samples, seen, strict=True)
        return tuple(self._compare(prediction, sample, pyramid, step) for prediction, sample, pyramid in parts)

    def _input(self, sample: SceneSample, seen_by_all: ObservationPyramid, step: int) -> SceneInput:
        return SceneInput(
            sample.input,
            free=ObservationPyramid(sample.input_observation) if self.use_free_space else None,
            guide=seen_by_all if step < self.guide_steps else None,
            box=sample.box,
            holes=sample.holes,
            finest=self.coarse_stride if step < self.coarse_steps else 1,
        )

    def _compare(
        self, prediction: ScenePrediction, sample: SceneSample, seen_by_all: ObservationPyramid, step: int
    ) -> StepResult:
        self._expect_truth(sample)
        whole = step >= self.coarse_steps
        views = self._render(prediction, sample) if whole and self.loss.wants_views(step) else ()
        virtual: tuple[LabelledView, ...] = ()
        if whole and self.virtual is not None and self.loss.virtual.active(step):
            virtual = self.virtual(prediction, sample, step)
        pairs: tuple[PicturePair, ...] = ()
        judged: tuple[tuple[Tensor, int], ...] = ()
        if views and self.adversary is not None and self.loss.adversarial.active(step):
            pairs = self.adversary.pairs(sample, views)
            judged = self.adversary.judge(pairs)
        target = Target(sample.target, seen_by_all, sample.input, sample.truth, sample.lifted)
        report = self.loss(prediction, target, views, step, virtual, judged)
        return StepResult(report, prediction, views, virtual, pairs)

    def _expect_truth(self, sample: SceneSample) -> None:
        if not self.loss.needs_truth:
            return
        if sample.truth is None:
            raise DataError(
                f"{sample.name}: expected the true scene (truth.safetensors) to compare with, got none; set "
                "loss.supervision=scan and loss.semantic_3d.weight=0, or import a capture that has it"
            )
        truncation = sample.target.grid.truncation
        if self.loss.supervision == "truth" and sample.truth.band < _WHOLE_BAND * truncation:
            raise DataError(
                f"{sample.name}: expected the true distances within {_WHOLE_BAND * truncation:.3g} m of the surface, "
                f"got those within {sample.truth.band:.3g} m; set loss.supervision=scan"
            )

    def _render(self, prediction: ScenePrediction, sample: SceneSample) -> tuple[tuple[RenderedView, RGBDFrame], ...]:
        field = self.raycaster.prepare(prediction)
        views = self.raycaster.render_views(field, [frame.camera for frame in sample.frames])
        return tuple(zip(views, sample.frames, strict=True))


def make_objective(config: Config, scenes: SceneSource, device: torch.device | str) -> SceneObjective:
    """The objective of ``config`` over samples of ``scenes``.

    Args:
        config: Resolved configuration; classes included.
        scenes: Where samples come from: scans and real cameras from which virtual views are drawn.
        device: Where the segmenter works.

    Raises:
        ConfigError: A segmenter that cannot label this network's pictures, or a term that needs pictures of a network
            that makes none.
        DataError: Weights for the perceptual term that cannot be used.
    """
    raycaster, loss = build_raycaster(config), replace(build_loss(config), features=build_features(config, device))
    segmenter = build_segmenter(config, device)
    virtual = None
    if segmenter is not None:
        pool = VirtualViewPool(scenes, build_virtual_options(config), config.virtual.pool, config.seed)
        virtual = VirtualLabels(
            raycaster, segmenter, pool, config.virtual.views, config.virtual.min_overlap, config.loss.min_confidence
        )
    train = config.train
    return SceneObjective(
        raycaster,
        loss,
        config.model.use_free_space,
        train.guide_steps,
        virtual,
        train.coarse_steps,
        train.coarse_stride,
        make_adversary(config, raycaster, device),
    )


class Sealed:
    """Passes a step's value types through Fabric, which takes collections apart and cannot rebuild frozen ones.

    Attributes:
        samples: What to train on.
        results: What came of each; empty before the step.
    """

    def __init__(self, samples: Sequence[SceneSample]) -> None:
        self.samples = tuple(samples)
        self.results: tuple[StepResult, ...] = ()


class TrainingStep(nn.Module):
    """A network with its objective as one module, whose only output is the loss: what Fabric and DDP wrap.

    Args:
        network: What is trained.
        objective: Compares its predictions with samples.
    """

    def __init__(self, network: nn.Module, objective: SceneObjective) -> None:
        super().__init__()
        self.network = network
        self.objective = objective

    def forward(self, sealed: Sealed, step: int) -> Tensor:
        """The mean loss () of the sealed samples at ``step``; the whole results are left in ``sealed``."""
        sealed.results = self.objective(self.network, sealed.samples, step)
        return torch.stack([result.report.total for result in sealed.results]).mean()
