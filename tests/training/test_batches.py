"""Several samples per step: together in a batch, and one after the other with their gradients averaged."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparse_s4r.build import with_classes
from sparse_s4r.checkpoint import load_checkpoint
from sparse_s4r.config import load_config, save_config
from sparse_s4r.data.scene import open_scene
from sparse_s4r.structures import LossReport
from sparse_s4r.training.run import run_training
from sparse_s4r.training.trainer import Trainer, make_trainer
from tests.small_scene import TINY, shared_scene

# Everything that draws: what a resumed training must draw again.
DRAWING = (
    "data.crop=3",
    "data.input_variants=2",
    "data.scene_repeat=2",
    "data.augment.rotate=true",
    "data.augment.mirror=true",
    "data.augment.shift=true",
    "data.augment.color=0.2",
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


def trainer_of(scene: Path, *settings: str) -> Trainer:
    opened = open_scene(scene)
    config = load_config(None, [*TINY, "train.steps=1", "train.clip_norm=1000000", *settings])
    return make_trainer(with_classes(config, opened.class_names), [opened])


def gradients_of_a_step(trainer: Trainer, folder: Path) -> list[Tensor]:
    """Those that the first optimiser step uses."""
    found: list[Tensor] = []

    def note(*_: object) -> None:
        found.extend(weight.grad.clone() for weight in trainer.network.parameters() if weight.grad is not None)

    trainer.optimizer.register_step_pre_hook(note)
    folder.mkdir()
    save_config(trainer.config, folder / "config.yaml")
    trainer.fit(folder)
    return found


def losses(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.mark.parametrize(("batch", "accumulate"), [(2, 1), (1, 2)])
def test_a_step_follows_the_mean_loss_of_its_samples(scene: Path, tmp_path: Path, batch: int, accumulate: int) -> None:
    trainer = trainer_of(scene, f"train.batch={batch}", f"train.accumulate={accumulate}", "data.prefetch=0")
    network = copy.deepcopy(trainer.network).train()
    samples = [trainer.dataset.sample(0, slot, slots=2) for slot in range(2)]
    assert next(tuple(frame.name for frame in sample.frames) for sample in samples) != ()
    # Batch normalisation sees a batch together, and batches apart.
    groups = [samples] if batch == 2 else [[sample] for sample in samples]
    results = [result for group in groups for result in trainer.objective(network, group, 0)]
    torch.autograd.backward(torch.stack([result.report.total for result in results]).mean())
    expected = [weight.grad for weight in network.parameters() if weight.grad is not None]
    found = gradients_of_a_step(trainer, tmp_path / "run")
    assert len(found) == len(expected) > 20
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    (record,) = losses(tmp_path / "run")
    total = sum(float(result.report.total.detach()) for result in results) / 2
    assert record["total"] == pytest.approx(total, rel=1e-5)
    assert record["voxels"] == sum(len(result.prediction) for result in results)


def test_a_resumed_training_draws_the_same_again(scene: Path, tmp_path: Path) -> None:
    settings = [*TINY, *DRAWING, "train.batch=2", "train.accumulate=2"]
    run_training(None, [*settings, "train.steps=4", "data.prefetch=2"], [scene], tmp_path / "whole", resume=False)
    run_training(None, [*settings, "train.steps=3"], [scene], tmp_path / "parts", resume=False)
    run_training(None, ["train.steps=4"], [scene], tmp_path / "parts", resume=True)
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    one, other = (load_checkpoint(tmp_path / name / "checkpoint.pt").weights for name in ("whole", "parts"))
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())


def test_checkpointed_activations_change_no_step(scene: Path, tmp_path: Path) -> None:
    settings = [*TINY, "train.steps=3", *(f"loss.{name}.start=0" for name in ("depth", "color", "semantic"))]
    for name in ("false", "true"):
        changed = [*settings, f"train.checkpoint_activations={name}"]
        run_training(None, changed, [scene], tmp_path / name, resume=False)
    one, other = losses(tmp_path / "false"), losses(tmp_path / "true")
    for before, after in zip(one, other, strict=True):
        assert after == pytest.approx(before, rel=1e-4)


def test_a_training_can_be_ended_between_steps(scene: Path, tmp_path: Path) -> None:
    trainer = trainer_of(scene, "train.steps=9")
    (tmp_path / "run").mkdir()
    save_config(trainer.config, tmp_path / "run" / "config.yaml")
    told: list[int] = []

    def after_step(done: int) -> bool:
        told.append(done)
        return done == 2

    checkpoint = trainer.fit(tmp_path / "run", after_step)
    assert told == [1, 2]
    assert load_checkpoint(checkpoint).step == 2


def test_means_of_reports_count_where_a_term_does() -> None:
    def report(total: float, terms: dict[str, float], counts: dict[str, int]) -> LossReport:
        return LossReport(torch.tensor(total), {name: torch.tensor(value) for name, value in terms.items()}, counts)

    mean = LossReport.mean(
        [
            report(1.0, {"tsdf": 1.0, "depth": 0.0, "color": 0.0}, {"tsdf": 5, "depth": 0, "color": 0}),
            report(4.0, {"tsdf": 2.0, "depth": 3.0, "color": 0.0}, {"tsdf": 7, "depth": 4, "color": 0}),
        ]
    )
    assert float(mean.total) == 2.5
    # The first sample has no pixel of depth: its 0 is no value. Colour counts nowhere and stays.
    assert {name: float(value) for name, value in mean.terms.items()} == {"tsdf": 1.5, "depth": 3.0, "color": 0.0}
    assert mean.counts == {"tsdf": 12, "depth": 4, "color": 0}
