"""The tool that makes weights files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sparse_s4r import __version__
from sparse_s4r.checkpoint import load_checkpoint
from tests.small_scene import shared_run

TOOL = [sys.executable, str(Path(__file__).resolve().parents[2] / "tools" / "export_weights.py")]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_run(tmp_path_factory) / "checkpoint.pt"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*TOOL, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_export(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "w.safetensors"
    result = run(checkpoint, "--out", out, "--voxel-size", 0.16, "--note", "licence=MIT", "--note", "data=a room")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"wrote {out}" in result.stdout
    trained, exported = load_checkpoint(checkpoint), load_checkpoint(out)
    assert exported.made_by == {"sparse_s4r": __version__, "voxel_size": 0.16, "licence": "MIT", "data": "a room"}
    assert (exported.config, exported.step) == (trained.config, trained.step)
    assert all(torch.equal(value, exported.weights[name]) for name, value in trained.weights.items())
    # Without the optimiser's two moments it is a third of the size.
    assert out.stat().st_size < checkpoint.stat().st_size / 2

    again = run(checkpoint, "--out", out, "--voxel-size", 0.16)
    assert again.returncode == 1
    assert "expected a file that does not exist yet" in again.stderr
    wrong = run(checkpoint, "--out", tmp_path / "x.safetensors", "--voxel-size", 0.16, "--note", "licence")
    assert wrong.returncode == 1
    assert "--note licence: expected key=value" in wrong.stderr
