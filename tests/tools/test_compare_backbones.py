"""Dense against sparse: the rows of cost and growth, the fit, and what is written."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from sparse_s4r.checkpoint import load_checkpoint, restore_network
from sparse_s4r.inference import predict
from sparse_s4r.inference.chunked import predict_chunked
from sparse_s4r.structures.errors import UserError
from tests.small_scene import TINY, shared_run, shared_scene
from tools import bench_network, compare_backbones, compare_cost
from tools.bench_process import Measurement, Request
from tools.bench_worker import answer
from tools.compare_cost import CostOptions, CostRow, cost_table, growth_fits, measured_row, power_fit


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting a process for each figure would take longer than all the figures."""

    def measure(requests: Sequence[Request]) -> list[Measurement | str]:
        found = [answer(request) for request in requests]
        return [one["reason"] if "reason" in one else Measurement(**one) for one in found]

    monkeypatch.setattr(compare_cost, "in_own_process", measure)


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    settings = [part for setting in TINY if "loss" not in setting for part in ("--set", setting)]
    common = ["--repeats", "1", "--device", "cpu", *settings]
    monkeypatch.setattr(sys, "argv", ["compare_backbones.py", *map(str, arguments), *common])
    compare_backbones.main()


@pytest.mark.usefixtures("in_this_process")
def test_cost_of_both_on_one_scene(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A chunk of the paper's size takes seconds even of the smallest network.
    small = (32, 32, 32)
    monkeypatch.setattr(predict, "predict_chunked", partial(predict_chunked, chunk=small))
    monkeypatch.setattr(bench_network, "CHUNK", small)
    monkeypatch.setattr(compare_cost, "CHUNK", small)
    file = tmp_path / "cost.json"
    arguments = ["--mode", "cost", "--scene", scene, "--out", tmp_path / "out", "--json", file]
    _main(monkeypatch, *arguments, "--dense-chunks", 1)
    results, text = json.loads(file.read_text()), capsys.readouterr().out
    assert set(results) == {"cost", "weights"}
    assert results["weights"] == []
    rows = [CostRow(**row) for row in results["cost"]]
    assert [(row.backbone, row.operation, row.extent) for row in rows] == [
        ("sparse", "prediction", "whole scene"),
        ("dense", "prediction", "chunks"),
        ("sparse", "training-step", "whole scene"),
        ("sparse", "training-step", "crop"),
        ("dense", "training-step", "crop"),
        ("dense", "prediction", "whole scene"),
        ("dense", "training-step", "whole scene"),
    ]
    assert [row.computed for row in rows] == [False] * 5 + [True] * 2
    assert all(row.seconds is not None and row.seconds > 0 for row in rows[:5])
    assert all(row.seconds is None for row in rows[5:])
    assert all(row.peak_bytes is not None and row.peak_bytes > 0 for row in rows[4:])
    assert rows[3].voxels == rows[4].voxels
    assert text.count("computed, activations alone") == 2


@pytest.mark.usefixtures("in_this_process")
def test_growth_is_measured_fitted_and_drawn(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, out = tmp_path / "growth.json", tmp_path / "out"
    _main(monkeypatch, "--mode", "growth", "--scene", scene, "--out", out, "--rooms", 1, 2, "--json", file)
    growth = json.loads(file.read_text())["growth"]
    rows = [CostRow(**row) for row in growth["rows"]]
    assert [(row.operation, row.rooms) for row in rows] == [
        ("prediction", 1),
        ("prediction", 2),
        ("training-step", 1),
        ("training-step", 2),
    ]
    for one, four in (rows[:2], rows[2:]):
        assert four.voxels == 4 * one.voxels
        assert one.floor_m2 is not None
        assert four.floor_m2 == pytest.approx(4 * one.floor_m2)
    # Fresh weights keep what was observed.
    assert rows[1].voxels_out == 4 * (rows[0].voxels_out or 0)
    assert {(fit["operation"], fit["quantity"]) for fit in growth["fits"]} == {
        (operation, quantity) for operation in ("prediction", "training-step") for quantity in ("seconds", "peak_bytes")
    }
    assert (out / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_the_fit_finds_the_exponent() -> None:
    sizes = [1e5, 4e5, 1.6e6]
    factor, exponent = power_fit(sizes, [3e-6 * size**1.25 for size in sizes])
    assert factor == pytest.approx(3e-6)
    assert exponent == pytest.approx(1.25)
    # Equal errors up and down at the ends turn the line; in the middle they only lift it.
    assert power_fit(sizes, [1.0, 8.0, 16.0])[1] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="two or more different sizes"):
        power_fit([5.0, 5.0], [1.0, 2.0])
    rows = [CostRow("sparse", "prediction", "", size, 0, 1.0, 1, size / 1e3, size**2) for size in (10, 20, 40)]
    assert [fit.exponent for fit in growth_fits(rows)] == pytest.approx([1.0, 2.0])


def test_time_of_some_chunks_is_scaled_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"chunks": 30.0, "chunks_run": 3.0, "voxels_out": 12.0, "floor_m2": 2.0}
    monkeypatch.setattr(compare_cost, "in_own_process", lambda requests: [Measurement(1500.0, 99, 7, extra)])
    row = measured_row(CostOptions().request("dense", "prediction", Path("scene")), "chunks")
    assert (row.seconds, row.peak_bytes, row.voxels_out) == (15.0, 99, None)
    assert row.note == "measured on 3 of 30 chunks, time scaled up; memory of one"
    assert cost_table([row]).splitlines()[1].split()[:8] == [
        *("dense", "prediction", "chunks", "1x1", "7", "-", "2.0", "15.000")
    ]


def test_a_failure_names_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_cost, "in_own_process", lambda requests: ["the process was killed"])
    with pytest.raises(UserError, match=r"sparse prediction on .*scene: the process was killed"):
        measured_row(CostOptions().request("sparse", "prediction", Path("scene")), "whole scene")


@pytest.mark.slow
def test_quality_of_given_weights(scene: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    checkpoint = shared_run(tmp_path_factory) / "checkpoint.pt"
    row = compare_backbones.judge("sparse", scene, checkpoint, tmp_path / "weights", None)
    network = restore_network(load_checkpoint(checkpoint))
    assert row.parameters == sum(weight.numel() for weight in network.parameters())
    assert row.train_seconds is None
    assert row.voxels_out > 0
    assert 0 < row.within_5cm <= 1
    assert 0 <= row.completion_recall <= 1
