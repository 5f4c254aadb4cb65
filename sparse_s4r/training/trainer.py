"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule
from torch import Tensor, nn

from sparse_s4r.build import build_dataset, build_network, build_optimizer
from sparse_s4r.checkpoint import Checkpoint, load_weights, save_checkpoint
from sparse_s4r.config import Config
from sparse_s4r.data.prefetch import Prefetch
from sparse_s4r.data.scene_dataset import SceneDataset
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.structures import LossReport, SceneSample
from sparse_s4r.structures.errors import UserError
from sparse_s4r.training.log import TrainingLog
from sparse_s4r.training.schedule import rate_factor
from sparse_s4r.training.step import SceneObjective, Sealed, StepResult, TrainingStep, make_objective

CHECKPOINT_NAME = "checkpoint.pt"
_REMEDY = "lower train.learning_rate, or look at the scene with s4r check"


class TrainingError(UserError):
    """A training cannot go on."""


@dataclass
class Trainer:
    """Trains a network on scenes, step by step.

    Every choice of a step follows from seed and step alone, so a resumed training equals an uninterrupted one; only
    the loss scale of precision 16-mixed starts anew.

    Attributes:
        config: Resolved configuration.
        fabric: Device, precision and processes.
        dataset: Where samples come from.
        network: What is trained.
        optimizer: Its optimiser.
        objective: Compares predictions with samples.
        done: Optimiser steps done.
    """

    config: Config
    fabric: Fabric
    dataset: SceneDataset
    network: nn.Module
    optimizer: torch.optim.Optimizer
    objective: SceneObjective
    done: int = 0

    def fit(self, folder: Path, after_step: Callable[[int], bool] | None = None) -> Path:
        """Train to the last step, writing log and checkpoints to ``folder``.

        Args:
            folder: The run's folder, with its config.yaml.
            after_step: Called after every step with the number of steps done; True ends the training there.

        Returns:
            The checkpoint of the last step.

        Raises:
            TrainingError: A loss or its gradient is not finite; the last checkpoint stays.
        """
        model, optimizer = self.fabric.setup(TrainingStep(self.network, self.objective), self.optimizer)
        model.train()
        train = self.config.train
        log = TrainingLog(folder, train.steps, self.done, train.log_every, train.image_every, self.fabric.device)
        log.text("config", (folder / "config.yaml").read_text())
        batches = range(self.done * train.accumulate, train.steps * train.accumulate)
        with log, Prefetch(self._batch, batches, self.config.data.prefetch) as prefetch:
            if self.done == 0:
                # So that a training can be resumed from its first moment.
                self.save(folder / CHECKPOINT_NAME)
            for step in range(self.done, train.steps):
                started = time.perf_counter()
                rate = self._set_rate(optimizer, step)
                results = self._step(model, optimizer, step, prefetch)
                others = self._teach_adversary(results, rate, step)
                self.done = step + 1
                log.step(step, results, rate, time.perf_counter() - started, others)
                ended = after_step is not None and after_step(self.done)
                if self.done % train.checkpoint_every == 0 or self.done == train.steps or ended:
                    self.save(folder / CHECKPOINT_NAME)
                if ended:
                    break
        return folder / CHECKPOINT_NAME

    def save(self, path: Path) -> None:
        """Write a checkpoint from which ``make_trainer`` goes on."""
        save_checkpoint(
            Checkpoint(
                self.config,
                self.network.state_dict(),
                self.optimizer.state_dict(),
                self.done,
                torch.get_rng_state(),
                adversary={} if self.objective.adversary is None else self.objective.adversary.state(),
            ),
            path,
        )

    def _batch(self, number: int) -> tuple[SceneSample, ...]:
        """Batch ``number``, counted over all micro-steps: what a step trains on follows from its number alone."""
        train, rank = self.config.train, self.fabric.global_rank
        step, micro = divmod(number, train.accumulate)
        first = (rank * train.accumulate + micro) * train.batch
        slots = self.fabric.world_size * train.accumulate * train.batch
        return tuple(self.dataset.sample(step, first + position, slots) for position in range(train.batch))

    def _step(
        self,
        model: _FabricModule,
        optimizer: torch.optim.Optimizer,
        step: int,
        batches: Prefetch[tuple[SceneSample, ...]],
    ) -> tuple[StepResult, ...]:
        train = self.config.train
        optimizer.zero_grad(set_to_none=True)
        results: list[StepResult] = []
        names: list[str] = []
        for micro in range(train.accumulate):
            samples = [sample.to(self.fabric.device) for sample in batches.next()]
            names += [sample.name for sample in samples]
            with self._without_sync(model, micro + 1 < train.accumulate):
                results += self._accumulate(model, samples, step)
        # In half precision the loss scaler expects overflows and leaves such a step out.
        norm = self.fabric.clip_gradients(model, optimizer, max_norm=train.clip_norm, error_if_nonfinite=False)
        if train.precision != "16-mixed" and norm is not None and not bool(torch.isfinite(norm)):
            place = _place(step, names)
            raise TrainingError(f"{place}: expected finite gradients, got a norm of {float(norm)}; {_REMEDY}")
        optimizer.step()
        return tuple(results)

    def _accumulate(self, model: _FabricModule, samples: Sequence[SceneSample], step: int) -> tuple[StepResult, ...]:
        """Add the gradient of a batch's mean loss, divided by the number of batches per step."""
        sealed = Sealed(samples)
        total: Tensor = model(sealed, step)
        if len(sealed.results) != len(samples):
            raise RuntimeError("the training step left no results")
        if not bool(torch.isfinite(total)):
            report = LossReport.mean([result.report for result in sealed.results])
            terms = {name: float(value) for name, value in report.terms.items()}
            place = _place(step, [sample.name for sample in samples])
            raise TrainingError(f"{place}: expected a finite loss, got {terms}; {_REMEDY}")
        self.fabric.backward(total / self.config.train.accumulate)
        return sealed.results

    def _teach_adversary(self, results: Sequence[StepResult], rate: float, step: int) -> dict[str, float]:
        """Let the discriminator learn from the step's pictures; its loss, if there is one."""
        pairs = [pair for result in results for pair in result.pairs]
        if self.objective.adversary is None or not pairs:
            return {}
        value = self.objective.adversary.learn(pairs, rate)
        if value is not None and not math.isfinite(value):
            raise TrainingError(f"step {step}: expected a finite loss of the discriminator, got {value}; {_REMEDY}")
        return {} if value is None else {"discriminator": value}

    def _without_sync(self, model: _FabricModule, enabled: bool) -> AbstractContextManager[None]:
        """Gradients of several processes are averaged once per optimiser step."""
        if self.fabric.world_size == 1:
            return nullcontext()
        return self.fabric.no_backward_sync(model, enabled=enabled)

    def _set_rate(self, optimizer: torch.optim.Optimizer, step: int) -> float:
        train = self.config.train
        rate = train.learning_rate * rate_factor(step, train.steps, train.warmup, train.schedule)
        for group in optimizer.param_groups:
            group["lr"] = rate
        return rate


