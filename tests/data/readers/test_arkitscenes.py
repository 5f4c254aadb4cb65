from pathlib import Path

import numpy as np
import pytest

from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures.errors import DataError
from tests.data.readers.checks import off_room
from tests.data.writers.arkitscenes import HEIGHT, START, VIDEO, WIDTH, camera_of, write_arkitscenes


def test_frames_see_the_room(tmp_path: Path) -> None:
    capture = open_capture(write_arkitscenes(tmp_path / VIDEO, jitter=0.004))
    assert (capture.layout, capture.name, len(capture)) == ("arkitscenes", VIDEO, 5)
    assert capture.names[0] == f"{VIDEO}_6845.806"
    assert capture.frames[1].timestamp == pytest.approx(START + 0.1)
    assert capture.up is not None
    assert capture.up.tolist() == [0, 0, 1]
    for number in range(5):
        assert np.array_equal(capture.calibration_of(number).color.numpy(), camera_of(number))
    assert not off_room(capture, 0.001)


def test_low_confidence_is_dropped(tmp_path: Path) -> None:
    capture = open_capture(write_arkitscenes(tmp_path / VIDEO))
    assert "depth of low confidence is dropped" in capture.notes
    frame = capture.read_frame(0)
    assert frame.depth.shape == (HEIGHT, WIDTH)
    assert not frame.depth[:5].any()
    assert bool((frame.depth[5:] > 0).all())


def test_the_3dod_folder_without_confidence(tmp_path: Path) -> None:
    write_arkitscenes(tmp_path / VIDEO / f"{VIDEO}_frames", confidence=False)
    capture = open_capture(tmp_path / VIDEO)
    assert capture.name == VIDEO
    assert f"{VIDEO}_frames/lowres_wide.traj" in capture.notes[0]
    assert not off_room(capture, 0.001)


def test_what_lacks_a_part_is_left_out_with_a_count(tmp_path: Path) -> None:
    folder = write_arkitscenes(tmp_path / VIDEO)
    lines = (folder / "lowres_wide.traj").read_text().splitlines()
    (folder / "lowres_wide.traj").write_text("\n".join(lines[1:]) + "\n\n")
    (folder / "lowres_depth" / f"{VIDEO}_{START + 0.1:.3f}.png").unlink()
    (folder / "confidence" / f"{VIDEO}_{START + 0.2:.3f}.png").unlink()
    (folder / "lowres_wide_intrinsics" / f"{VIDEO}_{START + 0.301:.3f}.pincam").unlink()
    capture = open_capture(folder)
    assert capture.names == (f"{VIDEO}_{START + 0.4:.3f}",)
    for part in ("pose", "depth", "confidence", "camera"):
        assert f"1 of 5 colour images have no {part}: left out" in capture.notes
    assert not off_room(capture, 0.001)


def test_times_beyond_the_tolerance(tmp_path: Path) -> None:
    folder = write_arkitscenes(tmp_path / VIDEO, jitter=0.006)
    with pytest.raises(DataError, match="got none of 5; 5 of 5 colour images have no pose"):
        open_capture(folder)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("lowres_wide.traj", "6845.8 0 0 0 1 1", r"line 1, got \[6845"),
        ("lowres_wide.traj", "nan 0 0 0 1 1 1", "line 1"),
        ("lowres_wide.traj", "no tracking", "as numbers, got 'no tracking' in line 1"),
        (f"lowres_wide_intrinsics/{VIDEO}_6845.806.pincam", "64 48 53 53 31.8", r"cx and cy, got \[64"),
        (f"lowres_wide_intrinsics/{VIDEO}_6845.806.pincam", "1e300 48 53 53 31.8 20", "width"),
    ],
)
def test_bad_text_is_named(tmp_path: Path, file: str, text: str, message: str) -> None:
    folder = write_arkitscenes(tmp_path / VIDEO)
    (folder / file).write_text(text)
    with pytest.raises(DataError, match=rf"{Path(file).name}: .*{message}"):
        open_capture(folder)


def test_lost_tracking_is_told_from_a_pose(tmp_path: Path) -> None:
    folder = write_arkitscenes(tmp_path / VIDEO)
    lines = (folder / "lowres_wide.traj").read_text().splitlines()
    lines[2] = " ".join([lines[2].split()[0], *["nan"] * 6])
    (folder / "lowres_wide.traj").write_text("\n".join(lines))
    capture = open_capture(folder)
    assert bool(capture.pose(1).isfinite().all())
    with pytest.raises(DataError, match=r"lowres_wide\.traj: .*tracking was lost"):
        capture.pose(2)


def test_missing_folders(tmp_path: Path) -> None:
    folder = write_arkitscenes(tmp_path / VIDEO)
    (folder / "lowres_wide_intrinsics").rename(folder / "cameras")
    with pytest.raises(DataError, match="lowres_wide_intrinsics: expected a folder"):
        open_capture(folder)
    (folder / "lowres_wide.traj").unlink()
    with pytest.raises(DataError, match=r"lowres_wide/, lowres_depth/ and lowres_wide\.traj"):
        open_capture(folder, "arkitscenes")
