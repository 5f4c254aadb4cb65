"""The benchmark of the sparse engine: its scene and its file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from tools import bench_sparse


@pytest.mark.parametrize("voxels", [20_000, 60_000])
def test_scene_has_about_the_size_and_the_neighbours_of_a_scan(voxels: int) -> None:
    cells = bench_sparse.scan_like_cells(voxels)
    # Furniture overlaps walls, and walls have corners: the size is a rough one.
    assert voxels / 2 < len(cells) < voxels * 2
    assert len(torch.unique(cells, dim=0)) == len(cells)
    pairs = int((bench_sparse.neighbours(bench_sparse.Sites.of(cells, 1), 3) < len(cells)).sum()) / len(cells)
    # Real scans fused at 2 cm have 22 to 24.
    assert 20 < pairs < 25


def test_writes_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bench.json"
    arguments = ["--voxels", "3000", "--channels", "4", "--repeats", "1", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["bench_sparse.py", *arguments])
    bench_sparse.main()
    timings = json.loads(file.read_text())["timings"]
    assert len(timings) == 9
    assert all(timing["seconds"] > 0 for timing in timings)
    forward, both = timings[2], timings[3]
    assert both["gflop"] == pytest.approx(3 * forward["gflop"])
