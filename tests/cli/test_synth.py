from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from sparse_s4r.cli.synth import synth_command, taxonomy_map
from sparse_s4r.data.homes.capture import HomeOptions
from sparse_s4r.data.homes.production import make_homes, plan_jobs
from sparse_s4r.data.homes.sensor import EXACT, KINECT
from sparse_s4r.data.homes.truth_file import load_truth
from sparse_s4r.data.import_options import ImportOptions, Labelling
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures.errors import DataError, UserError

SMALL = ["--frames", "6", "--width", "48", "--height", "36", "--voxel-size", "0.08"]


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(synth_command)
    outcome = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def test_homes_are_captures_that_import_reads(tmp_path: Path) -> None:
    out = tmp_path / "homes"
    printed = run("--rooms", "3", "--rooms-per-home", "2", "--out", str(out), "--seed", "5", *SMALL)
    assert sorted(path.name for path in out.iterdir()) == ["home-000005-2", "home-000006-1"]
    assert "2 with 3 rooms, 0 kept" in printed
    capture = open_capture(out / "home-000005-2", "auto")
    assert capture.class_names == taxonomy_map("scannet20").class_names
    assert len(capture.frames) == 12
    record = json.loads((out / "home-000005-2" / "truth" / "home.json").read_text())
    truth = load_truth(out / "home-000005-2")
    assert record["summary"]["voxels"] == len(truth.field)
    assert int(truth.instances.max()) < len(record["objects"]) + 2
    assert sum(record["summary"]["class_area"]) == pytest.approx(record["summary"]["area"], abs=0.01)
    options = ImportOptions(voxel_size=0.08, held_out=0.2, depth_max=5.0)
    summary = import_scene(capture, tmp_path / "scene", options, Labelling(capture.class_names or ()))
    assert summary.voxels_target > 500


def test_finished_homes_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "homes"
    run("--rooms", "1", "--out", str(out), *SMALL)
    marker = out / "home-000000-1" / "truth" / "home.json"
    before = marker.stat().st_mtime_ns
    printed = run("--rooms", "2", "--out", str(out), *SMALL)
    assert "home-000000-1: is there already, kept" in printed.replace("\n", "")
    assert marker.stat().st_mtime_ns == before
    assert (out / "home-000001-1").is_dir()
    with pytest.raises(DataError, match=r"others \(width\); name another --out"):
        run("--rooms", "1", "--out", str(out), *SMALL, "--width", "64")
    marker.write_text("{}")
    with pytest.raises(DataError, match="expected a home that s4r synth made, got something else"):
        run("--rooms", "1", "--out", str(out), *SMALL)


def test_exact_frames_and_truth_alone(tmp_path: Path) -> None:
    run("--rooms", "1", "--out", str(tmp_path / "a"), "--sensor", "exact", *SMALL)
    folder = tmp_path / "a" / "home-000000-1"
    first = np.asarray(Image.open(folder / "depth" / "00000.png"))
    assert first.dtype == np.uint16
    assert int((first == 0).sum()) <= 1
    true = np.loadtxt(folder / "truth" / "poses.txt").reshape(-1, 4, 4)
    assert np.allclose(np.loadtxt(folder / "poses" / "00003.txt"), true[3])
    assert {path.suffix for path in (folder / "color").iterdir()} == {".png"}
    run("--rooms", "1", "--out", str(tmp_path / "b"), *SMALL, "--without", "edges", "--without", "range")
    noisy = np.asarray(Image.open(tmp_path / "b" / "home-000000-1" / "depth" / "00000.png")).astype(float)
    assert int((noisy == 0).sum()) <= 1
    assert 0.0 < float(np.abs(noisy - first).mean()) * 0.00025 < 0.05
    run("--rooms", "1", "--out", str(tmp_path / "c"), *SMALL, "--frames", "0")
    assert sorted(path.name for path in (tmp_path / "c" / "home-000000-1").iterdir()) == ["truth"]


@pytest.mark.slow
def test_two_processes_make_the_same_homes(tmp_path: Path) -> None:
    options = HomeOptions(2, 24, 18, 60.0, 0.1, KINECT, "structure")
    labels = taxonomy_map("structure")
    for name, processes in (("one", 1), ("two", 2)):
        done = list(make_homes(plan_jobs(tmp_path / name, 2, 1, 0), options, labels, processes))
        assert sorted(home.job.seed for home in done) == [0, 1]
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.png"))
    assert len(files) == 8
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": -1}, "frames: expected a number >= 0, got -1"),
        ({"width": 4}, "8 to 4096 pixels, got 4 x 36"),
        ({"degrees": 170.0}, "20 to 120, got 170"),
        ({"voxel_size": 0.0}, "0.005 to 0.5 metres, got 0"),
    ],
)
def test_wrong_numbers_are_named(changed: dict[str, float], message: str) -> None:
    given = {"frames": 6, "width": 48, "height": 36, "degrees": 60.0, "voxel_size": 0.08}
    with pytest.raises(UserError, match=message):
        HomeOptions(**{**given, **changed}, sensor=EXACT, taxonomy="scannet20")  # type: ignore[arg-type]


def test_wrong_jobs_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="rooms: expected at least 1, got 0"):
        plan_jobs(tmp_path, 0, 1, 0)
    with pytest.raises(UserError, match="rooms per home: expected 1 to 16, got 20"):
        plan_jobs(tmp_path, 20, 20, 0)
    with pytest.raises(UserError, match="seed: expected a number >= 0, got -3"):
        plan_jobs(tmp_path, 1, 1, -3)
    assert [job.rooms for job in plan_jobs(tmp_path, 7, 3, 0)] == [3, 3, 1]
    options = HomeOptions(1, 24, 18, 60.0, 0.1, EXACT, "structure")
    with pytest.raises(UserError, match="jobs: expected at least 1, got 0"):
        list(make_homes(plan_jobs(tmp_path, 1, 1, 0), options, taxonomy_map("structure"), 0))
