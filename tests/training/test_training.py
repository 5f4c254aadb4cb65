"""Training on the small scene: it learns, it resumes exactly, and it refuses what cannot go well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sparse_s4r.build import build_network
from sparse_s4r.checkpoint import load_checkpoint
from sparse_s4r.config import load_config
from sparse_s4r.data.scene import open_scene
from sparse_s4r.structures.errors import CheckpointError, ConfigError, DataError
from sparse_s4r.training.run import run_training
from sparse_s4r.training.step import TrainingStep
from sparse_s4r.training.trainer import TrainingError
from tests.small_scene import STEPS, TINY, make_small_scene, shared_run, shared_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_run(tmp_path_factory)


def losses(run: Path) -> list[dict[str, float]]:
    """The log's lines without the times, which differ from run to run."""
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def mean(records: list[dict[str, float]], name: str) -> float:
    return sum(record[name] for record in records) / len(records)


def expect_same_run(first: Path, second: Path) -> None:
    one, other = (load_checkpoint(run / "checkpoint.pt") for run in (first, second))
    assert one.step == other.step
    if torch.cuda.is_available():
        # Sums on a GPU come in no fixed order.
        torch.testing.assert_close(dict(one.weights), dict(other.weights), rtol=1e-3, atol=1e-3)
        return
    for name, weight in one.weights.items():
        assert torch.equal(weight, other.weights[name]), name
    assert losses(first) == losses(second)


class InterruptionError(Exception):
    """Stands for an interruption."""


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    forward = TrainingStep.forward

    def stop(self: TrainingStep, sealed: Any, step: int) -> Any:
        if step == at:
            raise InterruptionError
        return forward(self, sealed, step)

    monkeypatch.setattr(TrainingStep, "forward", stop)


def test_training_lowers_the_loss(run: Path) -> None:
    records = losses(run)
    assert [record["step"] for record in records] == list(range(STEPS))
    # From step 2 on all terms count.
    early, late = records[2:5], records[-3:]
    for name in ("total", "tsdf", "semantic", "occupancy_1", "occupancy_4", "occupancy_16"):
        assert mean(late, name) < mean(early, name), name


def test_a_run_tells_what_it_did(run: Path, scene: Path) -> None:
    assert {entry.name for entry in run.iterdir()} == {"config.yaml", "checkpoint.pt", "losses.jsonl", "tensorboard"}
    config = load_config(run / "config.yaml")
    assert config.train.steps == STEPS
    assert config.model.class_names == open_scene(scene).class_names
    checkpoint = load_checkpoint(run / "checkpoint.pt")
    assert (checkpoint.step, checkpoint.config) == (STEPS, config)
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert {"loss/total", "loss/depth", "train/learning_rate", "train/peak_memory_bytes"} <= set(
        events.Tags()["scalars"]
    )
    assert events.Scalars("loss/total")[-1].value == pytest.approx(losses(run)[-1]["total"])


def test_the_learning_rate_follows_its_schedule(scene: Path, tmp_path: Path) -> None:
    changes = ["train.steps=4", "train.warmup=1", "train.schedule=cosine", "train.log_every=1"]
    run_training(None, [*TINY, *changes, "loss.depth.start=9"], [scene], tmp_path / "run", resume=False)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    rates = [event.value for event in events.Scalars("train/learning_rate")]
    # Half of 0.003, then a cosine of three steps towards 2 %: 1, 3/4 and 1/4 of the way above that.
    assert rates == pytest.approx([0.003 * f for f in (0.5, 1.0, 0.02 + 0.98 * 0.75, 0.02 + 0.98 * 0.25)], rel=1e-5)
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt").optimizer["param_groups"][0]["lr"] == pytest.approx(
        rates[-1], rel=1e-5
    )


def test_pictures_are_logged(scene: Path, tmp_path: Path) -> None:
    settings = [*TINY, "train.steps=1", "loss.depth.start=0", "loss.color.start=0", "loss.semantic.start=0"]
    run_training(None, settings, [scene], tmp_path / "run", resume=False)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert events.Tags()["images"] == ["view/real_above_rendered"]


def test_an_interrupted_training_goes_on_as_if_nothing_had_been(
    scene: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*TINY, f"train.steps={STEPS}", "train.checkpoint_every=4"]
    forward = TrainingStep.forward
    interrupt(monkeypatch, 6)
    with pytest.raises(InterruptionError):
        run_training(None, settings, [scene], tmp_path / "run", resume=False)
    monkeypatch.setattr(TrainingStep, "forward", forward)
    # Two steps more were logged than the checkpoint knows.
    assert len(losses(tmp_path / "run")) == 6
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt").step == 4
    torch.rand(5)
    run_training(None, [], [scene], tmp_path / "run", resume=True)
    expect_same_run(run, tmp_path / "run")


