"""Pictures of predictions from real and given cameras."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.inference.pictures import load_cameras, render_pictures, uncertainty_mesh
from sparse_s4r.inference.run import run_prediction
from sparse_s4r.structures import Mesh
from sparse_s4r.structures.errors import DataError
from tests.small_scene import shared_run, shared_scene

CAMERA = {
    "name": "corner",
    "intrinsics": [[20.0, 0.0, 11.5], [0.0, 20.0, 8.5], [0.0, 0.0, 1.0]],
    "camera_to_world": np.eye(4).tolist(),
    "width": 24,
    "height": 18,
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return open_scene(shared_scene(tmp_path_factory))


@pytest.fixture(scope="module")
def predicted(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pictures") / "prediction"
    run_prediction(scene.path, shared_run(tmp_path_factory) / "checkpoint.pt", out)
    return out


def names_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def expected_names(frames: tuple[str, ...]) -> set[str]:
    return {
        f"{name}.{kind}.png" for name in frames for kind in ("color", "depth", "labels", "uncertainty", "comparison")
    }


def test_held_out_frames_by_default(scene: Scene, predicted: Path, tmp_path: Path) -> None:
    assert render_pictures(predicted, scene.path, tmp_path / "out") == 2
    assert names_in(tmp_path / "out") == expected_names(scene.frame_names("held_out"))
    name = scene.frame_names("held_out")[0]
    with Image.open(tmp_path / "out" / f"{name}.color.png") as picture:
        assert (picture.size, picture.mode) == ((48, 36), "RGB")
    with Image.open(tmp_path / "out" / f"{name}.comparison.png") as picture:
        # Colour, depth and labels side by side, the frame above the render, 4 pixels apart.
        assert picture.size == (3 * 48 + 2 * 4, 2 * 36 + 4)
        real = np.asarray(picture)[:36, :48]
    frame = (scene.load_frame(name).color.numpy() * 255).round()
    assert np.abs(real.astype(float) - frame).max() <= 1


def test_named_frames(scene: Scene, predicted: Path, tmp_path: Path) -> None:
    assert render_pictures(predicted, scene.path, tmp_path / "out", ["0003"]) == 1
    assert names_in(tmp_path / "out") == expected_names(("0003",))


def test_given_cameras(scene: Scene, predicted: Path, tmp_path: Path) -> None:
    camera = scene.camera("0003").resized(24, 18)
    entry = {
        **CAMERA,
        "intrinsics": camera.intrinsics.tolist(),
        "camera_to_world": camera.camera_to_world.tolist(),
    }
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps([entry]))
    loaded = load_cameras(path)
    assert torch.equal(loaded["corner"].camera_to_world, camera.camera_to_world)
    assert render_pictures(predicted, scene.path, tmp_path / "out", cameras=path) == 1
    assert names_in(tmp_path / "out") == {
        "corner.color.png",
        "corner.depth.png",
        "corner.labels.png",
        "corner.uncertainty.png",
    }
    with Image.open(tmp_path / "out" / "corner.color.png") as picture:
        pixels = np.asarray(picture)
    # It stands where frame 0003 did, in the room: most of its pixels meet a surface and are not the grey of a miss.
    assert (pixels != 40).any(axis=-1).mean() > 0.5


def test_unknown_frames_and_existing_folders(scene: Scene, predicted: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no frame '9999'"):
        render_pictures(predicted, scene.path, tmp_path / "out", ["0003", "9999"])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="expected a folder that does not exist yet"):
        render_pictures(predicted, scene.path, tmp_path)
    with pytest.raises(DataError, match="expected a prediction made by s4r predict"):
        render_pictures(scene.path, scene.path, tmp_path / "out")


@pytest.mark.parametrize(
    "content",
    [
        "[",
        "3",
        "{}",
        "[1]",
        [],
        [{key: value for key, value in CAMERA.items() if key != "width"}],
        [{**CAMERA, "intrinsics": [[1, 2], [3, 4]]}],
        [{**CAMERA, "camera_to_world": np.zeros((4, 4)).tolist()}],
        [{**CAMERA, "width": 0}],
        [CAMERA, CAMERA],
        [{**CAMERA, "name": "../../outside"}],
        [{**CAMERA, "name": ""}],
    ],
)
def test_cameras_that_are_none(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=r"cameras\.json: expected a JSON list of cameras"):
        load_cameras(path)


def test_missing_cameras(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a JSON list of cameras"):
        load_cameras(tmp_path / "none.json")


def test_a_prediction_of_another_scene_is_refused(scene: Scene, predicted: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(scene.path, other)
    document = json.loads((other / "scene.json").read_text())
    document["voxel_size"] /= 2
    (other / "scene.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="expected a prediction on the grid of"):
        render_pictures(predicted, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_mesh_coloured_by_its_probability() -> None:
    mesh = Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]]), probability=torch.tensor([0.0, 0.5, 1.0]))
    colored = uncertainty_mesh(mesh)
    assert colored.color is not None
    assert (colored.color * 255).round().int().tolist() == [[255, 225, 70], [225, 85, 50], [45, 60, 110]]
    with pytest.raises(ValueError, match=r"mesh\.probability: expected a value per vertex, got None"):
        uncertainty_mesh(Mesh(torch.zeros(3, 3), torch.tensor([[0, 1, 2]])))


def test_labels_of_other_classes_are_not_shown(
    scene: Scene, predicted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = scene.frame_names("held_out")[0]
    render_pictures(predicted, scene.path, tmp_path / "same", [name])
    # Weights from elsewhere: the scene's labels may be of more classes than the palette has colours.
    other = Scene(scene.path, scene.document.model_copy(update={"class_names": ("one", "two")}))
    monkeypatch.setattr("sparse_s4r.inference.pictures.open_scene", lambda path: other)
    render_pictures(predicted, scene.path, tmp_path / "other", [name])
    with Image.open(tmp_path / "same" / f"{name}.comparison.png") as picture:
        same = np.asarray(picture)
    with Image.open(tmp_path / "other" / f"{name}.comparison.png") as picture:
        others = np.asarray(picture)
    labels = slice(-48, None)
    assert (same[:36, labels] != 40).any()
    assert (others[:36, labels] == 40).all()
    assert np.array_equal(same[36:], others[36:])
