"""Data sets on disk: the official lists, what is missing in a made folder tree, and the command that makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparse_s4r.config import load_config
from sparse_s4r.structures.errors import ConfigError, DataError, UserError
from tests.data.writers import matterport, scannet
from tools import reproduce_tables
from tools.tables.budget import with_budget
from tools.tables.rows import REPOSITORY, load_tables
from tools.tables.scenes import listed_scenes

TABLES = load_tables()


def scannet_tree(root: Path, splits: Path | None = None) -> Path:
    """A scene to train on with everything, one to judge on with everything, and one of each kind of fault."""
    for name in ("scene0000_00", "scene0001_00", "scene0011_00", "scene0012_00"):
        scannet.write_sens(root / "scans" / name, scene=name)
    for name in ("scene0000_00", "scene0011_00"):
        scannet.write_label_zip(root / "scans" / name, name)
    (root / "scans" / "scene0012_00" / "scene0012_00.sens").unlink()
    scannet.write_label_table(root / "scannetv2-labels.combined.tsv")
    splits = splits or root
    splits.mkdir(exist_ok=True)
    (splits / "scannetv2_train.txt").write_text("scene0000_00\nscene0001_00\n")
    (splits / "scannetv2_val.txt").write_text("scene0011_00\r\nscene0012_00\r\nscene0013_00\r\n\r\n")
    return root


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = reproduce_tables.main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def test_what_scannet_lacks_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = scannet_tree(tmp_path / "data"), tmp_path / "out"
    command = ("--table", 1, "--dataset", "scannet", "--root", root, "--out", out, "--steps", 7, "--dry-run")
    code, text = run(capsys, *command)
    assert code == 1
    assert "there    raw frames: scene0000_00\n" in text
    assert "MISSING  raw frames: scene0001_00: " in text
    assert "scene0001_00_2d-label-filt.zip" in text
    assert "MISSING  raw frames: scene0012_00: " in text
    assert "MISSING  raw frames: scene0013_00: no folder scans/scene0013_00" in text
    # The scenes without fault are imported with one command each, the others with none.
    imports = [line for line in text.splitlines() if line.startswith("  s4r import")]
    assert [str(root / "scans" / name) in " ".join(imports) for name in ("scene0000_00", "scene0011_00")] == [
        True,
        True,
    ]
    assert len(imports) == 2
    assert all("--format scannet --taxonomy scannet15" in line for line in imports)
    assert "MISSING  training: s4r" in text
    assert "scenes to import: 5" in text
    trained = sum(TABLES.methods[row.method].kind == "train" for row in TABLES.tables[1].rows)
    assert f"training steps: {7 * trained}, no time known" in text
    assert not out.exists()


def test_exported_frames_must_be_whole(tmp_path: Path) -> None:
    root = scannet_tree(tmp_path / "data", tmp_path / "lists")
    scene = root / "scans" / "scene0013_00"
    scannet.write_exported(scene)
    (scene / "pose" / "3.txt").unlink()
    scannet.write_label_zip(scene, "scene0013_00")
    scenes = listed_scenes(TABLES.datasets["scannet"], root, tmp_path / "lists", tmp_path / "scenes")
    (problem,) = next(found for found in scenes if found.name == "scene0013_00").problems
    assert "'color': 5, 'depth': 5, 'pose': 4" in problem


def test_matterport_houses(tmp_path: Path) -> None:
    root = tmp_path / "data"
    good, bad = "D7N2EKCX4Sj", "17DRP5sb8fy"
    matterport.write_house(root / "v1" / "scans" / good / good)
    matterport.write_region(root / "v1" / "scans" / good / good)
    (root / "metadata").mkdir()
    (root / "v1" / "metadata").mkdir()
    matterport.write_categories(root / "v1" / "metadata" / "category_mapping.tsv")
    matterport.write_house(root / "v1" / "scans" / bad)
    next((root / "v1" / "scans" / bad / "undistorted_depth_images").iterdir()).unlink()
    (root / "metadata" / "scenes_train.txt").write_text(f"{good}_room0\n{good}_room11__cmp__3\n")
    (root / "metadata" / "scenes_val.txt").write_text("nowhere\n")
    (root / "metadata" / "scenes_test.txt").write_text(f"{bad}\n")
    found = listed_scenes(TABLES.datasets["matterport3d"], root, None, tmp_path / "scenes")
    assert [(scene.name, scene.role) for scene in found] == [(good, "train"), ("nowhere", "train"), (bad, "test")]
    assert found[0].problems == ()
    assert found[0].capture == root / "v1" / "scans" / good / good
    assert found[1].problems[0].startswith("no folder v1/scans/nowhere/nowhere")
    image, labels = found[2].problems
    assert "1 of 6 frames lack an image" in image
    assert "no labels: region_segmentations" in labels


def test_lists_are_found_and_held_to_their_form(tmp_path: Path) -> None:
    scannet_set = TABLES.datasets["scannet"]
    with pytest.raises(DataError, match=r"--root .*expected the folder of ScanNet"):
        listed_scenes(scannet_set, tmp_path / "none", None, tmp_path)
    with pytest.raises(DataError, match=r"scannetv2_train.txt: expected this list of scenes.*--split-dir"):
        listed_scenes(scannet_set, tmp_path, None, tmp_path)
    (tmp_path / "scannetv2_train.txt").write_text("../escape\n")
    with pytest.raises(DataError, match="expected names of scenes"):
        listed_scenes(scannet_set, tmp_path, None, tmp_path)
    (tmp_path / "scannetv2_train.txt").write_text("\n")
    with pytest.raises(DataError, match="on every line, got none"):
        listed_scenes(scannet_set, tmp_path, None, tmp_path)
    for name in ("scannetv2_train.txt", "scannetv2_val.txt"):
        (tmp_path / name).write_text("scene0000_00\n")
    with pytest.raises(DataError, match="got it for train and test"):
        listed_scenes(scannet_set, tmp_path, None, tmp_path)


def test_options_that_do_not_suit_the_data_set(tmp_path: Path) -> None:
    base = ["--table", "1", "--out", str(tmp_path)]
    for more in (["scannet"], ["scannet", "--root", "x", "--test", "y"], ["synth", "--root", "x"], ["synth"]):
        with pytest.raises(UserError, match="expected"):
            reproduce_tables.main([*base, "--dataset", *more])


def test_budget_moves_starts_in_proportion(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        "train: {steps: 1000, guide_steps: 300, coarse_steps: 0}\n"
        "loss: {depth: {start: 100}, color: {start: 0}, virtual: {weight: 0, start: 700}}\n"
    )
    moved = with_budget(config, ["loss.color.start=500"], 100)
    assert moved[:2] == ["loss.color.start=500", "train.steps=100"]
    loaded = load_config(config, moved)
    assert (loaded.train.steps, loaded.train.guide_steps, loaded.train.coarse_steps) == (100, 30, 0)
    assert (loaded.loss.depth.start, loaded.loss.color.start, loaded.loss.virtual.start) == (10, 50, 700)


def test_every_method_is_a_configuration_on_every_data_set() -> None:
    words = {"labels": "set", "segmenter": "shipped", "taxonomy": "matterport11"}
    for name, method in TABLES.methods.items():
        if method.kind == "train":
            for dataset in TABLES.datasets:
                config = load_config(method.config_file(), method.resolved_settings(dataset, words))
                assert method.labels == (config.data.labels == "set"), name
                assert method.needs_truth(dataset) == (config.loss.supervision == "truth"), name
    assert TABLES.methods["s4r"].config_file().is_relative_to(REPOSITORY)


def test_files_of_tables_are_checked(tmp_path: Path) -> None:
    source = REPOSITORY / "tools" / "tables"
    for name in ("methods.yaml", "tables.yaml", "datasets.yaml"):
        (tmp_path / name).write_text((source / name).read_text())
    for name, old, new, message in (
        ("tables.yaml", "{method: bpnet,", "{method: bpnett,", "expected a method of"),
        ("tables.yaml", "[34.9, 28.2]", "[34.9]", "expected 2 figures, got 1"),
        ("tables.yaml", "part-to-part.macc", "part-to-some.macc", "expected PROTOCOL.MEASURE"),
        ("methods.yaml", "kind: stated\n", "kind: scan\n  config: a.yaml\n", "expected a config for kind train"),
    ):
        text = (source / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new, 1))
        with pytest.raises(ConfigError, match=message):
            load_tables(tmp_path)
        (tmp_path / name).write_text(text)
    assert load_tables(tmp_path) == TABLES
