"""Choosing the frames of the incomplete scan by what it covers."""

from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from sparse_s4r.cli.import_ import import_command
from sparse_s4r.data.import_options import ImportOptions, ImportSummary
from sparse_s4r.data.import_scans import surface_coverage
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.readers import open_capture
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.data.scene_check import check_scene
from sparse_s4r.geometry.fusion import fuse_frames
from sparse_s4r.structures import GridSpec, SparseTSDF
from sparse_s4r.structures.errors import DataError
from tests.data import captures

VOXEL = 0.08


def scan_of(cells: list[list[int]], tsdf: list[float]) -> SparseTSDF:
    return SparseTSDF(GridSpec(VOXEL), torch.tensor(cells), torch.tensor(tsdf), torch.ones(len(cells)))


def test_coverage_by_hand() -> None:
    whole = scan_of([[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3], [5, 5, 5]], [0.0, 0.07, -0.07, 0.081, -0.2])
    # Three are nearer than a voxel; the input has one of them, far from its own surface, and one that does not count.
    part = scan_of([[0, 0, 1], [0, 0, 3], [9, 9, 9]], [0.2, 0.0, 0.0])
    assert surface_coverage(part, whole) == pytest.approx(1 / 3)
    assert surface_coverage(whole, whole) == 1.0


def by_sets(scene: Scene) -> float:
    part, whole = scene.load_scan("input"), scene.load_scan("target")
    known = set(map(tuple, part.coordinates.tolist()))
    surface = [tuple(c) for c, d in zip(whole.coordinates.tolist(), whole.tsdf.tolist(), strict=True) if abs(d) < VOXEL]
    return sum(cell in known for cell in surface) / len(surface)


def run(tmp_path: Path, out: str, **options: object) -> tuple[ImportSummary, Scene]:
    if not (tmp_path / "room").exists():
        captures.write_generic(tmp_path / "room", captures.room_poses(24))
    made = ImportOptions(voxel_size=VOXEL, up="z", **options)  # type: ignore[arg-type]
    summary = import_scene(open_capture(tmp_path / "room"), tmp_path / out, made)
    return summary, open_scene(tmp_path / out)


@pytest.mark.parametrize("cover", [0.3, 0.6])
def test_the_input_covers_what_was_wished(tmp_path: Path, cover: float) -> None:
    summary, scene = run(tmp_path, "scene", cover=cover)
    reached = by_sets(scene)
    # Half of what one of the 24 frames adds at the most: a frame shows about a tenth of the room.
    assert abs(reached - cover) < 0.06
    assert summary.coverage == pytest.approx(reached)
    assert scene.document.made_by["coverage"] == pytest.approx(reached, abs=1e-6)
    assert check_scene(scene.path).problems == ()
    # The input is the scan of the frames that are called so.
    frames = [scene.load_frame(name) for name in scene.frame_names("input")]
    fused = fuse_frames(frames, scene.grid)
    scan = scene.load_scan("input")
    assert torch.equal(fused.coordinates, scan.coordinates)
    torch.testing.assert_close(fused.tsdf, scan.tsdf, atol=1e-6, rtol=0)
    assert summary.splits["held_out"] == 2
    assert sum(summary.splits.values()) == 24


def test_no_other_number_of_frames_is_nearer(tmp_path: Path) -> None:
    _, scene = run(tmp_path, "scene", cover=0.5, held_out=0)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0)).tolist()
    names = [scene.frame_names()[index] for index in order]
    target = scene.load_scan("target")
    shares = [
        surface_coverage(fuse_frames([scene.load_frame(name) for name in names[:count]], scene.grid), target)
        for count in range(1, 13)
    ]
    best = int(np.argmin(np.abs(np.array(shares) - 0.5))) + 1
    assert set(scene.frame_names("input")) == set(names[:best])


def test_seed_chooses_and_all_of_it_can_be_wished(tmp_path: Path) -> None:
    first = run(tmp_path, "a", cover=0.4, seed=1)[1].frame_names("input")
    again = run(tmp_path, "b", cover=0.4, seed=1)[1].frame_names("input")
    other = run(tmp_path, "c", cover=0.4, seed=2)[1].frame_names("input")
    assert first == again != other
    assert run(tmp_path, "d", cover=1.0)[0].coverage == 1.0


@pytest.mark.parametrize("options", [{"cover": 0.0}, {"cover": 1.2}, {"cover": 0.5, "keep_mode": "block"}])
def test_bad_wishes_are_named(options: dict[str, object]) -> None:
    with pytest.raises(DataError, match="cover"):
        ImportOptions(**options)  # type: ignore[arg-type]


def test_the_command_states_coverage_and_takes_one_choice(tmp_path: Path) -> None:
    captures.write_generic(tmp_path / "room")
    app = typer.Typer()
    app.command()(import_command)
    arguments = [str(tmp_path / "room"), "--out", str(tmp_path / "scene"), "--voxel-size", "0.16", "--up", "z"]
    outcome = CliRunner().invoke(app, [*arguments, "--keep", "0.5", "--cover", "0.5"])
    assert isinstance(outcome.exception, DataError)
    assert "--cover" in str(outcome.exception)
    outcome = CliRunner().invoke(app, [*arguments, "--cover", "0.5", "--yaw", "45"])
    assert outcome.exit_code == 0, outcome.output
    assert "of the target's surface" in outcome.output
    scene = open_scene(tmp_path / "scene")
    assert 0.3 < float(str(scene.document.made_by["coverage"])) < 0.7
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        np.array(scene.document.source_to_world)[:2, :2], [[half, -half], [half, half]], atol=1e-12
    )
