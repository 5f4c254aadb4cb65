import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from sparse_s4r.cli.check import check_command
from sparse_s4r.cli.import_ import import_command
from sparse_s4r.cli.import_choices import Layout
from sparse_s4r.data.readers.detect import FORMATS
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.structures.errors import DataError
from tests.data import captures
from tests.data.writers import matterport, scannet


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
    assert "Data report: room" in outcome.output
    assert "per second" in outcome.output
    with Image.open(tmp_path / "scene" / "report.png") as picture:
        assert min(picture.size) > 200
    assert json.loads((tmp_path / "scene" / "report.json").read_text())["frames"]["usable"] == 12
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
    "arguments", [["--format", "other"], ["--up", "w"], ["--labels", "mseg"], ["--keep-mode", "odd"]]
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
    assert "expected --taxonomy with it, one of" in str(outcome.exception)
    assert "scannet15" in str(outcome.exception)
    outcome = CliRunner().invoke(make_app(), [*arguments, "--taxonomy", "scannet15"])
    assert outcome.exit_code == 0, outcome.output
    scene = open_scene(tmp_path / "scene")
    assert scene.class_names is not None
    assert len(scene.class_names) == 15
    stored = scene.load_frame(scene.frame_names()[0]).labels
    assert stored is not None
    assert stored[0].tolist() == [column % 15 for column in range(captures.WIDTH)]


def test_classes_of_scannet_labels_are_chosen(tmp_path: Path) -> None:
    folder = scannet.write_exported(tmp_path / "scene0000_00")
    (folder / "label").mkdir()
    width, height = scannet.COLOR_SIZE
    for name in sorted(file.stem for file in (folder / "color").iterdir()):
        # NYU ids 33 and 22: a toilet, and a ceiling, which ScanNet's benchmark does not count.
        ids = np.where(np.arange(width) < width // 2, 33, 22).astype(np.uint8)
        Image.fromarray(np.tile(ids, (height, 1))).save(folder / "label" / f"{name}.png")
    arguments = ["import", str(folder), "--voxel-size", "0.16"]
    for taxonomy, count, expected in (("scannet20", 20, ("toilet", None)), ("nyu40", 40, ("toilet", "ceiling"))):
        out = str(tmp_path / taxonomy)
        outcome = CliRunner().invoke(make_app(), [*arguments, "--out", out, "--taxonomy", taxonomy])
        assert outcome.exit_code == 0, (outcome.output, outcome.exception)
        scene = open_scene(Path(out))
        assert scene.class_names is not None
        assert len(scene.class_names) == count
        labels = scene.load_frame(scene.frame_names()[0]).labels
        assert labels is not None
        wanted = [255 if name is None else scene.class_names.index(name) for name in expected]
        assert labels[0, [0, -1]].tolist() == wanted


def test_matterport_labels_come_from_the_meshes(tmp_path: Path) -> None:
    house = matterport.write_house(tmp_path / matterport.HOUSE)
    matterport.write_region(house, 0, ("west", "east", "south", "north", "floor"))
    table = matterport.write_categories(house / "category_mapping.tsv")
    arguments = ["import", str(house), "--voxel-size", "0.16"]
    outcome = CliRunner().invoke(make_app(), [*arguments, "--out", str(tmp_path / "scene")])
    assert outcome.exit_code == 0, (outcome.output, outcome.exception)
    assert "region_segmentations/, as matterport11 by" in " ".join(outcome.output.split())
    scene = open_scene(tmp_path / "scene")
    assert scene.class_names is not None
    floor, wall, pixels = scene.class_names.index("floor"), scene.class_names.index("wall"), 0
    for name in scene.frame_names():
        frame = scene.load_frame(name)
        assert frame.labels is not None
        points = frame.camera.unproject(frame.depth).numpy()
        inner = np.minimum(points - captures.ROOM_LOWER, captures.ROOM_UPPER - points)[..., :2].min(axis=-1) > 0.05
        on_floor = inner & (points[..., 2] < 0.01)
        # The writer gives the north wall to no object.
        labelled = (points[..., 2] > 0.05) & (points[..., 2] < 2.4) & (points[..., 1] < captures.ROOM_UPPER[1] - 0.2)
        on_wall = ~inner & labelled
        assert (frame.labels.numpy()[on_floor] == floor).all()
        assert (frame.labels.numpy()[on_wall] == wall).all()
        pixels += on_floor.sum()
    assert pixels > 1000
    # Without the table the scene has no labels, and a note; asked for, they are an error.
    table.unlink()
    outcome = CliRunner().invoke(make_app(), [*arguments, "--out", str(tmp_path / "plain")])
    assert "is not read, as category_mapping.tsv" in " ".join(outcome.output.split())
    assert open_scene(tmp_path / "plain").class_names is None
    outcome = CliRunner().invoke(make_app(), [*arguments, "--out", str(tmp_path / "no"), "--taxonomy", "matterport11"])
    assert "--taxonomy matterport11: expected labels in" in str(outcome.exception)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--taxonomy", "scannet15"], "classes for the labels of generic: expected none, as this layout"),
        (["--taxonomy", "scannet15", "--labels", "none"], "expected --label-images or --labels auto, got none"),
    ],
)
def test_a_taxonomy_that_chooses_nothing_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    captures.write_generic(tmp_path / "room")
    outcome = CliRunner().invoke(make_app(), [*import_arguments(tmp_path), *arguments])
    assert isinstance(outcome.exception, DataError)
    assert message in str(outcome.exception)


