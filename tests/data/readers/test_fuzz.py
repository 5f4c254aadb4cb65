"""Damaged captures: any file cut, flipped or written into gives a named error or a readable capture, nothing else."""

from __future__ import annotations

import resource
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparse_s4r.data.capture_check import usable_frames
from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures.errors import DataError
from tests.data.captures import room_poses, write_generic, write_hololens
from tests.data.writers.arkitscenes import write_arkitscenes
from tests.data.writers.nerfstudio import LENS, write_nerfstudio
from tests.data.writers.open3d_folder import write_reconstruction
from tests.data.writers.record3d import write_export, write_r3d
from tests.data.writers.replica import write_replica

EXAMPLES = 60
MEMORY = 64 << 20
# Growth of the whole process, in KiB, which sees what tensors take too.
GROWTH = 256 << 10
# What hides in text: other kinds of numbers, of line ends, of nesting.
WORDS = [b"nan", b"-inf", b"1e999", b"\n\n", b"\r", b"\0", b"\xff\xfe", b"[[[[", b'"', b"-1", b"0", b"../", b"{}"]
WORDS += [b"9" * 400, b"[" * 5000]


def write_r3d_folder(folder: Path) -> Path:
    pytest.importorskip("lzfse")
    return write_r3d(folder / "hall.r3d", count=2)


def write_exr(folder: Path) -> Path:
    pytest.importorskip("OpenEXR")
    return write_export(folder, count=2)


def write_small_sevenscenes(folder: Path) -> Path:
    """Two frames of the generic layout under the names of 7-Scenes, cameras included."""
    write_generic(folder, room_poses(2))
    shutil.copy(folder / "intrinsics.txt", folder / "depth_intrinsics.txt")
    for number in range(2):
        for part, suffix in (("color", "color.png"), ("depth", "depth.png"), ("poses", "pose.txt")):
            (source,) = (folder / part).glob(f"view{number}.*")
            source.rename(folder / f"frame-{number:06d}.{suffix}")
    for name in ("color", "depth", "poses"):
        (folder / name).rmdir()
    return folder


WRITERS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "generic": ("generic", lambda folder: write_generic(folder, room_poses(2), described={"repair_gaps": True})),
    "sevenscenes": ("sevenscenes", write_small_sevenscenes),
    "hololens": ("hololens", lambda folder: write_hololens(folder, 4)),
    "replica": ("replica", lambda folder: write_replica(folder, (0, 1), 2)),
    "open3d": ("open3d", lambda folder: write_reconstruction(folder, 2)),
    "nerfstudio": ("nerfstudio", lambda folder: write_nerfstudio(folder, 2, LENS, half_depth=True, masks=True)),
    "arkitscenes": ("arkitscenes", lambda folder: write_arkitscenes(folder, 2)),
    "r3d": ("record3d", write_r3d_folder),
    "exr": ("record3d", write_exr),
}


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A change of a file's bytes."""
    at = draw(st.floats(0, 1, exclude_max=True))
    kind = draw(st.sampled_from(["cut", "flip", "insert", "zero"]))
    bit, word = draw(st.integers(0, 7)), draw(st.sampled_from(WORDS) | st.binary(min_size=1, max_size=8))
    length = draw(st.integers(1, 16))

    def damage(data: bytes) -> bytes:
        place = int(at * len(data))
        if kind == "cut":
            return data[:place]
        if kind == "insert":
            return data[:place] + word + data[place:]
        if kind == "zero":
            return data[:place] + bytes(min(length, len(data) - place)) + data[place + length :]
        return data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]

    return damage


def read_all(path: Path, layout: str) -> None:
    """Everything that an import asks of a capture; only DataError is caught."""
    try:
        capture = open_capture(path, layout)
        usable_frames(capture, skip_bad_frames=True)
    except DataError:
        return
    for index in range(len(capture)):
        try:
            frame = capture.read_frame(index, 32)
            assert bool(frame.depth.isfinite().all())
            assert bool((frame.depth >= 0).all())
        except DataError:
            continue


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    layout, write = WRITERS[name]
    sound = tmp_path_factory.mktemp(name) / "capture"
    written = write(sound)
    files = sorted(file for file in sound.rglob("*") if file.is_file())
    changed = sound.with_name("changed")
    shutil.copytree(sound, changed)
    path = changed / written.relative_to(sound)

    @settings(
        max_examples=EXAMPLES, deadline=5000, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )
    @given(st.sampled_from(files), damages())
    def damaged(file: Path, damage: Callable[[bytes], bytes]) -> None:
        target = changed / file.relative_to(sound)
        data = file.read_bytes()
        target.write_bytes(damage(data))
        tracemalloc.start()
        try:
            read_all(path, layout)
            assert tracemalloc.get_traced_memory()[1] < MEMORY
        finally:
            tracemalloc.stop()
            target.write_bytes(data)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    damaged()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < GROWTH
    assert len(open_capture(path, layout)) == 2
