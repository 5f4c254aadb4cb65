"""The truth of captures that come with one, in scenes made of them."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sparse_s4r.cli.synth import taxonomy_map
from sparse_s4r.data.gazebo.truth_file import load_truth as load_world_truth
from sparse_s4r.data.homes.capture import HomeOptions, write_home
from sparse_s4r.data.homes.classes import map_to_names
from sparse_s4r.data.homes.sensor import KINECT
from sparse_s4r.data.homes.truth_file import load_truth as load_home_truth
from sparse_s4r.data.import_options import ImportOptions, Labelling
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.import_truth import import_truth
from sparse_s4r.data.readers import open_capture
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.data.scene_check import check_scene
from sparse_s4r.data.scene_pack import PackOptions, pack_scene, unpack_scene
from sparse_s4r.data.truth_file import load_scene_truth
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures import IGNORE_LABEL, GridSpec
from sparse_s4r.structures.errors import DataError
from tests.data import captures

VOXEL = 0.04


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("homes") / "home"
    options = HomeOptions(10, 64, 48, 65.0, VOXEL, KINECT, "matterport11")
    write_home(4, 1, folder, options, taxonomy_map("matterport11"))
    return folder


def scene_of(home: Path, out: Path, yaw: float = 0.0) -> Scene:
    capture = open_capture(home)
    options = ImportOptions(voxel_size=VOXEL, yaw=yaw, held_out=0)
    import_scene(capture, out, options, Labelling(capture.class_names or ()))
    return open_scene(out)


def test_a_home_keeps_its_truth_to_the_last_bit(home: Path, tmp_path: Path) -> None:
    scene = scene_of(home, tmp_path / "scene")
    truth, source = scene.load_truth(), load_home_truth(home)
    assert truth is not None
    assert len(truth) == len(source.field)
    # A shift of the grid keeps the order of the voxels.
    shift = (torch.tensor(source.field.grid.origin) - torch.tensor(scene.grid.origin)) / VOXEL
    assert torch.equal(truth.field.coordinates, source.field.coordinates + shift.round().long())
    assert torch.equal(truth.field.tsdf, source.field.tsdf)
    assert torch.equal(truth.labels, source.labels.long())
    assert truth.field.color is not None
    assert source.field.color is not None
    assert torch.equal(truth.field.color, source.field.color)
    assert truth.band == pytest.approx(0.95 * 3 * VOXEL)
    assert check_scene(tmp_path / "scene").problems == ()
    assert any("true surface" in fact for fact in check_scene(tmp_path / "scene").facts)
    assert any(str(note).startswith("truth:") for note in scene.document.made_by["notes"])  # type: ignore[union-attr]


def test_a_turned_scene_meets_its_turned_truth(home: Path, tmp_path: Path) -> None:
    scene = scene_of(home, tmp_path / "scene", yaw=30.0)
    turn = np.array(scene.document.source_to_world)
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    np.testing.assert_allclose(turn[:2, :2], [[c, -s], [s, c]], atol=1e-12)
    scan, truth = scene.load_scan("target"), scene.load_truth()
    assert truth is not None
    surface = scan.tsdf.abs() < 0.5 * VOXEL
    row = VoxelHash(truth.field.coordinates).rows(scan.coordinates[surface])
    assert float((row >= 0).float().mean()) > 0.98
    # What was fused is near the truth: noise, drift of the poses and oblique views are parts of a voxel.
    assert float(truth.field.tsdf[row[row >= 0]].abs().median()) < 0.4 * VOXEL
    assert check_scene(tmp_path / "scene").ok


def test_truth_is_labelled_in_the_scene_s_classes(home: Path) -> None:
    grid, still = GridSpec(VOXEL), torch.eye(4, dtype=torch.float64)
    for taxonomy in ("scannet15", "scannet20", "matterport11", "structure"):
        names = load_taxonomy(taxonomy).class_names
        found = import_truth(home, names, grid, still)
        assert found is not None
        assert "with labels" in found.note
        expected = load_home_truth(home, taxonomy_map(taxonomy)).labels
        assert torch.equal(found.truth.labels.bincount(), expected.long().bincount())
    for names in (("cat", "dog"), None):
        found = import_truth(home, names, grid, still)
        assert found is not None
        assert "without labels" in found.note
        assert bool((found.truth.labels == IGNORE_LABEL).all())
    assert import_truth(None, None, grid, still) is None
    assert map_to_names(load_taxonomy("scannet20").class_names) is not None


def test_a_capture_without_truth_has_none(tmp_path: Path) -> None:
    import_scene(
        open_capture(captures.write_generic(tmp_path / "room")), tmp_path / "scene", ImportOptions(voxel_size=0.16)
    )
    assert open_scene(tmp_path / "scene").load_truth() is None


def test_a_damaged_truth_stops_the_import(home: Path, tmp_path: Path) -> None:
    captures.write_generic(tmp_path / "room")
    (tmp_path / "room" / "truth").mkdir()
    (tmp_path / "room" / "truth" / "voxels.npz").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"voxels\.npz"):
        import_scene(open_capture(tmp_path / "room"), tmp_path / "scene", ImportOptions(voxel_size=0.16))
    assert not (tmp_path / "scene").exists()


def write_world_truth(path: Path, **changes: torch.Tensor) -> None:
    """A wall of 6 x 6 voxels at x = 0 with another voxel that nothing reaches."""
    wall = torch.cartesian_prod(torch.tensor([0]), torch.arange(6), torch.arange(6))
    tensors = {
        "coordinates": torch.cat([wall, torch.tensor([[9, 9, 9]])]).int(),
        "label": torch.cat([torch.arange(36) % 3, torch.tensor([255])]).byte(),
        "color": torch.full((37, 3), 51).byte(),
        "distance": torch.full((37,), 0.01),
        "reachable": torch.cat([torch.ones(36), torch.zeros(1)]).byte(),
        **changes,
    }
    metadata = {"voxel_size": "0.04", "origin": "0.0 0.64 0.0", "class_names": "a\nb\nc"}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)


def test_of_a_world_only_reachable_surface_counts(tmp_path: Path) -> None:
    write_world_truth(tmp_path / "truth.safetensors")
    found = import_truth(tmp_path, ("a", "b", "c"), GridSpec(VOXEL), torch.eye(4, dtype=torch.float64))
    assert found is not None
    truth = found.truth
    assert len(truth) == 36
    assert truth.band == pytest.approx(0.5 * VOXEL)
    assert truth.field.coordinates[0].tolist() == [0, 16, 0]
    assert truth.labels.tolist() == (torch.arange(36) % 3).tolist()
    # Other classes are other classes, whatever their names.
    other = import_truth(tmp_path, ("a", "b"), GridSpec(VOXEL), torch.eye(4, dtype=torch.float64))
    assert other is not None
    assert set(other.truth.labels.tolist()) == {IGNORE_LABEL}


def test_damaged_world_truths_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file"):
        load_world_truth(tmp_path / "truth.safetensors")
    write_world_truth(tmp_path / "truth.safetensors", label=torch.zeros(3).byte())
    with pytest.raises(DataError, match=r"truth\.safetensors"):
        load_world_truth(tmp_path / "truth.safetensors")
    (tmp_path / "truth.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"truth\.safetensors"):
        load_world_truth(tmp_path / "truth.safetensors")


def test_the_scene_s_file_is_checked_and_packed(home: Path, tmp_path: Path) -> None:
    scene = scene_of(home, tmp_path / "scene")
    pack_scene(scene.path, tmp_path / "a.pack", PackOptions(color="png"))
    back = unpack_scene(tmp_path / "a.pack", tmp_path / "back")
    path = scene.path / "truth.safetensors"
    assert (back.path / "truth.safetensors").read_bytes() == path.read_bytes()
    tensors, metadata = load_file(str(path)), {"format": "sparse_s4r truth 1", "band": "0.1"}
    for change, kept, message in (
        ({"label": torch.full_like(tensors["label"], 90)}, metadata, "label: expected classes below 11"),
        ({"tsdf": tensors["tsdf"] + 9}, metadata, "truncation"),
        ({"coordinates": tensors["coordinates"].flip(0)}, metadata, "sorted"),
        ({"color": tensors["color"][1:]}, metadata, "color: expected"),
        ({"extra": torch.zeros(1)}, metadata, "expected the tensors"),
        ({}, {"format": "other"}, "format"),
        ({}, {**metadata, "band": "wide"}, "band"),
        ({}, {**metadata, "band": "-1"}, "band"),
    ):
        save_file({n: t.contiguous() for n, t in {**tensors, **change}.items()}, path, kept)
        problems = check_scene(scene.path).problems
        assert len(problems) == 1, (message, problems)
        assert "truth.safetensors" in problems[0]
        assert message in problems[0]
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="damaged"):
        load_scene_truth(path, scene.grid)
