"""A refinement of tiny weights on the small scene, from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sparse_s4r.checkpoint import load_checkpoint
from sparse_s4r.data.prediction_format import load_prediction
from sparse_s4r.data.scene import open_scene
from sparse_s4r.inference.run import run_prediction
from sparse_s4r.refine.candidates import Candidate
from sparse_s4r.refine.run import REFINED_NAME, RefineSummary, run_refinement
from sparse_s4r.refine.score import score_prediction
from sparse_s4r.structures import Calibration
from sparse_s4r.structures.errors import CheckpointError, ConfigError, DataError
from sparse_s4r.weights_file import WeightsFile, load_weights_file, save_weights_file
from tests.small_scene import shared_run, shared_scene

SETTINGS = ("refine.semantics=keep", "refine.every=2", "refine.learning_rate=0.01", "data.image_width=24")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    trained = load_checkpoint(shared_run(tmp_path_factory) / "checkpoint.pt")
    path = tmp_path_factory.mktemp("weights") / "start.safetensors"
    made_by = {"voxel_size": 0.02, "licence": "MIT"}
    save_weights_file(WeightsFile(trained.config, trained.weights, 12, made_by, Calibration(2.0, 0.5, 1.5)), path)
    return path


@pytest.fixture(scope="module")
def refined(
    scene: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RefineSummary, list[tuple[Candidate, bool]]]:
    out = tmp_path_factory.mktemp("refined") / "run"
    told: list[tuple[Candidate, bool]] = []
    summary = run_refinement(
        scene, out, weights, None, SETTINGS, steps=5, on_candidate=lambda one, better: told.append((one, better))
    )
    return out, summary, told


def test_the_run_is_complete(refined: tuple[Path, RefineSummary, list[tuple[Candidate, bool]]]) -> None:
    out, summary, told = refined
    assert {entry.name for entry in out.iterdir()} == {
        REFINED_NAME,
        "refine.json",
        "config.yaml",
        "losses.jsonl",
        "tensorboard",
    }
    # The start, every second step, and the last.
    assert [one.step for one, _ in told] == [0, 2, 4, 5]
    assert summary.history == tuple(one for one, _ in told)
    written = json.loads((out / "refine.json").read_text())
    assert written["choosing"]["after"]["total"] == summary.choosing.after.total
    assert (written["best_step"], written["semantics"], written["steps"]) == (summary.best_step, "keep", 5)
    lines = [json.loads(line) for line in (out / "losses.jsonl").read_text().splitlines()]
    assert "keep_labels" in lines[0]
    assert "semantic" not in lines[0]
    # At the first step the labels are still the starting ones, but for the holes that were cut.
    assert lines[0]["keep_labels"] < 0.2


def test_it_is_never_worse_than_the_start(refined: tuple[Path, RefineSummary, list[tuple[Candidate, bool]]]) -> None:
    _, summary, told = refined
    best = max((one for one, _ in told), key=lambda one: one.score.total)
    assert summary.choosing.after == best.score
    assert summary.choosing.before == told[0][0].score
    assert summary.best_step == best.step
    assert summary.choosing.after.total >= summary.choosing.before.total


def test_the_file_holds_the_weights_that_scored(
    refined: tuple[Path, RefineSummary, list[tuple[Candidate, bool]]], scene: Path, weights: Path, tmp_path: Path
) -> None:
    out, summary, _ = refined
    start, end = load_weights_file(weights), load_weights_file(out / REFINED_NAME)
    assert (end.calibration, end.step) == (start.calibration, start.step + summary.best_step)
    assert end.made_by["licence"] == "MIT"
    assert end.made_by["voxel_size"] == (open_scene(scene).grid.voxel_size if summary.best_step else 0.02)
    assert end.made_by["refined"]["from"] == start.digest
    changed = any(not torch.equal(value, start.weights[name]) for name, value in end.weights.items())
    assert changed == (summary.best_step > 0)
    # Predicted anew from the file, the scores come out again.
    run_prediction(scene, out / REFINED_NAME, tmp_path / "p")
    prediction, _ = load_prediction(tmp_path / "p")
    frames = [open_scene(scene).load_frame(name, width=24) for name in summary.choosing.frames]
    assert score_prediction(prediction, frames).within_5cm == pytest.approx(summary.choosing.after.within_5cm, abs=0.01)
    assert summary.reporting is not None
    frames = [open_scene(scene).load_frame(name, width=24) for name in summary.reporting.frames]
    assert score_prediction(prediction, frames).within_5cm == pytest.approx(
        summary.reporting.after.within_5cm, abs=0.01
    )


def test_frozen_statistics_stay(
    refined: tuple[Path, RefineSummary, list[tuple[Candidate, bool]]], weights: Path
) -> None:
    start, end = load_weights_file(weights), load_weights_file(refined[0] / REFINED_NAME)
    statistics = [name for name in start.weights if name.endswith(("running_mean", "running_var"))]
    assert statistics
    assert all(torch.equal(start.weights[name], end.weights[name]) for name in statistics)


def test_the_judging_frames_are_of_no_other_use(
    refined: tuple[Path, RefineSummary, list[tuple[Candidate, bool]]], scene: Path
) -> None:
    _, summary, _ = refined
    opened = open_scene(scene)
    # Two held-out frames are too few to share out.
    assert summary.choosing_in_scan
    assert summary.reporting is not None
    assert summary.reporting.frames == opened.frame_names("held_out")
    assert set(summary.choosing.frames) <= set(opened.frame_names("input", "target"))
    # 16 cm against 2 cm.
    assert len(summary.warnings) == 1
    assert "2 cm" in summary.warnings[0]


def test_weights_that_get_worse_are_not_kept(
    scene: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = score_prediction
    calls: list[int] = []

    def worse(prediction: object, frames: object) -> object:
        calls.append(1)
        score = real(prediction, frames)  # type: ignore[arg-type]
        return replace(score, total=-float(len(calls)))

    monkeypatch.setattr("sparse_s4r.refine.candidates.score_prediction", worse)
    settings = [*SETTINGS, "refine.every=1", "refine.patience=2"]
    summary = run_refinement(scene, tmp_path / "run", weights, None, settings, steps=9)
    assert (summary.best_step, summary.steps) == (0, 2)
    assert summary.reporting is not None
    assert summary.reporting.after == summary.reporting.before
    start, end = load_weights_file(weights), load_weights_file(tmp_path / "run" / REFINED_NAME)
    assert all(torch.equal(value, end.weights[name]) for name, value in start.weights.items())


def test_labels_of_the_scene_are_used_when_they_fit(scene: Path, weights: Path, tmp_path: Path) -> None:
    summary = run_refinement(scene, tmp_path / "run", weights, None, ["data.image_width=24"], steps=1)
    assert summary.semantics == "labels"
    line = json.loads((tmp_path / "run" / "losses.jsonl").read_text().splitlines()[0])
    assert "semantic" in line
    assert "keep_labels" not in line


def test_what_cannot_be_refined(scene: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(DataError, match="there: expected a folder that does not exist yet"):
        run_refinement(scene, tmp_path / "there", weights)
    with pytest.raises(ConfigError, match="unknown key refine"):
        run_refinement(scene, tmp_path / "run", weights, None, ["refine.stepz=1"])
    with pytest.raises(CheckpointError, match="found none"):
        run_refinement(scene, tmp_path / "run", tmp_path / "none.safetensors")
    assert [entry.name for entry in tmp_path.iterdir()] == ["there"]
