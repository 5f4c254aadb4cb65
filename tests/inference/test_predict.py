"""From a scene folder and a checkpoint to a prediction folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import trimesh
from safetensors import safe_open

from sparse_s4r.checkpoint import load_checkpoint, restore_network, save_checkpoint
from sparse_s4r.data.prediction_format import load_prediction, predicted_scan
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.inference.predict import predict_scene
from sparse_s4r.inference.run import run_prediction
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.structures import Calibration
from sparse_s4r.structures.errors import CheckpointError, ConfigError, DataError
from sparse_s4r.training.run import run_training
from sparse_s4r.weights_file import WeightsFile, save_weights_file
from tests.models.scenes import row_set
from tests.small_scene import TINY, VOXEL, shared_run, shared_scene


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
        "occupancy_probability": (torch.float16, []),
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


def test_either_scan_can_be_completed(predicted: Path, scene: Scene, checkpoint: Path, tmp_path: Path) -> None:
    summary = run_prediction(scene.path, checkpoint, tmp_path / "full", scan="target")
    full, part = load_prediction(tmp_path / "full")[0], load_prediction(predicted)[0]
    for prediction, name in ((full, "target"), (part, "input")):
        assert prediction.observed is not None
        scan = scene.load_scan("target" if name == "target" else "input")
        assert row_set(prediction.coordinates[prediction.observed]) <= row_set(scan.coordinates)
        assert int(prediction.observed.sum()) == len(scan)
    assert summary.voxels_in == len(scene.load_scan("target"))
    assert (predicted_scan(tmp_path / "full"), predicted_scan(predicted)) == ("target", "input")
    assert predicted_scan(tmp_path) == "input"
    (tmp_path / "full" / "prediction.json").write_text("[")
    with pytest.raises(DataError, match=r"prediction\.json: not a readable summary"):
        predicted_scan(tmp_path / "full")


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


def test_probabilities_are_the_networks_own(predicted: Path, scene: Scene, checkpoint: Path) -> None:
    loaded, _ = load_prediction(predicted)
    assert loaded.occupancy_probability is not None
    assert loaded.label_confidence is not None
    network = restore_network(load_checkpoint(checkpoint))
    scan, observation = scene.load_scan("input"), scene.load_observation("input")
    with torch.inference_mode():
        (whole,) = network([SceneInput(scan, free=ObservationPyramid(observation))])
    finest = {
        tuple(cell): float(logit)
        for cell, logit in zip(
            whole.occupancy[-1].coordinates.tolist(), whole.occupancy[-1].logits.tolist(), strict=True
        )
    }
    expected = torch.tensor([finest[tuple(cell)] for cell in loaded.coordinates.tolist()]).sigmoid()
    torch.testing.assert_close(loaded.occupancy_probability, expected, rtol=0, atol=1e-3)
    assert whole.semantic_logits is not None
    surest = {
        tuple(cell): float(value)
        for cell, value in zip(
            whole.coordinates.tolist(), whole.semantic_logits.softmax(1).amax(1).tolist(), strict=True
        )
    }
    expected = torch.tensor([surest[tuple(cell)] for cell in loaded.coordinates.tolist()])
    torch.testing.assert_close(loaded.label_confidence, expected, rtol=0, atol=1e-3)


def test_calibration_comes_from_the_weights(predicted: Path, scene: Scene, checkpoint: Path, tmp_path: Path) -> None:
    trained, calibration = load_checkpoint(checkpoint), Calibration(2.0, -0.5, 3.0)
    path = tmp_path / "w.safetensors"
    save_weights_file(WeightsFile(trained.config, trained.weights, 1, {"voxel_size": VOXEL}, calibration), path)
    summary = run_prediction(scene.path, path, tmp_path / "out", uncertainty=True)
    assert (summary.warnings, summary.trained_voxel_size) == ((), VOXEL)
    raw, (tempered, info) = load_prediction(predicted)[0], load_prediction(tmp_path / "out")
    assert info.calibration == calibration
    assert torch.equal(raw.coordinates, tempered.coordinates)
    assert raw.occupancy_probability is not None
    assert tempered.occupancy_probability is not None
    # The tiny network completes nothing, and observed voxels keep the network's own probability.
    assert raw.observed is not None
    assert torch.equal(raw.occupancy_probability[raw.observed], tempered.occupancy_probability[raw.observed])
    assert raw.label_confidence is not None
    assert tempered.label_confidence is not None
    assert bool((tempered.label_confidence <= raw.label_confidence + 1e-3).all())
    glb: Any = trimesh.load(tmp_path / "out" / "uncertainty.glb", process=False)
    mesh: Any = trimesh.load(tmp_path / "out" / "mesh.ply", process=False)
    assert len(glb.to_geometry().faces) == len(mesh.faces)
    probability = mesh.metadata["_ply_raw"]["vertex"]["data"]["probability"].reshape(-1)
    assert 0 <= probability.min() < probability.max() <= 1


def test_weights_of_another_voxel_size_are_warned_of(scene: Scene, checkpoint: Path, tmp_path: Path) -> None:
    trained = load_checkpoint(checkpoint)
    path = tmp_path / "w.safetensors"
    save_weights_file(WeightsFile(trained.config, trained.weights, 1, {"voxel_size": 0.02}), path)
    summary = run_prediction(scene.path, path, tmp_path / "out")
    assert len(summary.warnings) == 1
    for part in ("trained at 2 cm", "scene has 16 cm", "--voxel-size 0.02", "s4r refine"):
        assert part in summary.warnings[0]
    written = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert written["warnings"] == list(summary.warnings)
    assert (written["trained_voxel_size"], written["voxel_size"]) == (0.02, VOXEL)


def test_without_a_checkpoint_the_shipped_weights_predict(
    scene: Scene, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = load_checkpoint(checkpoint)
    path = tmp_path / "rooms.safetensors"
    monkeypatch.setattr("sparse_s4r.inference.weights.shipped_weights", lambda name: path)
    save_weights_file(WeightsFile(trained.config, trained.weights, 1, {"model_card": "docs/card.md"}), path)
    summary = run_prediction(scene.path, None, tmp_path / "out")
    digest = load_checkpoint(path).digest
    assert summary.checkpoint == digest
    assert summary.weights == f"shipped rooms.safetensors (sha256 {digest[:12]}, model card docs/card.md)"

    def none(name: str) -> Path:
        raise DataError(f"{name}: none")

    monkeypatch.setattr("sparse_s4r.inference.weights.shipped_weights", none)
    with pytest.raises(CheckpointError, match=r"rooms\.safetensors: this installation.*--checkpoint.*s4r train"):
        run_prediction(scene.path, None, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_scene_without_the_color_that_the_weights_need(
    scene: Scene, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Scene.load_scan
    monkeypatch.setattr(Scene, "load_scan", lambda self, which: dataclasses.replace(load(self, which), color=None))
    with pytest.raises(DataError, match=r"takes colour in, but the scene has none; .*model\.color_encoder=false"):
        run_prediction(scene.path, checkpoint, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_completed_voxels_are_calibrated_and_observed_ones_are_not(scene: Scene, checkpoint: Path) -> None:
    network = restore_network(load_checkpoint(checkpoint))
    # A head that finds everything likely makes the tiny network complete.
    with torch.no_grad():
        for head in network.occupancy:
            head.bias.add_(3.0)
    scan = scene.load_scan("input")
    raw = predict_scene(network, scan)
    tempered = predict_scene(network, scan, calibration=Calibration(2.0, -0.5, 3.0))
    assert raw.observed is not None
    assert raw.occupancy_probability is not None
    assert tempered.occupancy_probability is not None
    completed = ~raw.observed
    assert int(completed.sum()) > 100
    expected = torch.sigmoid(torch.logit(raw.occupancy_probability.double()) / 2 - 0.5).float()
    expected = torch.where(completed, expected, raw.occupancy_probability)
    torch.testing.assert_close(tempered.occupancy_probability, expected, rtol=0, atol=1e-5)
