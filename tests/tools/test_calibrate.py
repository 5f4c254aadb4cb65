"""The tool that fits calibrations: on scores whose calibration is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sparse_s4r.checkpoint import load_checkpoint
from sparse_s4r.inference.scored_voxels import ScoredVoxels
from sparse_s4r.structures.errors import DataError
from sparse_s4r.weights_file import WeightsFile, load_weights_file, save_weights_file
from tests.small_scene import shared_run, shared_scene
from tools import calibrate
from tools.plot_calibration import plot_calibration


def make_voxels(count: int, seed: int) -> ScoredVoxels:
    """Logits of which 2 x + 1 came true, so that a temperature of 1/2 and a bias of 1 are right; classes at 4 times."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, generator=generator, dtype=torch.float64)
    occupied = torch.rand(count, generator=generator, dtype=torch.float64) < torch.sigmoid(2 * logits + 1)
    classes = torch.randn(count, 3, generator=generator)
    labels = torch.multinomial(torch.softmax(classes, 1), 1, generator=generator).squeeze(1)
    observed = torch.zeros(count, dtype=torch.bool)
    observed[: count // 4] = True
    return ScoredVoxels(logits, occupied | observed, observed, True, 4 * classes, labels)


def test_the_calibration_that_made_the_truth_is_found() -> None:
    found = calibrate.fit_calibration(make_voxels(40_000, 0))
    assert found.occupancy_temperature == pytest.approx(0.5, rel=0.05)
    assert found.occupancy_bias == pytest.approx(1.0, abs=0.05)
    assert found.label_temperature == pytest.approx(4.0, rel=0.05)


def test_it_lowers_the_error_on_other_voxels(tmp_path: Path) -> None:
    found = calibrate.fit_calibration(make_voxels(40_000, 0))
    rows, diagrams = calibrate.report_calibration(make_voxels(40_000, 1), found)
    by_name = {row.what: row for row in rows}
    assert set(by_name) == {"occupancy, completed", "occupancy, observed", "label"}
    completed, label = by_name["occupancy, completed"], by_name["label"]
    assert (completed.voxels, label.voxels) == (30_000, 40_000)
    assert completed.before > 0.1 > 0.02 > completed.after
    assert label.before > 0.1 > 0.02 > label.after
    observed = by_name["occupancy, observed"]
    assert (observed.share_right, observed.after) == (1.0, observed.before)
    plot_calibration(diagrams, tmp_path / "reliability.png")
    assert (tmp_path / "reliability.png").stat().st_size > 10_000


def test_scenes_that_are_reported_on_do_not_fit() -> None:
    a, b, c = Path("a"), Path("b"), Path("c")
    assert calibrate._share_out([a, b, c], [Path("x/../b")]) == ([a, c], [Path("x/../b")])
    assert calibrate._share_out([a, b], [c]) == ([a, b], [c])
    with pytest.raises(DataError, match="expected some besides those of --report"):
        calibrate._share_out([a], [a])


def test_one_kind_alone_fits_nothing() -> None:
    voxels = make_voxels(100, 0)
    alone = ScoredVoxels(voxels.logits, torch.ones(100, dtype=torch.bool), voxels.observed, True)
    with pytest.raises(DataError, match="expected right and wrong completed voxels"):
        calibrate.fit_calibration(alone)


def test_the_command_writes_into_the_weights(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scene = shared_scene(tmp_path_factory)
    trained = load_checkpoint(shared_run(tmp_path_factory) / "checkpoint.pt")
    path = tmp_path / "w.safetensors"
    save_weights_file(WeightsFile(trained.config, trained.weights, 3, {"licence": "MIT"}), path)
    # The tiny network completes too little to fit to: scores as above, for any scene.
    monkeypatch.setattr(calibrate, "score_voxels", lambda network, model, opened: make_voxels(20_000, 2))
    monkeypatch.setattr("sys.argv", ["calibrate", str(scene), str(scene), "--checkpoint", str(path)])
    calibrate.main()
    written = load_weights_file(path)
    assert written.calibration.label_temperature == pytest.approx(4.0, rel=0.1)
    assert written.made_by["licence"] == "MIT"
    assert written.made_by["calibration"]["fitted_on"] == ["scene"]
    assert written.made_by["calibration"]["ece"][0]["what"] == "occupancy, completed"
    assert "ECE" in capsys.readouterr().out
    kinds = iter([True, False])
    monkeypatch.setattr(
        calibrate, "score_voxels", lambda network, model, opened: replace(make_voxels(100, 2), truth=next(kinds))
    )
    with pytest.raises(SystemExit, match="expected all with their true surface or all without"):
        calibrate.main()
    monkeypatch.setattr("sys.argv", ["calibrate", str(scene), "--checkpoint", str(path)])
    with pytest.raises(SystemExit, match="expected at least 2, to fit on one and report on another"):
        calibrate.main()
