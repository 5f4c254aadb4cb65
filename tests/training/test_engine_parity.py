"""Training and prediction do not depend on the engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sparse_s4r.build import with_classes
from sparse_s4r.checkpoint import load_checkpoint, restore_network
from sparse_s4r.config import load_config
from sparse_s4r.data.prediction_format import load_prediction
from sparse_s4r.data.scene import open_scene
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.inference.run import run_prediction
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.structures import ScenePrediction
from sparse_s4r.training.trainer import make_trainer
from tests.small_scene import TINY, shared_scene
from tests.sparse.scenes import needs_minkowski

pytestmark = needs_minkowski
PARITY_STEPS = 20
ENGINES = ("builtin", "minkowski")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


@dataclass(frozen=True)
class Trained:
    """A training of ``PARITY_STEPS`` steps in float64: every step's losses, and the weights and statistics at last."""

    checkpoint: Path
    losses: list[dict[str, float]]
    weights: dict[str, Tensor]


@pytest.fixture(scope="module")
def trained(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    return {engine: _train(engine, scene, tmp_path_factory.mktemp(engine)) for engine in ENGINES}


def _train(engine: str, scene: Path, folder: Path) -> Trained:
    opened = open_scene(scene)
    settings = [*TINY, f"train.steps={PARITY_STEPS}", f"engine={engine}"]
    trainer = make_trainer(with_classes(load_config(None, settings), opened.class_names), [opened])
    # The optimiser keeps the same tensors. In float32, rounding would decide about cells at the threshold.
    trainer.network.double()
    (folder / "config.yaml").write_text("")
    checkpoint = trainer.fit(folder)
    lines = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    losses = [{name: value for name, value in line.items() if name != "seconds"} for line in lines]
    return Trained(checkpoint, losses, dict(trainer.network.state_dict()))


def test_twenty_training_steps_follow_the_same_losses(
    trained: dict[str, Trained], tolerance: Callable[[str, torch.dtype], Any]
) -> None:
    builtin, minkowski = (trained[engine] for engine in ENGINES)
    assert [line["step"] for line in builtin.losses] == list(range(PARITY_STEPS))
    close = vars(tolerance("gradient", torch.float64))
    for one, other in zip(builtin.losses, minkowski.losses, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert other[name] == pytest.approx(value, rel=close["rtol"], abs=close["atol"]), (one["step"], name)
    # All terms count, and something was learnt meanwhile.
    assert {"depth", "color", "semantic", "tsdf", "occupancy_1"} <= builtin.losses[-1].keys()
    assert builtin.losses[-1]["total"] < 0.8 * builtin.losses[2]["total"]
    torch.testing.assert_close(builtin.weights, minkowski.weights, **close)


def _logits(prediction: ScenePrediction) -> dict[tuple[int, ...], float]:
    """Occupancy by stride and cell."""
    return {
        (level.stride, *cell): logit
        for level in prediction.occupancy
        for cell, logit in zip(level.coordinates.tolist(), level.logits.tolist(), strict=True)
    }


@pytest.mark.parametrize("trained_on", ENGINES)
def test_weights_of_one_engine_predict_on_the_others(
    trained_on: str, trained: dict[str, Trained], scene: Path, tmp_path: Path
) -> None:
    checkpoint = trained[trained_on].checkpoint
    assert load_checkpoint(checkpoint).config.engine == trained_on

    opened = open_scene(scene)
    given = SceneInput(opened.load_scan("input"), ObservationPyramid(opened.load_observation("input")))
    with torch.no_grad():
        logits = [_logits(restore_network(load_checkpoint(checkpoint), engine)([given])[0]) for engine in ENGINES]
    # float32 sums of some thousand products, over five levels and thirty layers.
    near = 1e-3
    assert len(logits[0]) > 1000
    for mine, its in (logits, logits[::-1]):
        for cell, logit in mine.items():
            # A candidate that the other lacks has a parent that only just was, or was not, kept.
            parent = (2 * cell[0], *(value // 2 for value in cell[1:]))
            assert abs(its[cell] - logit) < near if cell in its else abs(mine[parent]) < near

    files = [tmp_path / engine for engine in ENGINES]
    for engine, out in zip(ENGINES, files, strict=True):
        run_prediction(scene, checkpoint, out, engine)
        assert json.loads((out / "prediction.json").read_text())["engine"] == engine
    (one, _), (other, _) = (load_prediction(out) for out in files)
    assert one.observed is not None
    assert int((~one.observed).sum()) > 1000
    rows = VoxelHash(other.coordinates).rows(one.coordinates)
    both = rows >= 0
    assert int((~both).sum()) + len(other) - int(both.sum()) <= len(one) // 1000
    torch.testing.assert_close(one.tsdf[both], other.tsdf[rows[both]], rtol=0, atol=near * opened.grid.truncation)
    assert one.semantic_logits is not None
    assert other.semantic_logits is not None
    same = one.semantic_logits.argmax(1)[both] == other.semantic_logits.argmax(1)[rows[both]]
    assert float(same.float().mean()) > 0.999
