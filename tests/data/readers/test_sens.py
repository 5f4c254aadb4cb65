"""The index of .sens files, sound and damaged."""

import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_s4r.data.readers import sens as module
from sparse_s4r.data.readers.scannet import open_scannet
from sparse_s4r.data.readers.sens import SensIndex, index_sens
from sparse_s4r.structures.errors import DataError
from tests.data.captures import room_poses
from tests.data.writers import scannet
from tests.data.writers.bounded import expect_bounded, read_all
from tests.data.writers.scannet import Sens

# Three frames are enough to be damaged.
SMALL = Sens(poses=room_poses(3)).bytes()
HEADER = len(Sens(poses=room_poses(3)).header())


def write(folder: Path, data: bytes) -> Path:
    path = folder / "scene.sens"
    path.write_bytes(data)
    return path


def test_index_gives_cameras_poses_and_places(tmp_path: Path) -> None:
    sens = Sens()
    index = index_sens(write(tmp_path, sens.bytes()))
    header = index.header
    assert header.sensor == "StructureSensor (calibrated)"
    assert (header.color_size, header.depth_size) == (scannet.COLOR_SIZE, scannet.DEPTH_SIZE)
    assert header.units_per_metre == 1000
    np.testing.assert_array_equal(header.color_intrinsics, scannet.four(scannet.COLOR_K).astype(np.float32))
    np.testing.assert_array_equal(header.depth_intrinsics, scannet.four(scannet.DEPTH_K).astype(np.float32))
    np.testing.assert_array_equal(index.poses, np.array(sens.poses, dtype=np.float32))
    assert index.times[2].tolist() == [1_066_000, 1_071_000]
    assert index.notes == ()
    data = sens.bytes()
    for (color, color_bytes), (depth, depth_bytes) in zip(index.color_spans, index.depth_spans, strict=True):
        assert data[color : color + 3] == b"\xff\xd8\xff"
        assert data[color + color_bytes - 2 : color + color_bytes] == b"\xff\xd9"
        assert depth == color + color_bytes
        # The first byte of a zlib stream with the usual window.
        assert data[depth] == 0x78
        assert depth + depth_bytes <= len(data)


class _Counting:
    """A file that counts what is read."""

    total = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._file = open(*arguments, **options)  # noqa: SIM115 - the class is the context manager

    def read(self, count: int) -> bytes:
        _Counting.total += count
        return self._file.read(count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_Counting":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def test_images_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, Sens().bytes())
    _Counting.total = 0
    monkeypatch.setattr(module, "open", _Counting, raising=False)
    assert len(index_sens(path)) == 5
    # The header, 96 bytes for each frame, and the number of inertial measurements.
    assert _Counting.total == len(Sens().header()) + 5 * 96 + 8


@pytest.mark.parametrize("cut", [5, 500, 6000])
def test_a_truncated_file_gives_its_whole_frames(tmp_path: Path, cut: int) -> None:
    sens = Sens(imu=0)
    whole = sens.header() + b"".join(sens.frame(number) for number in range(3))
    index = index_sens(write(tmp_path, whole + sens.frame(3)[:cut]))
    assert len(index) == 3
    assert index.header.claimed == 5
    assert "ends within frame 3 of 5" in index.notes[0]
    capture = open_scannet(tmp_path)
    assert any("3 whole frames are used" in note for note in capture.notes)
    assert capture.read_frame(2).depth.shape == (96, 128)


def test_what_follows_the_frames_is_checked_and_not_needed(tmp_path: Path) -> None:
    assert index_sens(write(tmp_path, Sens(imu=0).bytes())).notes == ()
    assert index_sens(write(tmp_path, Sens().bytes()[: -Sens().imu * 128 - 8])).notes == ()
    for data in (SMALL + b"garbage", SMALL[:-30], Sens(imu_claimed=1 << 60).bytes()):
        index = index_sens(write(tmp_path, data))
        assert "inertial" in index.notes[0]
        assert len(index) >= 3
    assert "3 bytes after the last frame" in index_sens(write(tmp_path, SMALL[: -7 * 128 - 8] + b"abc")).notes[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Sens(version=3), "expected a .sens file of version 4, got 3"),
        (Sens(name_length=2 << 30), "sensor's name of at most 4096 bytes, got 2147483648"),
        (Sens(name_length=4096, poses=[]), "expected 4096 bytes of the sensor's name .* got the end of the file"),
        (Sens(color_size=(100_000, 100_000)), "expected colour images of .* got 100000x100000"),
        (Sens(depth_size=(100_000, 100_000)), "expected depth images of .* got 100000x100000"),
        (Sens(depth_size=(0, 480)), "got 0x480"),
        (Sens(shift=0), "expected a number > 0 of depth units per metre, got 0"),
        (Sens(shift=float("nan")), "got nan"),
        (Sens(claimed=10**18), "expected 1 to 1000000 frames, got 1000000000000000000"),
        (Sens(claimed=0), "expected 1 to 1000000 frames, got 0"),
        (Sens(poses=[], claimed=20, imu=0), "expected 20 frames, got not one that is whole"),
        (Sens(color_compression=0), r"expected colour compression 1 \(PNG\) or 2 \(JPEG\), got 0"),
        (Sens(depth_compression=2), r"expected depth compression 0 \(raw\) or 1 \(zlib\), got 2"),
        (Sens(color_extrinsics=np.zeros((4, 4))), "the extrinsics of the colour camera"),
    ],
)
def test_impossible_headers_are_refused_without_effort(tmp_path: Path, wrong: Sens, message: str) -> None:
    poses, wrong.poses = wrong.poses, []
    frames = [Sens(poses=poses).frame(number) for number in range(len(poses))]
    if wrong.claimed is None:
        wrong.claimed = len(poses)
    path = write(tmp_path, wrong.header() + b"".join(frames) + wrong.tail())
    error = expect_bounded(lambda: open_scannet(path), megabytes=3, seconds=2)
    assert isinstance(error, DataError)
    with pytest.raises(DataError, match=message):
        open_scannet(path)


