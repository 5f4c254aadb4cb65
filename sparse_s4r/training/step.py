"""One training step up to the loss: predict, render, compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.losses.objective import SceneLoss, Target
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.render.raycaster import Raycaster
from sparse_s4r.structures import LossReport, RenderedView, RGBDFrame, ScenePrediction, SceneSample

Network = nn.Module | Callable[[Sequence[SceneInput]], list[ScenePrediction]]


@dataclass(frozen=True)
class StepResult:
    """What a step found, before any weight changed."""

    report: LossReport
    prediction: ScenePrediction
    views: tuple[tuple[RenderedView, RGBDFrame], ...]


@dataclass(frozen=True)
class SceneObjective:
    """Compares a network's prediction of a sample with the sample's scan and frames.

    Attributes:
        raycaster: Renders the views.
        loss: Weighs the terms.
        use_free_space: Give the network the free space that the input's frames saw.
        guide_steps: Steps during which it is given the target's cells as well.
    """

    raycaster: Raycaster
    loss: SceneLoss
    use_free_space: bool
    guide_steps: int

    def __call__(self, network: Network, sample: SceneSample, step: int) -> StepResult:
        """Predict ``sample`` and compare; differentiable in the network's weights."""
        seen_by_all = ObservationPyramid(sample.target_observation)
        scene = SceneInput(
            sample.input,
            free=ObservationPyramid(sample.input_observation) if self.use_free_space else None,
            guide=seen_by_all if step < self.guide_steps else None,
            box=sample.box,
            holes=sample.holes,
        )
        (prediction,) = network([scene])
        views = self._render(prediction, sample) if self.loss.wants_views(step) else ()
        report = self.loss(prediction, Target(sample.target, seen_by_all, sample.input), views, step)
        return StepResult(report, prediction, views)

    def _render(self, prediction: ScenePrediction, sample: SceneSample) -> tuple[tuple[RenderedView, RGBDFrame], ...]:
        field = self.raycaster.prepare(prediction)
        views = self.raycaster.render_views(field, [frame.camera for frame in sample.frames])
        return tuple(zip(views, sample.frames, strict=True))


class Sealed:
    """Passes a step's value types through Fabric, which takes collections apart and cannot rebuild frozen ones.

    Attributes:
        sample: What to train on.
        result: What came of it; None before the step.
    """

    def __init__(self, sample: SceneSample) -> None:
        self.sample = sample
        self.result: StepResult | None = None


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
        """The loss () of the sealed sample at ``step``; the whole result is left in ``sealed``."""
        sealed.result = self.objective(self.network, sealed.sample, step)
        return sealed.result.report.total
