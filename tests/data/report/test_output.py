"""The report as printed, as JSON and as a picture."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from sparse_s4r.data.readers import Capture, open_capture
from sparse_s4r.data.report import (
    ImportOutcome,
    complete_report,
    draw_sample,
    inspect_capture,
    print_report,
    save_report,
)
from sparse_s4r.data.report.drawing import depth_picture
from sparse_s4r.data.report.facts import CaptureReport
from sparse_s4r.data.report.top_view import Cloud, draw_top_view, scanned_cloud
from sparse_s4r.structures import GridSpec, SparseTSDF
from tests.data import captures

OUTCOME = ImportOutcome(38, ("a.png: damaged", "b.png: damaged"), 10.0, 3.8, 12345, 23456, 0.02, (4.0, 3.0, 2.5))


def printed(report: CaptureReport) -> str:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=160))
    return stream.getvalue()


def test_a_hololens_capture_is_described(tmp_path: Path) -> None:
    folder = captures.write_hololens(tmp_path / "holo")
    for path in (folder / "depth").iterdir():
        depth = np.array(Image.open(path))
        depth[::4] = 0
        Image.fromarray(depth).save(path)
    text = printed(inspect_capture(open_capture(folder, "hololens")))
    assert "nothing looks wrong" in text
    assert "75% of the pixels are valid" in text
    assert "one-pixel grid of gaps (filled" in text
    assert "declared as camera-to-world, OpenCV axes: fits" in text
    assert "world-to-camera, OpenGL axes" in text
    assert "+y, declared by the capture" in text
    assert "7 of 15 listed frames have no images" in text


def test_findings_come_first_with_evidence_and_remedy(room: Capture) -> None:
    report = inspect_capture(replace(room, depth_scale=1.0))
    text = printed(report)
    lines = text.splitlines()
    assert lines[1].startswith("error: wrong unit of depth")
    assert lines[2].startswith("  found: ")
    assert lines[3].startswith("  to do: set depth_scale to 0.001")
    assert "nothing looks wrong" not in text


def test_what_cannot_be_told_is_not_called_right(room: Capture) -> None:
    report = inspect_capture(room)
    assert report.verdict == "nothing looks wrong"
    unknown = replace(report, poses=replace(report.poses, verdict="cannot be told"))
    assert printed(unknown).splitlines()[1] == "nothing looks wrong, but poses cannot be told"


def test_the_import_completes_the_report(room: Capture) -> None:
    report = complete_report(inspect_capture(room), OUTCOME)
    text = printed(report)
    assert "38 frames written, 2 lost on the way; 10.0 s, 3.8 frames per second" in text
    assert "12,345 incomplete scan, 23,456 fuller scan; 4.0 x 3.0 x 2.5 m" in text
    assert "left out: a.png: damaged" in text
    assert report.frames.skipped == OUTCOME.lost
    # 2 of 40 are at the bound, 3 are beyond it.
    assert report.findings == ()
    worse = complete_report(report, replace(OUTCOME, lost=(*OUTCOME.lost, "c.png: damaged")))
    assert [finding.kind for finding in worse.findings] == ["many frames left out"]


def test_json_and_picture_are_written(room: Capture, tmp_path: Path) -> None:
    sample = draw_sample(room)
    report = complete_report(inspect_capture(replace(room, depth_scale=1.0), sample), OUTCOME)
    save_report(report, tmp_path, sample)
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["version"] == 1
    assert document["frames"]["usable"] == 40
    assert document["findings"][0]["severity"] == "error"
    assert document["outcome"]["voxels_target"] == 23456
    assert document["depth"]["histogram"] == pytest.approx(report.depth.histogram)
    assert len(document["poses"]["readings"]) == 4
    # An error without overlap is infinite, which JSON does not have.
    errors = [trial["error"] for trial in document["poses"]["others"]]
    assert None in errors or all(error < 100 for error in errors)
    picture = np.asarray(Image.open(tmp_path / "report.png"))
    assert picture.shape[1] == 1640
    assert picture.shape[0] > 1200
    # The findings are red, and the frames bring many colours.
    assert (np.abs(picture[:300].astype(int) - [196, 32, 32]).sum(axis=2) == 0).sum() > 100
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2000


def test_the_highest_point_below_the_camera_is_seen_from_above() -> None:
    x, y = torch.meshgrid(torch.linspace(0, 4, 200), torch.linspace(0, 2, 100), indexing="ij")
    flat = torch.stack([x.flatten(), y.flatten()], dim=1)
    red, green, blue = torch.eye(3)
    clouds = [(0.0, red), (0.8, green), (2.5, blue)]
    right = flat[:, 0] > 2
    points = torch.cat([torch.cat([flat[right] if z == 0.8 else flat, torch.full((int(right.sum()) if z == 0.8 else
                        len(flat), 1), z)], dim=1) for z, _ in clouds])  # fmt: skip
    colors = torch.cat([c.expand(int(right.sum()) if z == 0.8 else len(flat), 3) for z, c in clouds])
    path = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    path[:, :3, 3] = torch.tensor([[1.0, 0.2, 1.5], [3.0, 0.2, 1.5]], dtype=torch.float64)
    picture = np.asarray(draw_top_view(Cloud(points, colors), path, 800, 400)).astype(int)
    # x to the right and y up: floor on the left, table on the right, the ceiling above the camera cut off.
    assert picture[150, 200].argmax() == 0
    assert picture[150, 600].argmax() == 1
    assert (picture[150, 200][[1, 2]] == 0).all()
    # The way is drawn near the lower edge.
    assert len(np.unique(picture[300:390].reshape(-1, 3), axis=0)) > 10


def test_a_scan_is_drawn_by_the_voxels_at_its_surface() -> None:
    grid = GridSpec.around(torch.tensor([1.0, 2.0, 3.0]), 0.02)
    first = torch.tensor(grid.origin) + 0.01
    coordinates = torch.tensor([[0, 0, 0], [0, 0, 1], [10, 0, 0]])
    scan = SparseTSDF(grid, coordinates, torch.tensor([0.001, 0.05, -0.002]), torch.ones(3), torch.rand(3, 3))
    cloud = scanned_cloud(scan)
    torch.testing.assert_close(cloud.points, torch.stack([first, first + torch.tensor([0.2, 0.0, 0.0])]))
    assert scan.color is not None
    torch.testing.assert_close(cloud.colors, scan.color[[0, 2]])


def test_depth_runs_from_blue_to_red_and_holes_are_grey() -> None:
    pixels = np.asarray(depth_picture(torch.tensor([[0.0, 1.0, 5.0]]), 1.0, 5.0))
    assert pixels[0, 0].tolist() == [40, 40, 40]
    assert pixels[0, 1].argmax() == 2
    assert pixels[0, 2].argmax() == 0