def test_every_reader_can_be_named() -> None:
    assert tuple(layout.value for layout in Layout) == FORMATS


def test_frames_left_out_are_told(tmp_path: Path) -> None:
    captures.write_generic(tmp_path / "room")
    (tmp_path / "room" / "poses" / "view3.txt").write_text("nan nan nan nan\n" * 4)
    outcome = CliRunner().invoke(make_app(), [*import_arguments(tmp_path), "--strict"])
    assert isinstance(outcome.exception, DataError)
    assert "1 of 12 frames cannot be used" in str(outcome.exception)
    outcome = CliRunner().invoke(make_app(), [*import_arguments(tmp_path), "--max-skipped", "0.05"])
    assert isinstance(outcome.exception, DataError)
    assert "more than the 5% that may be left out (--max-skipped)" in str(outcome.exception)
    assert "view3.txt" in str(outcome.exception)
    outcome = CliRunner().invoke(make_app(), import_arguments(tmp_path))
    assert outcome.exit_code == 0, outcome.output
    assert "view3.txt: frame view3: the pose holds NaN" in outcome.output
    assert "11 (1 held_out, 5 input, 5 target), 1 left out" in outcome.output


def test_key_frames(tmp_path: Path) -> None:
    captures.write_generic(tmp_path / "room", captures.room_poses(60))
    arguments = [
        *import_arguments(tmp_path),
        "--keyframes",
        "--key-distance",
        "1",
        "--key-degrees",
        "20",
        "--jobs",
        "1",
    ]
    outcome = CliRunner().invoke(make_app(), [*arguments, "--every", "2"])
    assert outcome.exit_code == 0, outcome.output
    # 12 degrees from one to the next of the 30: every second is a key frame.
    assert "key frames: 15 of 30" in outcome.output
    assert len(open_scene(tmp_path / "scene").frame_names()) == 15


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--jobs", "0"], "--jobs"),
        (["--keyframes", "--key-distance", "0"], "key_distance"),
        (["--max-skipped", "2"], "max_"),
    ],
)
def test_bad_numbers_are_named(tmp_path: Path, arguments: list[str], named: str) -> None:
    captures.write_generic(tmp_path / "room")
    outcome = CliRunner().invoke(make_app(), [*import_arguments(tmp_path), *arguments])
    assert isinstance(outcome.exception, DataError)
    assert named in str(outcome.exception)
    assert not (tmp_path / "scene").exists()
