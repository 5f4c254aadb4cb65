"""Labelled images in memory: what is read, and which side of a box it is from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_s4r.data.labelled_pictures import PlanBox, load_pictures
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError
from tests.data.captures import ROOM_LOWER, ROOM_UPPER, room_color, room_poses, write_generic

NAMES = ("wall", "floor")
# The half of the room at negative x; the cameras stand on a circle around its middle.
HALF = PlanBox((-9.0, -9.0), (0.0, 9.0))


def labelled(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    write_generic(folder)
    described = folder / "capture.json"
    content = json.loads(described.read_text()) if described.is_file() else {}
    described.write_text(json.dumps({**content, "class_names": names}))
    (folder / "labels").mkdir(exist_ok=True)
    for path in sorted((folder / "color").iterdir()):
        red = np.asarray(Image.open(path))[..., 0]
        Image.fromarray((red > 128).astype(np.uint8)).save(folder / "labels" / f"{path.stem}.png")
    return folder


def test_all_frames_of_all_captures_are_read(tmp_path: Path) -> None:
    folders = [labelled(tmp_path / "a"), labelled(tmp_path / "b")]
    pictures = load_pictures(folders)
    count = len(room_poses())
    assert len(pictures) == 2 * count
    assert pictures.class_names == NAMES
    assert pictures.color.dtype == pictures.labels.dtype == torch.uint8
    expected = torch.from_numpy(room_color(room_poses()[3])).movedim(-1, 0)
    torch.testing.assert_close(pictures.color[count + 3], expected)
    torch.testing.assert_close(pictures.labels[3], (expected[0] > 128).to(torch.uint8))
    torch.testing.assert_close(pictures.every(5).color, pictures.color[[0, 5, 10, 15, 20]])


@pytest.mark.parametrize("inside", [False, True])
def test_a_box_parts_cameras_and_surfaces(tmp_path: Path, inside: bool) -> None:
    pictures = load_pictures([labelled(tmp_path / "a")], [HALF], inside)
    poses = [pose for pose in room_poses() if (pose[0, 3] < 0) == inside]
    assert len(pictures) == len(poses)
    for index, pose in enumerate(poses):
        # Colour is position: red is x, from the one wall to the other.
        red = room_color(pose)[..., 0].astype(float)
        x = ROOM_LOWER[0] + red / 255 * (ROOM_UPPER - ROOM_LOWER)[0]
        kept = (pictures.labels[index] != IGNORE_LABEL).numpy()
        clear = np.abs(x) > 0.02
        assert bool((kept == ((x < 0) == inside))[clear].all())
        assert kept.sum() > 0


def test_no_image_on_the_wanted_side_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected images on the wanted side of the boxes, got none of 12"):
        load_pictures([labelled(tmp_path / "a")], [PlanBox((5.0, 5.0), (6.0, 6.0))], True)


def test_captures_in_other_classes_are_refused(tmp_path: Path) -> None:
    folders = [labelled(tmp_path / "a"), labelled(tmp_path / "b", ("floor", "wall"))]
    with pytest.raises(DataError, match=r"b: expected labels in the classes of .*a, got floor, wall"):
        load_pictures(folders)


def test_captures_without_labels_are_refused(tmp_path: Path) -> None:
    write_generic(tmp_path / "a")
    with pytest.raises(DataError, match=r"a: expected labels .*got none"):
        load_pictures([tmp_path / "a"])


def test_no_capture_is_an_error() -> None:
    with pytest.raises(DataError, match="expected at least one folder"):
        load_pictures([])


def test_images_of_two_sizes_are_refused(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "a")
    for kind in ("color", "labels"):
        path = sorted((folder / kind).iterdir())[7]
        Image.open(path).resize((40, 30)).save(path)
    with pytest.raises(DataError, match="expected images of one size, 80x60 as the first one, got 40x30"):
        load_pictures([folder])