def _place(step: int, names: Sequence[str]) -> str:
    return f"step {step}, sample {', '.join(names)}"


def make_trainer(
    config: Config,
    scenes: Sequence[Scene],
    resume: Checkpoint | None = None,
    init: dict[str, Tensor] | None = None,
) -> Trainer:
    """A trainer at step 0, or at the step of ``resume``.

    Args:
        config: Resolved configuration; classes included.
        scenes: Opened scene folders.
        resume: Checkpoint of the same network to go on from.
        init: Weights of the same network to start from, with a new optimiser; not beside ``resume``.

    Raises:
        CheckpointError: The checkpoint or the weights are of another model.
        ConfigError: A segmenter that cannot label this network's pictures.
    """
    fabric = Fabric(accelerator="auto", devices=1, precision=config.train.precision)
    # To the device before the optimiser's state is loaded, which goes to where the weights are.
    network = build_network(config).to(fabric.device)
    optimizer = build_optimizer(config, network)
    dataset = build_dataset(config, scenes)
    objective = make_objective(config, dataset, fabric.device)
    if resume is not None:
        load_weights(network, resume.weights)
        optimizer.load_state_dict(resume.optimizer)
        torch.set_rng_state(resume.rng)
        # Switched on when a training is resumed, it starts anew.
        if objective.adversary is not None and resume.adversary:
            objective.adversary.load(resume.adversary)
    elif init is not None:
        load_weights(network, init)
    return Trainer(config, fabric, dataset, network, optimizer, objective, 0 if resume is None else resume.step)
