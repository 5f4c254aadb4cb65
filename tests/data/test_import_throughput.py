"""Many threads, the same result; many frames, the same memory; an interruption, and nothing is left."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from sparse_s4r.data.import_options import ImportOptions, Labelling, Silent
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures import RGBDFrame
from tests.data import captures

ROOT = Path(__file__).resolve().parents[2]


def content(folder: Path) -> dict[str, bytes]:
    """All files but those of the report, which tells times."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("report.")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_number_of_threads_does_not_show(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room", captures.room_poses(40))
    order: list[str] = []

    def label(frame: RGBDFrame) -> torch.Tensor:
        order.append(frame.name)
        return (frame.depth > 2).long()

    for jobs in (1, 4):
        labelling = Labelling(("near", "far"), label)
        options = ImportOptions(voxel_size=0.08, image_width=64)
        import_scene(open_capture(folder), tmp_path / f"scene{jobs}", options, labelling, jobs=jobs)
    one, many = content(tmp_path / "scene1"), content(tmp_path / "scene4")
    assert len(one) == 3 * 40 + 5
    assert one.keys() == many.keys()
    assert [name for name in one if one[name] != many[name]] == []
    # Labels are given by one thread, in capture order.
    names = [f"view{number}" for number in range(40)]
    assert order == names + names


class Interrupts(Silent):
    """Raises as Ctrl-C does, after ``steps`` steps of the stage ``title``."""

    def __init__(self, title: str, steps: int) -> None:
        self._title, self._steps, self._active = title, steps, False

    def stage(self, title: str, total: int) -> None:
        self._active = title == self._title

    def advance(self) -> None:
        if self._active:
            self._steps -= 1
            if self._steps == 0:
                raise KeyboardInterrupt


@pytest.mark.parametrize("title", ["report", "frames", "fuse", "observe"])
def test_an_interruption_leaves_nothing(tmp_path: Path, title: str) -> None:
    folder = captures.write_generic(tmp_path / "room")
    steps = 1 if title == "report" else 5
    with pytest.raises(KeyboardInterrupt):
        import_scene(
            open_capture(folder), tmp_path / "scene", ImportOptions(voxel_size=0.16), None, Interrupts(title, steps), 3
        )
    assert [entry.name for entry in tmp_path.iterdir()] == ["room"]


def test_rates_of_all_stages_are_told(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room")
    summary = import_scene(open_capture(folder), tmp_path / "scene", ImportOptions(voxel_size=0.16, up="z"))
    assert [(rate.title, rate.frames) for rate in summary.stages] == [("frames", 12), ("fuse", 11), ("observe", 11)]
    assert all(rate.seconds > 0 for rate in summary.stages)
    assert sum(rate.seconds for rate in summary.stages) < summary.seconds
    assert any(note.startswith("frames: 12 in ") and note.endswith(" per second") for note in summary.notes)
    assert summary.report.outcome is not None
    assert summary.report.outcome.frames_per_second > summary.frames / summary.seconds


PEAK = """
import sys
from pathlib import Path
import torch
from sparse_s4r.data.import_options import ImportOptions
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures.memory import peak_memory_bytes
folder, out = map(Path, sys.argv[1:])
options = ImportOptions(voxel_size=0.16, keep=0.5, up="z")
print(import_scene(open_capture(folder), out, options, jobs=2).frames, peak_memory_bytes(torch.device("cpu")))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path) -> None:
    """Peak memory of processes that import 40 and 400 views of a room; 360 decoded frames would take 440 MB more."""
    width, height, k = 320, 240, captures.K * [[4.0], [4.0], [1.0]]
    peaks = []
    for count in (40, 400):
        # The same forty views over and over: only the number of frames differs.
        poses = [captures.room_poses(40)[number % 40] for number in range(count)]
        folder = captures.write_generic(tmp_path / f"room{count}", poses)
        for number, pose in enumerate(poses):
            color, depth = folder / "color" / f"view{number}.png", folder / "depth" / f"view{number}.png"
            if number < 40:
                Image.fromarray(captures.room_color(pose, k, width, height)).save(color)
                captures.write_depth(depth, captures.room_depth(pose, k, width, height))
            else:
                shutil.copy(color.with_name(f"view{number % 40}.png"), color)
                shutil.copy(depth.with_name(f"view{number % 40}.png"), depth)
        captures.write_matrix(folder / "intrinsics.txt", k)
        outcome = subprocess.run(
            [sys.executable, "-c", PEAK, str(folder), str(tmp_path / f"scene{count}")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        frames, peak = (int(number) for number in outcome.stdout.split())
        assert frames == count
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 120e6
