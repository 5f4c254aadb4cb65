import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from sparse_s4r.data.import_options import ImportOptions, Labelling
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.readers import open_capture
from sparse_s4r.data.scene_check import check_scene
from tests.data import captures


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    folder = captures.write_generic(tmp_path / "room")
    labelling = Labelling(("a", "b"), lambda frame: torch.ones_like(frame.depth).long())
    import_scene(open_capture(folder), tmp_path / "scene", ImportOptions(voxel_size=0.16, up="z"), labelling)
    return tmp_path / "scene"


def edit_document(scene: Path, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    content = json.loads((scene / "scene.json").read_text())
    change(content)
    (scene / "scene.json").write_text(json.dumps(content))


def edit_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(str(path))
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(path))


def swap_rows(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name][[0, 1]] = tensors[name][[1, 0]]


def repeat_row(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name][1] = tensors[name][0]


def set_value(tensors: dict[str, torch.Tensor], name: str, value: float) -> None:
    tensors[name].view(-1)[0] = value


def forget_surface(tensors: dict[str, torch.Tensor]) -> None:
    state = tensors["voxel_state"]
    state.view(-1)[int((state.view(-1) == 2).nonzero()[0])] = 0


def test_imported_scene_is_sound(scene: Path) -> None:
    steps: list[int] = []
    report = check_scene(scene, lambda: steps.append(1))
    assert report.ok
    assert report.problems == ()
    assert report.facts[0] == "12 frames"
    assert len(steps) == 12


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("input", lambda t: swap_rows(t, "coordinates"), "sorted"),
        ("target", lambda t: repeat_row(t, "coordinates"), "1 repeated"),
        ("target", lambda t: set_value(t, "tsdf", 1.0), "within the truncation of 0.48 m, got 1 m"),
        ("target", lambda t: set_value(t, "tsdf", float("nan")), "tsdf: expected finite"),
        ("input", lambda t: set_value(t, "weight", 0.0), "weight: expected finite numbers > 0"),
        ("input", lambda t: t.update(tsdf=t["tsdf"].double()), "tsdf: expected torch.float32"),
        ("input", lambda t: t.update(tsdf=t["tsdf"][:-1]), "tsdf: expected shape"),
        ("input", lambda t: t.pop("weight"), "expected the tensors"),
        ("input", lambda t: t.update(extra=torch.zeros(1)), "expected the tensors"),
        ("target_observation", lambda t: swap_rows(t, "block_coordinates"), "sorted"),
        ("target_observation", lambda t: set_value(t, "voxel_state", 9), "voxel_state: expected states"),
        ("input_observation", forget_surface, "0 more and 1 missing"),
    ],
)
def test_broken_field_is_named(scene: Path, file: str, change: Callable[[object], None], message: str) -> None:
    edit_tensors(scene / f"{file}.safetensors", change)
    problems = check_scene(scene).problems
    assert any(f"{file}.safetensors" in line and message in line for line in problems), problems


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(up=[0, 1, 0]), "up: expected"),
        (lambda c: c["source_to_world"][0].__setitem__(0, 2.0), "source_to_world: expected a rotation"),
        (lambda c: c["frames"][0]["camera_to_world"][0].__setitem__(0, 7.0), "frame view0.*rotation"),
        (lambda c: c["frames"][0].update(width=90), "frame view0.*90x60"),
        (lambda c: c.update(class_names=None), "class_names exactly when"),
        (lambda c: c.update(class_names=["a"]), "labels below 1"),
        (lambda c: [f.update(split="target") for f in c["frames"]], "split 'input', got none"),
        (lambda c: c.update(voxel_size=0.11), "GridSpec.origin"),
    ],
)
def test_broken_document_is_named(scene: Path, change: Callable[[object], None], message: str) -> None:
    edit_document(scene, change)
    problems = check_scene(scene).problems
    assert any(re.search(message, line) for line in problems), problems


def test_damaged_files_are_all_named(scene: Path) -> None:
    (scene / "frames" / "view1.color.png").write_bytes(b"no picture")
    (scene / "frames" / "view2.depth.png").unlink()
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(scene / "frames" / "view3.labels.png")
    Image.fromarray(np.zeros((60, 80), np.uint16)).save(scene / "frames" / "view4.depth.png")
    (scene / "target.safetensors").write_bytes(b"no tensors")
    (scene / "input_observation.safetensors").unlink()
    problems = check_scene(scene).problems
    for part in (
        "view1.color.png",
        "view2.depth.png",
        "labels of frame view3",
        "view4",
        "target.safetensors",
        "input_obs",
    ):
        assert sum(part in line for line in problems) == 1, (part, problems)


def test_no_scene(tmp_path: Path) -> None:
    report = check_scene(tmp_path)
    assert not report.ok
    assert "s4r import" in report.problems[0]
