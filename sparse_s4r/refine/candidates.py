"""The weights that a refinement has come by, of which it keeps those with the best score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sparse_s4r.checkpoint import Checkpoint
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.inference.predict import predict_scene
from sparse_s4r.refine.score import Score, score_prediction
from sparse_s4r.structures import RGBDFrame, ScenePrediction


@dataclass(frozen=True)
class Candidate:
    """Weights after ``step`` steps with their score on the choosing frames."""

    step: int
    score: Score


class WholeScene:
    """Predicts the whole scan with the network as it stands.

    Args:
        checkpoint: How the network is to be used.
        network: What is being trained; left as it was, in training or not.
        scene: Its input scan is predicted.
    """

    def __init__(self, checkpoint: Checkpoint, network: nn.Module, scene: Scene) -> None:
        self._model, self._network = checkpoint.config.model, network
        self._scan = scene.load_scan("input")
        self._observation = scene.load_observation("input") if self._model.use_free_space else None

    def predict(self) -> ScenePrediction:
        """The prediction that ``s4r predict`` would write."""
        training = self._network.training
        self._network.eval()
        try:
            return predict_scene(self._network, self._scan, self._observation, self._model.keep_observed)
        finally:
            self._network.train(training)


@dataclass
class Candidates:
    """Scores the network every few steps and remembers the best; the starting weights are the first candidate.

    Attributes:
        network: What is being trained.
        whole: Predicts the scan with it.
        frames: Choosing frames.
        every: Steps between scores.
        patience: Scores in a row without a better one that end the training.
        on_candidate: Is told each candidate, and whether it is the best so far.
        history: All candidates.
        best: The best one; None before the first.
        weights: Its weights, on the CPU.
    """

    network: nn.Module
    whole: WholeScene
    frames: Sequence[RGBDFrame]
    every: int
    patience: int
    on_candidate: Callable[[Candidate, bool], None]
    history: list[Candidate] = field(default_factory=list)
    best: Candidate | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)

    def consider(self, step: int, prediction: ScenePrediction | None = None) -> None:
        """Score the weights as they are after ``step`` steps; ``prediction`` is theirs if it is there already."""
        predicted = self.whole.predict() if prediction is None else prediction
        candidate = Candidate(step, score_prediction(predicted, self.frames))
        self.history.append(candidate)
        better = self.best is None or candidate.score.total > self.best.score.total
        if better:
            self.best = candidate
            self.weights = {name: value.detach().cpu().clone() for name, value in self.network.state_dict().items()}
        self.on_candidate(candidate, better)

    def after_step(self, done: int) -> bool:
        """Score when it is time to; True when patience is at its end."""
        if done % self.every:
            return False
        self.consider(done)
        best = 0 if self.best is None else self.best.step
        return done - best >= self.patience * self.every

    def restore_best(self) -> None:
        """Put the best weights back into the network."""
        self.network.load_state_dict(self.weights)


def freeze_norm(network: nn.Module) -> None:
    """Let batch normalisation use, and keep, its running statistics in every later pass, training or not."""

    def hold(module: nn.Module, inputs: object) -> None:
        for inner in module.modules():
            if isinstance(inner, nn.modules.batchnorm._BatchNorm):
                inner.eval()

    # The trainer puts everything into training mode; this comes after it, before each pass.
    network.register_forward_pre_hook(hold)


def load_frames(scene: Scene, names: Sequence[str], width: int) -> tuple[RGBDFrame, ...]:
    """Frames to score with, ``width`` pixels wide."""
    with torch.no_grad():
        return tuple(scene.load_frame(name, width=width) for name in names)
