"""The training loop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from sparse_s4r.build import build_dataset, build_loss, build_network, build_optimizer, build_raycaster
from sparse_s4r.checkpoint import Checkpoint, load_weights, save_checkpoint
from sparse_s4r.config import Config
from sparse_s4r.data.scene_dataset import SceneDataset
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.structures.errors import UserError
from sparse_s4r.training.log import TrainingLog
from sparse_s4r.training.schedule import rate_factor
from sparse_s4r.training.step import SceneObjective, Sealed, StepResult, TrainingStep

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

    def fit(self, folder: Path) -> Path:
        """Train to the last step, writing log and checkpoints to ``folder``.

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
        with log:
            if self.done == 0:
                # So that a training can be resumed from its first moment.
                self.save(folder / CHECKPOINT_NAME)
            for step in range(self.done, train.steps):
                started = time.perf_counter()
                rate = self._set_rate(optimizer, step)
                result = self._step(model, optimizer, step)
                self.done = step + 1
                log.step(step, result, rate, time.perf_counter() - started)
                if self.done % train.checkpoint_every == 0 or self.done == train.steps:
                    self.save(folder / CHECKPOINT_NAME)
        return folder / CHECKPOINT_NAME

    def save(self, path: Path) -> None:
        """Write a checkpoint from which ``make_trainer`` goes on."""
        save_checkpoint(
            Checkpoint(
                self.config, self.network.state_dict(), self.optimizer.state_dict(), self.done, torch.get_rng_state()
            ),
            path,
        )

    def _step(self, model: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> StepResult:
        sealed = Sealed(self.dataset.sample(step).to(self.fabric.device))
        total = model(sealed, step)
        if sealed.result is None:
            raise RuntimeError("the training step left no result")
        place = f"step {step}, sample {sealed.sample.name}"
        if not bool(torch.isfinite(total)):
            terms = {name: float(value) for name, value in sealed.result.report.terms.items()}
            raise TrainingError(f"{place}: expected a finite loss, got {terms}; {_REMEDY}")
        optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        train = self.config.train
        norm = self.fabric.clip_gradients(model, optimizer, max_norm=train.clip_norm, error_if_nonfinite=False)
        # In half precision the loss scaler expects overflows and leaves such a step out.
        if train.precision != "16-mixed" and norm is not None and not bool(torch.isfinite(norm)):
            raise TrainingError(f"{place}: expected finite gradients, got a norm of {float(norm)}; {_REMEDY}")
        optimizer.step()
        return sealed.result

    def _set_rate(self, optimizer: torch.optim.Optimizer, step: int) -> float:
        train = self.config.train
        rate = train.learning_rate * rate_factor(step, train.steps, train.warmup, train.schedule)
        for group in optimizer.param_groups:
            group["lr"] = rate
        return rate


def make_trainer(config: Config, scenes: list[Scene], resume: Checkpoint | None = None) -> Trainer:
    """A trainer at step 0, or at the step of ``resume``.

    Args:
        config: Resolved configuration; classes included.
        scenes: Opened scene folders.
        resume: Checkpoint of the same network to go on from.

    Raises:
        CheckpointError: The checkpoint is of another model.
    """
    fabric = Fabric(accelerator="auto", devices=1, precision=config.train.precision)
    # To the device before the optimiser's state is loaded, which goes to where the weights are.
    network = build_network(config).to(fabric.device)
    optimizer = build_optimizer(config, network)
    if resume is not None:
        load_weights(network, resume.weights)
        optimizer.load_state_dict(resume.optimizer)
        torch.set_rng_state(resume.rng)
    objective = SceneObjective(
        build_raycaster(config), build_loss(config), config.model.use_free_space, config.train.guide_steps
    )
    dataset = build_dataset(config, scenes)
    return Trainer(config, fabric, dataset, network, optimizer, objective, 0 if resume is None else resume.step)
