"""The picture of predictions side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_s4r.data.prediction_format import PredictionInfo, save_prediction
from sparse_s4r.data.scene import Scene
from sparse_s4r.evaluation.rooms import Method
from sparse_s4r.structures import ScenePrediction
from tests.small_scene import make_small_scene
from tools.show_predictions import rows_of, show


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_small_scene(tmp_path_factory.mktemp("shown"))


def whole(scene: Scene) -> ScenePrediction:
    """The fuller scan as a prediction whose voxels outside the input are completed and whose class is the first."""
    scan, seen = scene.load_scan("target"), scene.load_scan("input")
    kept = {tuple(row) for row in seen.coordinates.tolist()}
    observed = torch.tensor([tuple(row) in kept for row in scan.coordinates.tolist()])
    logits = torch.zeros(len(scan), len(scene.class_names or ()))
    logits[:, 0] = 5.0
    return ScenePrediction(scan.grid, scan.coordinates, scan.tsdf, scan.color, logits, observed)


def test_columns_show_what_they_say(scene: Scene) -> None:
    seen, _, predicted, color, labels, fuller = (
        None if picture is None else picture.numpy() for picture in rows_of(scene, whole(scene), 215.0)
    )
    assert seen is not None
    assert predicted is not None
    assert labels is not None
    covered = [(picture != 255).any(-1) for picture in (seen, predicted)]
    assert covered[1].sum() > covered[0].sum()
    orange = (predicted[..., 0].astype(int) - predicted[..., 2]) > 60
    assert orange.any()
    assert not orange[covered[0] & ~covered[1]].any()
    assert (color == fuller).mean() > 0.99
    assert len(np.unique(labels[covered[1]].reshape(-1, 3), axis=0)) == 1


def test_a_row_per_scene_is_written(scene: Scene, tmp_path: Path) -> None:
    info = PredictionInfo(scene.class_names or (), (0.0, 0.0, 1.0), "")
    (tmp_path / scene.path.name).mkdir()
    save_prediction(whole(scene), info, tmp_path / scene.path.name)
    show([scene.path], Method("prediction", tmp_path), 215.0, tmp_path / "out.png")
    picture = np.asarray(Image.open(tmp_path / "out.png").convert("RGB"))
    assert picture.shape[1] > 5 * picture.shape[0] / 2
    assert (picture != 255).any(-1).mean() > 0.05