def test_a_finished_training_can_be_extended(scene: Path, run: Path, tmp_path: Path) -> None:
    run_training(None, [*TINY, "train.steps=2"], [scene], tmp_path / "run", resume=False)
    run_training(None, [f"train.steps={STEPS}"], [scene], tmp_path / "run", resume=True)
    expect_same_run(run, tmp_path / "run")
    assert load_config(tmp_path / "run" / "config.yaml").train.steps == STEPS


def test_an_existing_folder_is_left_alone(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious.txt").write_text("mine")
    with pytest.raises(
        DataError, match=r"run: expected a folder that does not exist yet; name another, or add --resume"
    ):
        run_training(None, [*TINY, "train.steps=1"], [scene], tmp_path / "run", resume=False)
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["precious.txt"]
    assert (tmp_path / "run" / "precious.txt").read_text() == "mine"


def test_resuming_needs_a_checkpoint(scene: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt: expected a checkpoint file, found none"):
        run_training(None, [], [scene], tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_resuming_takes_the_configuration_of_the_checkpoint(scene: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("seed: 3\n")
    with pytest.raises(CheckpointError, match="--resume: expected no --config"):
        run_training(tmp_path / "other.yaml", [], [scene], run, resume=True)
    with pytest.raises(CheckpointError, match="checkpoint of another model"):
        run_training(None, ["model.widths=[5,5,5,5,5]"], [scene], run, resume=True)
    with pytest.raises(ConfigError, match=f"train.steps=5: expected at least the {STEPS} steps"):
        run_training(None, ["train.steps=5"], [scene], run, resume=True)
    with pytest.raises(ConfigError, match=r"unknown key train\.step; did you mean train\.steps"):
        run_training(None, ["train.step=3"], [scene], run, resume=True)
    assert load_checkpoint(run / "checkpoint.pt").step == STEPS
    assert load_config(run / "config.yaml") == load_checkpoint(run / "checkpoint.pt").config


def test_resuming_on_scenes_with_other_classes_is_refused(run: Path, tmp_path: Path) -> None:
    other = make_small_scene(tmp_path, labels=False)
    with pytest.raises(ConfigError, match=r"model\.class_names: expected those of the scenes"):
        run_training(None, [], [other.path], run, resume=True)
    with pytest.raises(DataError, match="expected the same classes in all"):
        run_training(None, [*TINY], [other.path, shared_path(run)], tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()


def shared_path(run: Path) -> Path:
    return run.parent / "scene"


def test_losses_that_are_not_finite_stop_the_training(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = TrainingStep.forward

    def spoil(self: TrainingStep, sealed: Any, step: int) -> Any:
        total = forward(self, sealed, step)
        return total * torch.nan if step == 1 else total

    monkeypatch.setattr(TrainingStep, "forward", spoil)
    settings = [*TINY, "train.steps=3", "train.checkpoint_every=1"]
    with pytest.raises(TrainingError, match=rf"step 1, sample {open_scene(scene).name}: expected a finite loss, got"):
        run_training(None, settings, [scene], tmp_path / "run", resume=False)
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert checkpoint.step == 1
    assert all(bool(torch.isfinite(weight).all()) for weight in checkpoint.weights.values())


def test_gradients_that_are_not_finite_stop_the_training(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = TrainingStep.forward

    def spoil(self: TrainingStep, sealed: Any, step: int) -> Any:
        total = forward(self, sealed, step)
        # 0 times the infinite slope of the root at 0.
        return total + torch.sqrt(total * 0.0)

    monkeypatch.setattr(TrainingStep, "forward", spoil)
    with pytest.raises(TrainingError, match=r"step 0, sample .*: expected finite gradients, got a norm of nan"):
        run_training(None, [*TINY, "train.steps=1"], [scene], tmp_path / "run", resume=False)
    # The checkpoint of the first moment stays: the training can be resumed from there.
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt").step == 0


def test_every_weight_learns(run: Path) -> None:
    trained = load_checkpoint(run / "checkpoint.pt")
    # Adam leaves a weight as it is that never had a gradient.
    idle = [
        name
        for name, weight in build_network(trained.config).named_parameters()
        if torch.equal(weight, trained.weights[name])
    ]
    assert idle == []


@pytest.mark.parametrize(
    "settings",
    [
        ["data.crop=1.5", "data.views=2"],
        ["model.network=dense", "model.residual=false", "data.crop=3"],
        ["model.color_encoder=false", "model.color_decoder=false", "model.class_names=[]"],
        ["model.keep_observed=false", "train.guide_steps=0", "model.use_free_space=false"],
    ],
    ids=["crops", "dense", "geometry alone", "nothing kept"],
)
def test_variants_train(scene: Path, tmp_path: Path, settings: list[str]) -> None:
    start = [f"loss.{name}.start=0" for name in ("depth", "color", "semantic")]
    run_training(None, [*TINY, *start, "train.steps=2", *settings], [scene], tmp_path / "run", resume=False)
    records = losses(tmp_path / "run")
    assert len(records) == 2
    assert "depth" in records[0]
