"""The comparison of the engines: what it measures, how it counts, and what it writes and prints."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures.errors import UserError
from tests.small_scene import shared_scene
from tools import bench_engines, bench_operations
from tools.bench_ceiling import Ceiling, Work, measure_ceiling, share, work
from tools.bench_made_room import scale_capture
from tools.bench_operations import OPERATIONS, offers, operation_call
from tools.bench_process import Call, Measurement, OutOfReachError, Request, in_own_process, measure
from tools.bench_scene import BenchScene

CPU = torch.device("cpu")
MIB = 1 << 20


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


def test_measures_every_row_and_writes_it(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"
    arguments = ["--quick", "--ceiling", "--device", "cpu", "--scene", str(scene), "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["bench_engines.py", *arguments, "--engines", "builtin"])
    bench_engines.main()
    records, text = json.loads(file.read_text()), capsys.readouterr().out
    rows = list(bench_engines.rows([*OPERATIONS, "training-step", "prediction"], [4]))
    expected = {("builtin", *row) for row in rows}
    assert {(one["engine"], one["operation"], one["channels"], one["direction"]) for one in records} == expected, text
    keys = {"engine", "operation", "channels", "direction", "voxels", "median_ms", "peak_bytes"}
    assert all(set(one) == keys for one in records)
    assert all(one["median_ms"] > 0 and one["peak_bytes"] >= 0 for one in records)
    # A training step cuts holes into the scan.
    count = len(BenchScene(scene).cells)
    assert all(one["voxels"] == count for one in records if one["operation"] != "training-step")
    assert f"{count:,} voxels of 16 cm" in text
    assert "of SGEMM" in text
    assert "left out" not in text


@pytest.mark.parametrize("engine", ["torch", "minkowski", "dense-masked"])
def test_every_engine_runs_what_it_offers(scene: Path, engine: str) -> None:
    if engine == "minkowski":
        pytest.importorskip("MinkowskiEngine", reason="MinkowskiEngine is not installed; make minkowski")
    offered = [row for row in bench_engines.rows(list(OPERATIONS), [4]) if offers(engine, row[0])]
    assert len(offered) == (7 if engine == "dense-masked" else 10)
    for operation, channels, direction in offered:
        with operation_call(Request(engine, operation, channels, direction, str(scene))) as call:
            assert call.run(call.prepare()) is not None
            assert call.voxels == len(BenchScene(scene).cells)


def test_rows_cover_channels_and_directions() -> None:
    rows = list(bench_engines.rows(["map-stored", "conv3", "down2", "training-step"], [16, 32]))
    assert rows == [
        ("map-stored", 0, "forward"),
        ("conv3", 16, "forward"),
        ("conv3", 32, "forward"),
        ("conv3", 16, "forward+backward"),
        ("conv3", 32, "forward+backward"),
        ("down2", 16, "forward"),
        ("training-step", 0, "forward+backward"),
    ]
    assert [engine for engine in bench_engines.ENGINES if offers(engine, "map-stored")] == [
        "builtin",
        "torch",
        "minkowski",
    ]


def test_a_missing_engine_is_named_and_only_an_error_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    said: list[str] = []
    assert bench_engines.usable_engines(None, said.append) == ["builtin", "torch", "dense-masked"]
    assert said == ["without minkowski: MinkowskiEngine is not installed", "without spconv: spconv is not installed"]
    with pytest.raises(UserError, match="pip install spconv"):
        bench_engines.usable_engines(["builtin", "spconv"], said.append)


def test_table_shows_figures_ratios_and_gaps() -> None:
    engines = ["builtin", "minkowski", "torch", "spconv"]
    found: bench_engines.Found = {
        "builtin": Measurement(2.0, 4 * MIB, 10, {}),
        "minkowski": Measurement(25.0, 6 * MIB, 10, {}),
        "torch": "too large",
    }
    line = bench_engines.table_line(("conv3", 16, "forward"), engines, found)
    assert line.split() == ["conv3", "16", "forward", "2.00", "4.0", "25.00", "6.0", *"----", "12.50", "1.50", *"----"]
    titles = bench_engines.table_head(engines).splitlines()
    assert titles[0].split()[-3:] == ["minkowski/builtin", "minkowski/torch", "minkowski/spconv"]
    # Titles stand over the last column of their pair.
    assert len(titles[0]) == len(titles[1]) == len(line)


def test_counts_pairs_and_coarse_cells(scene: Path) -> None:
    bench = BenchScene(scene)
    cells = {tuple(row) for row in bench.cells[:, 1:].tolist()}
    around = list(product((-1, 0, 1), repeat=3))
    pairs = sum((x + i, y + j, z + k) in cells for x, y, z in cells for i, j, k in around)
    assert bench.pairs == pairs
    assert bench.coarse == len({(x >> 1, y >> 1, z >> 1) for x, y, z in cells})
    assert sorted(map(tuple, bench.shuffled.tolist())) == sorted(map(tuple, bench.cells.tolist()))
    assert not torch.equal(bench.shuffled, bench.cells)


def test_work_and_its_share(scene: Path) -> None:
    bench = BenchScene(scene)
    forward, both = (work("conv3", 8, direction, bench) for direction in ("forward", "forward+backward"))
    assert forward == Work(flop=2.0 * bench.pairs * 64)
    assert both == Work(flop=3 * 2.0 * bench.pairs * 64)
    kept = work("prune-half", 8, "forward", bench)
    assert kept is not None
    # A mask of one byte; half of the rows, 8 floats and a key, read and written.
    assert kept.moved == len(bench.cells) * (1 + (8 * 4 + 8))
    assert work("prediction", 0, "forward", bench) is None
    ceiling = Ceiling(64, 50.0, 100.0, 90.0, 10.0, 12.0)
    assert share(Work(flop=5e9), 100.0, ceiling).split() == ["50.0", "GFLOP/s", "50.0%", "of", "SGEMM"]
    assert share(Work(moved=2e9), 1000.0, ceiling).split() == ["2.00", "GB/s", "20.0%", "of", "copy"]


def test_ceiling_is_measured() -> None:
    threads = torch.get_num_threads()
    ceiling = measure_ceiling("cpu", 64, 1 << 12, 1)
    assert min(ceiling.gemm, ceiling.gemm_one, ceiling.gemm_numpy, ceiling.copy, ceiling.triad) > 0
    assert torch.get_num_threads() == threads


def test_time_and_memory_of_a_known_call() -> None:
    prepared: list[int] = []

    def prepare() -> int:
        prepared.append(len(prepared))
        time.sleep(0.05)
        return 16 * MIB

    def run(count: int) -> torch.Tensor:
        time.sleep(0.01)
        return torch.ones(count)

    found = measure(Call(prepare, run, 7, lambda: {"x": 1.0}), 3, CPU)
    assert prepared == [0, 1, 2, 3, 4]
    assert (found.voxels, found.extra) == (7, {"x": 1.0})
    assert found.median_ms >= 10
    # 16 Mi floats. The system counts pages per thread and adds up late: some hundred KiB may be missing.
    assert 63 * MIB <= found.peak_bytes < 68 * MIB


def test_a_call_that_frees_as_much_still_shows_its_peak() -> None:
    def run(count: int) -> float:
        return float(torch.ones(count).sum() + torch.ones(count).sum())

    # 128 MiB each: beyond 32 MiB the allocator always gives memory back at once, whatever ran before in this process.
    # The least of three: threads that an earlier test left may take memory meanwhile.
    peak = min(measure(Call(lambda: 32 * MIB, run, 0), 1, CPU).peak_bytes for _ in range(3))
    assert 127 * MIB <= peak < 140 * MIB


def test_what_does_not_fit_is_left_out_with_its_size(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_operations, "DENSE_LIMIT", 1 << 20)
    request = Request("dense-masked", "conv3", 64, "forward", str(scene), 1)
    told = pytest.raises(OutOfReachError, match=r"a box of \d+ x \d+ x \d+ cells needs .* GiB \(computed\)")
    with told, operation_call(request):
        pass


def test_a_failure_is_told_and_the_next_request_answered(scene: Path) -> None:
    bad = Request("builtin", "conv3", 0, "forward", str(scene / "nowhere"), 1)
    good = Request("builtin", "prune-half", 4, "forward", str(scene), 1)
    first, second = in_own_process([bad, good])
    assert isinstance(first, str)
    assert "nowhere" in first
    assert isinstance(second, Measurement)


def test_a_scaled_capture_is_the_same_room_enlarged(scene: Path, tmp_path: Path) -> None:
    capture = scene.parent / "capture"
    scale_capture(capture, tmp_path / "larger", 1.5)
    before, after = open_capture(capture, "auto"), open_capture(tmp_path / "larger", "auto")
    for index in (0, 4):
        one, other = before.read_frame(index, 48), after.read_frame(index, 48)
        torch.testing.assert_close(other.depth, 1.5 * one.depth)
        torch.testing.assert_close(other.color, one.color)
        poses = [frame.camera.camera_to_world.numpy() for frame in (one, other)]
        np.testing.assert_allclose(poses[1][:3, 3], 1.5 * poses[0][:3, 3], atol=1e-8)
        np.testing.assert_allclose(poses[1][:3, :3], poses[0][:3, :3], atol=1e-8)
