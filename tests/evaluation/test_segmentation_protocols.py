"""Labels judged on the incomplete and on the full scan: by hand, by scikit-learn, and on a made scene."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, jaccard_score, recall_score

from sparse_s4r.evaluation.segmentation_protocols import LIFTED, PREDICTION, confusion, score_protocols, true_labels
from sparse_s4r.structures import IGNORE_LABEL, GridSpec, SparseTSDF
from sparse_s4r.structures.errors import DataError
from tests.evaluation.test_rooms import make_scene, predict

GRID = GridSpec(0.02)


def scan(cells: torch.Tensor, voxels: torch.Tensor) -> SparseTSDF:
    return SparseTSDF(GRID, cells, voxels.double() * 0.02, torch.ones(len(cells)))


def test_four_voxels_by_hand() -> None:
    cells = torch.tensor([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0]])
    judged = scan(cells, torch.tensor([0.5, -0.5, 0.9, 0.0, 2.0]))
    true = torch.tensor([0, 0, 1, IGNORE_LABEL, 1])
    # Class 2 occurs nowhere; the second voxel is missing, the fourth has no true label, the fifth is no surface.
    found = confusion(cells[[0, 2, 3, 4]], torch.tensor([0, 0, 2, 1]), judged, true, 3, 1)
    assert found.counts.tolist() == [[1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert found.class_iou[:2] == pytest.approx((1 / 3, 0.0))
    assert math.isnan(found.class_iou[2])
    assert (found.mean_iou, found.mean_accuracy, found.accuracy) == pytest.approx((1 / 6, 1 / 4, 1 / 3))
    labelled = found.without_missing()
    assert (labelled.mean_iou, labelled.mean_accuracy, labelled.accuracy) == pytest.approx((1 / 4, 1 / 2, 1 / 2))
    wide = confusion(cells[[0, 2, 3, 4]], torch.tensor([0, 0, 2, 1]), judged, true, 3, 3)
    assert wide.counts.tolist() == [[1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_scikit_learn_says_the_same() -> None:
    rng = np.random.default_rng(0)
    cells = torch.from_numpy(np.unique(rng.integers(0, 9, (600, 3)), axis=0))
    judged = scan(cells, torch.from_numpy(rng.uniform(-2.8, 2.8, len(cells))))
    # Class 3 is predicted and never true, class 4 neither.
    true = rng.choice([0, 1, 2, IGNORE_LABEL], len(cells))
    labels = rng.choice([0, 1, 2, 3], len(cells))
    kept = rng.random(len(cells)) < 0.8
    found = confusion(cells[kept], torch.from_numpy(labels[kept]), judged, torch.from_numpy(true), 5, 1)
    near = (judged.tsdf.abs().numpy() < 0.02) & (true != IGNORE_LABEL)
    given = np.where(kept, labels, 9)
    occurring = [0, 1, 2]
    options = {"labels": occurring, "average": "macro", "zero_division": 0}
    for scores, chosen in ((found, near), (found.without_missing(), near & kept)):
        assert scores.accuracy == pytest.approx(accuracy_score(true[chosen], given[chosen]))
        assert scores.mean_iou == pytest.approx(jaccard_score(true[chosen], given[chosen], **options))
        assert scores.mean_accuracy == pytest.approx(recall_score(true[chosen], given[chosen], **options))
    assert scores.voxels == int((near & kept).sum())


def test_perfect_and_empty() -> None:
    cells = torch.cartesian_prod(torch.arange(3), torch.arange(3), torch.arange(3))
    judged, true = scan(cells, torch.zeros(27)), torch.arange(27) % 3
    perfect = confusion(cells, true, judged, true, 3, 1)
    assert (perfect.mean_iou, perfect.mean_accuracy, perfect.accuracy) == (1.0, 1.0, 1.0)
    empty = confusion(cells[:0], true[:0], judged, true, 3, 1)
    assert (empty.mean_iou, empty.mean_accuracy, empty.accuracy) == (0.0, 0.0, 0.0)
    assert math.isnan(empty.without_missing().mean_iou)


def test_a_scene_in_every_protocol(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "room")
    predict(scene, tmp_path / "part")
    predict(scene, tmp_path / "full")
    (tmp_path / "full" / "prediction.json").write_text(json.dumps({"scan": "target"}))
    found = {
        (score.method, score.protocol): score
        for score in score_protocols(scene, {"input": tmp_path / "part", "target": tmp_path / "full"})
    }
    protocols = ("part-to-part", "full-to-full", "partial-to-full")
    assert set(found) == {(method, protocol) for method in (LIFTED, PREDICTION) for protocol in protocols}
    truth = scene.load_truth()
    for protocol, name in zip(protocols, ("input", "target", "target"), strict=True):
        judged = scene.load_scan("input" if name == "input" else "target")
        labels = true_labels(scene, judged, truth)
        assert labels is not None
        near = (judged.tsdf.abs() < GRID.voxel_size * 5) & (labels != IGNORE_LABEL)
        score = found[PREDICTION, protocol]
        # The prediction has every voxel and calls all of them floor.
        assert score.narrow.voxels == int(near.sum())
        assert score.narrow.counts[:, 1:].sum() == 0
        assert score.narrow.accuracy == pytest.approx(float((labels[near] == 0).double().mean()))
        assert score.narrow.class_accuracy == (1.0, 0.0)
        assert score.wide.voxels > score.narrow.voxels
    assert found[LIFTED, "full-to-full"].narrow.accuracy > 0.9
    # Labels of the incomplete scan cannot say what it lacks.
    lifted = found[LIFTED, "partial-to-full"].narrow
    assert lifted.counts[:, -1].sum() > found[LIFTED, "part-to-part"].narrow.counts[:, -1].sum()
    assert lifted.without_missing().accuracy > 0.9


def test_what_does_not_belong_is_named(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "room")
    predict(scene, tmp_path / "part")
    with pytest.raises(DataError, match=r"made of the target scan, got one of the input scan; .*--scan target"):
        list(score_protocols(scene, {"target": tmp_path / "part"}))
    predict(scene, tmp_path / "none", ())
    with pytest.raises(DataError, match="expected a prediction with labels"):
        list(score_protocols(scene, {"input": tmp_path / "none"}))
    bare = make_scene(tmp_path / "bare", labels=False, truth=False)
    with pytest.raises(DataError, match="expected a scene with labels"):
        list(score_protocols(bare, {}))
    assert true_labels(bare, bare.load_scan("input"), None) is None
