from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from sparse_s4r.cli.check import check_command
from sparse_s4r.cli.import_ import import_command
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.structures.errors import DataError
from tests.data import captures


def make_app() -> typer.Typer:
    app = typer.Typer()
    app.command("import")(import_command)
    app.command("check")(check_command)
    return app


def import_arguments(tmp_path: Path) -> list[str]:
    folders = [str(tmp_path / "room"), "--out", str(tmp_path / "scene")]
    return ["import", *folders, "--voxel-size", "0.16", "--up", "z"]


def test_import_then_check(tmp_path: Path) -> None:
    captures.write_generic(tmp_path / "room")
    arguments = import_arguments(tmp_path)
    outcome = CliRunner().invoke(make_app(), arguments)
    assert outcome.exit_code == 0, outcome.output
    assert "recognised as generic" in outcome.output
    assert "12 (1 held_out, 6 input, 5 target)" in outcome.output
    outcome = CliRunner().invoke(make_app(), ["check", str(tmp_path / "scene")])
    assert outcome.exit_code == 0
    assert "sound" in outcome.output
    (tmp_path / "scene" / "input.safetensors").unlink()
    outcome = CliRunner().invoke(make_app(), ["check", str(tmp_path / "scene")])
    assert outcome.exit_code == 1
    assert "input.safetensors" in outcome.output


def test_labels_from_shapes(tmp_path: Path) -> None:
    captures.write_generic(tmp_path / "room")
    arguments = import_arguments(tmp_path)
    outcome = CliRunner().invoke(make_app(), [*arguments, "--labels", "geometry"])
    assert outcome.exit_code == 0, outcome.output
    scene = open_scene(tmp_path / "scene")
    assert scene.class_names is not None
    frame = scene.load_frame("view0")
    height = frame.camera.unproject(frame.depth)[..., 2]
    floor = frame.labels == scene.class_names.index("floor")
    # Edges of the floor may go either way: normals mix there.
    assert float(floor[height < 0.02].float().mean()) > 0.8
    assert float(floor[height > 0.3].float().mean()) < 0.05


def test_bad_capture_raises_for_the_command_to_show(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(make_app(), ["import", str(tmp_path), "--out", str(tmp_path / "scene")])
    assert isinstance(outcome.exception, DataError)
    assert not (tmp_path / "scene").exists()


@pytest.mark.parametrize(
    "arguments", [["--format", "tum"], ["--up", "w"], ["--labels", "mseg"], ["--keep-mode", "odd"]]
)
def test_unknown_choices_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    outcome = CliRunner().invoke(make_app(), ["import", str(tmp_path), "--out", str(tmp_path / "scene"), *arguments])
    assert outcome.exit_code == 2


def test_label_images_made_elsewhere(tmp_path: Path) -> None:
    captures.write_generic(tmp_path / "room")
    labels = tmp_path / "labels"
    labels.mkdir()
    for image in sorted((tmp_path / "room" / "color").iterdir()):
        columns = np.arange(captures.WIDTH, dtype=np.uint8) % 15
        Image.fromarray(np.tile(columns, (captures.HEIGHT, 1))).save(labels / f"{image.stem}.png")
    arguments = [*import_arguments(tmp_path), "--label-images", str(labels)]
    outcome = CliRunner().invoke(make_app(), arguments)
    assert isinstance(outcome.exception, DataError)
    assert "expected --taxonomy with it, one of scannet15" in str(outcome.exception)
    outcome = CliRunner().invoke(make_app(), [*arguments, "--taxonomy", "scannet15"])
    assert outcome.exit_code == 0, outcome.output
    scene = open_scene(tmp_path / "scene")
    assert scene.class_names is not None
    assert len(scene.class_names) == 15
    stored = scene.load_frame(scene.frame_names()[0]).labels
    assert stored is not None
    assert stored[0].tolist() == [column % 15 for column in range(captures.WIDTH)]