def test_huge_sizes_inside_frames_are_not_believed(tmp_path: Path) -> None:
    # The second frame claims 2 GB of colour, and one whose sizes add up to 2**64 + 4.
    start = HEADER + len(Sens(poses=room_poses(3)).frame(0)) + 80
    for sizes in ((2 << 30, 100), ((1 << 64) - 1, 5), ((1 << 63), (1 << 63))):
        data = SMALL[:start] + struct.pack("<2Q", *sizes) + SMALL[start + 16 :]
        index = expect_bounded(lambda data=data: index_sens(write(tmp_path, data)), megabytes=3)  # type: ignore[misc]
        assert isinstance(index, SensIndex)
        assert len(index) == 1


def test_frames_without_images_do_not_cost_memory(tmp_path: Path) -> None:
    # A file of zeros behind the header: twenty thousand frames of no bytes.
    path = write(tmp_path, Sens(poses=[], claimed=20_000).header() + bytes(96 * 20_000))
    index = expect_bounded(lambda: index_sens(path), megabytes=20)
    assert isinstance(index, SensIndex)
    with pytest.raises(DataError, match=r"tracking was lost|unreadable|damaged"):
        open_scannet(path).read_frame(7)


def test_pixels_other_than_declared(tmp_path: Path) -> None:
    for wrong in (Sens(color_size=(64, 48)), Sens(depth_size=(48, 64)), Sens(depth_size=(64, 47))):
        frames, wrong.claimed = [wrong.frame(number) for number in range(2)], 2
        path = write(tmp_path, wrong.header() + b"".join(frames))
        if wrong.depth_size == (48, 64):
            # As many numbers as announced: only the picture would tell.
            assert open_scannet(path).read_frame(0).depth.shape == (96, 128)
            continue
        with pytest.raises(DataError, match="expected"):
            open_scannet(path).read_frame(0)


@pytest.mark.parametrize("focal", [1e5, 1e30, 1e-5, 0.0, -100.0, np.nan])
def test_a_damaged_focal_length_does_not_make_registration_endless(tmp_path: Path, focal: float) -> None:
    sens = Sens()
    data = bytearray(sens.bytes())
    start = 4 + 8 + len(sens.name)
    data[start : start + 4] = struct.pack("<f", focal)
    path = write(tmp_path, bytes(data))
    error = expect_bounded(lambda: open_scannet(path).read_frame(0), seconds=2)
    assert isinstance(error, DataError)
    assert "are they of another resolution" in str(error)


def mutations() -> st.SearchStrategy[bytes]:
    """Damage anywhere, and in the header or at a frame's start, where it hurts most."""
    spots = st.one_of(st.integers(0, HEADER + 200), st.integers(0, len(SMALL) - 1))
    words = st.one_of(
        st.binary(min_size=1, max_size=8),
        st.integers(0, (1 << 64) - 1).map(lambda number: struct.pack("<Q", number)),
        st.sampled_from([bytes(8), b"\xff" * 8, struct.pack("<f", -np.inf), struct.pack("<Q", 1 << 31)]),
    )

    def apply(edits: list[tuple[int, bytes]], cut: int | None, inserted: bool) -> bytes:
        data = bytearray(SMALL)
        for spot, word in edits:
            data[spot : spot + (0 if inserted else len(word))] = word
        return bytes(data[:cut])

    cuts = st.one_of(st.none(), st.integers(0, len(SMALL)))
    return st.builds(apply, st.lists(st.tuples(spots, words), max_size=4), cuts, st.booleans())


def fuzz(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), data)
        expect_bounded(lambda: read_all(open_scannet, path))


@settings(max_examples=40, deadline=None)
@given(mutations())
def test_damaged_files_raise_named_errors_only(data: bytes) -> None:
    assert len(data) <= len(SMALL) + 32
    fuzz(data)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(mutations())
def test_many_damaged_files(data: bytes) -> None:
    assert len(data) <= len(SMALL) + 32
    fuzz(data)


@pytest.mark.parametrize("make", [lambda: b"", lambda: b"\x04", lambda: bytes(10_000), lambda: b"\xff" * 10_000])
def test_what_is_no_sens_file(tmp_path: Path, make: Callable[[], bytes]) -> None:
    with pytest.raises(DataError, match=r"scene\.sens: expected"):
        index_sens(write(tmp_path, make()))
    with pytest.raises(DataError, match=r"expected a readable \.sens file"):
        index_sens(tmp_path)
