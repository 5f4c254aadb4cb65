"""The training tool on a few tiny rooms: its loss falls, and what it writes can be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparse_s4r.cli.synth import taxonomy_map
from sparse_s4r.data.homes.capture import HomeOptions
from sparse_s4r.data.homes.classes import FINE_NAMES
from sparse_s4r.data.homes.production import make_homes, plan_jobs
from sparse_s4r.data.homes.sensor import EXACT
from sparse_s4r.segmentation.room_segmenter import load_room_segmenter, load_room_weights
from tools.train_segmenter import TAXONOMIES, _captures, main


def _rooms(folder: Path, count: int, seed: int, taxonomy: str) -> list[str]:
    options = HomeOptions(4, 64, 48, 65.0, 0.2, EXACT, taxonomy)
    done = make_homes(plan_jobs(folder, count, 1, seed), options, taxonomy_map(taxonomy))
    return sorted(str(one.job.folder) for one in done)


def test_a_tiny_training(tmp_path: Path) -> None:
    rooms = _rooms(tmp_path / "rooms", 2, 0, "homes")
    held_out = _rooms(tmp_path / "held_out", 1, 9, "homes")
    (world,) = _rooms(tmp_path / "world", 1, 20, "matterport11")
    out = tmp_path / "out"
    # A box that parts this room: its frames are taken on both sides of it.
    box = ["--test-box", "-50", "-50", "50", str(_middle(Path(world)))]
    options = ["--steps", "30", "--every", "10", "--batch", "4", "--seed", "5", "--out", str(out)]
    assert main([*rooms, "--held-out", *held_out, "--world", world, *box, *options]) == 0
    log = json.loads((out / "log.json").read_text())
    assert [entry["step"] for entry in log] == [10, 20, 30]
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    record = json.loads((out / "scores.json").read_text())
    assert set(record["scores"]["rooms"]) == set(TAXONOMIES)
    assert set(record["scores"]["world"]) == {"matterport11"}
    assert 0.0 <= record["scores"]["rooms"]["scannet20"]["mean_iou"] <= 1.0
    stored = load_room_weights(out / "step_000030.safetensors")
    assert stored.class_names == FINE_NAMES
    assert stored.seed == 5
    assert stored.command == record["command"]
    assert "--steps 30" in stored.command
    assert len(load_room_segmenter("scannet15", out / "step_000010.safetensors").class_names) == 15


def test_a_mistake_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    arguments = [str(tmp_path / "empty"), "--held-out", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "error: " in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    arguments[-1] = str(tmp_path / "empty")
    assert main(arguments) == 1
    assert "expected a folder that does not exist yet" in " ".join(capsys.readouterr().err.split())


def test_homes_that_were_not_finished_are_no_captures(tmp_path: Path) -> None:
    for name in ("home-1", ".home-2.partial"):
        (tmp_path / name / "color").mkdir(parents=True)
    assert _captures([tmp_path]) == [tmp_path / "home-1"]


def _middle(capture: Path) -> float:
    """Half of the cameras have a smaller y."""
    values = sorted(float(path.read_text().split()[7]) for path in (capture / "poses").iterdir())
    return (values[1] + values[2]) / 2
