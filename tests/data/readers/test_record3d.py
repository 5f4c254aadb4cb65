import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures.errors import DataError
from tests.data.readers.checks import off_room
from tests.data.writers.record3d import (
    DEPTH_HEIGHT,
    DEPTH_WIDTH,
    HEIGHT,
    ROOM_TO_WORLD,
    WIDTH,
    metadata,
    write_export,
    write_r3d,
)

WORLD_TO_ROOM = np.linalg.inv(ROOM_TO_WORLD)


def repack(path: Path, changed: dict[str, bytes | None]) -> Path:
    """The archive with members replaced, added or, by None, removed."""
    with zipfile.ZipFile(path) as archive:
        members: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**members, **changed}.items():
            if data is not None:
                archive.writestr(name, data)
    return path


@pytest.mark.parametrize("per_frame", [False, True])
def test_r3d_sees_the_room(tmp_path: Path, per_frame: bool) -> None:
    pytest.importorskip("lzfse")
    capture = open_capture(write_r3d(tmp_path / "hall.r3d", per_frame=per_frame))
    assert (capture.layout, capture.name, capture.names) == ("record3d", "hall", ("0", "1", "2"))
    assert capture.notes == ("recognised as record3d: hall.r3d, a zip archive", "depth of low confidence is dropped")
    assert capture.sizes(1) == ((WIDTH, HEIGHT), (DEPTH_WIDTH, DEPTH_HEIGHT))
    assert capture.frames[1].timestamp == pytest.approx(12.5 + 1 / 60)
    assert capture.up is not None
    assert (WORLD_TO_ROOM[:3, :3] @ capture.up.numpy()).tolist() == [0, 0, 1]
    # Exact but at the rim and where walls meet; the confidence that is low hides a wall at 0.3 m.
    assert not off_room(capture, 0.001, WORLD_TO_ROOM, share=0.9)
    assert not off_room(capture, 0.02, WORLD_TO_ROOM)
    frame = capture.read_frame(0)
    assert not frame.depth[:11].any()
    assert bool((frame.depth[14:-2] > 0).float().mean() > 0.95)


@pytest.mark.parametrize("per_frame", [False, True])
def test_export_sees_the_room(tmp_path: Path, per_frame: bool) -> None:
    pytest.importorskip("OpenEXR")
    capture = open_capture(write_export(tmp_path / "hall", per_frame=per_frame))
    assert (capture.layout, capture.name) == ("record3d", "hall")
    assert "EXR_RGBD/metadata.json" in capture.notes[0]
    # Half floats have steps of 2 mm beyond 2 m.
    assert not off_room(capture, 0.004, WORLD_TO_ROOM, share=0.9)
    assert not off_room(open_capture(tmp_path / "hall" / "EXR_RGBD"), 0.004, WORLD_TO_ROOM, share=0.9)
    assert not capture.read_frame(0).depth[:7].any()


def test_poses_without_images_and_images_without_pose(tmp_path: Path) -> None:
    pytest.importorskip("lzfse")
    path = write_r3d(tmp_path / "hall.r3d")
    repack(path, {"rgbd/1.jpg": None, "rgbd/1.depth": None, "rgbd/1.conf": None})
    capture = open_capture(path)
    assert capture.names == ("0", "2")
    assert "1 of 3 poses have no images: left out" in capture.notes
    assert not off_room(capture, 0.02, WORLD_TO_ROOM)
    repack(path, {"metadata": json.dumps(metadata(2, per_frame=False, sized=True)).encode()})
    with pytest.raises(DataError, match=r"hall\.r3d: expected a pose for each of frames 0 to 2, got 2"):
        open_capture(path)


def test_damaged_members_are_named(tmp_path: Path) -> None:
    pytest.importorskip("lzfse")
    path = write_r3d(tmp_path / "hall.r3d")
    with zipfile.ZipFile(path) as archive:
        depth, picture = archive.read("rgbd/0.depth"), archive.read("rgbd/1.jpg")
    repack(path, {"rgbd/0.depth": depth[: len(depth) // 2], "rgbd/1.jpg": picture[:200], "rgbd/2.depth": b"bvx$"})
    capture = open_capture(path)
    for index, message in enumerate(
        (r"0\.depth", r"1\.jpg: .*damaged or truncated", r"2\.depth: expected 10800 bytes")
    ):
        with pytest.raises(DataError, match=rf"hall\.r3d:rgbd/{message}"):
            capture.read_frame(index)


def test_what_is_missing_from_an_archive(tmp_path: Path) -> None:
    pytest.importorskip("lzfse")
    path = write_r3d(tmp_path / "hall.r3d")
    unsized = json.dumps(metadata(3, per_frame=False, sized=False)).encode()
    for changed, message in (
        ({"metadata": unsized}, "expected dw and dh"),
        ({"metadata": b"{}"}, r"w: Field required"),
        ({"metadata": None}, "a member metadata"),
    ):
        repack(path, changed)
        with pytest.raises(DataError, match=rf"hall\.r3d: .*{message}"):
            open_capture(path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"hall\.r3d: expected a zip archive, got a damaged one"):
        open_capture(path, "record3d")


def test_export_without_depth_of_a_frame(tmp_path: Path) -> None:
    pytest.importorskip("OpenEXR")
    folder = write_export(tmp_path / "hall") / "EXR_RGBD"
    (folder / "rgb" / "1(2).jpg").write_bytes(b"a copy that the phone's file manager made")
    assert len(open_capture(folder)) == 3
    data = (folder / "depth" / "2.exr").read_bytes()
    (folder / "depth" / "2.exr").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"2\.exr: expected an EXR image, got a damaged one"):
        open_capture(folder).read_frame(2)
    (folder / "depth" / "2.exr").unlink()
    capture = open_capture(folder)
    assert len(capture) == 3
    with pytest.raises(DataError, match=r"depth/2\.exr: .*does not exist"):
        capture.read_frame(2)


@pytest.mark.parametrize("kind", ["jpg", "depth", "conf"])
def test_archive_without_an_image_of_a_frame(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("lzfse")
    path = write_r3d(tmp_path / "hall.r3d")
    repack(path, {f"rgbd/1.{kind}": None})
    capture = open_capture(path)
    assert capture.names == ("0", "1", "2")
    assert capture.read_frame(2).name == "2"
    with pytest.raises(DataError, match=rf"hall\.r3d: expected a member rgbd/1\.{kind}"):
        capture.read_frame(1)
