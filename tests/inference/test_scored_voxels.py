"""Predicted voxels and the truth about them, voxel by voxel."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparse_s4r.checkpoint import load_checkpoint, restore_network
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.inference.predict import predict_scene
from sparse_s4r.inference.scored_voxels import score_voxels, together
from sparse_s4r.structures import IGNORE_LABEL, ScenePrediction, SceneTruth, SparseTSDF
from sparse_s4r.structures.errors import DataError
from tests.small_scene import shared_run, shared_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return open_scene(shared_scene(tmp_path_factory))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_run(tmp_path_factory) / "checkpoint.pt"


@pytest.fixture(scope="module")
def prediction(scene: Scene, checkpoint: Path) -> ScenePrediction:
    network = restore_network(load_checkpoint(checkpoint))
    return predict_scene(network, scene.load_scan("input"), scene.load_observation("input"))


def rows_of(cells: Tensor) -> dict[tuple[int, ...], int]:
    return {tuple(cell): row for row, cell in enumerate(cells.tolist())}


def test_without_truth_the_fuller_scan_tells_in_seen_space(
    scene: Scene, checkpoint: Path, prediction: ScenePrediction
) -> None:
    loaded = load_checkpoint(checkpoint)
    voxels = score_voxels(restore_network(loaded), loaded.config.model, scene)
    assert voxels.class_logits is None
    assert not voxels.truth
    # All voxels of the fuller scan were seen, and are occupied.
    target = rows_of(scene.load_scan("target").coordinates)
    expected = sum(tuple(cell) in target for cell in prediction.coordinates.tolist())
    assert int(voxels.occupied.sum()) == expected > 0
    assert len(voxels.logits) <= len(prediction)
    # The input is part of the fuller scan, but for voxels that further frames averaged out of the band.
    assert float(voxels.occupied[voxels.observed].double().mean()) > 0.9
    count = len(scene.load_scan("input"))
    assert 0.9 * count < int(voxels.observed.sum()) <= count


def test_the_truth_judges_every_voxel(
    scene: Scene, checkpoint: Path, prediction: ScenePrediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A truth with every second predicted voxel, at distances up to the truncation, in classes 0, 1 and none.
    cells = prediction.coordinates[::2]
    size = scene.grid.voxel_size
    distances = torch.linspace(-scene.grid.truncation, scene.grid.truncation, len(cells))
    labels = torch.tensor([0, 1, IGNORE_LABEL]).repeat(len(cells))[: len(cells)]
    field = SparseTSDF(scene.grid, cells, distances, torch.ones(len(cells)))
    truth = SceneTruth(field, labels, scene.grid.truncation)
    monkeypatch.setattr(Scene, "load_truth", lambda self: truth)
    loaded = load_checkpoint(checkpoint)
    voxels = score_voxels(restore_network(loaded), loaded.config.model, scene)
    assert voxels.truth
    assert len(voxels.logits) == len(prediction)
    assert prediction.occupancy_probability is not None
    torch.testing.assert_close(voxels.logits.sigmoid().float(), prediction.occupancy_probability, rtol=0, atol=1e-6)
    expected = torch.zeros(len(prediction), dtype=torch.bool)
    expected[::2] = distances.abs() < 0.95 * scene.grid.truncation
    assert torch.equal(voxels.occupied, expected)
    near = (distances.abs() < size) & (labels != IGNORE_LABEL)
    assert voxels.labels is not None
    assert voxels.class_logits is not None
    assert prediction.semantic_logits is not None
    assert torch.equal(voxels.labels, labels[near])
    torch.testing.assert_close(voxels.class_logits, prediction.semantic_logits[::2][near])

    both = together([voxels, voxels])
    assert (len(both.logits), len(both.occupied)) == (2 * len(voxels.logits), 2 * len(voxels.logits))
    assert both.labels is not None
    assert len(both.labels) == 2 * len(voxels.labels)
    with pytest.raises(DataError, match="expected all with their true surface or all without"):
        together([voxels, dataclasses.replace(voxels, truth=False)])
