"""From a scan and weights to weights that suit the scan better."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sparse_s4r.checkpoint import Checkpoint, load_checkpoint
from sparse_s4r.config import Config, save_config
from sparse_s4r.data.scene_format import Scene, open_scene
from sparse_s4r.inference.weights import default_weights, describe_weights, expect_color, suitability_warnings
from sparse_s4r.refine.candidates import Candidate, Candidates, WholeScene, freeze_norm, load_frames
from sparse_s4r.refine.frames import JudgingFrames, judging_frames, without_training_on
from sparse_s4r.refine.labels import KeepingObjective, KeptLabels, Semantics, choose_semantics
from sparse_s4r.refine.score import Score, score_prediction
from sparse_s4r.refine.settings import refine_config, training_config
from sparse_s4r.structures import ScenePrediction
from sparse_s4r.structures.errors import DataError
from sparse_s4r.training.trainer import CHECKPOINT_NAME, Trainer, make_trainer
from sparse_s4r.weights_file import WeightsFile, save_weights_file

REFINED_NAME = "refined.safetensors"


@dataclass(frozen=True)
class Judged:
    """Scores on some frames before and after.

    Attributes:
        frames: Names.
        before: Of the starting weights.
        after: Of the weights that were kept.
    """

    frames: tuple[str, ...]
    before: Score
    after: Score


@dataclass(frozen=True)
class RefineSummary:
    """What ``refine.json`` says; docs/refine.md.

    Attributes:
        scene: Name of the scene.
        weights: What it started from.
        started_from: SHA-256 of that file.
        semantics: What held the labels: labels, virtual, keep or none.
        steps: Optimiser steps done.
        best_step: Those after which the weights were kept; 0: the starting weights scored best and were kept.
        choosing: Frames that chose; ``after`` is the best of many, so these figures flatter.
        reporting: Frames that took no part at all; None where the scene holds too few out.
        choosing_in_scan: Whether the choosing frames are part of the fuller scan.
        history: All scores on the choosing frames.
        seconds: Time of everything.
        warnings: What speaks against the starting weights on this scene.
    """

    scene: str
    weights: str
    started_from: str
    semantics: Semantics
    steps: int
    best_step: int
    choosing: Judged
    reporting: Judged | None
    choosing_in_scan: bool
    history: tuple[Candidate, ...]
    seconds: float
    warnings: tuple[str, ...]


def run_refinement(
    scene_folder: Path,
    out: Path,
    checkpoint_path: Path | None = None,
    config_path: Path | None = None,
    overrides: Sequence[str] = (),
    steps: int | None = None,
    on_candidate: Callable[[Candidate, bool], None] = lambda candidate, better: None,
) -> RefineSummary:
    """Train weights further on one scan's own frames and write ``out``: refined.safetensors, refine.json, config.yaml,
    losses.jsonl, tensorboard/.

    The best weights so far are on disk at any moment, so an interrupted refinement leaves them.

    Args:
        scene_folder: Made by ``s4r import``; its labels are not needed.
        out: Must not exist.
        checkpoint_path: What to start from; None: the shipped weights.
        config_path: YAML file with keys to change in the weights' configuration.
        overrides: ``section.key=value``.
        steps: Most steps; None: ``refine.steps``.
        on_candidate: Is told each score, and whether it is the best so far.

    Raises:
        ConfigError, DataError, CheckpointError, TrainingError: See their messages.
    """
    started = time.perf_counter()
    scene = open_scene(scene_folder)
    path = default_weights() if checkpoint_path is None else checkpoint_path
    checkpoint = load_checkpoint(path)
    config = refine_config(checkpoint.config, config_path, overrides, steps)
    semantics, labels = choose_semantics(config, scene)
    config = training_config(config, semantics, labels)
    expect_color(checkpoint, scene, scene.load_scan("input"))
    frames = judging_frames(scene, config.refine.choosing)
    if out.exists():
        raise DataError(f"{out}: expected a folder that does not exist yet; name another")
    refinement = Refinement(checkpoint, config, scene, frames, semantics, out, on_candidate)
    out.mkdir(parents=True)
    save_config(config, out / "config.yaml")
    before, after = refinement.run()
    history, best = refinement.candidates.history, refinement.best
    summary = RefineSummary(
        scene=scene.name,
        weights=describe_weights(checkpoint, path, shipped=checkpoint_path is None),
        started_from=checkpoint.digest,
        semantics=semantics,
        steps=refinement.trainer.done,
        best_step=best.step,
        choosing=Judged(frames.choosing, history[0].score, best.score),
        reporting=None if before is None or after is None else Judged(frames.reporting, before, after),
        choosing_in_scan=frames.in_scan,
        history=tuple(history),
        seconds=round(time.perf_counter() - started, 1),
        warnings=suitability_warnings(checkpoint, scene),
    )
    (out / "refine.json").write_text(json.dumps(asdict(summary), indent=2) + "\n")
    return summary


class Refinement:
    """The parts of a refinement, put together.

    Args:
        checkpoint: What to start from.
        config: For the trainer.
        scene: What to learn from.
        frames: Which frames judge.
        semantics: What holds the labels.
        out: The run's folder.
        on_candidate: Is told each score.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: Config,
        scene: Scene,
        frames: JudgingFrames,
        semantics: Semantics,
        out: Path,
        on_candidate: Callable[[Candidate, bool], None],
    ) -> None:
        self.checkpoint, self.scene, self.out = checkpoint, scene, out
        self._keep_weight = config.refine.keep_weight if semantics == "keep" else 0.0
        self._tell = on_candidate
        training = without_training_on(scene, frames.choosing)
        self.trainer: Trainer = make_trainer(config, [training], init=checkpoint.weights)
        network, width = self.trainer.network, config.data.image_width
        if config.refine.freeze_norm:
            freeze_norm(network)
        self.whole = WholeScene(checkpoint, network, scene)
        self._reporting = load_frames(scene, frames.reporting, width)
        self.candidates = Candidates(
            network,
            self.whole,
            load_frames(scene, frames.choosing, width),
            config.refine.every,
            config.refine.patience,
            self._considered,
        )

    def run(self) -> tuple[Score | None, Score | None]:
        """Train and keep the best; the scores on the reporting frames before and after, None without such frames."""
        start = self.whole.predict()
        before = self._report(start)
        if self._keep_weight > 0:
            kept = KeptLabels.of(start, self._keep_weight)
            self.trainer.objective = KeepingObjective.around(self.trainer.objective, kept)
        self.candidates.consider(0, start)
        self.trainer.fit(self.out, self.candidates.after_step)
        if self.candidates.history[-1].step != self.trainer.done:
            self.candidates.consider(self.trainer.done)
        # The last weights with their optimiser: nobody asked for these.
        (self.out / CHECKPOINT_NAME).unlink()
        if self.best.step == 0:
            return before, before
        self.candidates.restore_best()
        return before, self._report(self.whole.predict())

    @property
    def best(self) -> Candidate:
        """The candidate that was kept."""
        if self.candidates.best is None:
            raise RuntimeError("refinement: expected a candidate, the start is one")
        return self.candidates.best

    def _report(self, prediction: ScenePrediction) -> Score | None:
        return score_prediction(prediction, self._reporting) if self._reporting else None

    def _considered(self, candidate: Candidate, better: bool) -> None:
        if better:
            self._save(candidate.step)
        self._tell(candidate, better)

    def _save(self, step: int) -> None:
        made_by = {
            **self.checkpoint.made_by,
            "refined": {"scene": self.scene.name, "steps": step, "from": self.checkpoint.digest},
        }
        if step:
            made_by["voxel_size"] = self.scene.grid.voxel_size
        save_weights_file(
            WeightsFile(
                self.checkpoint.config,
                self.candidates.weights,
                self.checkpoint.step + step,
                made_by,
                self.checkpoint.calibration,
            ),
            self.out / REFINED_NAME,
        )
