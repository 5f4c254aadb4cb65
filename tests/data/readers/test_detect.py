from collections.abc import Callable
from pathlib import Path

import pytest

from sparse_s4r.data.readers import FORMATS, open_capture
from sparse_s4r.data.readers.detect import Detection, detect_format
from sparse_s4r.structures.errors import DataError
from tests.data.captures import write_generic, write_hololens
from tests.data.writers.arkitscenes import write_arkitscenes
from tests.data.writers.nerfstudio import write_nerfstudio
from tests.data.writers.open3d_folder import write_reconstruction, write_redwood
from tests.data.writers.replica import write_replica

OWN = {
    "generic": (write_generic, "color/ and depth/ beside poses and intrinsics.txt"),
    "hololens": (write_hololens, "images/ and depth/ beside poses.txt"),
    "replica": (write_replica, "results/ beside traj.txt"),
    "open3d": (write_redwood, "image/ and depth/ beside lounge_trajectory.log"),
    "nerfstudio": (write_nerfstudio, "transforms.json"),
    "arkitscenes": (write_arkitscenes, "lowres_wide/, lowres_depth/ and lowres_wide.traj"),
}


@pytest.mark.parametrize("name", OWN)
def test_layouts_are_told_apart_by_named_files(tmp_path: Path, name: str) -> None:
    write: Callable[[Path], Path] = OWN[name][0]
    path = write(tmp_path / "capture")
    assert detect_format(path) == Detection(name, OWN[name][1])
    assert open_capture(path).notes[0] == f"recognised as {name}: {OWN[name][1]}"
    assert open_capture(path, name).names == open_capture(path).names


def test_two_that_fit_are_both_named_with_their_evidence(tmp_path: Path) -> None:
    write_reconstruction(tmp_path / "both")
    (tmp_path / "both" / "transforms.json").write_text("{}")
    with pytest.raises(DataError) as caught:
        open_capture(tmp_path / "both")
    text = str(caught.value)
    assert "expected one layout, but 2 fit; name one with --format" in text
    assert "\n  nerfstudio: transforms.json" in text
    assert "\n  open3d: color/ and depth/ beside scene/trajectory.log and intrinsic.json" in text
    assert open_capture(tmp_path / "both", "open3d").layout == "open3d"


def test_a_log_file_makes_no_reconstruction(tmp_path: Path) -> None:
    write_generic(tmp_path / "room")
    (tmp_path / "room" / "recorder.log").write_text("started\n")
    assert detect_format(tmp_path / "room").format == "generic"


def test_none_lists_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "rgb").mkdir()
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError) as caught:
        open_capture(tmp_path)
    text = str(caught.value)
    assert "found notes.txt, rgb/" in text
    for name in FORMATS[1:]:
        assert f"\n  {name}: " in text
    for word in ("traj.txt", "transforms.json", "lowres_wide.traj", "NAME.r3d", "trajectory.log", "intrinsics.txt"):
        assert word in text
    with pytest.raises(DataError, match=r"found a file notes\.txt"):
        open_capture(tmp_path / "notes.txt")


@pytest.mark.parametrize("name", FORMATS[1:])
def test_every_reader_refuses_what_is_not_its_own(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.bin").write_bytes(b"\0\1\2")
    for path in (tmp_path, tmp_path / "file.bin", tmp_path / "gone"):
        with pytest.raises(DataError) as caught:
            open_capture(path, name)
        assert str(tmp_path) in str(caught.value)
