"""Variants of a training, and their loss curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_s4r.structures.errors import ConfigError, UserError
from tests.small_scene import TINY, make_small_scene
from tools import ablate
from tools.plot_losses import plot_losses, read_terms, smooth


def test_the_shipped_variants_are_settings_of_the_configuration() -> None:
    from sparse_s4r.config import load_config

    variants = ablate.read_variants(Path("tools/ablations/loss_terms.yaml"))
    assert variants[0].settings == ()
    base, common = Path("configs/ablation.yaml"), ("data.labels=shipped",)
    whole = load_config(base, common)
    assert all(load_config(base, (*common, *variant.settings)) != whole for variant in variants[1:])


@pytest.mark.parametrize("text", ["- a", "a: loss.depth.weight=0", "a: [3]", "a b: []\na-b: []"])
def test_other_files_of_variants_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "v.yaml").write_text(text)
    with pytest.raises(ConfigError, match="expected names"):
        ablate.read_variants(tmp_path / "v.yaml")


def test_variants_are_trained_once_and_judged(tmp_path: Path) -> None:
    scene = make_small_scene(tmp_path).path
    (tmp_path / "base.yaml").write_text("train: {steps: 3}\n")
    (tmp_path / "variants.yaml").write_text("all: []\nno depth: [loss.depth.weight=0]\n")
    command = ["--config", tmp_path / "base.yaml", "--variants", tmp_path / "variants.yaml", "--out", tmp_path / "out"]
    command += [part for setting in TINY for part in ("--set", setting)]
    command += ["--scenes", scene, "--test", scene]
    ablate.main([str(part) for part in command])
    logs = {name: tmp_path / "out" / name / "run" / "losses.jsonl" for name in ("all", "no-depth")}
    assert "depth" in read_terms(logs["all"])
    assert "depth" not in read_terms(logs["no-depth"])
    rows = json.loads((tmp_path / "out" / "table.json").read_text())["rows"]
    assert {"input", "all", "no depth"} <= {row["method"] for row in rows}
    picture = np.asarray(Image.open(tmp_path / "out" / "losses.png"))
    assert picture.std() > 5

    before = [log.stat().st_mtime_ns for log in logs.values()]
    ablate.main([str(part) for part in command])
    assert [log.stat().st_mtime_ns for log in logs.values()] == before
    with pytest.raises(UserError, match="name another --out"):
        ablate.main([str(part) for part in [*command, "--set", "seed=1"]])


def test_running_mean_by_hand() -> None:
    assert smooth([1.0, 3.0, 5.0, 7.0], 2).tolist() == [1.0, 2.0, 4.0, 6.0]
    assert smooth([2.0, 4.0, 9.0], 10).tolist() == [2.0, 3.0, 5.0]


def test_a_log_without_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "losses.jsonl").write_text("")
    with pytest.raises(UserError, match="rows with terms"):
        plot_losses({"run": tmp_path / "losses.jsonl"}, tmp_path / "out.png")
    with pytest.raises(UserError, match="found none"):
        read_terms(tmp_path / "nowhere.jsonl")
