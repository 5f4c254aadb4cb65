"""s4r label as a command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_s4r.data.scene_format import open_scene
from tests.cli.test_commands import Run, expect_error, s4r
from tests.data.test_scene_pack import make_scene
from tests.inference.test_label_scene import write_label_images

__all__ = ["s4r"]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    make_scene(tmp_path / "scene")
    return tmp_path / "scene"


@pytest.fixture
def taxonomy(tmp_path: Path) -> Path:
    path = tmp_path / "xyz.yaml"
    path.write_text(
        "name: xyz\nclasses:\n" + "".join(f"- {{name: {name}, color: [9, 9, 9]}}\n" for name in ("x", "'y'", "z"))
    )
    return path


def test_several_scenes_with_figures(s4r: Run, scene: Path, taxonomy: Path, tmp_path: Path) -> None:
    make_scene(tmp_path / "second")
    for folder in (scene, tmp_path / "second"):
        write_label_images(tmp_path / "images" / folder.name, folder, 12)
    call = ("label", scene, tmp_path / "second", "--taxonomy", taxonomy, "--name", "mine")
    outcome = s4r(*call, "--segmenter", f"files:{tmp_path}/images/{{scene}}")
    assert outcome.code == 0, outcome.err
    # 12 of 48 rows have no label, and the rest is the scene's own.
    assert outcome.out.count("25.0%") == 2
    assert outcome.out.count("agreement with the scene's own labels: 100.0%") == 2
    assert outcome.out.count("mean confidence 1.00") == 2
    for folder in (scene, tmp_path / "second"):
        assert open_scene(folder).label_sets() == ("mine",)
        assert Image.open(folder / "labels/mine/overview.jpg").size[0] > 1000
    again = s4r(*call, "--segmenter", f"files:{tmp_path}/images/{{scene}}")
    assert again.code == 0
    assert again.out.count("0 of them new") == 2


def test_errors_end_in_their_message(s4r: Run, scene: Path, taxonomy: Path, tmp_path: Path) -> None:
    expect_error(s4r("label", scene, "--segmenter", "clever"), "segmenter clever", "hf:NAME_OR_FOLDER", "geometry")
    expect_error(s4r("label", tmp_path / "none", "--segmenter", "geometry"), str(tmp_path / "none"))
    write_label_images(tmp_path / "images", scene)
    files = ("--segmenter", f"files:{tmp_path}/images", "--taxonomy", taxonomy)
    expect_error(s4r("label", scene, *files, "--name", "../up"), "plain name")
    expect_error(s4r("label", scene, *files, "--scales", 1, 1.5), "neither label map nor scales")
    assert not (scene / "labels").exists()


def test_another_segmenter_of_the_same_name_needs_overwrite(
    s4r: Run, scene: Path, taxonomy: Path, tmp_path: Path
) -> None:
    write_label_images(tmp_path / "images", scene)
    call = ("label", scene, "--segmenter", f"files:{tmp_path}/images", "--taxonomy", taxonomy)
    assert s4r(*call).code == 0
    Image.fromarray(np.ones((48, 64), dtype=np.uint8)).save(tmp_path / "images/a.png")
    expect_error(s4r(*call), "digest", "--overwrite")
    assert s4r(*call, "--overwrite").code == 0
    frame = open_scene(scene).load_frame("a", labels="files")
    assert frame.labels is not None
    assert frame.labels.unique().tolist() == [1]
