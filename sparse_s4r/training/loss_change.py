"""Whether a training lowered its losses: the same samples, voxels and pixels before and after."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.build import build_network
from sparse_s4r.checkpoint import load_checkpoint
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.losses.objective import Target
from sparse_s4r.structures import LevelOccupancy, ScenePrediction, SceneSample
from sparse_s4r.structures.errors import DataError
from sparse_s4r.training.step import StepResult
from sparse_s4r.training.trainer import Trainer, make_trainer

_NO_LOSSES = ("step", "seconds", "voxels")
# Samples beyond the last step: drawn as in training, but none that was trained on.
_SAMPLES = 8


@dataclass(frozen=True)
class LossChange:
    """Mean of a loss over the same samples with the first and with the last weights."""

    first: float
    last: float


def measure_loss_changes(checkpoint_path: Path, scene_folders: Sequence[Path]) -> dict[str, LossChange]:
    """Evaluate every term with the weights that a training started from and with those that it ended with.

    Both networks see the same samples, drawn after the training's. Image terms count the pixels that both hit, the
    others the cells and voxels that both have, so that surface which only the trained network makes does not change
    what is compared. Batch normalisation uses each sample's statistics, since the first weights have none.

    Args:
        checkpoint_path: The training's checkpoint.
        scene_folders: The scenes it was trained on.

    Returns:
        Per term, the means over the samples in which it counted.
    """
    checkpoint = load_checkpoint(checkpoint_path)
    trainer = make_trainer(checkpoint.config, [open_scene(folder) for folder in scene_folders], checkpoint)
    first = build_network(checkpoint.config).train()
    last = trainer.network.train()
    sums: dict[str, tuple[float, float, int]] = {}
    with torch.no_grad():
        for step in range(checkpoint.step, checkpoint.step + _SAMPLES):
            sample = trainer.dataset.sample(step)
            results = [trainer.objective(network, [sample], _ALL_TERMS)[0] for network in (first, last)]
            before, after = (_terms(trainer, sample, result, results) for result in results)
            for name in before.keys() & after.keys():
                one, other, count = sums.get(name, (0.0, 0.0, 0))
                sums[name] = one + before[name], other + after[name], count + 1
    return {name: LossChange(one / count, other / count) for name, (one, other, count) in sorted(sums.items())}


def read_losses(path: Path) -> dict[str, list[float]]:
    """Values of every loss, step by step, from a run's ``losses.jsonl``.

    Raises:
        DataError: No such file, or a line that is no record.
    """
    try:
        records = [json.loads(line) for line in path.read_text().splitlines()]
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: expected a line of JSON per training step: {error}") from error
    losses: dict[str, list[float]] = {}
    for record in records:
        for name, value in record.items():
            if name not in _NO_LOSSES:
                losses.setdefault(name, []).append(float(value))
    return losses


# A step after every term's start and after the guide.
_ALL_TERMS = 2**31


def _terms(trainer: Trainer, sample: SceneSample, result: StepResult, both: Sequence[StepResult]) -> dict[str, float]:
    """The terms of ``result`` over the pixels, cells and voxels of ``both`` results; those that count anywhere."""
    views = []
    for index, (view, frame) in enumerate(result.views):
        hit = torch.stack([other.views[index][0].hit for other in both]).all(0)
        views.append((view, replace(frame, depth=torch.where(hit, frame.depth, 0.0))))
    virtual = []
    for index, labelled in enumerate(result.virtual):
        counts = torch.stack([other.virtual[index].counts for other in both]).all(0)
        virtual.append(replace(labelled, counts=counts))
    seen = ObservationPyramid(sample.target_observation)
    target = Target(sample.target, seen, sample.input, sample.truth, sample.lifted)
    report = trainer.objective.loss(_shared_part(result, both), target, views, _ALL_TERMS, virtual)
    return {name: float(value) for name, value in report.terms.items() if report.counts[name]}


def _shared_part(result: StepResult, both: Sequence[StepResult]) -> ScenePrediction:
    """The prediction of ``result`` at the voxels, and the candidates of every level, that all of ``both`` have."""
    occupancy = []
    for index, level in enumerate(result.prediction.occupancy):
        shared = _in_all(level.coordinates, [other.prediction.occupancy[index].coordinates for other in both])
        occupancy.append(LevelOccupancy(level.stride, level.coordinates[shared], level.logits[shared]))
    voxels = _in_all(result.prediction.coordinates, [other.prediction.coordinates for other in both])
    return replace(result.prediction.select(voxels), occupancy=tuple(occupancy))


def _in_all(coordinates: Tensor, sets: Sequence[Tensor]) -> Tensor:
    return torch.stack([VoxelHash(one).rows(coordinates) >= 0 for one in sets]).all(0)
