"""The accuracy tool: its figures on images made by hand, its formulas, and a whole run on a small scene."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from sparse_s4r.data.scene import open_scene
from sparse_s4r.structures import GridSpec
from sparse_s4r.structures.errors import UserError
from tests.small_scene import shared_scene
from tools import raycaster_accuracy
from tools.accuracy_cases import AnalyticCase, analytic_cases
from tools.accuracy_errors import compare, count_speckles

REACH = 0.06


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


def test_figures_of_known_errors() -> None:
    truth = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 0.0, 0.0]])
    depth = torch.tensor([[1.001, 1.002, 0.997, 1.004], [0.0, 3.0, 1.0, 0.0]])
    found = compare("case", "renderer", "judge", [(depth, truth)], REACH)
    assert (found.images, found.pixels) == (1, 8)
    assert found.hit_share == 6 / 8
    assert found.judge_hit_share == 6 / 8
    assert found.missed_share == pytest.approx(1 / 6)
    assert found.elsewhere_share == pytest.approx(1 / 6)
    assert found.extra_share == 1 / 8
    # Errors in mm: 1, 2, -3, 4 and one metre; over all hits of the judge also a miss.
    assert found.median_mm == pytest.approx(3, abs=1e-3)
    assert found.bias_mm == pytest.approx(2, abs=1e-3)
    assert found.mean_mm == pytest.approx(1, abs=1e-3)
    assert found.p95_mm == pytest.approx(1000, abs=1e-3)
    assert found.max_mm == pytest.approx(1000, abs=1e-3)
    assert found.median_all_mm == pytest.approx(3, abs=1e-3)
    assert found.p95_all_mm is None


def test_without_a_hit_there_are_no_figures() -> None:
    nothing = torch.zeros(2, 2)
    found = compare("case", "renderer", "judge", [(nothing, nothing)], REACH)
    assert (found.median_mm, found.mean_mm, found.p95_all_mm, found.missed_share) == (None, None, None, 0)


def test_speckles_and_what_is_gained_over_them() -> None:
    strict = torch.ones(5, 9)
    strict[2, 2] = 0  # a hole in a surface
    strict[2, 4] = 3  # one through which a surface behind is seen
    strict[2, 6] = 0  # a hole where the depth image has nothing
    strict[0, 8] = 0  # at the rim, where nothing tells
    real = torch.full((5, 9), 1.01)
    real[2, 6] = 0
    mended = torch.ones(5, 9)
    mended[4, 0] = 0.5
    base = count_speckles("strict", [strict], [strict], [real], REACH)
    assert (base.speckles, base.speckles_measured, base.speckles_surface) == (3, 2, 2)
    assert (base.gained, base.spoiled, base.gained_median_mm) == (0, 0, None)
    found = count_speckles("mended", [mended], [strict], [real], REACH)
    assert (found.speckles, found.speckles_measured) == (0, 0)
    # The four, and a pixel that now sees something before the surface.
    assert (found.gained, found.gained_measured, found.gained_right, found.spoiled) == (5, 4, 3, 1)
    assert found.gained_median_mm == pytest.approx(10, abs=1e-3)


@pytest.mark.parametrize("case", analytic_cases(), ids=lambda case: case.name)
def test_formulas_agree_with_the_distances(case: AnalyticCase) -> None:
    for camera in case.cameras:
        depth = case.depth(camera)
        hit = depth > 0
        assert hit.double().mean() > 0.1
        points = camera.unproject(depth)[hit]
        assert float(case.distance(points).abs().max()) < 1e-9
        # Free space before it and body behind it.
        for share, sign in ((0.3, 1), (0.9, 1), (0.999, 1)):
            before = camera.unproject(share * depth)[hit]
            assert (sign * case.distance(before) > 0).all()
        # Rays that miss stay outside.
        for along in torch.linspace(0.5, 2.0, 30):
            beside = camera.unproject(torch.full_like(depth, float(along)))[~hit]
            assert (case.distance(beside) > 0).all()
    field = case.field(GridSpec(0.05))
    torch.testing.assert_close(
        field.tsdf.double(), case.distance(field.grid.centers(field.coordinates, dtype=torch.float64))
    )


def test_a_run_writes_tables_and_a_picture(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, picture = tmp_path / "accuracy.json", tmp_path / "accuracy.png"
    arguments = [scene, "--frames", 2, "--json", file, "--picture", picture]
    monkeypatch.setattr(sys, "argv", ["raycaster_accuracy.py", *map(str, arguments)])
    raycaster_accuracy.main()
    written, text = json.loads(file.read_text()), capsys.readouterr().out
    names = [name for name, _ in raycaster_accuracy.VARIANTS]
    others = [raycaster_accuracy.OPEN3D, raycaster_accuracy.OPEN3D_MOVED, raycaster_accuracy.MESH]
    assert set(written) == {"analytic", "frames", "speckles"}
    for case in analytic_cases():
        rows = {one["renderer"]: one for one in written["analytic"] if one["case"] == case.name}
        assert list(rows) == [*names, *others]
        if case.name.startswith("plane"):
            assert all(rows[name]["max_mm"] < 1e-2 for name in [*names, raycaster_accuracy.MESH])
        # On a frontal one its steps may by chance end where they should.
        if case.name == "plane, slanted":
            assert all(rows[name]["median_mm"] > 1 for name in others[:2])
    judged = {(one["judge"], one["renderer"]) for one in written["frames"]}
    assert {(raycaster_accuracy.REAL, name) for name in [*names, *others]} <= judged
    assert [one["renderer"] for one in written["speckles"]] == [*names, *others]
    assert all(name in text for name in [*names, *others])
    with Image.open(picture) as image:
        assert image.width > 600


def test_frames_are_spread_and_their_number_checked(scene: Path) -> None:
    opened = open_scene(scene)
    fused, held_out = opened.frame_names("input", "target"), opened.frame_names("held_out")
    assert raycaster_accuracy.choose_frames(opened, len(fused)) == fused
    assert raycaster_accuracy.choose_frames(opened, 1) == (fused[len(fused) // 2],)
    assert raycaster_accuracy.choose_frames(opened, len(held_out), held_out=True) == held_out
    with pytest.raises(UserError, match=f"expected 1 to {len(fused)}, the fused frames"):
        raycaster_accuracy.choose_frames(opened, len(fused) + 1)
