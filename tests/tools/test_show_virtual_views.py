"""The picture of a scene's virtual views."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_s4r.data.import_options import ImportOptions
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.readers import open_capture
from sparse_s4r.data.synthetic import make_room
from sparse_s4r.data.synthetic_capture import write_capture
from sparse_s4r.data.synthetic_path import make_trajectory
from tools.show_virtual_views import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["show_virtual_views.py", *arguments])
    main()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated room, fine enough that cameras find room in what was seen free."""
    base = tmp_path_factory.mktemp("room")
    room = make_room(seed=3)
    write_capture(room, make_trajectory(room, 24, seed=3, width=64, height=48), base / "capture", labels=False)
    options = ImportOptions(voxel_size=0.05, keep=0.5, held_out=0.2, seed=1)
    import_scene(open_capture(base / "capture", "auto"), base / "scene", options, None)
    return base / "scene"


def test_the_picture_shows_a_row_per_view(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heights = []
    for count in (1, 2):
        file = tmp_path / f"{count}.png"
        run(monkeypatch, str(folder), "--out", str(file), "--count", str(count))
        assert capsys.readouterr().out.startswith(f"{count} of {count} views")
        with Image.open(file) as picture:
            heights.append(picture.height)
            assert len(np.unique(np.asarray(picture.convert("L")))) > 50
    assert heights[1] > 1.5 * heights[0]


def test_what_is_no_scene_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=str(tmp_path / "none")):
        run(monkeypatch, str(tmp_path / "none"), "--out", str(tmp_path / "none.png"))
    assert not (tmp_path / "none.png").exists()
