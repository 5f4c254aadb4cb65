"""Tables over scenes: what is compared with what, and how figures are put together."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_s4r.data.prediction_format import PredictionInfo, save_prediction
from sparse_s4r.data.scene_format import Scene, SceneInfo, SceneScans, open_scene, write_scene
from sparse_s4r.data.truth_file import save_scene_truth
from sparse_s4r.evaluation.rooms import INPUT, LIFTED_INPUT, LIFTED_TARGET, Method, SceneScores, score_scene
from sparse_s4r.evaluation.rooms_table import MEASURES, interval, make_rows, markdown
from sparse_s4r.geometry.fusion import fuse_frames
from sparse_s4r.geometry.observation import observe
from sparse_s4r.structures import Camera, GridSpec, RGBDFrame, ScenePrediction, SceneTruth, SparseTSDF
from sparse_s4r.structures.errors import DataError
from tests.data import captures

GRID = GridSpec(0.1)
CLASSES = ("floor", "wall")
KEYS = [measure.key for measure in MEASURES]


def make_scene(folder: Path, labels: bool = True, truth: bool = True, kept: int = 3) -> Scene:
    """A box room of 10 cm voxels whose floor and walls are labelled; 8 frames."""
    frames = []
    for number, pose in enumerate(captures.room_poses(8)):
        camera = Camera(torch.from_numpy(captures.K), torch.from_numpy(pose), captures.WIDTH, captures.HEIGHT)
        depth = torch.from_numpy(captures.room_depth(pose)).float()
        classes = (camera.unproject(depth)[..., 2] > 0.02).long() if labels else None
        color = torch.from_numpy(captures.room_color(pose)).float() / 255
        frames.append(RGBDFrame(f"view{number}", camera, color, depth, classes))
    lower, upper = torch.tensor([-2.5, -2.0, -0.5]).double(), torch.tensor([2.5, 2.0, 3.0]).double()
    part, whole = fuse_frames(frames[:kept], GRID), fuse_frames(frames, GRID)
    scans = SceneScans(part, whole, observe(frames[:kept], part, lower, upper), observe(frames, whole, lower, upper))
    splits = ["input"] * kept + ["target"] * (8 - kept)
    info = SceneInfo(folder.name, CLASSES if labels else None)
    write_scene(folder, info, list(zip(splits, frames, strict=True)), scans)  # type: ignore[arg-type]
    scene = open_scene(folder)
    if truth:
        save_scene_truth(folder / "truth.safetensors", room_truth())
    return scene


def room_truth() -> SceneTruth:
    cells = torch.cartesian_prod(torch.arange(-25, 25), torch.arange(-20, 20), torch.arange(-5, 30))
    points = GRID.centers(cells, dtype=torch.float64).numpy()
    gaps = np.concatenate([points - captures.ROOM_LOWER, captures.ROOM_UPPER - points], axis=1)
    distance = torch.from_numpy(gaps.min(axis=1)).float()
    keep = distance.abs() < 0.95 * GRID.truncation
    label = torch.from_numpy((gaps.argmin(axis=1) != 2).astype(int))[keep]
    count = int(keep.sum())
    field = SparseTSDF(GRID, cells[keep], distance[keep], torch.ones(count), torch.full((count, 3), 0.5))
    return SceneTruth(field, label, 0.95 * GRID.truncation)


def predict(scene: Scene, folder: Path, classes: tuple[str, ...] = CLASSES) -> None:
    """The fuller scan as a prediction, everything called the first class."""
    target = scene.load_scan("target")
    logits = torch.zeros(len(target), len(classes))
    logits[:, :1] = 1
    prediction = replace(
        ScenePrediction.from_scan(target), semantic_logits=logits, observed=torch.ones(len(target)).bool()
    )
    folder.mkdir(parents=True)
    save_prediction(prediction, PredictionInfo(classes, (0.0, 0.0, 1.0), "0"), folder)


def of(scores: list[SceneScores], method: str) -> SceneScores:
    return next(score for score in scores if score.method == method)


def test_rows_are_what_they_are_called(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "room")
    predict(scene, tmp_path / "predictions" / "room")
    scores = list(score_scene(scene, [Method("mine", tmp_path / "predictions")]))
    assert [score.method for score in scores] == [INPUT, LIFTED_INPUT, LIFTED_TARGET, "mine"]
    scan, target = scene.load_scan("input"), scene.load_scan("target")
    first = of(scores, INPUT).target
    known = set(map(tuple, scan.coordinates[scan.tsdf.abs() < 0.1].tolist()))
    wanted = set(map(tuple, target.coordinates[target.tsdf.abs() < 0.1].tolist()))
    assert first.narrow.iou == pytest.approx(len(known & wanted) / len(known | wanted))
    assert first.narrow.missing_recall == 0
    assert first.labels is None
    # Labels of exact frames are right where the input has voxels, and missing elsewhere.
    lifted = of(scores, LIFTED_INPUT).target.labels
    assert lifted is not None
    misses = int(lifted.counts[:, -1].sum())
    assert misses >= first.narrow.missing
    assert int(lifted.counts.diagonal().sum()) > 0.9 * (lifted.voxels - misses)
    whole = of(scores, LIFTED_TARGET)
    assert whole.target.narrow.iou == whole.target.wide.iou == 1.0
    assert whole.target.labels is not None
    assert whole.target.labels.accuracy > 0.9
    assert whole.target.distances is not None
    assert whole.target.distances.entire.mean == whole.target.distances.target_3.mean == 0
    assert whole.target.chamfer is not None
    assert whole.target.chamfer.chamfer == pytest.approx(0, abs=1e-5)
    assert whole.target.chamfer.f_strict == 1.0
    assert first.distances is not None
    assert first.distances.entire.voxels == whole.target.distances.entire.voxels
    assert first.distances.unobserved.mean > first.distances.entire.mean > 0
    assert first.chamfer is not None
    assert first.chamfer.completeness > first.chamfer.accuracy
    mine = of(scores, "mine").target
    assert mine.narrow.completed_precision == 1.0
    assert mine.labels is not None
    # All called floor: every true floor voxel is found, of the walls none.
    assert mine.labels.class_accuracy == (1.0, 0.0)
    assert mine.labels.mean_accuracy == 0.5
    assert whole.truth is not None
    assert 0.3 < whole.truth.narrow.recall < 1
    assert whole.truth.narrow.precision > 0.7


def test_without_labels_and_truth(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "bare", labels=False, truth=False)
    scores = list(score_scene(scene, []))
    assert [score.method for score in scores] == [INPUT]
    assert scores[0].truth is None
    rows = make_rows(scores)
    assert rows[0].truth == ()
    assert "true surface" not in markdown(rows)
    # Without a truth the frames' own labels are the reference.
    labelled = list(score_scene(make_scene(tmp_path / "labelled", truth=False), []))
    confusion = of(labelled, LIFTED_TARGET).target.labels
    assert confusion is not None
    assert confusion.mean_iou == 1.0


def test_what_does_not_belong_is_named(tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "room")
    with pytest.raises(DataError, match=r"s4r predict .*room"):
        list(score_scene(scene, [Method("mine", tmp_path / "none")]))
    predict(scene, tmp_path / "other" / "room", ("cat", "dog"))
    with pytest.raises(DataError, match="classes"):
        list(score_scene(scene, [Method("mine", tmp_path / "other")]))
    with pytest.raises(DataError, match="absent"):
        list(score_scene(scene, [], "absent"))
    predict(scene, tmp_path / "full" / "room")
    (tmp_path / "full" / "room" / "prediction.json").write_text('{"scan": "target"}')
    with pytest.raises(DataError, match="expected a prediction made of the input scan"):
        list(score_scene(scene, [Method("mine", tmp_path / "full")]))


def test_means_intervals_and_pools(tmp_path: Path) -> None:
    scores = []
    for name, kept in (("a", 2), ("b", 4), ("c", 6)):
        scores.extend(score_scene(make_scene(tmp_path / name, kept=kept), []))
    rows = make_rows(scores)
    assert [row.method for row in rows] == [INPUT, LIFTED_INPUT, LIFTED_TARGET]
    iou = [score.target.narrow.iou for score in scores if score.method == INPUT]
    figure = rows[0].target[KEYS.index("iou")]
    assert figure.scenes == 3
    assert figure.mean == pytest.approx(np.mean(iou))
    assert min(iou) <= figure.low < figure.mean < figure.high <= max(iou)
    counts = [score.target.narrow for score in scores if score.method == INPUT]
    union = sum(c.reference + c.predicted - c.common for c in counts)
    assert figure.pooled == pytest.approx(sum(c.common for c in counts) / union)
    nothing = rows[0].target[KEYS.index("new_precision")]
    assert nothing.scenes == 0
    assert math.isnan(nothing.mean)
    text = markdown(rows, CLASSES, pooled=True)
    assert f"| {INPUT} | {figure.pooled:.3f} |" in text
    assert "| floor | wall |" in text
    assert "colour error, new" in text
    assert "#### Against the scan of all frames: distance errors, voxels" in text
    assert "#### Against the true surface: distances between surfaces, metres" in text
    assert f"{figure.mean:.3f} ({figure.low:.3f} to {figure.high:.3f})" in markdown(rows)


def test_interval_of_many_values_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(3, 2, 400).tolist()
    low, high = interval(values)
    error = 1.96 * np.std(values) / 20
    assert low == pytest.approx(np.mean(values) - error, abs=0.2 * error)
    assert high == pytest.approx(np.mean(values) + error, abs=0.2 * error)
    assert interval([0.4]) == (0.4, 0.4)
    assert math.isnan(interval([])[0])
