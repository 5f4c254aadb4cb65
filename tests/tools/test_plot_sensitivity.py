"""Curves over a parameter, read from results of several evaluations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from sparse_s4r.structures.errors import UserError
from tools import plot_sensitivity


def write_results(path: Path, iou: float | None, miou: float = 0.25) -> Path:
    def figure(mean: float | None) -> dict[str, float | int | None]:
        if mean is None:
            return {"mean": None, "low": None, "high": None, "pooled": None, "scenes": 0}
        return {"mean": mean, "low": mean - 0.1, "high": mean + 0.05, "pooled": mean, "scenes": 4}

    row = {"method": "ours", "target": {"iou_3": figure(iou), "miou": figure(miou)}, "truth": {}}
    path.write_text(json.dumps({"rows": [row]}))
    return path


def test_points_rise_with_the_value_and_keep_their_intervals(tmp_path: Path) -> None:
    files = {
        0.5: (write_results(tmp_path / "a.json", 0.6), "ours"),
        0.3: (write_results(tmp_path / "b.json", 0.4), "ours"),
    }
    curves = plot_sensitivity.read_curves(files, ["iou_3"], "target")
    assert [(p.value, p.mean, p.scenes) for p in curves["iou_3"]] == [(0.3, 0.4, 4), (0.5, 0.6, 4)]
    assert [(p.low, p.high) for p in curves["iou_3"]] == [(0.4 - 0.1, 0.4 + 0.05), (0.6 - 0.1, 0.6 + 0.05)]


def test_what_a_file_does_not_define_is_left_out(tmp_path: Path) -> None:
    files = {
        1.0: (write_results(tmp_path / "a.json", None), "ours"),
        2.0: (write_results(tmp_path / "b.json", 0.4), "ours"),
    }
    curves = plot_sensitivity.read_curves(files, ["iou_3", "miou"], "target")
    assert [p.value for p in curves["iou_3"]] == [2.0]
    assert [p.value for p in curves["miou"]] == [1.0, 2.0]


def test_command_writes_both_files(tmp_path: Path) -> None:
    points = [f"{value}={write_results(tmp_path / f'{value}.json', value)}#ours" for value in (0.2, 0.4)]
    arguments = ["--parameter", "share", "--measures", "iou_3", "--out", str(tmp_path / "out/plot")]
    plot_sensitivity.main([*arguments, *(part for point in points for part in ("--point", point))])
    found = json.loads((tmp_path / "out" / "plot.json").read_text())
    assert found["parameter"] == "share"
    assert [point["mean"] for point in found["curves"]["iou_3"]] == [0.2, 0.4]
    assert Image.open(tmp_path / "out" / "plot.png").width > 300


@pytest.mark.parametrize(
    ("method", "measure", "message"),
    [("other", "iou_3", r"expected a row other, got \['ours'\]"), ("ours", "recall", "expected the measure recall")],
)
def test_unknown_rows_and_measures(tmp_path: Path, method: str, measure: str, message: str) -> None:
    files = {1.0: (write_results(tmp_path / "a.json", 0.5), method)}
    with pytest.raises(UserError, match=message):
        plot_sensitivity.read_curves(files, [measure], "target")


@pytest.mark.parametrize("points", [["a=x.json"], ["1"], ["1=x.json", "1.0=y.json"], ["nan=x.json"], ["1=none.json"]])
def test_points_that_are_none(tmp_path: Path, points: list[str]) -> None:
    with pytest.raises(UserError):
        plot_sensitivity.main(
            [
                "--parameter",
                "p",
                "--out",
                str(tmp_path / "o"),
                *(part for point in points for part in ("--point", point)),
            ]
        )
