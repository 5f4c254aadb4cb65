"""From a scene folder and a checkpoint to a prediction folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import trimesh
from safetensors import safe_open

from sparse_s4r.checkpoint import load_checkpoint, restore_network, save_checkpoint
from sparse_s4r.data.prediction_format import load_prediction
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.inference.predict import predict_scene
from sparse_s4r.inference.run import run_prediction
from sparse_s4r.structures.errors import CheckpointError, ConfigError, DataError
from sparse_s4r.training.run import run_training
from tests.models.scenes import row_set
from tests.small_scene import TINY, shared_run, shared_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return open_scene(shared_scene(tmp_path_factory))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_run(tmp_path_factory) / "checkpoint.pt"


@pytest.fixture(scope="module")
def predicted(scene: Scene, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("predicted") / "prediction"
    run_prediction(scene.path, checkpoint, out)
    return out


def test_the_folder_is_complete(predicted: Path) -> None:
    assert {entry.name for entry in predicted.iterdir()} == {
        "prediction.safetensors",
        "prediction.json",
        "mesh.ply",
        "mesh.glb",
    }


def test_the_file_has_the_published_fields(predicted: Path, scene: Scene, checkpoint: Path) -> None:
    with safe_open(predicted / "prediction.safetensors", framework="pt") as file:
        metadata = file.metadata()
        kinds = {name: (file.get_tensor(name).dtype, file.get_slice(name).get_shape()[1:]) for name in file.keys()}  # noqa: SIM118
    assert kinds == {
        "coordinates": (torch.int32, [3]),
        "tsdf": (torch.float32, []),
        "color": (torch.uint8, [3]),
        "labels": (torch.uint8, []),
        "confidence": (torch.float16, []),
        "observed": (torch.bool, []),
    }
    assert float(metadata["voxel_size"]) == scene.grid.voxel_size
    assert tuple(json.loads(metadata["origin"])) == scene.grid.origin
    assert tuple(json.loads(metadata["class_names"])) == scene.class_names
    assert json.loads(metadata["up"]) == [0.0, 0.0, 1.0]
    assert metadata["checkpoint"] == load_checkpoint(checkpoint).digest


def test_the_file_holds_what_the_network_says(predicted: Path, scene: Scene, checkpoint: Path) -> None:
    network = restore_network(load_checkpoint(checkpoint))
    expected = predict_scene(network, scene.load_scan("input"), scene.load_observation("input"))
    loaded, info = load_prediction(predicted)
    assert info.class_names == scene.class_names
    assert torch.equal(loaded.coordinates, expected.coordinates)
    assert torch.equal(loaded.tsdf, expected.tsdf)
    assert expected.color is not None
    assert loaded.color is not None
    torch.testing.assert_close(loaded.color, expected.color, rtol=0, atol=0.5 / 255 + 1e-6)
    assert expected.semantic_logits is not None
    assert loaded.semantic_logits is not None
    assert torch.equal(loaded.semantic_logits.argmax(1), expected.semantic_logits.argmax(1))
    assert loaded.observed is not None
    assert expected.observed is not None
    assert torch.equal(loaded.observed, expected.observed)


def test_the_prediction_lies_in_the_band_and_out_of_free_space(predicted: Path, scene: Scene) -> None:
    loaded, _ = load_prediction(predicted)
    assert loaded.observed is not None
    # The band of the scans: see geometry.fusion. Voxels of the scan stay even if their distance leaves it.
    assert bool((loaded.tsdf[~loaded.observed].abs() < 0.95 * scene.grid.truncation).all())
    assert bool((loaded.tsdf.abs() <= scene.grid.truncation * (1 + 1e-6)).all())
    assert int(loaded.observed.sum()) == len(scene.load_scan("input"))
    seen = ObservationPyramid(scene.load_observation("input"))
    assert not bool(seen.entirely_free(loaded.coordinates, 1).any())
    assert loaded.observed is not None
    in_scan = row_set(scene.load_scan("input").coordinates)
    assert loaded.observed.tolist() == [tuple(cell) in in_scan for cell in loaded.coordinates.tolist()]


def test_the_summary_tells_size_time_and_memory(predicted: Path, scene: Scene, checkpoint: Path) -> None:
    summary = json.loads((predicted / "prediction.json").read_text())
    loaded, _ = load_prediction(predicted)
    assert loaded.observed is not None
    assert summary["voxels_in"] == len(scene.load_scan("input"))
    assert summary["voxels_out"] == len(loaded)
    assert summary["voxels_completed"] == int((~loaded.observed).sum())
    assert summary["engine"] == "builtin"
    assert summary["device"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert summary["voxel_size"] == scene.grid.voxel_size
    assert summary["checkpoint"] == load_checkpoint(checkpoint).digest
    assert 0 < summary["seconds"] < 600
    # A process with torch in it holds more than 50 MB; on a GPU the small network does not.
    assert summary["peak_memory_bytes"] > (0 if torch.cuda.is_available() else 50e6)


def test_the_mesh_has_color_label_and_observed_per_vertex(predicted: Path, scene: Scene) -> None:
    mesh: Any = trimesh.load(predicted / "mesh.ply", process=False)
    count = len(mesh.vertices)
    assert count > 100
    assert len(mesh.faces) > 100
    assert mesh.visual.vertex_colors.shape == (count, 4)
    vertex = mesh.metadata["_ply_raw"]["vertex"]["data"]
    labels, observed = vertex["label"].reshape(-1), vertex["observed"].reshape(-1)
    assert len(labels) == len(observed) == count
    assert scene.class_names is not None
    assert set(labels.tolist()) <= {*range(len(scene.class_names))}
    assert set(observed.tolist()) <= {0, 1}
    assert 0 < observed.mean() <= 1
    # The surface lies where the scene does.
    loaded, _ = load_prediction(predicted)
    centres = scene.grid.centers(loaded.coordinates).numpy()
    assert (mesh.vertices >= centres.min(axis=0) - 1e-4).all()
    assert (mesh.vertices <= centres.max(axis=0) + 1e-4).all()
    glb: Any = trimesh.load(predicted / "mesh.glb", process=False)
    assert len(glb.to_geometry().faces) == len(mesh.faces)


def test_engines_other_than_the_trainings(predicted: Path, scene: Scene, checkpoint: Path, tmp_path: Path) -> None:
    summary = run_prediction(scene.path, checkpoint, tmp_path / "masked", engine="dense-masked")
    assert summary.engine == "dense-masked"
    one, other = load_prediction(predicted)[0], load_prediction(tmp_path / "masked")[0]
    # In float32 a logit next to 0 may fall on either side: all but one in a thousand.
    both = row_set(one.coordinates) & row_set(other.coordinates)
    assert len(both) > 0.999 * max(len(one), len(other))
    with pytest.raises(ConfigError, match=r"engine: .*got 'magic'"):
        run_prediction(scene.path, checkpoint, tmp_path / "none", engine="magic")
    assert not (tmp_path / "none").exists()


def test_an_existing_folder_is_left_alone(scene: Scene, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    with pytest.raises(DataError, match="expected a folder that does not exist yet"):
        run_prediction(scene.path, checkpoint, tmp_path / "out")
    assert [entry.name for entry in tmp_path.rglob("*")] == ["out", "precious.txt"]


def test_wrong_scenes_and_checkpoints(scene: Scene, checkpoint: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.pt"
    torch.save({"state_dict": {}}, foreign)
    with pytest.raises(CheckpointError, match="expected a checkpoint made by s4r train"):
        run_prediction(scene.path, foreign, tmp_path / "out")
    with pytest.raises(CheckpointError, match="found none"):
        run_prediction(scene.path, tmp_path / "none.pt", tmp_path / "out")
    with pytest.raises(DataError, match=r"scene\.json"):
        run_prediction(tmp_path, checkpoint, tmp_path / "out")
    whole = load_checkpoint(checkpoint)
    whole.weights.pop("heads.tsdf.weight")
    save_checkpoint(whole, tmp_path / "part.pt")
    with pytest.raises(CheckpointError, match=r"another model: 1 weights missing \['heads\.tsdf\.weight'\]"):
        run_prediction(scene.path, tmp_path / "part.pt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_prediction_without_color_and_classes(scene: Scene, tmp_path: Path) -> None:
    settings = [
        *TINY,
        "train.steps=1",
        "model.color_encoder=false",
        "model.color_decoder=false",
        "model.class_names=[]",
    ]
    checkpoint = run_training(None, settings, [scene.path], tmp_path / "run", resume=False)
    run_prediction(scene.path, checkpoint, tmp_path / "out")
    loaded, info = load_prediction(tmp_path / "out")
    assert loaded.color is None
    assert loaded.semantic_logits is None
    assert info.class_names == ()
    mesh: Any = trimesh.load(tmp_path / "out" / "mesh.ply", process=False)
    assert len(mesh.faces) > 100


def test_a_prediction_without_surface_is_refused(scene: Scene, checkpoint: Path, tmp_path: Path) -> None:
    whole = load_checkpoint(checkpoint)
    for head in ("heads.tsdf", "heads.tsdf_change"):
        whole.weights[f"{head}.bias"].fill_(1e6)
    save_checkpoint(whole, tmp_path / "far.pt")
    with pytest.raises(DataError, match=r"far\.pt: the network predicts no surface for .*; train it longer"):
        run_prediction(scene.path, tmp_path / "far.pt", tmp_path / "out")
    assert [entry.name for entry in tmp_path.iterdir()] == ["far.pt"]
