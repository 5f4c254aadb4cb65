"""Evaluation of a saved prediction of the small scene."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from rich.console import Console

from sparse_s4r.data.prediction_format import PredictionInfo, load_prediction, save_prediction
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.evaluation.run import evaluate_prediction, save_metrics
from sparse_s4r.evaluation.table import metrics_table
from sparse_s4r.structures import GridSpec, ScenePrediction
from sparse_s4r.structures.errors import DataError
from tests.small_scene import shared_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return open_scene(shared_scene(tmp_path_factory))


def save_scan(scene: Scene, which: str, folder: Path) -> Path:
    """A scan as if it had been predicted."""
    scan = scene.load_scan("target" if which == "target" else "input")
    folder.mkdir()
    observed = torch.ones(len(scan), dtype=torch.bool)
    prediction = dataclasses.replace(ScenePrediction.from_scan(scan), observed=observed)
    save_prediction(prediction, PredictionInfo((), (0.0, 0.0, 1.0), ""), folder)
    return folder


def test_the_target_as_prediction_is_complete(scene: Scene, tmp_path: Path) -> None:
    metrics = evaluate_prediction(save_scan(scene, "target", tmp_path / "p"), scene.path)
    assert metrics.frames == scene.frame_names("held_out")
    assert (metrics.completion.recall, metrics.completion.precision) == (1.0, 1.0)
    assert metrics.completion.missing > 100
    assert metrics.prediction.coverage > metrics.input.coverage
    # Both hit: as many pixels for either.
    assert metrics.prediction_where_both_hit.coverage == metrics.input_where_both_hit.coverage == 1.0
    # Rendered distances of a fused scan are good to a fraction of the voxel of 16 cm.
    assert metrics.prediction.depth_median < 0.08
    assert metrics.labels is None


def test_the_input_as_prediction_equals_the_input(scene: Scene, tmp_path: Path) -> None:
    metrics = evaluate_prediction(save_scan(scene, "input", tmp_path / "p"), scene.path)
    assert metrics.prediction.coverage == metrics.input.coverage
    assert metrics.prediction.depth_median == metrics.input.depth_median
    assert metrics.prediction_where_input_misses.coverage == 0.0
    assert metrics.completion.recall == 0.0


def test_figures_become_json_and_a_table(scene: Scene, tmp_path: Path) -> None:
    metrics = evaluate_prediction(save_scan(scene, "input", tmp_path / "p"), scene.path, ["0001"], width=24)
    assert math.isnan(metrics.prediction_where_input_misses.depth_median)
    save_metrics(metrics, tmp_path / "metrics.json")

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    # NaN and Infinity are words of Python's, which other readers of JSON refuse.
    read = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=refuse)
    assert read["frames"] == ["0001"]
    assert read["prediction"]["coverage"] == metrics.prediction.coverage
    assert read["prediction_where_input_misses"]["depth_median"] is None
    assert read["completion"]["precision"] is None
    assert read["labels"] is None
    console = Console(record=True, width=200, file=(tmp_path / "table.txt").open("w"))
    console.print(metrics_table(metrics))
    text = console.export_text()
    assert f"{metrics.input.coverage:.1%}" in text
    assert f"{metrics.completion.missing:,} missing voxels" in text


def test_classes_other_than_the_scenes_are_not_judged(scene: Scene, tmp_path: Path) -> None:
    plain, info = load_prediction(save_scan(scene, "input", tmp_path / "p"))
    assert scene.class_names is not None
    for names, judged in ((scene.class_names, True), (("left", "right"), False)):
        folder = tmp_path / names[0]
        folder.mkdir()
        logits = torch.zeros(len(plain), len(names))
        save_prediction(
            dataclasses.replace(plain, semantic_logits=logits), dataclasses.replace(info, class_names=names), folder
        )
        metrics = evaluate_prediction(folder, scene.path)
        assert (metrics.labels is not None) == judged
        assert metrics.prediction.coverage == metrics.input.coverage > 0


def test_refuses_what_does_not_belong_together(scene: Scene, tmp_path: Path) -> None:
    folder = save_scan(scene, "input", tmp_path / "p")
    with pytest.raises(DataError, match="no frame '9999'"):
        evaluate_prediction(folder, scene.path, ["9999"])
    moved, info = load_prediction(folder)
    x, y, z = moved.grid.origin
    other = dataclasses.replace(moved, grid=GridSpec(moved.grid.voxel_size, (x, y, z + 16 * moved.grid.voxel_size)))
    (tmp_path / "moved").mkdir()
    save_prediction(other, info, tmp_path / "moved")
    with pytest.raises(DataError, match="expected a prediction on the grid of"):
        evaluate_prediction(tmp_path / "moved", scene.path)
    with pytest.raises(DataError, match="expected a prediction made by s4r predict"):
        evaluate_prediction(scene.path, scene.path)
