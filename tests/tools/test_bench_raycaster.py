"""The raycaster's benchmark: what it renders, and a whole run that is small."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from sparse_s4r.render import Raycaster
from tools import bench_raycaster
from tools.bench_renderers import OPEN3D, OPTIONS, Job, Record
from tools.bench_views import make_room, part_in_view, room_camera, row_of_rooms, with_classes

COARSE = 0.16


def test_a_run_records_every_renderer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    arguments = [
        "--quick",
        "--repeats",
        "1",
        "--voxel-size",
        str(COARSE),
        "--json",
        str(file),
        "--picture",
        str(picture),
    ]
    monkeypatch.setattr(sys, "argv", ["bench_raycaster.py", *arguments])
    # One of each kind.
    monkeypatch.setattr(bench_raycaster, "IMAGES", bench_raycaster.IMAGES[1:2])
    monkeypatch.setattr(bench_raycaster, "ROOMS", bench_raycaster.ROOMS[:1])
    bench_raycaster.main()
    records, text = json.loads(file.read_text()), capsys.readouterr().out
    keys = {"renderer", "direction", "width", "height", "channels", "voxels", "median_ms", "peak_bytes"}
    assert all(set(one) == keys for one in records)
    assert all(one["median_ms"] > 0 and one["peak_bytes"] >= 0 for one in records)
    first = {(one["renderer"], one["direction"]) for one in records[:8]}
    own = {(name, direction) for name in ("numba", "spsg") for direction in ("prepare", "forward", "backward")}
    assert first == own | {(name, "forward") for name in OPEN3D}
    assert {one["renderer"] for one in records} == {*OPTIONS, *OPEN3D}
    assert {one["channels"] for one in records} == {0, 15, 40}
    assert len({(one["width"], one["height"]) for one in records}) == 2
    assert len({one["voxels"] for one in records}) == 3
    assert "open3d / numba, forward: " in text
    with Image.open(picture) as image:
        assert image.width > 1000


def test_a_smaller_and_a_larger_scene_show_the_same_view() -> None:
    room = make_room(COARSE, 3)
    camera = room_camera(64, 48)
    expected = Raycaster()(room, camera)
    assert expected.hit.double().mean() > 0.95
    part, row = part_in_view(room, camera), row_of_rooms(room, 3)
    assert len(part) < 0.9 * len(room)
    assert len(row) == 3 * len(room)
    for scene in (part, row):
        view = Raycaster()(scene, camera)
        torch.testing.assert_close(view.depth, expected.depth)
        torch.testing.assert_close(view.semantic_logits, expected.semantic_logits)
    assert len(torch.unique(row.coordinates, dim=0)) == len(row)


def test_the_room_has_its_walls_and_furniture() -> None:
    room = make_room(COARSE, 0)
    assert room.semantic_logits is None
    view = Raycaster()(room, room_camera(64, 48))
    points = view.camera.unproject(view.depth.double())[view.hit]
    # Seen from inside: within the room but for what interpolation cuts off at corners.
    assert float(points.amin()) > -COARSE
    # The table's top, which hides what is below.
    table = ((points[:, :2] > 2.05) & (points[:, :2] < torch.tensor([3.15, 2.75]))).all(dim=1)
    assert float((points[table, 2] - 0.8).abs().median()) < 0.02


def test_directions_and_classes_are_those_asked_for() -> None:
    room = with_classes(make_room(COARSE, 0), 5)
    records = Job(room, room_camera(20, 16), ("torch",), ("backward",)).run(2)
    (record,) = records
    assert isinstance(record, Record)
    sizes = (record.renderer, record.direction, record.width, record.height, record.channels, record.voxels)
    assert sizes == ("torch", "backward", 20, 16, 5, len(room))
    # Gradients of one distance, three colours and five logits for every voxel; the system counts by the page.
    assert record.peak_bytes > 0.8 * 9 * 4 * len(room)
