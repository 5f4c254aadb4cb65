"""The paper's tables end to end on a tiny room: trained once, predicted, scored, written, and kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparse_s4r.data.scene import open_scene
from sparse_s4r.data.truth_file import save_scene_truth
from sparse_s4r.structures.truth import SceneTruth
from tests.small_scene import TINY, make_small_scene
from tools import reproduce_tables, trainings
from tools.tables.document import markdown

TRAINED = ("cnn3d", "sgnn", "s4r", "semantics_full")
LEFT_OUT = (
    *("scancomplete", "cnn3d_no_color_decoder", "cnn3d_no_color_encoder", "spsg", "spsg_sparse", "rooms", "s4r_dense"),
    *("s4r_2d_gt", "semantics_partial", "voted"),
)
SETTINGS = (
    *TINY,
    "data.crop=3",
    # Two steps predict nothing; then the scan is the prediction.
    "model.keep_observed=true",
    "virtual.pool=4",
    "virtual.width=32",
    "virtual.height=24",
)


def add_truth(folder: Path) -> None:
    """Truth by hand: the scan of all frames, a class for every half metre of x."""
    scene = open_scene(folder)
    field = scene.load_scan("target")
    labels = (field.coordinates[:, 0] // 3) % len(scene.class_names or ())
    truth = SceneTruth(field, labels, 0.95 * scene.grid.truncation)
    save_scene_truth(folder / "truth.safetensors", truth)


@dataclass(frozen=True)
class Done:
    out: Path
    arguments: list[str]
    test: Path
    code: int

    def table(self, number: int) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.out / f"table_{number}.json").read_text())
        return content

    def row(self, number: int, method: str) -> dict[str, Any]:
        return next(row for row in self.table(number)["rows"] if row["method"] == method)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("tables")
    test = make_small_scene(folder / "made").path
    add_truth(test)
    train = folder / "to-train-on"
    shutil.copytree(test, train)
    arguments = ["--table", "1", "2", "3", "4", "5", "--dataset", "synth", "--taxonomy", "scannet15"]
    arguments += ["--scenes", str(train), "--test", str(test), "--steps", "2", "--out", str(folder / "out")]
    arguments += [part for setting in SETTINGS for part in ("--set", setting)]
    arguments += ["--skip", *LEFT_OUT]
    return Done(folder / "out", arguments, test, reproduce_tables.main(arguments))


def test_every_row_has_figures_or_a_reason(done: Done) -> None:
    assert done.code == 0
    for number in range(1, 6):
        for row in done.table(number)["rows"]:
            assert bool(row["figures"]) == (row["method"] not in (*LEFT_OUT, "bpnet")), (number, row["method"])
            assert bool(row["figures"]) or row["reason"] or row["note"]
            if row["method"] in TRAINED:
                assert row["steps"] == 2
                assert row["seconds"] > 0
    assert sorted(path.name for path in (done.out / "methods").iterdir()) == sorted((*TRAINED, "lifted", "scan"))


def test_figures_of_the_input_by_sets(done: Done) -> None:
    scene = open_scene(done.test)
    surfaces = {}
    for which in ("input", "target"):
        scan = scene.load_scan(which)
        near = scan.tsdf.abs() < scene.grid.voxel_size
        surfaces[which] = {tuple(row) for row in scan.coordinates[near].tolist()}
    common = len(surfaces["input"] & surfaces["target"])
    recall = done.row(2, "scan")["figures"]["partial-to-full.recall"]
    assert recall["mean"] == pytest.approx(common / len(surfaces["target"]))
    assert (recall["low"], recall["high"], recall["scenes"]) == (recall["mean"], recall["mean"], 1)


@pytest.mark.parametrize("protocol", ["part-to-part", "full-to-full", "partial-to-full"])
def test_labels_of_every_protocol_by_loops(protocol: str, done: Done) -> None:
    scene = open_scene(done.test)
    given, judged = (
        {"part": "input", "full": "target"}[protocol[:4]],
        {"part": "input", "full": "target"}[protocol[-4:]],
    )
    scan, truth = scene.load_scan(judged), scene.load_truth()
    assert truth is not None
    from safetensors.torch import load_file

    prediction = load_file(
        done.out / "methods" / "s4r" / "predictions" / given / scene.path.name / "prediction.safetensors"
    )
    known = {
        tuple(c): int(k) for c, k in zip(prediction["coordinates"].tolist(), prediction["labels"].tolist(), strict=True)
    }
    true = {tuple(c): int(k) for c, k in zip(truth.field.coordinates.tolist(), truth.labels.tolist(), strict=True)}
    classes = len(scene.class_names or ())
    counts = np.zeros((classes, classes + 1))
    for cell, distance in zip(scan.coordinates.tolist(), scan.tsdf.tolist(), strict=True):
        # The scan of all frames holds every voxel of the incomplete one here, so that the truth has a label for each.
        if abs(distance) < scene.grid.voxel_size and tuple(cell) in true:
            counts[true[tuple(cell)], known.get(tuple(cell), classes)] += 1
    right, total = counts.diagonal(), counts.sum(1)
    occurs = total > 0
    union = total + counts[:, :classes].sum(0) - right
    figures = done.row(5, "s4r")["figures"]
    assert figures[f"{protocol}.macc"]["mean"] == pytest.approx((right / np.maximum(total, 1))[occurs].mean())
    assert figures[f"{protocol}.miou"]["mean"] == pytest.approx((right / np.maximum(union, 1))[occurs].mean())
    per_class = done.row(5, "s4r")["class_iou"][protocol]
    assert [value is not None for value in per_class] == occurs.tolist()


def test_semantics_only_adds_no_voxel(done: Done) -> None:
    scene = open_scene(done.test)
    for given in ("input", "target"):
        folder = done.out / "methods" / "semantics_full" / "predictions" / given / scene.path.name
        assert json.loads((folder / "prediction.json").read_text())["voxels_completed"] == 0


def test_tables_for_people_show_both_figures(done: Done) -> None:
    text = (done.out / "table_4.md").read_text()
    assert text.startswith("## Table 4. Colour and supervision")
    assert "paper, Matterport3D: mAcc" in text
    assert "| 35.3 | 21.5 |" in text
    assert "not of these scenes" in text
    assert "left out by --skip" in text
    assert "BPNet (sup.): its network" in (done.out / "table_3.md").read_text()
    assert "recall |" in (done.out / "table_2.md").read_text()
    assert "Against the true surface" in (done.out / "table_2.md").read_text()
    assert markdown(done.table(4)) in text
    assert "35.3" not in (done.out / "table_5.md").read_text()


def test_what_is_done_is_kept_and_scoring_needs_no_network(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("expected nothing to be trained or predicted again")

    monkeypatch.setattr(trainings, "run_training", fail)
    monkeypatch.setattr(trainings, "run_prediction", fail)
    before = done.table(3)
    assert reproduce_tables.main([*done.arguments, "--dry-run"]) == 0
    assert reproduce_tables.main(done.arguments) == 0
    assert done.table(3) == before
    kept = done.out / "methods" / "s4r" / "scores" / "part-to-part" / f"{done.test.name}.json"
    content = json.loads(kept.read_text())
    content["scores"][0]["target"]["labels"]["counts"] = torch.ones(15, 16, dtype=torch.int64).tolist()
    kept.write_text(json.dumps(content))
    score = [*done.arguments, "--phase", "score"]
    assert reproduce_tables.main(score) == 0
    assert done.row(3, "s4r") != next(row for row in before["rows"] if row["method"] == "s4r")
    assert reproduce_tables.main([*score, "--rescore"]) == 0
    assert done.table(3) == before


def test_a_row_that_cannot_be_made_says_why(done: Done, tmp_path: Path) -> None:
    bare = tmp_path / "without-truth"
    shutil.copytree(done.test, bare)
    (bare / "truth.safetensors").unlink()
    arguments = ["--table", "1", "--dataset", "synth", "--taxonomy", "scannet15", "--label-set", "none-such"]
    arguments += ["--scenes", str(bare), "--test", str(done.test), "--out", str(tmp_path / "out")]
    assert reproduce_tables.main([*arguments, "--phase", "train"]) == 1
    assert reproduce_tables.main([*arguments, "--phase", "score"]) == 1
    rows = {row["method"]: row for row in json.loads((tmp_path / "out" / "table_1.json").read_text())["rows"]}
    assert "learns from the true scene" in rows["cnn3d"]["reason"]
    assert "takes labels none-such" in rows["s4r"]["reason"]
    assert rows["cnn3d"]["paper"]["scannet"] == {"partial-to-full.macc": 62.8, "partial-to-full.miou": 43.4}


def test_a_training_that_broke_off_goes_on(done: Done, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "sgnn"
    shutil.copytree(done.out / "methods" / "sgnn", folder)
    begun = json.loads((folder / "begun.json").read_text())
    calls = []

    def record(config: Path | None, settings: object, scenes: object, run: Path, resume: bool) -> Path:
        calls.append((config, resume, (run / "checkpoint.pt").is_file()))
        return run / "checkpoint.pt"

    monkeypatch.setattr(trainings, "run_training", record)
    config, scenes = Path("c.yaml"), [Path(name) for name in begun["scenes"]]
    (folder / "done.json").unlink()
    trainings.train_once(config, begun["settings"], scenes, folder)
    assert calls == [(None, True, True)]
    (folder / "done.json").unlink()
    trainings.train_once(config, [*begun["settings"], "seed=5"], scenes, folder)
    assert calls[1] == (config, False, False)
